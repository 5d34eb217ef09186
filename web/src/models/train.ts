// The dialog that trains a model on the archive's cases, and follows the job.

import { api } from "../api.ts";
import { h, put } from "../dom.ts";
import { choice, dialog, field, formDialog, given } from "../parts/dialog.ts";
import { listen } from "../parts/live.ts";
import { Progress } from "../parts/progress.ts";
import { kind, readable, sentence } from "../parts/words.ts";
import type { JobLine, ModelPage, TrainOrder } from "../types-results.ts";

type Pairs = (readonly [string, string])[];

/** `done` is called when the model is there. */
export function train(page: ModelPage, done: () => void): void {
  const task = choice("task", Object.keys(page.tasks).map((name) => [name, sentence(name)] as const));
  const structures = h("div", { class: "picks" });
  const whatStructures = h("fieldset", { class: "labelled plain-set" }, h("legend", {}, "Structures"), structures);
  const category = h("select", { class: "field", name: "category" });
  const whichImages = field("Images", category);
  const about = h("p", { class: "quiet small" });
  const trainable = page.models.filter((model) => /segment|classif/.test(model.task));
  const starts: Pairs = [["", "A new network"], ...trainable.map((model) => [model.name, model.name] as const)];
  const follow = (): void => {
    const options = page.tasks[task.value] ?? {};
    const segmenter = task.value === "segmenter";
    put(structures, entries(options.structures).map(([name, n]) => pick(name, n)));
    put(category, h("option", { value: "" }, "All images"), entries(options.categories).map(([name, n]) => h("option", { value: name }, `${kind(name)} (${n})`)));
    whatStructures.hidden = whichImages.hidden = !segmenter;
    put(about, segmenter ? (structures.childElementCount ? "" : "No image here has a mask: outline some first.") : `It learns the archive's categories: ${entries(options.categories).map(([name]) => kind(name)).join(", ") || "none yet"}.`);
  };
  task.addEventListener("change", follow);
  follow();
  const fields = [
    field("Name of the model", h("input", { class: "field", name: "name", required: true, pattern: "[A-Za-z0-9_\\-]{1,60}", title: "Letters, digits, - and _", autocomplete: "off" }), "Letters, digits, - and _"),
    field("Kind", task),
    whatStructures,
    about,
    whichImages,
    field("Begin from", choice("start", starts)),
    field("Steps", h("input", { class: "field", name: "steps", type: "number", min: "1", max: "100000", placeholder: String(page.tasks[task.value]?.steps ?? "") })),
  ];
  formDialog("Train a model", fields, "Train", async (form) => {
    const job = await api.train(order(form));
    followJob(job, done);
  });
}

function entries(counts: unknown): [string, number][] {
  return counts !== null && typeof counts === "object" ? (Object.entries(counts) as [string, number][]) : [];
}

function pick(name: string, n: number): HTMLElement {
  return h("label", { class: "check" }, h("input", { type: "checkbox", name: "structures", value: name }), readable(name), h("span", { class: "quiet number" }, n));
}

function order(form: HTMLFormElement): TrainOrder {
  const task = given(form, "task") as TrainOrder["task"];
  const steps = given(form, "steps");
  const structures = new FormData(form).getAll("structures").map(String);
  const start = given(form, "start") || null;
  if (task === "segmenter" && structures.length === 0 && start === null) throw new Error("Choose at least one structure.");
  return {
    task,
    name: given(form, "name"),
    structures: task === "segmenter" ? structures : [],
    category: task === "segmenter" ? given(form, "category") || null : null,
    start,
    steps: steps ? Number(steps) : null,
  };
}

/** A job's progress in a dialog that may be closed: the job goes on. */
function followJob(job: JobLine, done: () => void): void {
  const progress = new Progress(job.title);
  const words = h("p", { class: "quiet" });
  let stop = (): void => undefined;
  const made = dialog(job.title, () => [progress.element, words, h("p", {}, "You may close this: the job goes on. ", h("a", { href: "/jobs" }, "All jobs"))], { onclose: () => stop() });
  const take = (now: JobLine): void => {
    if (now.id !== job.id) return;
    progress.show(now.progress[0], now.progress[1]);
    put(words, now.message || (now.state === "waiting" ? "Waiting for a worker." : ""));
    if (now.error) made.say(now.error, "warning");
    if (now.state === "done") {
      made.say("The model is there.");
      done();
    }
  };
  stop = listen({ job: take });
  take(job);
}
