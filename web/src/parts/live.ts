// What the server tells as it happens: jobs' progress and states, and images that arrived.

import type { JobLine } from "../types-results.ts";

export interface Live {
  /** A job's progress or state changed. */
  job?: (job: JobLine) => void;
  /** Images arrived. */
  arrived?: () => void;
  /** The connection broke (false) or is there (true). */
  connected?: (here: boolean) => void;
}

/** Listen until the answer is called. The browser connects again by itself, and the server sends what was missed. */
export function listen(on: Live): () => void {
  const source = new EventSource("/api/v1/events");
  const job = (event: MessageEvent<string>): void => on.job?.(JSON.parse(event.data) as JobLine);
  source.addEventListener("progress", job);
  source.addEventListener("state", job);
  source.addEventListener("arrived", () => on.arrived?.());
  source.addEventListener("open", () => on.connected?.(true));
  source.addEventListener("error", () => on.connected?.(false));
  addEventListener("pagehide", () => source.close(), { once: true });
  return () => source.close();
}
