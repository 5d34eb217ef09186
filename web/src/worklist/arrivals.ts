// What happens while the worklist is open: jobs on their way, and images that arrived; nothing moves by itself.

import { h, put, text } from "../dom.ts";
import { listen } from "../parts/live.ts";
import { count } from "../parts/words.ts";
import type { JobLine } from "../types-results.ts";

export interface Happening {
  element: HTMLElement;
  close: () => void;
}

const SHOWN_KINDS = new Set(["analyse", "import"]);

/** `changed`: rows may have changed. `arrivals` counts the images that the list does not have yet. `show`: the person asks for them. */
export function happening(changed: () => void, arrivals: () => Promise<number>, show: () => void): Happening {
  const news = h("button", { type: "button", class: "button small", hidden: true });
  const words = h("span", { class: "quiet" });
  const filled = h("span", {});
  const jobs = h("a", { class: "job-strip", href: "/jobs", hidden: true }, words, h("span", { class: "bar" }, filled));
  const element = h("div", { class: "happening", "aria-live": "polite" }, news, jobs);
  const running = new Map<number, JobLine>();
  let arrived = 0;
  let timer = 0;
  const soon = (): void => {
    clearTimeout(timer);
    timer = window.setTimeout(changed, 500);
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
  news.addEventListener("click", () => {
    arrived = 0;
    draw();
    show();
  });
  const close = listen({
    job: (job) => {
      if (!SHOWN_KINDS.has(job.kind)) return;
      const before = running.get(job.id);
      if (job.state === "running" || job.state === "waiting") running.set(job.id, job);
      else running.delete(job.id);
      if (job.state === "done" || before?.progress[0] !== job.progress[0]) soon();
      draw();
    },
    arrived: () =>
      void arrivals().then((n) => {
        arrived = n;
        draw();
      }),
  });
  return { element, close };
}
