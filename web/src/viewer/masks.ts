// Masks as the server sends them: bits of a box; here a byte a voxel within the box that holds them all.

import type { BoxPairs, MaskPatch, Plane } from "../types.ts";
import { steps } from "./voxels.ts";

/** A slice of a mask: voxel (i, j) with x0 ≤ i < x1, y0 ≤ j < y1 lies at offset + i * stepX + j * stepY. */
export interface MaskSlice {
  bytes: Uint8Array;
  offset: number;
  stepX: number;
  stepY: number;
  x0: number;
  x1: number;
  y0: number;
  y1: number;
}

/** Lines of an outline, four numbers each: from (u, v) to (u, v), between voxels. */
export type Lines = Int32Array;

export class Mask {
  private box: BoxPairs = [];
  private bytes = new Uint8Array(0);
  private readonly drawn = new Map<string, Lines>();

  /** Put a part in place of what was there; `whole`: all that lies outside of it is empty. */
  put(box: BoxPairs, bytes: Uint8Array<ArrayBuffer>, whole: boolean): void {
    this.drawn.clear();
    if (whole || this.bytes.length === 0) [this.box, this.bytes] = [box, bytes];
    else {
      this.widen(box);
      copy(box, bytes, this.box, this.bytes);
    }
  }

  clear(): void {
    this.put([], new Uint8Array(0), true);
  }

  /** Whether a voxel belongs to the mask. */
  has(place: number[]): boolean {
    if (this.bytes.length === 0 || this.box.some(([low, high], axis) => place[axis] < low || place[axis] >= high)) return false;
    const step = steps(this.box.map(([low, high]) => high - low));
    return this.bytes[this.box.reduce((at, [low], axis) => at + (place[axis] - low) * step[axis], 0)] !== 0;
  }

  slice(plane: Plane, place: number): MaskSlice | null {
    if (this.bytes.length === 0) return null;
    const step = steps(this.box.map(([low, high]) => high - low));
    const [[x0, x1], [y0, y1]] = [this.box[plane.x], this.box[plane.y]];
    let offset = -x0 * step[plane.x] - y0 * step[plane.y];
    if (plane.through !== null) {
      const [low, high] = this.box[plane.through];
      if (place < low || place >= high) return null;
      offset += (place - low) * step[plane.through];
    }
    return { bytes: this.bytes, offset, stepX: step[plane.x], stepY: step[plane.y], x0, x1, y0, y1 };
  }

  /** The slice's outline; computed once until the mask changes. */
  outline(plane: Plane, place: number): Lines {
    const name = `${plane.name} ${place}`;
    let found = this.drawn.get(name);
    if (found === undefined) {
      const slice = this.slice(plane, place);
      found = slice === null ? new Int32Array(0) : outlined(slice);
      this.drawn.set(name, found);
    }
    return found;
  }

  private widen(box: BoxPairs): void {
    const wider = this.box.map(([low, high], axis): [number, number] => [Math.min(low, box[axis][0]), Math.max(high, box[axis][1])]);
    if (wider.every(([low, high], axis) => low === this.box[axis][0] && high === this.box[axis][1])) return;
    const bytes = new Uint8Array(wider.reduce((count, [low, high]) => count * (high - low), 1));
    copy(this.box, this.bytes, wider, bytes);
    [this.box, this.bytes] = [wider, bytes];
  }
}

/** Unpack a part of a mask: base64, zlib, then eight voxels a byte, the first in the highest bit. */
export async function unpacked(patch: MaskPatch): Promise<Uint8Array<ArrayBuffer>> {
  const text = atob(patch.data);
  const packed = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) packed[at] = text.charCodeAt(at);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bits = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = patch.box.reduce((product, [low, high]) => product * (high - low), 1);
  if (bits.length * 8 < count) throw new Error("The server's mask is shorter than its box.");
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count; at++) bytes[at] = (bits[at >> 3] >> (7 - (at & 7))) & 1;
  return bytes;
}

/** Copy the voxels of one box into those of a box around it. */
function copy(box: BoxPairs, from: Uint8Array, around: BoxPairs, to: Uint8Array): void {
  const inner = box.map(([low, high]) => high - low);
  const last = inner.length - 1;
  const step = steps(around.map(([low, high]) => high - low));
  const rows = inner.slice(0, last).reduce((product, n) => product * n, 1);
  for (let row = 0; row < rows; row++) {
    let rest = row;
    let at = box[last][0] - around[last][0];
    for (let axis = last - 1; axis >= 0; axis--) {
      at += ((rest % inner[axis]) + box[axis][0] - around[axis][0]) * step[axis];
      rest = Math.floor(rest / inner[axis]);
    }
    to.set(from.subarray(row * inner[last], (row + 1) * inner[last]), at);
  }
}

function outlined(slice: MaskSlice): Lines {
  const lines: number[] = [];
  const { bytes, offset, stepX, stepY, x0, x1, y0, y1 } = slice;
  const inside = (x: number, y: number): boolean =>
    x >= x0 && x < x1 && y >= y0 && y < y1 && bytes[offset + x * stepX + y * stepY] !== 0;
  for (let y = y0; y <= y1; y++) {
    for (let x = x0, from = -1; x <= x1; x++) {
      const edge = x < x1 && inside(x, y - 1) !== inside(x, y);
      if (edge && from < 0) from = x;
      else if (!edge && from >= 0) {
        lines.push(from, y, x, y);
        from = -1;
      }
    }
  }
  for (let x = x0; x <= x1; x++) {
    for (let y = y0, from = -1; y <= y1; y++) {
      const edge = y < y1 && inside(x - 1, y) !== inside(x, y);
      if (edge && from < 0) from = y;
      else if (!edge && from >= 0) {
        lines.push(x, from, x, y);
        from = -1;
      }
    }
  }
  return Int32Array.from(lines);
}
