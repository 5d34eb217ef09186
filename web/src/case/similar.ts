// Similar cases with their masks; a click compares one side by side.

import { address, ask } from "../api.ts";
import { h, put } from "../dom.ts";
import { listen } from "../parts/live.ts";
import { picture } from "../parts/picture.ts";
import { score } from "../parts/words.ts";
import type { Frame } from "../shell.ts";
import type { CaseDetail, Similar } from "../types.ts";

const SHOWN = 10;

export function similarCases(frame: Frame, image: CaseDetail, compare: (other: Similar) => void): HTMLElement {
  const list = h("ul", { class: "similar" }, h("li", { class: "quiet small wide" }, "Looking for similar cases."));
  let end: (() => void) | null = null; // listening, once, for the job that makes images comparable
  const made = (): void => {
    end?.();
    void load();
  };
  const load = (): Promise<void> =>
    ask(address(["cases", image.key, "similar"], { k: SHOWN }))
      .then(async (answer) => {
        const found = (await answer.json()) as Similar[];
        const note = answer.headers.get("X-Casewise-Note");
        const cards = found.length ? found.map((one) => card(image, one, compare)) : h("li", { class: "quiet wide" }, "There is no other case like this in the archive.");
        put(list, cards, note && h("li", { class: "quiet small wide" }, note));
        if (note !== null) end ??= listen({ job: (job) => job.kind === "embed" && job.state === "done" && made() });
      })
      .catch((error: unknown) => {
        put(list);
        frame.fail(error);
      });
  void load();
  return h("section", {}, h("h2", {}, "Similar cases"), list);
}

function card(image: CaseDetail, one: Similar, compare: (other: Similar) => void): HTMLElement {
  const shared = one.structures.find((name) => image.structures.includes(name)) ?? one.structures[0];
  const words = [one.name, one.site && `site ${one.site}`, shared && `with its mask of ${shared}`, `similarity ${score(one.score)}`].filter(Boolean).join(", ");
  return h("li", {}, h("button", { type: "button", class: "tile-button", title: words, "aria-label": `Compare with ${words}`, onclick: () => compare(one) }, picture(one.key, shared), h("span", { class: "quiet small number" }, score(one.score))));
}
