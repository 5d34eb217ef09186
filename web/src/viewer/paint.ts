// Grey values and the mask's tint on the pixels of the screen: only those that are seen are computed.

import type { MaskSlice } from "./masks.ts";
import type { View } from "./view.ts";
import type { Samples, Slice } from "./voxels.ts";

export interface Look {
  /** Centre and width of the window, in the image's values. */
  window: [number, number];
  /** Interpolate between voxels where they are larger than a pixel. */
  smooth: boolean;
}

const TAPS = 3; // samples a pixel and axis, at most, where many voxels fall on one pixel
const TINT = [255, 176, 58];
const TINT_SHARE = 0.24;
const BLACK = 0xff000000;

const greys = Uint32Array.from({ length: 256 }, (_, value) => BLACK | (value << 16) | (value << 8) | value);
const tinted = Uint32Array.from({ length: 256 }, (_, value) => {
  const [red, green, blue] = TINT.map((tint) => Math.round(value * (1 - TINT_SHARE) + tint * TINT_SHARE));
  return BLACK | (blue << 16) | (green << 8) | red;
});

/** For each pixel of an axis: the voxels that are read for it (`taps` each), and with which weight the second where two are mixed. */
interface Axis {
  taps: number;
  first: Int32Array;
  weight: Float32Array | null;
  nearest: Int32Array;
}

/** Paint a slice into `target` (RGBA in 32 bits, view.width × view.height); pixels beside the image are black. */
export function paint(target: Uint32Array, slice: Slice, mask: MaskSlice | null, view: View, look: Look): void {
  const across = axis(view.width, slice.width, (x) => view.u(x), look.smooth);
  const down = axis(view.height, slice.height, (y) => view.v(y), look.smooth);
  const rows = slice.bands.map(() => new Float32Array(view.width));
  const low = look.window[0] - look.window[1] / 2;
  const gain = 256 / Math.max(look.window[1], 1e-12);
  for (let y = 0; y < view.height; y++) {
    const row = target.subarray(y * view.width, (y + 1) * view.width);
    if (down.nearest[y] < 0) {
      row.fill(BLACK);
      continue;
    }
    slice.bands.forEach((band, number) => sample(rows[number], band, slice, across, down, y));
    if (rows.length === 3) colour(row, rows, across.nearest, low, gain);
    else grey(row, rows[0], across.nearest, low, gain);
    if (mask !== null && down.nearest[y] >= mask.y0 && down.nearest[y] < mask.y1) tint(row, mask, across.nearest, down.nearest[y]);
  }
}

function axis(pixels: number, voxels: number, place: (pixel: number) => number, smooth: boolean): Axis {
  const voxelsAPixel = Math.abs(place(1) - place(0));
  const mixed = smooth && voxelsAPixel < 1;
  const taps = mixed ? 2 : smooth ? Math.min(TAPS, Math.ceil(voxelsAPixel)) : 1;
  const first = new Int32Array(pixels * taps);
  const weight = mixed ? new Float32Array(pixels) : null;
  const nearest = new Int32Array(pixels);
  const within = (voxel: number): number => Math.min(voxels - 1, Math.max(0, voxel));
  for (let pixel = 0; pixel < pixels; pixel++) {
    const middle = place(pixel + 0.5);
    nearest[pixel] = middle >= 0 && middle < voxels ? Math.floor(middle) : -1;
    if (weight !== null) {
      const before = Math.floor(middle - 0.5);
      weight[pixel] = middle - 0.5 - before;
      first[pixel * 2] = within(before);
      first[pixel * 2 + 1] = within(before + 1);
    } else for (let tap = 0; tap < taps; tap++) first[pixel * taps + tap] = within(Math.floor(place(pixel + (tap + 0.5) / taps)));
  }
  return { taps, first, weight, nearest };
}

function sample(row: Float32Array, band: Samples, slice: Slice, across: Axis, down: Axis, y: number): void {
  row.fill(0);
  for (let tap = 0; tap < down.taps; tap++) {
    const part = down.weight === null ? 1 / down.taps : tap === 0 ? 1 - down.weight[y] : down.weight[y];
    if (part === 0) continue;
    const base = slice.offset + down.first[y * down.taps + tap] * slice.stepY;
    const { first, weight, taps } = across;
    if (weight !== null) {
      for (let x = 0; x < row.length; x++) {
        const before = band[base + first[2 * x] * slice.stepX];
        row[x] += part * (before + weight[x] * (band[base + first[2 * x + 1] * slice.stepX] - before));
      }
    } else if (taps === 1) for (let x = 0; x < row.length; x++) row[x] += part * band[base + first[x] * slice.stepX];
    else {
      for (let x = 0, at = 0; x < row.length; x++) {
        let sum = 0;
        for (const end = at + taps; at < end; at++) sum += band[base + first[at] * slice.stepX];
        row[x] += (part * sum) / taps;
      }
    }
  }
}

function level(value: number, low: number, gain: number): number {
  const found = (value - low) * gain;
  return found <= 0 ? 0 : found >= 255 ? 255 : found | 0;
}

function grey(row: Uint32Array, values: Float32Array, nearest: Int32Array, low: number, gain: number): void {
  for (let x = 0; x < row.length; x++) row[x] = nearest[x] < 0 ? BLACK : greys[level(values[x], low, gain)];
}

function colour(row: Uint32Array, [red, green, blue]: Float32Array[], nearest: Int32Array, low: number, gain: number): void {
  for (let x = 0; x < row.length; x++) {
    if (nearest[x] < 0) row[x] = BLACK;
    else row[x] = BLACK | (level(blue[x], low, gain) << 16) | (level(green[x], low, gain) << 8) | level(red[x], low, gain);
  }
}

function tint(row: Uint32Array, mask: MaskSlice, nearest: Int32Array, j: number): void {
  const base = mask.offset + j * mask.stepY;
  for (let x = 0; x < row.length; x++) {
    const i = nearest[x];
    if (i < mask.x0 || i >= mask.x1 || mask.bytes[base + i * mask.stepX] === 0) continue;
    const pixel = row[x];
    const [red, green, blue] = [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255];
    row[x] = red === green && green === blue ? tinted[red] : mix(red, green, blue);
  }
}

function mix(red: number, green: number, blue: number): number {
  const [r, g, b] = [red, green, blue].map((value, band) => Math.round(value * (1 - TINT_SHARE) + TINT[band] * TINT_SHARE));
  return BLACK | (b << 16) | (g << 8) | r;
}
