// Jobs: what runs, what waits, what needs a person, and what is done; it follows the server by itself.

import "../style/jobs.css";
import { api } from "../api.ts";
import { h, put, text } from "../dom.ts";
import { JobRow } from "../jobs/line.ts";
import { listen } from "../parts/live.ts";
import { count, span } from "../parts/words.ts";
import type { Frame } from "../shell.ts";
import type { JobLine, JobPage } from "../types-results.ts";

const GROUPS: readonly (readonly [title: string, states: readonly JobLine["state"][], none: string])[] = [
  ["Running", ["running"], "Nothing runs."],
  ["Need a person", ["dead", "failed"], ""],
  ["Waiting", ["waiting"], "Nothing waits."],
  ["Ended", ["done", "stopped"], ""],
];

/** Who works: workers (host:process:…) by machine, such as "3 workers: node1 (2), node2". */
function crew(workers: readonly string[]): string {
  if (!workers.length) return "No worker runs: start one with casewise work";
  const hosts = new Map<string, number>();
  for (const name of workers) {
    const host = name.split(":")[0] ?? name;
    hosts.set(host, (hosts.get(host) ?? 0) + 1);
  }
  const machines = [...hosts].map(([host, n]) => (n > 1 ? `${host} (${n})` : host));
  return `${count(workers.length, "worker")}: ${machines.join(", ")}`;
}

export async function show(frame: Frame): Promise<void> {
  const rows = new Map<number, JobRow>();
  let next: number | null = null;
  let timer = 0;
  const summary = h("p", { class: "quiet" });
  const more = h("button", { type: "button", class: "button", hidden: true, onclick: () => void earlier() }, "Show earlier jobs");
  const groups = GROUPS.map(([title, states, none]) => {
    const list = h("ul", { class: "job-list" });
    const nothing = h("p", { class: "quiet" }, none);
    const section = h("section", { "aria-label": title }, h("h2", { class: "heading" }, title), list, nothing);
    return { section, list, nothing, states, none };
  });
  put(
    frame.main,
    h("div", { class: "column" }, h("div", { class: "page-head" }, h("h1", {}, "Jobs"), summary), ...groups.map((group) => group.section), h("div", { class: "more" }, more)),
  );

  function take(job: JobLine): void {
    const row = rows.get(job.id);
    if (row) row.draw(job);
    else rows.set(job.id, new JobRow(job, frame, arrange));
  }

  /** Put each row into its group; a row that stays where it is, is not touched. */
  function arrange(): void {
    const sorted = [...rows.values()].sort((a, b) => b.job.id - a.job.id);
    for (const { section, list, nothing, states, none } of groups) {
      const mine = sorted.filter((row) => states.includes(row.job.state));
      mine.forEach((row, i) => {
        if (list.children[i] !== row.element) list.insertBefore(row.element, list.children[i] ?? null);
      });
      while (list.children.length > mine.length) list.lastElementChild?.remove();
      list.hidden = mine.length === 0;
      nothing.hidden = mine.length > 0 || !none;
      section.hidden = mine.length === 0 && !none;
    }
  }

  function head(page: JobPage): void {
    const open = (page.counts.running ?? 0) + (page.counts.waiting ?? 0);
    const failed = (page.counts.failed ?? 0) + (page.counts.dead ?? 0);
    const said = [open ? `${count(open, "job")} to do` : "Nothing to do"];
    if (page.waited >= 1) said.push(`the oldest has waited ${span(page.waited)}`);
    if (failed) said.push(`${count(failed, "failure")}`);
    if (page.images_an_hour) said.push(`${count(Math.round(page.images_an_hour), "image")} an hour`);
    text(summary, [...said, crew(page.workers)].join(" · "));
  }

  async function load(): Promise<void> {
    try {
      const page = await api.jobs();
      page.jobs.forEach(take);
      next ??= page.next;
      more.hidden = next === null;
      head(page);
      arrange();
    } catch (error) {
      frame.fail(error);
    }
  }

  async function earlier(): Promise<void> {
    if (next === null) return;
    try {
      const page = await api.jobs(undefined, next);
      page.jobs.forEach(take);
      next = page.next;
      more.hidden = next === null;
      arrange();
    } catch (error) {
      frame.fail(error);
    }
  }

  await load();
  window.setInterval(() => {
    if (!document.hidden) void load(); // a cluster that analyses the archive sends no events
  }, 30_000);
  listen({
    job: (job) => {
      if (rows.has(job.id)) {
        take(job);
        arrange();
      }
      clearTimeout(timer);
      timer = window.setTimeout(() => void load(), 400); // the counts, and jobs that are new
    },
  });
}
