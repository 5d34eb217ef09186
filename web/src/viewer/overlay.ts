// Lines over the image: outlines, box, strokes, the other planes' places. Each line has its own style as well as its colour.

import type { BoxPairs } from "../types.ts";
import type { Lines } from "./masks.ts";
import { cells, type Kind } from "./strokes.ts";
import { cut, type Scene } from "./scene.ts";
import type { View } from "./view.ts";

type Context = CanvasRenderingContext2D;

/** Lines of the page's own above an image; `ratio`: device pixels a CSS pixel. */
export type Above = (context: Context, view: View, scene: Scene, ratio: number, large: boolean) => void;

const AMBER = "#ffb03a";
const AMBER_OTHER = "#ffd391";
const BLUE = "#5aa6ff";
const CASING = "rgb(0 0 0 / 45%)";
const STROKES: Record<Kind | "erase", string> = {
  foreground: "rgb(61 220 132 / 88%)",
  background: "rgb(242 89 79 / 88%)",
  erase: "rgb(230 234 240 / 45%)",
};
const CROSS = "rgb(156 200 255 / 70%)";
const HANDLE = 7;

/** Draw all that lies over a plane; `ratio`: device pixels a CSS pixel. */
export function overlay(context: Context, view: View, scene: Scene, ratio: number, large: boolean): void {
  context.clearRect(0, 0, view.width, view.height);
  const { plane } = view;
  const place = cut(scene, plane);
  if (scene.masksShown) {
    scene.objects.forEach((object, number) => {
      if (number !== scene.current) outline(context, view, object.mask.outline(plane, place), ratio, AMBER_OTHER, [5, 4]);
    });
    const current = scene.objects[scene.current];
    if (current) outline(context, view, current.mask.outline(plane, place), ratio, AMBER, []);
  }
  const current = scene.objects[scene.current];
  const box = scene.draft ?? current?.box ?? null;
  if (box !== null) drawBox(context, view, box, place, ratio, scene.draft !== null);
  for (const { kind, runs } of current?.marks ?? []) mark(context, view, cells(runs, scene.image.shape, plane, place), kind);
  const { live } = scene;
  if (live !== null && live.plane === plane && live.place === place) mark(context, view, live.cells, live.kind);
  scene.above?.(context, view, scene, ratio, large);
  if (!large || scene.cross) crossLines(context, view, scene, ratio, large);
}

/** Colour the cells of a stroke; edges lie on whole pixels, so that cells meet without seams. */
export function mark(context: Context, view: View, found: ArrayLike<number>, kind: Kind | "erase"): void {
  context.fillStyle = STROKES[kind];
  for (let at = 0; at < found.length; at += 4) {
    const [left, right] = between(view.x(found[at]), view.x(found[at] + found[at + 2]));
    const [top, bottom] = between(view.y(found[at + 1]), view.y(found[at + 1] + found[at + 3]));
    context.fillRect(left, top, Math.max(1, right - left), Math.max(1, bottom - top));
  }
}

function between(one: number, other: number): [number, number] {
  return [Math.round(Math.min(one, other)), Math.round(Math.max(one, other))];
}

/** Draw an outline, dark at its sides so that it is seen on any grey. */
export function outline(context: Context, view: View, lines: Lines, ratio: number, colour: string, dash: number[]): void {
  if (lines.length === 0) return;
  const path = new Path2D();
  for (let at = 0; at < lines.length; at += 4) {
    path.moveTo(Math.round(view.x(lines[at])), Math.round(view.y(lines[at + 1])));
    path.lineTo(Math.round(view.x(lines[at + 2])), Math.round(view.y(lines[at + 3])));
  }
  context.lineCap = "square";
  context.setLineDash([]);
  context.strokeStyle = CASING;
  context.lineWidth = 3 * ratio;
  context.stroke(path);
  context.setLineDash(dash.map((one) => one * ratio));
  context.lineCap = dash.length > 0 ? "butt" : "square";
  context.strokeStyle = colour;
  context.lineWidth = 1.5 * ratio;
  context.stroke(path);
  context.setLineDash([]);
}

function drawBox(context: Context, view: View, box: BoxPairs, place: number, ratio: number, draft: boolean): void {
  const { x, y, through } = view.plane;
  const [left, right] = between(view.x(box[x][0]), view.x(box[x][1]));
  const [top, bottom] = between(view.y(box[y][0]), view.y(box[y][1]));
  const beside = through !== null && (place < box[through][0] || place >= box[through][1]);
  context.strokeStyle = CASING;
  context.lineWidth = 3 * ratio;
  context.setLineDash([]);
  context.strokeRect(left, top, right - left, bottom - top);
  context.strokeStyle = BLUE;
  context.lineWidth = 1.5 * ratio;
  context.setLineDash(beside ? [2 * ratio, 5 * ratio] : []);
  context.strokeRect(left, top, right - left, bottom - top);
  context.setLineDash([]);
  if (!draft) return;
  context.fillStyle = BLUE;
  const size = HANDLE * ratio;
  for (const px of [left, right]) for (const py of [top, bottom]) context.fillRect(px - size / 2, py - size / 2, size, size);
}

/** Lines through the place: dotted, with a gap around it, so that what lies there is seen. */
function crossLines(context: Context, view: View, scene: Scene, ratio: number, large: boolean): void {
  const [px, py] = [view.x(scene.place[view.plane.x] + 0.5), view.y(scene.place[view.plane.y] + 0.5)].map((at) => Math.round(at) + 0.5);
  const gap = (large ? 14 : 8) * ratio;
  context.lineCap = "butt";
  context.strokeStyle = CROSS;
  context.lineWidth = ratio;
  context.setLineDash([3 * ratio, 3 * ratio]);
  context.beginPath();
  context.moveTo(0, py);
  context.lineTo(px - gap, py);
  context.moveTo(px + gap, py);
  context.lineTo(view.width, py);
  context.moveTo(px, 0);
  context.lineTo(px, py - gap);
  context.moveTo(px, py + gap);
  context.lineTo(px, view.height);
  context.stroke();
  context.setLineDash([]);
}

/** The sides of a box that lie within `reach` pixels of a pixel: which end of each of the plane's axes; null where none does. */
export function sideAt(view: View, box: BoxPairs, px: number, py: number, reach: number): { x: 0 | 1 | null; y: 0 | 1 | null } | null {
  const { x, y } = view.plane;
  const xs = box[x].map((at) => view.x(at));
  const ys = box[y].map((at) => view.y(at));
  const inX = px > Math.min(...xs) - reach && px < Math.max(...xs) + reach;
  const inY = py > Math.min(...ys) - reach && py < Math.max(...ys) + reach;
  if (!inX || !inY) return null;
  const near = (ends: number[], at: number): 0 | 1 | null => {
    const far = ends.map((end) => Math.abs(end - at));
    const which = far[0] <= far[1] ? 0 : 1;
    return far[which] <= reach ? which : null;
  };
  const found = { x: near(xs, px), y: near(ys, py) };
  return found.x === null && found.y === null ? null : found;
}
