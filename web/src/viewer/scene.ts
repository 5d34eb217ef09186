// What is displayed: one image, where one looks, and what is drawn on it.

import type { BoxPairs, CaseDetail, Plane, Runs } from "../types.ts";
import type { Mask } from "./masks.ts";
import type { Above } from "./overlay.ts";
import type { Kind } from "./strokes.ts";
import type { Source } from "./voxels.ts";

export interface Marks {
  kind: Kind;
  runs: Runs;
}

/** A structure that is being outlined, or one that only is displayed. */
export interface Outlined {
  structure: string;
  mask: Mask;
  box: BoxPairs | null;
  marks: Marks[];
}

export interface Scene {
  image: CaseDetail;
  source: Source | null;
  /** The voxel that all planes pass through. */
  place: number[];
  window: [number, number];
  smooth: boolean;
  masksShown: boolean;
  objects: Outlined[];
  current: number;
  /** A box while it is drawn or moved. */
  draft: BoxPairs | null;
  /** A stroke while it is drawn: cells of one slice. */
  live: { kind: Kind | "erase"; plane: Plane; place: number; cells: number[] } | null;
  /** Whether the place is marked in the large plane: while one works by keyboard. */
  cross: boolean;
  /** What a page draws above the image. */
  above: Above | null;
}

export function begun(image: CaseDetail): Scene {
  return {
    image,
    source: null,
    place: image.shape.map((count, axis) => (image.loop && axis === 2 ? 0 : Math.floor(count / 2))),
    window: [...image.window],
    smooth: true,
    masksShown: true,
    objects: [],
    current: 0,
    draft: null,
    live: null,
    cross: false,
    above: null,
  };
}

/** Where a plane cuts the image. */
export function cut(scene: Scene, plane: Plane): number {
  return plane.through === null ? 0 : scene.place[plane.through];
}

/** A box cut to the image, at least one voxel along each axis. */
export function within(shape: number[], box: BoxPairs): BoxPairs {
  return shape.map((count, axis) => {
    const low = Math.min(count - 1, Math.max(0, Math.min(...box[axis])));
    return [low, Math.min(count, Math.max(low + 1, Math.max(...box[axis])))];
  });
}
