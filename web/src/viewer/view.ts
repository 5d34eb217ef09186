// How a plane's voxels lie on the pixels of a pane: the one place where an axis is flipped.

import type { Plane } from "../types.ts";

export interface Rect {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

const CLOSEST = 64; // device pixels a voxel's shorter side
const FARTHEST = 0.25; // of the size at which the whole plane fits

/** Zoom and pan of one plane in a pane of width × height device pixels. Places in the plane count voxels: voxel i covers i … i + 1. */
export class View {
  width = 1;
  height = 1;
  private zoom = 1; // device pixels a mm
  private centreX = 0; // in mm of the plane, from its left as displayed
  private centreY = 0;
  private fitted = true;

  constructor(
    readonly plane: Plane,
    readonly across: number,
    readonly down: number,
  ) {
    this.fit();
  }

  get isFitted(): boolean {
    return this.fitted;
  }

  /** Device pixels a voxel, along the width and the height. */
  get scale(): [number, number] {
    return [this.zoom * this.plane.size[0], this.zoom * this.plane.size[1]];
  }

  /** The zoom as a multiple of that at which the whole plane fits, and the middle as shares of width and height: for two views alike. */
  get relative(): [zoom: number, across: number, down: number] {
    const [wide, high] = this.extent;
    return [this.zoom / Math.min(this.width / wide, this.height / high), this.centreX / wide, this.centreY / high];
  }

  set relative([zoom, across, down]: [zoom: number, across: number, down: number]) {
    const [wide, high] = this.extent;
    this.zoom = zoom * Math.min(this.width / wide, this.height / high);
    [this.centreX, this.centreY] = [across * wide, down * high];
    this.fitted = false;
  }

  resize(width: number, height: number): void {
    const bigger = Math.min(width / this.width, height / this.height);
    [this.width, this.height] = [width, height];
    if (this.fitted) this.fit();
    else this.zoom *= bigger;
  }

  fit(margin = 0.96): void {
    const [wide, high] = this.extent;
    this.zoom = Math.min(this.width / wide, this.height / high) * margin;
    [this.centreX, this.centreY] = [wide / 2, high / 2];
    this.fitted = true;
  }

  /** Zoom by a factor so that what lies at the pixel (x, y) stays there. */
  zoomAt(x: number, y: number, factor: number): void {
    const [wide, high] = this.extent;
    const whole = Math.min(this.width / wide, this.height / high);
    const most = Math.max(CLOSEST / Math.min(...this.plane.size), whole);
    const zoom = Math.min(most, Math.max(whole * FARTHEST, this.zoom * factor));
    const [dx, dy] = [x - this.width / 2, y - this.height / 2];
    this.centreX += dx / this.zoom - dx / zoom;
    this.centreY += dy / this.zoom - dy / zoom;
    this.zoom = zoom;
    this.fitted = false;
  }

  pan(dx: number, dy: number): void {
    this.centreX -= dx / this.zoom;
    this.centreY -= dy / this.zoom;
    this.fitted = false;
  }

  /** Bring a place of the plane into sight, if it is not. */
  reveal(u: number, v: number): void {
    const [x, y] = [this.x(u), this.y(v)];
    const [left, top] = [Math.min(0, x - 20), Math.min(0, y - 20)];
    const [right, bottom] = [Math.max(0, x + 20 - this.width), Math.max(0, y + 20 - this.height)];
    if (left || right || top || bottom) this.pan(-left - right, -top - bottom);
  }

  /** Pixel of a place along the plane's x. */
  x(u: number): number {
    const shown = this.plane.flip_x ? this.across - u : u;
    return this.width / 2 + (shown * this.plane.size[0] - this.centreX) * this.zoom;
  }

  y(v: number): number {
    const shown = this.plane.flip_y ? this.down - v : v;
    return this.height / 2 + (shown * this.plane.size[1] - this.centreY) * this.zoom;
  }

  /** Place along the plane's x of a pixel. */
  u(x: number): number {
    const shown = ((x - this.width / 2) / this.zoom + this.centreX) / this.plane.size[0];
    return this.plane.flip_x ? this.across - shown : shown;
  }

  v(y: number): number {
    const shown = ((y - this.height / 2) / this.zoom + this.centreY) / this.plane.size[1];
    return this.plane.flip_y ? this.down - shown : shown;
  }

  private get extent(): [number, number] {
    return [this.across * this.plane.size[0], this.down * this.plane.size[1]];
  }
}
