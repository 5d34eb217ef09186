// An image's voxels, whole or one plane at a time, in the order of the server's index axes (C order).

import { address, ask } from "../api.ts";
import type { CaseDetail, Plane } from "../types.ts";

export type Samples = Uint8Array | Uint16Array | Int16Array | Float32Array;

/** One slice: voxel i along the plane's x and j along its y lies at offset + i * stepX + j * stepY of each band. */
export interface Slice {
  bands: Samples[];
  offset: number;
  stepX: number;
  stepY: number;
  width: number;
  height: number;
}

export interface Source {
  readonly shape: number[];
  /** The slice of a plane at a place along its third axis; null while it is being fetched. */
  slice(plane: Plane, place: number): Slice | null;
}

const LARGEST_WHOLE = 300e6; // bytes; above it planes are fetched one by one
const SLICES_KEPT = 96;
const AHEAD = 2;

const ARRAYS: Record<string, new (buffer: ArrayBuffer) => Samples> = {
  uint8: Uint8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  float32: Float32Array,
};

/** Steps of a C-ordered array of this shape. */
export function steps(shape: number[]): number[] {
  const found = new Array<number>(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) found[axis] = found[axis + 1] * shape[axis + 1];
  return found;
}

/** Whether an image's channels are red, green and blue. */
export function inColour(image: CaseDetail): boolean {
  return image.channels[0] === "red";
}

/** Fetch an image's voxels. channel : of several sequences; null for the first, or for a colour picture's red, green and blue. */
export async function open(image: CaseDetail, channel: number | null, changed: () => void, signal?: AbortSignal): Promise<Source> {
  if (image.bytes / (inColour(image) ? 1 : image.channels.length) > LARGEST_WHOLE && image.planes.some((plane) => plane.through !== null)) return new Fetched(image, channel, changed);
  return new Whole(image.shape, await fetchBands(address(["cases", image.key, "voxels"], { channel }), signal));
}

class Whole implements Source {
  private readonly steps: number[];

  constructor(
    readonly shape: number[],
    private readonly bands: Samples[],
  ) {
    this.steps = steps(shape).map((step) => step * bands.length);
  }

  slice(plane: Plane, place: number): Slice {
    const offset = plane.through === null ? 0 : place * this.steps[plane.through];
    const { x, y } = plane;
    return { bands: this.bands, offset, stepX: this.steps[x], stepY: this.steps[y], width: this.shape[x], height: this.shape[y] };
  }
}

class Fetched implements Source {
  readonly shape: number[];
  private readonly kept = new Map<string, Slice>();
  private readonly asked = new Set<string>();

  constructor(
    private readonly image: CaseDetail,
    private readonly channel: number | null,
    private readonly changed: () => void,
  ) {
    this.shape = image.shape;
  }

  slice(plane: Plane, place: number): Slice | null {
    const found = this.kept.get(`${plane.name} ${place}`) ?? null;
    for (let off = 0; off <= AHEAD; off++) for (const near of [place + off, place - off]) void this.fetch(plane, near);
    return found;
  }

  private async fetch(plane: Plane, place: number): Promise<void> {
    const name = `${plane.name} ${place}`;
    if (plane.through === null || place < 0 || place >= this.shape[plane.through] || this.kept.has(name) || this.asked.has(name)) return;
    this.asked.add(name);
    try {
      const bands = await fetchBands(address(["cases", this.image.key, "voxels"], { channel: this.channel, plane: plane.name, slice: place }));
      // A slice keeps the order of the two axes that are left: the later one runs fastest.
      const [width, height] = [this.shape[plane.x], this.shape[plane.y]];
      const [stepX, stepY] = (plane.x > plane.y ? [1, width] : [height, 1]).map((step) => step * bands.length);
      this.kept.set(name, { bands, offset: 0, stepX, stepY, width, height });
      if (this.kept.size > SLICES_KEPT) this.kept.delete(this.kept.keys().next().value as string);
      this.changed();
    } catch (error) {
      console.warn(error);
    } finally {
      this.asked.delete(name);
    }
  }
}

/** The samples of each channel; those of a colour picture lie side by side, so each band is a view that begins at its own. */
async function fetchBands(url: string, signal?: AbortSignal): Promise<Samples[]> {
  const answer = await ask(url, signal ? { signal } : {});
  const dtype = answer.headers.get("X-Dtype") ?? "";
  const make = ARRAYS[dtype];
  if (make === undefined) throw new Error(`Voxels of the type ${dtype || "(none)"} cannot be displayed.`);
  const samples = new make(await answer.arrayBuffer());
  const channels = Number(answer.headers.get("X-Channels") ?? 1);
  return Array.from({ length: channels }, (_, channel) => samples.subarray(channel) as Samples);
}
