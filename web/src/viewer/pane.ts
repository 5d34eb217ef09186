// One plane on the page: the image below, lines above, letters at the sides, and a caption.

import { h, text } from "../dom.ts";
import type { Plane } from "../types.ts";
import { overlay } from "./overlay.ts";
import { paint } from "./paint.ts";
import { cut, type Scene } from "./scene.ts";
import { View } from "./view.ts";

const TITLES: Record<string, string> = {
  axial: "Axial",
  coronal: "Coronal",
  sagittal: "Sagittal",
  frame: "Frame",
  image: "Image",
  row: "Along rows",
  column: "Along columns",
  slice: "Slice",
};

export function title(plane: Plane): string {
  return TITLES[plane.name] ?? plane.name;
}

export class Pane {
  readonly view: View;
  readonly surface: HTMLCanvasElement;
  readonly element: HTMLElement;
  readonly enlarge: HTMLButtonElement;
  ratio = 1;
  large = false;
  private readonly under: HTMLCanvasElement;
  private readonly over: CanvasRenderingContext2D;
  private readonly below: CanvasRenderingContext2D;
  private readonly caption: HTMLElement;
  private pixels: ImageData | null = null;
  private imageDue = true;
  private linesDue = true;

  constructor(
    readonly plane: Plane,
    private readonly scene: Scene,
  ) {
    this.view = new View(plane, scene.image.shape[plane.x], scene.image.shape[plane.y]);
    this.under = h("canvas", { "aria-hidden": "true" });
    this.surface = h("canvas", { class: "surface", "aria-hidden": "true" });
    this.below = this.under.getContext("2d", { alpha: false }) as CanvasRenderingContext2D;
    this.over = this.surface.getContext("2d") as CanvasRenderingContext2D;
    this.caption = h("p", { class: "caption number" });
    this.enlarge = h("button", { type: "button", class: "enlarge", title: `Show the ${plane.name} plane large` }, "⤢");
    this.enlarge.setAttribute("aria-label", `Show the ${plane.name} plane large`);
    const letters = plane.letters;
    const letter = (side: "left" | "right" | "top" | "bottom"): HTMLElement | null => letters && h("span", { class: "letter", "data-side": side }, letters[side]);
    const foot = h("div", { class: "foot" }, letter("bottom"), this.caption);
    this.element = h("div", { class: "pane", "data-plane": plane.name }, this.under, this.surface, letter("left"), letter("right"), letter("top"), foot, this.enlarge);
  }

  get context(): CanvasRenderingContext2D {
    return this.over;
  }

  /** Take the size that the page gives it, in device pixels; returns whether it changed. */
  fit(width: number, height: number, ratio: number): boolean {
    if (width < 1 || height < 1 || (width === this.surface.width && height === this.surface.height && ratio === this.ratio)) return false;
    for (const canvas of [this.under, this.surface]) [canvas.width, canvas.height] = [width, height];
    this.ratio = ratio;
    this.pixels = this.below.createImageData(width, height);
    this.view.resize(width, height);
    this.due(true);
    return true;
  }

  /** Remember to draw again: the lines, or the image as well. */
  due(image: boolean): void {
    this.linesDue = true;
    this.imageDue ||= image;
  }

  /** Draw what is due; whether that was the image. */
  draw(quick: boolean): boolean {
    if (this.pixels === null) return false;
    const image = this.imageDue;
    if (image) this.drawImage(quick);
    if (this.linesDue) {
      overlay(this.over, this.view, this.scene, this.ratio, this.large);
      this.say();
    }
    this.imageDue = this.linesDue = false;
    return image;
  }

  /** Device pixels of a pointer's place. */
  at(event: { clientX: number; clientY: number }): [number, number] {
    const edge = this.surface.getBoundingClientRect();
    return [((event.clientX - edge.left) * this.surface.width) / edge.width, ((event.clientY - edge.top) * this.surface.height) / edge.height];
  }

  private drawImage(quick: boolean): void {
    const pixels = this.pixels as ImageData;
    const target = new Uint32Array(pixels.data.buffer);
    const place = cut(this.scene, this.plane);
    const slice = this.scene.source?.slice(this.plane, place) ?? null;
    const mask = this.scene.masksShown ? (this.scene.objects[this.scene.current]?.mask.slice(this.plane, place) ?? null) : null;
    if (slice === null) target.fill(0xff000000);
    else paint(target, slice, mask, this.view, { window: this.scene.window, smooth: this.scene.smooth && !quick });
    this.below.putImageData(pixels, 0, 0);
  }

  private say(): void {
    const { plane, scene } = this;
    const words: string[] = [];
    if (plane.through === null) words.push(`${scene.image.shape[plane.x]} × ${scene.image.shape[plane.y]}`);
    else {
      const count = scene.image.shape[plane.through];
      words.push(this.large ? `${title(plane)} ${cut(scene, plane) + 1} / ${count}` : `${title(plane)} ${cut(scene, plane) + 1}`);
      if (this.large && !scene.image.loop && scene.image.spacing_known && plane.step !== null) words.push(`${rounded(plane.step)} mm`);
    }
    if (this.large) {
      const scale = this.view.scale[0] / this.ratio;
      words.push(scale >= 1 ? `${rounded(scale)} : 1` : `1 : ${rounded(1 / scale)}`);
      words.push(`W ${rounded(scene.window[1])} L ${rounded(scene.window[0])}${scene.image.unit ? ` ${scene.image.unit}` : ""}`);
    }
    text(this.caption, words.join(" · "));
  }
}

/** Three digits that count. */
export function rounded(value: number): string {
  const size = Math.abs(value);
  return size >= 100 || Number.isInteger(value) ? String(Math.round(value)) : size >= 10 ? value.toFixed(1) : String(Number(value.toPrecision(2)));
}
