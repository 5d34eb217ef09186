// Images and their voxels, the next one fetched while one works on this one.

import { api } from "../api.ts";
import type { CaseDetail } from "../types.ts";
import { open, type Source } from "../viewer/voxels.ts";

export interface Opened {
  image: CaseDetail;
  source: Promise<Source>;
}

type Repaint = { changed: () => void };

export class Images {
  private held: { key: string; channel: number | null; opened: Promise<Opened> } | null = null;

  constructor(private readonly repaint: Repaint) {}

  /** An image; at once where it was fetched ahead. */
  get(key: string, channel: number | null): Promise<Opened> {
    const held = this.held;
    this.held = null;
    if (held?.key === key && held.channel === channel) return held.opened.catch(() => this.fetch(key, channel));
    return this.fetch(key, channel);
  }

  ahead(key: string): void {
    if (this.held?.key === key) return;
    const opened = this.fetch(key, null);
    this.held = { key, channel: null, opened };
    opened.then((one) => one.source).catch(() => undefined);
  }

  private async fetch(key: string, channel: number | null): Promise<Opened> {
    const image = await api.case(key);
    return { image, source: open(image, channel, () => this.repaint.changed()) };
  }
}
