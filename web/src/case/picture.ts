// The image with the findings on it: which outlines are displayed, and where to look.

import { api } from "../api.ts";
import { readable, score } from "../parts/words.ts";
import type { FindingDetail, ResultDetail } from "../types-results.ts";
import type { CaseDetail } from "../types.ts";
import { Mask, unpacked } from "../viewer/masks.ts";
import { Viewer } from "../viewer/viewer.ts";
import { open, type Source } from "../viewer/voxels.ts";
import { above, type Marked } from "./marks.ts";

export class Picture {
  readonly viewer = new Viewer({ clicked: (place) => this.segment(place) });
  private readonly own = new Map<string, Mask>();
  private readonly found = new Map<string, Promise<Mask>>();
  private readonly ready = new Map<string, Mask>();
  private result: ResultDetail | null = null;
  private chosen: number | null = null;
  private outlined = new Set<number>();

  constructor() {
    this.viewer.setTool("move");
  }

  /** Begin displaying an image; the voxels come while the page goes on. */
  async show(image: CaseDetail): Promise<void> {
    const shown = this.viewer.show(image, this.open(image, null));
    if (this.viewer.scene) this.viewer.scene.above = above(() => this.marks());
    await shown;
  }

  /** Another sequence of the image at the same place. */
  async channel(image: CaseDetail, number: number): Promise<void> {
    const source = await this.open(image, number);
    if (this.viewer.scene) this.viewer.scene.source = source;
    this.viewer.refresh(true);
  }

  private open(image: CaseDetail, channel: number | null): Promise<Source> {
    return open(image, channel, () => this.viewer.refresh(true));
  }

  /** The findings of a result, and their masks as they come. */
  async findings(result: ResultDetail | null): Promise<void> {
    const first = this.result === null;
    this.result = result;
    this.chosen = null;
    [this.found, this.ready].forEach((kept) => kept.clear());
    const worst = result?.findings.map(placeOf).find((place) => place !== null);
    if (first && worst) this.viewer.go(worst); // an analysis that is done again leaves the place where it is
    this.viewer.refresh(false);
    if (result) await Promise.all(result.findings.map((one) => this.mask(one)));
  }

  /** Go to a finding and mark it. */
  go(finding: FindingDetail): void {
    this.chosen = finding.number;
    const place = placeOf(finding);
    if (place) this.viewer.go(place);
    this.viewer.refresh(false);
  }

  /** Open the segment of the finding whose box was clicked in, in the report. */
  private segment(place: number[]): void {
    const hit = this.result?.findings.find(({ box, segment }) => segment !== null && box?.every(([low, high], axis) => place[axis] >= low && place[axis] < high));
    if (hit?.segment) window.open(hit.segment, "_blank", "noopener");
  }

  /** Outline these measures, by their numbers, and no others. */
  async outline(numbers: Set<number>): Promise<void> {
    this.outlined = new Set(numbers);
    this.viewer.refresh(false);
    await Promise.all(this.measures.filter((one) => numbers.has(one.number)).map((one) => this.mask(one)));
  }

  /** One of the image's own masks; null takes it away. */
  showMask(name: string, mask: Mask | null): void {
    if (mask) this.own.set(name, mask);
    else this.own.delete(name);
    this.viewer.refresh(false);
  }

  private get measures(): FindingDetail[] {
    return this.result ? [...this.result.measures, ...this.result.quality] : [];
  }

  private mask(one: FindingDetail): Promise<Mask> | null {
    if (one.mask === null || this.result === null) return null;
    const { key } = this.result;
    const name = one.mask;
    let coming = this.found.get(name);
    if (!coming) {
      coming = api.findingMask(key, name).then(async (patch) => {
        const mask = new Mask();
        mask.put(patch.box, await unpacked(patch), true);
        this.ready.set(name, mask);
        this.viewer.refresh(false);
        return mask;
      });
      this.found.set(name, coming);
    }
    return coming;
  }

  private marks(): Marked[] {
    const { findings = [] } = this.result ?? {};
    const mark = (one: FindingDetail, kind: Marked["kind"], tag: string): Marked => ({ tag, kind, box: one.box, mask: (one.mask && this.ready.get(one.mask)) || null, chosen: one.number === this.chosen });
    return [
      ...[...this.own].map(([, mask]): Marked => ({ tag: "", kind: "mask", box: null, mask, chosen: false })),
      ...this.measures.filter((one) => this.outlined.has(one.number)).map((one) => mark(one, "measure", this.outlined.size === 1 ? readable(one.label) : "")),
      ...findings.map((one, i) => mark(one, "finding", [i + 1, readable(one.label), score(one.probability)].join(" ").trim())),
    ];
  }
}

function placeOf({ place, box }: FindingDetail): number[] | null {
  return place ?? (box && box.map(([low, high]) => Math.floor((low + high) / 2)));
}
