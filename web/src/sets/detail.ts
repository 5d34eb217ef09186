// One set: how far it is, what accepting brought, which image comes next, and its images, the most doubtful masks first.

import { api } from "../api.ts";
import { h, put } from "../dom.ts";
import { may } from "../parts/access.ts";
import { chart } from "../parts/chart.ts";
import { picture } from "../parts/picture.ts";
import { Progress } from "../parts/progress.ts";
import { count, readable, sentence } from "../parts/words.ts";
import type { Frame } from "../shell.ts";
import type { SetDetail, SetImage, SetImageChange, Strategy } from "../types.ts";
import { exportSet } from "./export.ts";
import { strategyChoice } from "./fields.ts";
import { imageTable } from "./image.ts";
import { done } from "./line.ts";

const SHOWN = 100;

export async function showSet(frame: Frame, id: number): Promise<void> {
  const column = h("div", { class: "column" });
  put(frame.main, column);
  const annotator = may(frame.me, "annotator");
  let shown = SHOWN;

  async function act(call: () => Promise<SetDetail>, words: string): Promise<void> {
    try {
      draw(await call());
      frame.say(words);
    } catch (error) {
      frame.fail(error);
    }
  }

  const change = (image: SetImage, state: SetImageChange["state"]): void =>
    void act(() => api.changeSetImage(id, image.key, { state }), `${image.name}: ${state === "waiting" ? "put back" : state}.`);

  function draw(set: SetDetail): void {
    document.title = `${set.name} – casewise`;
    if (annotator) {
      put(
        frame.actions,
        h("button", { type: "button", class: "button", onclick: () => exportSet(set) }, "Export"),
        set.next
          ? h("a", { class: "button primary", href: `/annotate/${encodeURIComponent(set.next.key)}?set=${set.id}` }, "Annotate next")
          : h("button", { type: "button", class: "button primary", disabled: true }, "Annotate next"),
      );
    }
    const accepted = set.images.filter((image) => image.state === "accepted");
    const others = set.images.filter((image) => image.state !== "accepted");
    const table = imageTable(set, [...accepted, ...others].slice(0, shown), annotator ? change : null);
    const more = h("button", { type: "button", class: "button", onclick: () => { shown += SHOWN; draw(set); } }, `Show more of ${count(set.images.length, "image")}`);
    put(
      column,
      head(set),
      h("section", { class: "set-top", "aria-label": "How far" }, progress(set), next(set), strategy(set)),
      set.strokes.length === 0 ? h("p", { class: "card quiet" }, "Strokes and seconds an image are drawn here as masks are accepted.") : h("section", { class: "charts", "aria-label": "What accepting brought" }, chart("Strokes an image", set.strokes, "images accepted", "strokes"), chart("Seconds an image", set.seconds, "images accepted", "seconds")),
      h("section", {}, h("h2", {}, "Images"), doubtful(accepted), table, set.images.length > shown && h("div", { class: "more" }, more)),
    );
  }

  function strategy(set: SetDetail): HTMLElement {
    const select = strategyChoice(set.strategy);
    select.disabled = !annotator;
    select.addEventListener("change", () => void act(() => api.changeSet(id, { strategy: select.value as Strategy }), "The order of the images is changed."));
    return h("label", { class: "card labelled" }, h("span", { class: "heading" }, "Which image comes next"), select);
  }

  draw(await api.set(id));
}

function head(set: SetDetail): HTMLElement {
  return h("div", { class: "page-head" }, h("div", { class: "set-head" }, h("h1", {}, set.name), h("p", { class: "quiet" }, `${sentence(readable(set.structure))} · ${count(set.images.length, "image")}`)), h("a", { href: "/sets" }, "All sets"));
}

function progress(set: SetDetail): HTMLElement {
  const bar = new Progress("Accepted");
  const [accepted, total] = done(set);
  bar.show(accepted, total);
  const { skipped = 0, excluded = 0, open = 0 } = set.counts;
  const rest = [open && `${open} being outlined`, skipped && `${skipped} skipped`, excluded && `${excluded} excluded`].filter(Boolean).join(", ");
  return h("div", { class: "card stack" }, h("span", { class: "heading" }, "Accepted"), bar.element, h("p", { class: "quiet small" }, rest || "None skipped, none excluded"));
}

function next(set: SetDetail): HTMLElement {
  if (set.next === null) return h("div", { class: "card stack" }, h("span", { class: "heading" }, "Next"), h("p", { class: "quiet" }, "No image waits."));
  return h(
    "div",
    { class: "card next" },
    h("span", { class: "heading" }, "Next"),
    picture(set.next.key),
    h("div", { class: "clip" }, h("div", { class: "clip" }, set.next.name), h("div", { class: "quiet small" }, `${set.next.reason}${set.next.prepared ? " · prepared" : ""}`)),
  );
}

function doubtful(accepted: SetImage[]): HTMLElement | null {
  const n = accepted.filter((image) => image.doubt !== null).length;
  return n ? h("p", { class: "quiet" }, "Accepted masks come first, the most doubtful on top: doubt is how far a mask is from what the other accepted ones predict, 0 to 1.") : null;
}
