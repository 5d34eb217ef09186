// The lineage as a picture: parent → refined model, with the number of images that it was refined on.

import { h, svg } from "../dom.ts";
import { count } from "../parts/words.ts";
import type { ModelLine } from "../types-results.ts";
import { lineage, type Node, type Place } from "./lineage.ts";

const WIDE = 210;
const HIGH = 50;
const ACROSS = 90;
const DOWN = 16;
const PAD = 2;

/** Null where no model was made from another. */
export function graph(models: readonly ModelLine[]): HTMLElement | null {
  const { places, edges, columns, rows } = lineage(models);
  if (edges.length === 0) return null;
  const width = columns * WIDE + (columns - 1) * ACROSS + 2 * PAD;
  const height = rows * HIGH + (rows - 1) * DOWN + 2 * PAD;
  const words = edges.map(([parent, child]) => `${child.model.name} was made from ${parent.model.name}${refined(child.model)}`).join("; ");
  const picture = svg(
    "svg",
    { class: "graph", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `Lineage: ${words}.` },
    ...edges.map(([parent, child]) => edge(parent, child)),
    ...places.map(node),
  );
  return h("div", { class: "card scroll", tabindex: "0", role: "region", "aria-label": "Lineage of the models" }, picture);
}

function refined(model: Node): string {
  return model.refined_on ? `, refined on ${count(model.refined_on, "image")}` : "";
}

const x = (place: Place): number => PAD + place.column * (WIDE + ACROSS);
const y = (place: Place): number => PAD + place.row * (HIGH + DOWN);

function edge(parent: Place, child: Place): SVGElement {
  const [x1, y1, x2, y2] = [x(parent) + WIDE, y(parent) + HIGH / 2, x(child), y(child) + HIGH / 2];
  const middle = (x1 + x2) / 2;
  const line = svg("path", { class: "graph-edge", d: `M${x1},${y1} C${middle},${y1} ${middle},${y2} ${x2 - 6},${y2}` });
  const tip = svg("path", { class: "graph-tip", d: `M${x2},${y2} l-8,-4 v8 z` });
  const words = svg("text", { class: "graph-note", x: x2 - 12, y: y2 - 7, "text-anchor": "end" }, child.model.refined_on ? count(child.model.refined_on, "image") : "");
  return svg("g", {}, line, tip, words);
}

function node(place: Place): SVGElement {
  const { model } = place;
  return svg(
    "g",
    { class: "graph-node", "data-origin": model.origin },
    svg("rect", { x: x(place), y: y(place), width: WIDE, height: HIGH, rx: 8 }),
    svg("text", { class: "graph-name", x: x(place) + 12, y: y(place) + 21 }, cut(model.name, 26)),
    svg("text", { class: "graph-note", x: x(place) + 12, y: y(place) + 38 }, `${originWord(model.origin)} · ${cut(model.task, 18)}`),
    svg("title", {}, model.name),
  );
}

export function originWord(origin: Node["origin"]): string {
  return { shipped: "with casewise", archive: "of this archive", file: "from a file", gone: "not here any more" }[origin];
}

function cut(text: string, longest: number): string {
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
}
