// Strokes an image over time: a small line, with its first and last values in words beside it.

import { svg } from "../dom.ts";

const WIDTH = 240;
const HEIGHT = 44;
const PAD = 4;
const MEAN_OF = 3; // images a point: single images say little

export function chart(values: number[], label: string): SVGSVGElement {
  const points = means(values);
  const most = Math.max(...points, 1);
  const at = points.map((value, number) => {
    const x = PAD + (number * (WIDTH - 2 * PAD)) / Math.max(1, points.length - 1);
    const y = HEIGHT - PAD - (value / most) * (HEIGHT - 2 * PAD);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  return svg(
    "svg",
    { class: "sparkline", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, preserveAspectRatio: "none" },
    svg("line", { class: "base", x1: 0, x2: WIDTH, y1: HEIGHT - 1, y2: HEIGHT - 1 }),
    points.length > 1 && svg("polyline", { points: at.join(" ") }),
  );
}

/** Each value's mean with those just before it. */
export function means(values: number[]): number[] {
  return values.map((_, number) => {
    const near = values.slice(Math.max(0, number - MEAN_OF + 1), number + 1);
    return near.reduce((sum, value) => sum + value, 0) / near.length;
  });
}

/** "4.1 → 1.3": the mean of the first images and of the last ones; null where there are too few. */
export function change(values: number[]): string | null {
  if (values.length < 2) return null;
  const few = Math.min(MEAN_OF, Math.floor(values.length / 2));
  const mean = (part: number[]): string => (part.reduce((sum, value) => sum + value, 0) / part.length).toFixed(1);
  return `${mean(values.slice(0, few))} → ${mean(values.slice(-few))}`;
}
