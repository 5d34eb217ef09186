/** A small line chart in SVG with axes, for values in the order in which they came about. */

import { h, svg } from "../dom.ts";
import { figure } from "./measures.ts";
import { median } from "./words.ts";

const WIDTH = 520;
const HEIGHT = 180;
const LEFT = 44;
const RIGHT = 12;
const TOP = 12;
const BOTTOM = 34;

/** Round steps for an axis from 0 to at least ``top``: at most five; `whole`: no fractions. */
export function ticks(top: number, whole = false): number[] {
  const rough = Math.max(top / 4, whole ? 1 : 1e-9);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? rough;
  const values: number[] = [];
  for (let value = 0; ; value += step) {
    values.push(Number(value.toPrecision(6)));
    if (value >= top) return values;
  }
}

/** The median of each value and those before it, ``width`` in all: the line that a reader follows. */
function smooth(values: readonly number[], width: number): number[] {
  return values.map((_, i) => median(values.slice(Math.max(0, i - width + 1), i + 1)) ?? 0);
}

/**
 * A chart of ``values``; ``across`` and ``up`` name the axes. Each value is a dot, the line their running median over five.
 * The chart's values stand in its accessible name and in a table for screen readers.
 */
export function chart(title: string, values: readonly number[], across: string, up: string): HTMLElement {
  const steps = ticks(Math.max(...values, 1), values.every(Number.isInteger));
  const top = steps[steps.length - 1] ?? 1;
  const x = (i: number): number => LEFT + ((WIDTH - LEFT - RIGHT) * (values.length < 2 ? 0.5 : i / (values.length - 1)));
  const y = (value: number): number => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * value) / top;
  const line = smooth(values, 5).map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`);
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": `${title}: ${summary(values)}` },
    ...steps.flatMap((value) => [
      svg("line", { class: "chart-grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }),
      svg("text", { class: "chart-text", x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, figure(value)),
    ]),
    ...acrossTicks(values.length).map((i) =>
      svg("text", { class: "chart-text", x: x(i), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, String(i + 1)),
    ),
    svg("text", { class: "chart-text", x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 3, "text-anchor": "middle" }, across),
    svg("polyline", { class: "chart-line", points: line.join(" ") }),
    ...values.map((value, i) => svg("circle", { class: "chart-dot", cx: x(i), cy: y(value), r: 2.5 })),
  );
  return h("figure", { class: "chart-figure" }, h("figcaption", {}, h("b", {}, title), h("span", { class: "quiet" }, `${up} · ${summary(values)}`)), picture);
}

function acrossTicks(n: number): number[] {
  if (n === 0) return [];
  const step = ticks(n)[1] ?? 1;
  const places = new Set<number>([0]);
  for (let i = Math.max(1, Math.round(step)); i <= n; i += Math.max(1, Math.round(step))) places.add(i - 1);
  return [...places];
}

/** First and latest values in words: "4 at first, 1 lately". */
export function summary(values: readonly number[]): string {
  if (values.length === 0) return "none yet";
  const n = Math.min(5, Math.ceil(values.length / 2));
  const first = median(values.slice(0, n)) ?? 0;
  const last = median(values.slice(-n)) ?? 0;
  return values.length < 4 ? `median ${figure(median(values) ?? 0)}` : `${figure(first)} at first, ${figure(last)} lately`;
}
