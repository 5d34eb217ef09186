// Pointers and keys on the planes: what the hand does becomes voxels, boxes, places and windows.

import { h } from "../dom.ts";
import type { BoxPairs } from "../types.ts";
import { mark, sideAt } from "./overlay.ts";
import type { Pane } from "./pane.ts";
import { within } from "./scene.ts";
import { Trace, type Kind } from "./strokes.ts";
import type { Tool, Viewer } from "./viewer.ts";

const REACH = 7; // CSS pixels beside a box's side that still take hold of it
const CLICK = 4; // CSS pixels: a box smaller than that was a click
const NOTCH = 60; // of a wheel, for one slice
const ZOOM = 1.0016; // a pixel of the wheel
const LEFT = 0;
const MIDDLE = 1;
const RIGHT = 2;

type Hold = {
  pane: Pane;
  move: (x: number, y: number) => void;
  end: (kept: boolean) => void;
};

export class Gestures {
  private hold: Hold | null = null;
  private wheel = 0;
  private readonly circle = h("div", { class: "pen", hidden: true });
  private circled: { pane: Pane; x: number; y: number } | null = null;

  constructor(private readonly viewer: Viewer) {
    // Also while nothing on the page has the focus.
    document.addEventListener("keydown", (event) => {
      if (event.target === document.body || viewer.element.contains(event.target as Node)) this.key(event);
    });
  }

  attach(pane: Pane): void {
    const { surface } = pane;
    surface.addEventListener("pointerdown", (event) => this.down(pane, event));
    surface.addEventListener("pointermove", (event) => this.moved(pane, event));
    surface.addEventListener("pointerup", () => this.lift(true));
    surface.addEventListener("pointercancel", () => this.lift(false));
    surface.addEventListener("pointerleave", () => this.hidePen());
    surface.addEventListener("contextmenu", (event) => event.preventDefault());
    surface.addEventListener("dblclick", () => !pane.large && this.viewer.enlarge(pane));
    surface.addEventListener("auxclick", (event) => event.preventDefault());
    surface.addEventListener("wheel", (event) => this.turned(pane, event), { passive: false });
    if (pane.large || this.circle.parentElement === null) pane.element.append(this.circle);
  }

  /** Whatever is held is let go without effect. */
  dropped(): void {
    this.lift(false);
    this.showPen();
  }

  get busy(): boolean {
    return this.hold !== null;
  }

  private down(pane: Pane, event: PointerEvent): void {
    if (this.hold !== null) return;
    event.preventDefault();
    (document.activeElement as HTMLElement | null)?.blur(); // so that keys act on the image
    if (this.viewer.scene) this.viewer.scene.cross = false;
    this.viewer.listener.active?.();
    const [x, y] = pane.at(event);
    this.begin(pane, x, y, event.button, event.shiftKey);
    if (this.hold !== null) pane.surface.setPointerCapture(event.pointerId);
  }

  private begin(pane: Pane, x: number, y: number, button: number, alone: boolean): void {
    const { tool } = this.viewer;
    const side = tool === "box" && button === LEFT ? this.side(pane, x, y) : null;
    if (button === MIDDLE || (tool === "move" && pane.large && button === LEFT)) this.hold = this.pan(pane, x, y, button === LEFT);
    else if (side !== null) this.hold = this.resize(pane, side);
    else if (!pane.large && button === LEFT) this.hold = this.point(pane, x, y);
    else if (!pane.large) return;
    else if (tool === "window") this.hold = this.level(pane, x, y);
    else if (button === RIGHT && (tool === "foreground" || tool === "background")) this.hold = this.stroke(pane, x, y, "background");
    else if (button !== LEFT) return;
    else if (tool === "box") this.hold = this.box(pane, x, y, alone);
    else if (tool === "foreground" || tool === "background" || tool === "erase") this.hold = this.stroke(pane, x, y, tool);
  }

  private moved(pane: Pane, event: PointerEvent): void {
    const [x, y] = pane.at(event);
    this.circled = { pane, x, y };
    this.showPen();
    if (this.hold === null) {
      const side = this.viewer.tool === "box" ? this.side(pane, x, y) : null;
      pane.surface.dataset.side = side === null ? "" : `${side.x === null ? "" : "x"}${side.y === null ? "" : "y"}`;
      return;
    }
    this.viewer.listener.active?.();
    const all = event.getCoalescedEvents?.() ?? [];
    for (const one of all.length > 0 ? all : [event]) this.hold?.move(...this.hold.pane.at(one));
  }

  private lift(kept: boolean): void {
    const held = this.hold;
    this.hold = null;
    held?.end(kept);
  }

