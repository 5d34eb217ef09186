// What happens while the worklist is open: jobs on their way, and images that arrived; nothing moves by itself.

import { h, put, text } from "../dom.ts";
import { listen } from "../parts/live.ts";
import { count } from "../parts/words.ts";
import type { JobLine } from "../types-results.ts";

export interface Happening {
  element: HTMLElement;
  /** Rows may have changed. */
  changed: () => void;
  /** The list was drawn anew: it has every image there is. */
  drawn: () => void;
  close: () => void;
}

const SHOWN_KINDS = new Set(["analyse", "import"]);

/** `refresh` mends the rows and counts the images that the list does not have yet; null where a later one does it. `show`: the person asks for these. */
export function happening(refresh: () => Promise<number | null>, show: () => void): Happening {
  const news = h("button", { type: "button", class: "button small", hidden: true });
  const words = h("span", { class: "quiet" });
  const filled = h("span", {});
  const jobs = h("a", { class: "job-strip", href: "/jobs", hidden: true }, words, h("span", { class: "bar" }, filled));
  const element = h("div", { class: "happening", "aria-live": "polite" }, news, jobs);
  const running = new Map<number, JobLine>();
  let arrived = 0;
  let timer = 0;
  const renew = async (): Promise<void> => {
    timer = 0;
    const counted = await refresh();
    if (counted === null) return;
    arrived = counted;
    draw();
  };
  const changed = (): void => {
    timer ||= window.setTimeout(() => void renew(), 500); // events without end must not put it off without end
  };
  const draw = (): void => {
    const all = [...running.values()];
    const done = all.reduce((sum, job) => sum + job.progress[0], 0);
    const total = all.reduce((sum, job) => sum + job.progress[1], 0);
    jobs.hidden = all.length === 0;
    const [first] = all;
    if (first) text(words, all.length === 1 ? `${first.title}: ${total ? `${done} of ${total}` : "waiting"}` : `${all.length} jobs: ${done} of ${total}`);
    filled.style.width = `${total ? (100 * done) / total : 0}%`;
    news.hidden = arrived === 0;
    put(news, `${count(arrived, "new image")}: show`);
  };
  const drawn = (): void => {
    arrived = 0;
    draw();
  };
  news.addEventListener("click", show);
  const close = listen({
    job: (job) => {
      if (!SHOWN_KINDS.has(job.kind)) return;
      const before = running.get(job.id);
      if (job.state === "running" || job.state === "waiting") running.set(job.id, job);
      else running.delete(job.id);
      if (job.state === "done" || before?.progress[0] !== job.progress[0]) changed();
      draw();
    },
    arrived: changed,
  });
  return { element, changed, drawn, close };
}
