// Two cases beside each other, each with its mask; zoom and place of one follow the other.

import { api } from "../api.ts";
import { h, put } from "../dom.ts";
import { dialog } from "../parts/dialog.ts";
import { readable, score, sentence } from "../parts/words.ts";
import type { CaseDetail, Similar } from "../types.ts";
import { Mask, unpacked } from "../viewer/masks.ts";
import { Viewer } from "../viewer/viewer.ts";
import { open } from "../viewer/voxels.ts";
import { above } from "./marks.ts";

interface Side {
  viewer: Viewer;
  image: CaseDetail;
  mask: Mask | null;
}

export function compare(image: CaseDetail, other: Similar): void {
  const body = h("div", { class: "compare" });
  const stop = new AbortController();
  dialog(`${image.name} and ${other.name}`, () => body, { wide: true, onclose: () => stop.abort() });
  put(body, h("p", { class: "quiet" }, "Opening the other case."));
  void api
    .case(other.key, stop.signal)
    .then((detail) => show(body, image, detail, other, stop.signal))
    .catch((error: unknown) => {
      if (!stop.signal.aborted) put(body, h("p", { class: "dialog-message", "data-tone": "warning" }, error instanceof Error ? error.message : String(error)));
    });
}

async function show(body: HTMLElement, image: CaseDetail, detail: CaseDetail, other: Similar, signal: AbortSignal): Promise<void> {
  const shared = detail.structures.filter((name) => image.structures.includes(name));
  const names = shared.length ? shared : detail.structures;
  const sides: Side[] = [image, detail].map((one) => ({ viewer: new Viewer({ changed: () => follow(one === image ? 0 : 1) }), image: one, mask: null }));
  const [left, right] = sides as [Side, Side];
  let leading = false;

  /** The other side takes the zoom and, where both have slices, the share of the way through. */
  function follow(from: 0 | 1): void {
    if (leading) return;
    const [leader, led] = from === 0 ? [left, right] : [right, left];
    const [pane, goal] = [leader.viewer.large, led.viewer.large];
    if (!pane || !goal || !leader.viewer.scene || !led.viewer.scene) return;
    leading = true;
    goal.view.relative = pane.view.relative;
    goal.due(true);
    if (pane.plane.through !== null && goal.plane.through !== null && leader.viewer.element.matches(":hover, :focus-within")) {
      const share = ((leader.viewer.scene.place[pane.plane.through] ?? 0) + 0.5) / (leader.image.shape[pane.plane.through] ?? 1);
      const place = [...led.viewer.scene.place];
      place[goal.plane.through] = Math.floor(share * (led.image.shape[goal.plane.through] ?? 1));
      led.viewer.go(place);
    }
    goal.draw(false);
    requestAnimationFrame(() => requestAnimationFrame(() => (leading = false)));
  }

  const choose = names.length > 0 && h("select", { class: "field", "aria-label": "Mask" }, ...names.map((name) => h("option", { value: name }, sentence(readable(name)))));
  if (choose) choose.addEventListener("change", () => void outlineBoth(choose.value));
  const column = (side: Side, note: string): HTMLElement => h("figure", {}, side.viewer.element, h("figcaption", { class: "quiet small" }, note));
  put(
    body,
    h("div", { class: "pair" }, column(left, "This case"), column(right, [`similarity ${score(other.score)}`, detail.site && `site ${detail.site}`].filter(Boolean).join(" · "))),
    h("div", { class: "row centred" }, choose ? h("label", { class: "check" }, "Mask of", choose) : h("span", { class: "quiet" }, "No mask to compare."), h("a", { class: "button small", href: `/cases/${encodeURIComponent(other.key)}` }, "Open that case")),
  );
  for (const side of sides) {
    side.viewer.setTool("move");
    const shown = side.viewer.show(side.image, open(side.image, null, () => side.viewer.refresh(true), signal));
    if (side.viewer.scene) side.viewer.scene.above = above(() => (side.mask ? [{ tag: "", kind: "finding", box: null, mask: side.mask, chosen: false }] : []));
    await shown;
  }
  if (names[0]) await outlineBoth(names[0]);

  async function outlineBoth(name: string): Promise<void> {
    for (const side of sides) {
      side.mask = side.image.structures.includes(name) ? await load(side.image.key, name, signal) : null;
      side.viewer.refresh(false);
    }
  }
}

async function load(key: string, name: string, signal: AbortSignal): Promise<Mask> {
  const patch = await api.mask(key, name, signal);
  const mask = new Mask();
  mask.put(patch.box, await unpacked(patch), true);
  return mask;
}
