// One set in the list of sets: how far it is, and what accepting brought.

import { h, svg } from "../dom.ts";
import { summary } from "../parts/chart.ts";
import { Progress } from "../parts/progress.ts";
import { readable } from "../parts/words.ts";
import type { SetLine } from "../types.ts";
import { strategyWords } from "./fields.ts";

/** How many are accepted, out of those that are not excluded. */
export function done(set: SetLine): [accepted: number, total: number] {
  const { accepted = 0, skipped = 0, waiting = 0, open = 0 } = set.counts;
  return [accepted, accepted + skipped + waiting + open];
}

export function setCard(set: SetLine): HTMLElement {
  const progress = new Progress(`Accepted in ${set.name}`);
  progress.show(...done(set));
  return h(
    "li",
    { class: "card set-card" },
    h("div", { class: "row" }, h("a", { class: "set-name clip", href: `/sets/${set.id}` }, set.name), h("span", { class: "quiet" }, readable(set.structure))),
    progress.element,
    h("div", { class: "row" }, h("span", { class: "quiet small" }, set.strokes.length ? `Strokes an image: ${summary(set.strokes)}` : "No image accepted yet"), spark(set.strokes)),
    h("p", { class: "quiet small" }, `Next: ${strategyWords(set.strategy).toLowerCase()}`),
  );
}

/** The strokes of each image as a line without axes; the words beside it say the same. */
function spark(values: number[]): SVGElement | null {
  if (values.length < 2) return null;
  const top = Math.max(...values, 1);
  const points = values.map((value, i) => `${((120 * i) / (values.length - 1)).toFixed(1)},${(22 - (20 * value) / top).toFixed(1)}`);
  return svg("svg", { class: "spark", viewBox: "0 0 120 24", "aria-hidden": "true" }, svg("polyline", { class: "chart-line", points: points.join(" ") }));
}