  private turned(pane: Pane, event: WheelEvent): void {
    event.preventDefault();
    this.viewer.listener.active?.();
    const delta = event.deltaY * (event.deltaMode === 1 ? 30 : 1);
    const flat = pane.plane.through === null;
    this.viewer.hurry();
    if (event.ctrlKey || event.metaKey || flat) {
      pane.view.zoomAt(...pane.at(event), ZOOM ** -delta);
      pane.due(true);
      this.viewer.soon();
      this.showPen();
      return;
    }
    if (Math.sign(delta) !== Math.sign(this.wheel)) this.wheel = 0;
    this.wheel += delta;
    const slices = Math.trunc(this.wheel / NOTCH) || (Math.abs(delta) >= NOTCH / 2 ? Math.sign(delta) : 0);
    if (slices === 0) return;
    this.wheel = 0;
    const scene = this.viewer.scene;
    const { through } = pane.plane;
    if (scene !== null) this.viewer.go(scene.place.map((at, axis) => (axis === through ? at + Math.sign(slices) * Math.max(1, Math.abs(slices) >> 1) : at)));
  }

  /** A click on a small plane, or with the moving tool: all planes go there. */
  private point(pane: Pane, x: number, y: number): Hold {
    const go = (px: number, py: number): void => {
      const scene = this.viewer.scene;
      if (scene === null) return;
      const place = scene.place.slice();
      place[pane.plane.x] = Math.floor(pane.view.u(px));
      place[pane.plane.y] = Math.floor(pane.view.v(py));
      this.viewer.go(place);
    };
    go(x, y);
    return { pane, move: go, end: () => undefined };
  }

  private pan(pane: Pane, x: number, y: number, clicks: boolean): Hold {
    const from = [x, y];
    let [lastX, lastY] = from;
    let far = false;
    const move = (px: number, py: number): void => {
      this.viewer.hurry();
      far ||= Math.hypot(px - from[0], py - from[1]) > CLICK * pane.ratio;
      if (!far) return;
      pane.view.pan(px - lastX, py - lastY);
      [lastX, lastY] = [px, py];
      pane.due(true);
      this.viewer.soon();
    };
    const end = (): void => {
      this.viewer.calm();
      if (far || !clicks) return;
      this.point(pane, x, y);
      if (this.viewer.scene) this.viewer.listener.clicked?.(this.viewer.scene.place);
    };
    return { pane, move, end };
  }

  private level(pane: Pane, x: number, y: number): Hold {
    const [centre, width] = this.viewer.scene?.window ?? [0, 1];
    const move = (px: number, py: number): void => {
      this.viewer.hurry();
      const [right, down] = [(px - x) / pane.ratio, (py - y) / pane.ratio];
      this.viewer.setWindow(centre + (down / 400) * width, width * 2 ** (right / 200));
    };
    const end = (kept: boolean): void => {
      this.viewer.calm();
      if (!kept) this.viewer.setWindow(centre, width);
    };
    return { pane, move, end };
  }

  private stroke(pane: Pane, x: number, y: number, tool: Kind | "erase"): Hold | null {
    const scene = this.viewer.scene;
    if (scene === null) return null;
    const { plane, view } = pane;
    const place = plane.through === null ? 0 : scene.place[plane.through];
    // The radius in mm: the pen has one size on the screen, so that it is fine where one looks closely.
    const radius = (this.viewer.pen * pane.ratio * plane.size[0]) / view.scale[0];
    const trace = new Trace(plane, place, scene.image.shape, radius);
    const live = { kind: tool, plane, place, cells: [] as number[] };
    scene.live = live;
    const to = (px: number, py: number): void => {
      const fresh = trace.to(view.u(px), view.v(py));
      live.cells.push(...fresh);
      mark(pane.context, view, fresh, tool); // at once, and again whenever the lines are drawn anew
    };
    to(x, y);
    const end = (kept: boolean): void => {
      scene.live = null;
      if (kept && trace.count > 0 && tool === "erase") this.viewer.listener.erase?.(trace.runs());
      else if (kept && trace.count > 0 && tool !== "erase") this.viewer.listener.stroke?.(tool, trace.runs());
      this.viewer.refresh(false);
    };
    return { pane, move: to, end };
  }

  private box(pane: Pane, x: number, y: number, alone: boolean): Hold | null {
    const scene = this.viewer.scene;
    if (scene === null) return null;
    const { plane, view } = pane;
    const from = [view.u(x), view.v(y)];
    const move = (px: number, py: number): void => {
      const box: BoxPairs = scene.place.map((at) => [at, at + 1]);
      box[plane.x] = ends(from[0], view.u(px));
      box[plane.y] = ends(from[1], view.v(py));
      const across = plane.through;
      if (across !== null && !alone && !scene.image.loop) box[across] = this.depth(box, pane, scene.place[across]);
      scene.draft = Math.hypot(px - x, py - y) < CLICK * pane.ratio ? null : within(scene.image.shape, box);
      this.viewer.refresh(false);
    };
    return { pane, move, end: (kept) => this.boxEnd(kept) };
  }

