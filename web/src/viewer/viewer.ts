// Planes of one image beside each other: one large, the others small. It draws what the scene says and hands on what is drawn on it.

import { h, set } from "../dom.ts";
import type { BoxPairs, CaseDetail, Runs } from "../types.ts";
import { Gestures } from "./gestures.ts";
import { Pane, title } from "./pane.ts";
import { begun, within, type Scene } from "./scene.ts";
import type { Kind } from "./strokes.ts";
import { Slider } from "./slider.ts";
import type { Source } from "./voxels.ts";

export type Tool = "box" | "foreground" | "background" | "erase" | "window" | "move";

export interface Listener {
  /** A stroke's voxels, at pen-up. */
  stroke?: (kind: Kind, runs: Runs) => void;
  erase?: (runs: Runs) => void;
  box?: (box: BoxPairs) => void;
  /** A click with the moving tool, at this voxel. */
  clicked?: (place: number[]) => void;
  /** Anything that the page displays beside the image may have changed: place, window, pen, tool. */
  changed?: () => void;
  /** A pointer or a key was used: the person is at work. */
  active?: () => void;
}

const PENS = [1, 2, 4, 7, 11, 16, 24, 36]; // the pen's radius in CSS pixels
const FRAMES_A_SECOND = 25;
const SLOW = 40; // ms
const SETTLED = 160; // ms

export class Viewer {
  readonly element: HTMLElement;
  scene: Scene | null = null;
  panes: Pane[] = [];
  tool: Tool = "box";
  penNumber = 2;
  /** Whether a coarse image will do: while something moves. */
  quick = false;
  private readonly sizes: ResizeObserver;
  private readonly gestures: Gestures;
  private readonly slider: Slider;
  private due = 0;
  private cost = 0; // ms of the last image drawn with care
  private settle = 0;
  private playing = 0;

  constructor(readonly listener: Listener = {}) {
    this.element = h("div", { class: "viewer", tabindex: "0", role: "application", "aria-label": "Image" });
    this.sizes = new ResizeObserver((entries) => this.resized(entries));
    this.gestures = new Gestures(this);
    this.slider = new Slider(this);
  }

  get large(): Pane | null {
    return this.panes.find((pane) => pane.large) ?? null;
  }

  /** The pen's radius in CSS pixels. */
  get pen(): number {
    return PENS[this.penNumber];
  }

  /** Display an image: its planes at once, its voxels when they are there. */
  async show(image: CaseDetail, source: Promise<Source>): Promise<void> {
    this.stop();
    const scene = begun(image);
    this.scene = scene;
    this.sizes.disconnect();
    this.panes = image.planes.map((plane) => new Pane(plane, scene));
    for (const pane of this.panes) {
      this.sizes.observe(pane.surface);
      this.gestures.attach(pane);
      pane.enlarge.addEventListener("click", () => this.enlarge(pane));
    }
    this.slider.show(scene);
    this.element.replaceChildren(...this.panes.map((pane) => pane.element), this.slider.element);
    set(this.element, "data-planes", String(this.panes.length));
    set(this.element, "data-loop", image.loop ? "true" : null);
    set(this.element, "data-ready", null);
    this.enlarge(this.panes[0]);
    const voxels = await source;
    if (this.scene !== scene) return;
    scene.source = voxels;
    this.refresh(true);
    set(this.element, "data-ready", image.key);
  }

  enlarge(pane: Pane): void {
    let small = 0;
    for (const one of this.panes) {
      one.large = one === pane;
      set(one.element, "data-place", one.large ? "large" : `small-${++small}`);
      one.enlarge.hidden = one.large;
      one.view.fit();
    }
    set(this.element, "aria-label", `Image, ${title(pane.plane).toLowerCase()} plane. Arrow keys move, Enter sets and lifts the pen.`);
    this.slider.update();
    this.refresh(true);
  }

  /** Draw again with the next frame: the lines, or the images too. */
  refresh(image: boolean): void {
    for (const pane of this.panes) pane.due(image);
    this.soon();
  }

  soon(): void {
    if (this.due) return;
    this.due = requestAnimationFrame(() => {
      this.due = 0;
      const began = performance.now();
      const images = this.panes.filter((pane) => pane.draw(this.quick)).length;
      if (!this.quick && images > 0) this.cost = performance.now() - began;
      this.slider.update();
      this.listener.changed?.();
    });
  }

