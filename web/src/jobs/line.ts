// One job as a row that is mended in place.

import { api } from "../api.ts";
import { h, put, text } from "../dom.ts";
import { may } from "../parts/access.ts";
import { Progress } from "../parts/progress.ts";
import { state } from "../parts/states.ts";
import { moment, span } from "../parts/words.ts";
import type { Frame } from "../shell.ts";
import type { JobLine } from "../types-results.ts";

export class JobRow {
  readonly element: HTMLElement;
  private readonly title = h("strong", { class: "clip" });
  private readonly state = h("span", {});
  private readonly facts = h("span", { class: "quiet small" });
  private readonly message = h("p", { class: "small job-message" });
  private readonly buttons = h("span", { class: "job-buttons" });
  private readonly progress: Progress;
  private drawn = "";

  constructor(
    public job: JobLine,
    private readonly frame: Frame,
    private readonly onchange: () => void,
  ) {
    this.progress = new Progress(`Progress of ${job.title}`);
    this.element = h(
      "li",
      { class: "card job", "data-job": job.id },
      h("div", { class: "row" }, this.title, this.state),
      this.progress.element,
      this.message,
      h("div", { class: "row" }, this.facts, this.buttons),
    );
    this.draw(job);
  }

  draw(job: JobLine): void {
    const before = this.drawn;
    this.drawn = JSON.stringify(job);
    if (before === this.drawn) return;
    const newState = !before || job.state !== this.job.state;
    this.job = job;
    text(this.title, job.title);
    this.progress.show(job.progress[0], job.progress[1]);
    this.progress.element.hidden = job.state !== "running";
    text(this.message, job.error ?? (job.state === "done" ? said(job) : job.message));
    this.message.hidden = this.message.textContent === "";
    this.message.classList.toggle("fault", job.error !== null);
    text(this.facts, facts(job));
    if (!newState) return;
    put(this.state, state(job.state));
    put(this.buttons, may(this.frame.me, "annotator") && this.actions());
  }

  private actions(): HTMLElement | null {
    const button = (words: string, act: () => Promise<JobLine>): HTMLElement =>
      h("button", { type: "button", class: "button small", "aria-label": `${words}: ${this.job.title}`, onclick: () => void this.act(act) }, words);
    if (this.job.state === "waiting" || this.job.state === "running") return button("Stop", () => api.stopJob(this.job.id));
    if (this.job.state === "done") return null;
    return button("Run again", () => api.jobAgain(this.job.id));
  }

  private async act(call: () => Promise<JobLine>): Promise<void> {
    try {
      this.draw(await call());
      this.onchange();
    } catch (error) {
      this.frame.fail(error);
    }
  }
}

function facts(job: JobLine): string {
  const asked = job.created_by ? `asked for by ${job.created_by}, ` : "asked for ";
  const parts = [`No. ${job.id}`, asked + moment(job.created)];
  if (job.ended !== null) parts.push(`ended ${moment(job.ended)} after ${span(Math.max(0, job.ended - job.created))}`);
  if (job.state === "running" && job.worker) parts.push(`on ${job.worker}`);
  if (job.tries > 1) parts.push(`tried ${job.tries} times`);
  return parts.join(" · ");
}

/** What a job that is done says of itself. */
function said(job: JobLine): string {
  const sentence = job.result?.sentence;
  return typeof sentence === "string" ? sentence : job.message;
}
