// Strokes as sets of voxels: what is drawn is exactly what is sent.

import type { Plane, Runs } from "../types.ts";
import { steps } from "./voxels.ts";

export type Kind = "foreground" | "background";

/** A rectangle of a slice in voxels: u, v, width, height. */
export type Cells = Int32Array;

/** The voxels that a round pen of `radius` (in `size` units: mm) passes on a slice. */
export class Trace {
  private readonly marked = new Set<number>();
  private last: [number, number] | null = null;
  private readonly step: number[];

  constructor(
    readonly plane: Plane,
    readonly place: number,
    private readonly shape: number[],
    private readonly radius: number,
  ) {
    this.step = steps(shape);
  }

  get count(): number {
    return this.marked.size;
  }

  /** Go on to a place of the plane (voxels, fractional); returns the cells that are new. */
  to(u: number, v: number): Cells {
    const [fromU, fromV] = this.last ?? [u, v];
    this.last = [u, v];
    const pieces = Math.max(1, Math.ceil(2 * Math.max(Math.abs(u - fromU), Math.abs(v - fromV))));
    const fresh: number[] = [];
    for (let piece = 0; piece <= pieces; piece++) {
      if (piece === 0 && pieces > 1 && this.marked.size > 0) continue;
      this.dab(fromU + ((u - fromU) * piece) / pieces, fromV + ((v - fromV) * piece) / pieces, fresh);
    }
    return Int32Array.from(fresh);
  }

  runs(): Runs {
    return runsOf([...this.marked]);
  }

  private dab(u: number, v: number, fresh: number[]): void {
    const [sizeU, sizeV] = this.plane.size;
    const [reachU, reachV] = [this.radius / sizeU, this.radius / sizeV];
    this.mark(Math.floor(u), Math.floor(v), fresh);
    for (let j = Math.ceil(v - reachV - 0.5); j <= v + reachV - 0.5; j++) {
      for (let i = Math.ceil(u - reachU - 0.5); i <= u + reachU - 0.5; i++) {
        if (Math.hypot((i + 0.5 - u) * sizeU, (j + 0.5 - v) * sizeV) <= this.radius) this.mark(i, j, fresh);
      }
    }
  }

  private mark(i: number, j: number, fresh: number[]): void {
    const { x, y, through } = this.plane;
    if (i < 0 || j < 0 || i >= this.shape[x] || j >= this.shape[y]) return;
    const at = i * this.step[x] + j * this.step[y] + (through === null ? 0 : this.place * this.step[through]);
    if (this.marked.has(at)) return;
    this.marked.add(at);
    fresh.push(i, j, 1, 1);
  }
}

/** [first voxel, count] of voxels in C order. */
export function runsOf(voxels: number[]): Runs {
  const runs: Runs = [];
  for (const voxel of voxels.sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last[0] + last[1] === voxel) last[1]++;
    else if (last === undefined || voxel >= last[0] + last[1]) runs.push([voxel, 1]);
  }
  return runs;
}

/** Runs without the voxels of others. */
export function without(runs: Runs, taken: Runs): Runs {
  const out = new Set<number>();
  for (const [first, count] of taken) for (let at = first; at < first + count; at++) out.add(at);
  const left: number[] = [];
  for (const [first, count] of runs) for (let at = first; at < first + count; at++) if (!out.has(at)) left.push(at);
  return runsOf(left);
}

/** The cells of a slice that runs cover. */
export function cells(runs: Runs, shape: number[], plane: Plane, place: number): Cells {
  const found: number[] = [];
  const step = steps(shape);
  const last = shape.length - 1;
  for (const [first, count] of runs) {
    for (let at = first; at < first + count; ) {
      const spot = step.map((one, axis) => Math.floor(at / one) % shape[axis]);
      const long = Math.min(first + count - at, shape[last] - spot[last]); // to the end of the row
      at += long;
      if (plane.through === last) {
        if (place < spot[last] || place >= spot[last] + long) continue;
        found.push(spot[plane.x], spot[plane.y], 1, 1);
      } else if (plane.through === null || spot[plane.through] === place) {
        found.push(spot[plane.x], spot[plane.y], plane.x === last ? long : 1, plane.y === last ? long : 1);
      }
    }
  }
  return Int32Array.from(found);
}