  /** A box drawn in one plane is as deep as it is wide, at the mean of its sides; its sides can be moved in the other planes. */
  private depth(box: BoxPairs, pane: Pane, place: number): [number, number] {
    const { size, x, y, step } = pane.plane;
    const sides = [(box[x][1] - box[x][0]) * size[0], (box[y][1] - box[y][0]) * size[1]];
    const half = (sides[0] + sides[1]) / 4 / (step || 1);
    return [Math.round(place + 0.5 - half), Math.max(Math.round(place + 0.5 + half), Math.round(place + 0.5 - half) + 1)];
  }

  private side(pane: Pane, x: number, y: number): { x: 0 | 1 | null; y: 0 | 1 | null } | null {
    const scene = this.viewer.scene;
    const box = scene?.objects[scene.current]?.box;
    return box ? sideAt(pane.view, box, x, y, REACH * pane.ratio) : null;
  }

  private resize(pane: Pane, side: { x: 0 | 1 | null; y: 0 | 1 | null }): Hold | null {
    const scene = this.viewer.scene;
    const box = scene?.objects[scene.current]?.box;
    if (!scene || !box) return null;
    const { plane, view } = pane;
    const move = (px: number, py: number): void => {
      const wider: BoxPairs = box.map(([low, high]) => [low, high]);
      if (side.x !== null) wider[plane.x][side.x] = Math.round(view.u(px));
      if (side.y !== null) wider[plane.y][side.y] = Math.round(view.v(py));
      scene.draft = within(scene.image.shape, wider);
      this.viewer.refresh(false);
    };
    return { pane, move, end: (kept) => this.boxEnd(kept) };
  }

  private boxEnd(kept: boolean): void {
    const scene = this.viewer.scene;
    if (scene === null) return;
    const box = scene.draft;
    scene.draft = null;
    this.viewer.refresh(false);
    if (kept && box !== null) this.viewer.listener.box?.(box);
  }

  /** Arrow keys move the place, Enter sets and lifts the pen there: all that a pointer draws can be drawn by keys. */
  private key(event: KeyboardEvent): void {
    const { viewer } = this;
    const { scene, large } = viewer;
    const elsewhere = event.target instanceof HTMLInputElement || event.target instanceof HTMLButtonElement;
    if (scene === null || large === null || elsewhere || event.ctrlKey || event.metaKey || event.altKey) return;
    const far = event.shiftKey ? 10 : 1;
    const { plane, view } = large;
    const across = { ArrowLeft: -far, ArrowRight: far }[event.key] ?? 0;
    const down = { ArrowUp: -far, ArrowDown: far }[event.key] ?? 0;
    const through = { PageUp: -far, PageDown: far }[event.key] ?? 0;
    const centre = (): [number, number] => [view.x(scene.place[plane.x] + 0.5), view.y(scene.place[plane.y] + 0.5)];
    if ((across || down) && viewer.tool === "window") {
      viewer.setWindow(scene.window[0] + (down / 100) * scene.window[1], scene.window[1] * 2 ** (across / 20));
    } else if (across || down) {
      scene.cross = true;
      const place = scene.place.slice();
      place[plane.x] += plane.flip_x ? -across : across;
      place[plane.y] += plane.flip_y ? -down : down;
      viewer.go(place);
      view.reveal(scene.place[plane.x] + 0.5, scene.place[plane.y] + 0.5);
      if (!view.isFitted) large.due(true);
      if (this.hold?.pane === large) this.hold.move(...centre());
    } else if (through && plane.through !== null && this.hold === null) viewer.scroll(through);
    else if (event.key === "Enter") {
      scene.cross = true;
      if (this.hold !== null) this.lift(true);
      else this.begin(large, ...centre(), LEFT, event.shiftKey);
      viewer.refresh(false);
    } else if (event.key === "Escape" && this.hold !== null) this.lift(false);
    else return;
    event.preventDefault();
    event.stopPropagation();
    viewer.listener.active?.();
  }

  showPen(): void {
    const draws: Tool[] = ["foreground", "background", "erase"];
    const spot = this.circled;
    this.circle.hidden = spot === null || !spot.pane.large || !draws.includes(this.viewer.tool);
    if (spot === null || this.circle.hidden) return;
    if (this.circle.parentElement !== spot.pane.element) spot.pane.element.append(this.circle);
    const size = Math.max(this.viewer.pen * 2, 4);
    this.circle.dataset.kind = this.viewer.tool;
    this.circle.style.width = this.circle.style.height = `${size}px`;
    this.circle.style.transform = `translate(${spot.x / spot.pane.ratio - size / 2}px, ${spot.y / spot.pane.ratio - size / 2}px)`;
  }

  private hidePen(): void {
    if (this.hold !== null) return;
    this.circled = null;
    this.showPen();
  }
}

/** The voxels between two places of an axis. */
function ends(one: number, other: number): [number, number] {
  return [Math.floor(Math.min(one, other)), Math.floor(Math.max(one, other)) + 1];
}
