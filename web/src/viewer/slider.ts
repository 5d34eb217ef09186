// Through the slices of a volume, or the frames of a loop, by a slider.

import { icon } from "../icons.ts";
import { h, put, set } from "../dom.ts";
import { title } from "./pane.ts";
import type { Scene } from "./scene.ts";
import type { Viewer } from "./viewer.ts";

export class Slider {
  readonly element: HTMLElement;
  private readonly range = h("input", { type: "range", min: 1, step: 1 });
  private readonly play: HTMLButtonElement;
  private playing: boolean | null = null;

  constructor(private readonly viewer: Viewer) {
    this.play = h("button", { type: "button", class: "tool tool-play", onclick: () => viewer.play() });
    this.element = h("div", { class: "slider" }, this.play, this.range);
    this.range.addEventListener("input", () => {
      const { scene, large } = viewer;
      const through = large?.plane.through;
      if (scene === null || through === null || through === undefined) return;
      viewer.listener.active?.();
      viewer.go(scene.place.map((at, axis) => (axis === through ? Number(this.range.value) - 1 : at)));
    });
  }

  show(scene: Scene): void {
    this.element.hidden = scene.image.planes.every((plane) => plane.through === null);
    this.play.hidden = !scene.image.loop;
    set(this.element, "data-loop", scene.image.loop ? "true" : null);
  }

  update(): void {
    const { scene, large } = this.viewer;
    const through = large?.plane.through;
    if (scene === null || !large || through === null || through === undefined) return;
    this.range.max = String(scene.image.shape[through]);
    this.range.value = String(scene.place[through] + 1);
    set(this.range, "aria-label", scene.image.loop ? "Frame" : `${title(large.plane)} slice`);
    if (this.playing === this.viewer.isPlaying) return;
    this.playing = this.viewer.isPlaying;
    put(this.play, icon(this.playing ? "pause" : "play"));
    set(this.play, "aria-label", this.playing ? "Stop (P)" : "Play (P)");
  }
}