  /** Draw coarsely while something moves, where drawing with care takes too long to follow; then with care again. */
  hurry(): void {
    if (this.cost < SLOW) return;
    this.quick = true;
    clearTimeout(this.settle);
    this.settle = window.setTimeout(() => this.calm(), SETTLED);
  }

  calm(): void {
    clearTimeout(this.settle);
    if (!this.quick) return;
    this.quick = false;
    this.refresh(true);
  }

  /** Move all planes to a voxel. */
  go(place: number[]): void {
    const scene = this.scene;
    if (scene === null) return;
    const to = within(scene.image.shape, place.map((at) => [at, at + 1])).map(([low]) => low);
    for (const pane of this.panes) {
      const { through } = pane.plane;
      pane.due(through !== null && to[through] !== scene.place[through]);
    }
    scene.place = to;
    this.soon();
  }

  /** Move along the large plane's third axis. */
  scroll(slices: number): void {
    const pane = this.large;
    if (this.scene === null || pane === null || pane.plane.through === null) return;
    const { through } = pane.plane;
    this.go(this.scene.place.map((at, axis) => (axis === through ? at + slices : at)));
  }

  setWindow(centre: number, width: number): void {
    if (this.scene === null) return;
    this.scene.window = [centre, Math.max(width, 1e-6)];
    this.refresh(true);
  }

  setTool(tool: Tool): void {
    this.tool = tool;
    set(this.element, "data-tool", tool);
    this.gestures.dropped();
    this.refresh(false);
  }

  setPen(number: number): void {
    this.penNumber = Math.min(PENS.length - 1, Math.max(0, number));
    this.gestures.showPen();
    this.listener.changed?.();
  }

  /** Interpolated, or each voxel as it is. */
  setSmooth(smooth: boolean): void {
    if (this.scene === null) return;
    this.scene.smooth = smooth;
    this.refresh(true);
  }

  /** Make the next plane the large one. */
  turn(): void {
    if (this.large !== null) this.enlarge(this.panes[(this.panes.indexOf(this.large) + 1) % this.panes.length]);
  }

  /** Whether something is being drawn or dragged. */
  get busy(): boolean {
    return this.gestures.busy;
  }

  fit(): void {
    for (const pane of this.panes) pane.view.fit();
    this.refresh(true);
  }

  /** Zoom the large plane around its middle. */
  zoom(factor: number): void {
    const pane = this.large;
    if (pane === null) return;
    this.hurry();
    pane.view.zoomAt(pane.view.width / 2, pane.view.height / 2, factor);
    pane.due(true);
    this.soon();
  }

  get isPlaying(): boolean {
    return this.playing !== 0;
  }

  /** Play a loop at its own speed, or stop it. */
  play(): void {
    if (this.isPlaying) return this.stop();
    const scene = this.scene;
    if (scene === null || !scene.image.loop) return;
    const count = scene.image.shape[2];
    const step = this.large?.plane.step || 1000 / FRAMES_A_SECOND;
    let last = performance.now();
    const tick = (now: number): void => {
      if (now - last >= step) {
        last = now - ((now - last) % step);
        this.go([scene.place[0], scene.place[1], (scene.place[2] + 1) % count]);
      }
      this.playing = requestAnimationFrame(tick);
    };
    this.playing = requestAnimationFrame(tick);
  }

  stop(): void {
    cancelAnimationFrame(this.playing);
    this.playing = 0;
    this.slider.update();
    this.listener.changed?.();
  }

  private resized(entries: ResizeObserverEntry[]): void {
    for (const entry of entries) {
      const pane = this.panes.find((one) => one.surface === entry.target);
      const ratio = window.devicePixelRatio || 1;
      const { width, height } = entry.contentRect;
      const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
      // What the browser says of whole device pixels is a pixel more exact; where it counts others, it is not used.
      const box = entry.devicePixelContentBoxSize?.[0];
      const exact = box !== undefined && Math.abs(box.inlineSize - wide) <= 1 && Math.abs(box.blockSize - high) <= 1;
      // At once, not with the next frame: a canvas that changed its size is empty.
      if (pane?.fit(exact ? box.inlineSize : wide, exact ? box.blockSize : high, ratio)) pane.draw(this.quick);
    }
  }
}
