// Analyse a case and follow the job; the new result takes the old one's place.

import { api } from "../api.ts";
import { listen } from "../parts/live.ts";
import type { Frame } from "../shell.ts";
import type { JobLine } from "../types-results.ts";

/** `running` says whether an analysis is under way; `done` is called when there is a new result. */
export class Analysis {
  private job: number | null = null;
  private stop: (() => void) | null = null;

  constructor(
    private readonly frame: Frame,
    private readonly key: string,
    private readonly running: (on: boolean) => void,
    private readonly done: () => void,
  ) {}

  async begin(): Promise<void> {
    if (this.job !== null) return;
    this.running(true);
    try {
      const job = await api.analyse({ cases: [this.key], priority: 5 });
      this.job = job.id;
      this.stop = listen({ job: (now) => this.take(now) });
      this.take(await api.job(job.id));
    } catch (error) {
      this.frame.fail(error);
      this.end();
    }
  }

  private take(job: JobLine): void {
    if (job.id !== this.job) return;
    if (job.state === "waiting") this.frame.say("The analysis waits for a worker.");
    else if (job.state === "running") this.frame.say(`Analysing. ${job.message}`.trim());
    else {
      if (job.error) this.frame.say(job.error, "warning");
      else if (job.state === "done") this.done();
      this.end();
    }
  }

  private end(): void {
    this.stop?.();
    [this.stop, this.job] = [null, null];
    this.running(false);
  }
}
