// Findings over the image: a solid amber line and a number for each, a broken one for measures; the chosen one is thicker.

import type { BoxPairs } from "../types.ts";
import type { Mask } from "../viewer/masks.ts";
import { outline, type Above } from "../viewer/overlay.ts";
import { cut } from "../viewer/scene.ts";
import type { View } from "../viewer/view.ts";

export interface Marked {
  /** What stands in the tag: "1 nodule 0.81"; empty for none. */
  tag: string;
  kind: "finding" | "measure" | "mask";
  box: BoxPairs | null;
  mask: Mask | null;
  chosen: boolean;
}

const AMBER = "#ffb03a";
const PALE = "#ffe0b0";
const INK = "#1a1205";
const CASING = "rgb(0 0 0 / 55%)";
const DASH = { finding: [], measure: [7, 4], mask: [2, 3] };
const TAG = { font: 12, pad: 6, high: 19 };

/** What the viewer draws above its image: `marks` is asked each time. */
export function above(marks: () => Marked[]): Above {
  return (context, view, scene, ratio, large) => {
    const place = cut(scene, view.plane);
    for (const mark of marks()) {
      const colour = mark.kind === "finding" ? AMBER : PALE;
      if (mark.mask) outline(context, view, mark.mask.outline(view.plane, place), mark.chosen ? 1.6 * ratio : ratio, colour, DASH[mark.kind]);
      const seen = mark.box !== null && within(mark.box, view, place);
      if (mark.box && seen && !mark.mask) frame(context, view, mark.box, ratio, mark.chosen, colour);
      if (mark.box && seen && large && mark.tag) tag(context, view, mark.box, mark.tag, ratio, colour);
    }
  };
}

function within(box: BoxPairs, view: View, place: number): boolean {
  const { through } = view.plane;
  const [low, high] = through === null ? [-Infinity, Infinity] : (box[through] ?? [0, 0]);
  return place >= low && place < high;
}

function edges(box: BoxPairs, view: View): [left: number, top: number, right: number, bottom: number] {
  const [x0, x1] = box[view.plane.x] ?? [0, 0];
  const [y0, y1] = box[view.plane.y] ?? [0, 0];
  const [a, b, c, d] = [view.x(x0), view.x(x1), view.y(y0), view.y(y1)].map(Math.round) as [number, number, number, number];
  return [Math.min(a, b), Math.min(c, d), Math.max(a, b), Math.max(c, d)];
}

function frame(context: CanvasRenderingContext2D, view: View, box: BoxPairs, ratio: number, chosen: boolean, colour: string): void {
  const [left, top, right, bottom] = edges(box, view);
  context.setLineDash([]);
  for (const [style, width] of [[CASING, chosen ? 5 : 3.5], [colour, chosen ? 2.5 : 1.5]] as const) {
    context.strokeStyle = style;
    context.lineWidth = width * ratio;
    context.strokeRect(left, top, right - left, bottom - top);
  }
}

function tag(context: CanvasRenderingContext2D, view: View, box: BoxPairs, words: string, ratio: number, colour: string): void {
  const [left, top, , bottom] = edges(box, view);
  const high = TAG.high * ratio;
  context.font = `600 ${TAG.font * ratio}px system-ui, "DejaVu Sans", sans-serif`;
  const wide = context.measureText(words).width + 2 * TAG.pad * ratio;
  const x = Math.max(0, Math.min(left, view.width - wide));
  const y = top - high - 3 * ratio >= 0 ? top - high - 3 * ratio : Math.min(bottom + 3 * ratio, view.height - high);
  context.fillStyle = colour;
  context.beginPath();
  context.roundRect(x, y, wide, high, 4 * ratio);
  context.fill();
  context.fillStyle = INK;
  context.textBaseline = "middle";
  context.fillText(words, x + TAG.pad * ratio, y + high / 2);
}
