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
export async function train(page: ModelPage, done: () => void): Promise<void> {
  const { counts } = await api.cases({ limit: 1 });
  const tasks = Object.keys(page.tasks);
  const task = choice("task", (tasks.length ? tasks : ["segmenter", "classifier"]).map((name) => [name, sentence(name)] as const));
  const structures = h("div", { class: "picks" }, ...Object.entries(counts.structure ?? {}).map(([name, n]) => pick(name, n)));
  const whatStructures = h("fieldset", { class: "labelled plain-set" }, h("legend", {}, "Structures"), structures);
  const none = h("p", { class: "quiet small" }, "No image here has a mask: outline some first.");
  const categories: Pairs = [["", "All images"], ...Object.keys(counts.category ?? {}).map((name) => [name, kind(name)] as const)];
  const starts: Pairs = [["", "A new network"], ...page.models.filter((model) => /segment|classif/.test(model.task)).map((model) => [model.key, model.name] as const)];
  const follow = (): void => {
    whatStructures.hidden = task.value !== "segmenter";
    none.hidden = task.value !== "segmenter" || structures.childElementCount > 0;
  };
  task.addEventListener("change", follow);
  follow();
  const fields = [
    field("Name of the model", h("input", { class: "field", name: "name", required: true, pattern: "[A-Za-z0-9_\\-]{1,60}", title: "Letters, digits, - and _", autocomplete: "off" }), "Letters, digits, - and _"),
    field("Kind", task),
    whatStructures,
    none,
    field("Images", choice("category", categories)),
    field("Begin from", choice("start", starts)),
    field("Steps", h("input", { class: "field", name: "steps", type: "number", min: "1", max: "100000", placeholder: "Chosen by casewise" })),
  ];
  formDialog("Train a model", fields, "Train", async (form) => {
    const job = await api.train(order(form));
    followJob(job, done);
  });
}

function pick(name: string, n: number): HTMLElement {
  return h("label", { class: "check" }, h("input", { type: "checkbox", name: "structures", value: name }), readable(name), h("span", { class: "quiet number" }, n));
}

function order(form: HTMLFormElement): TrainOrder {
  const task = given(form, "task") as TrainOrder["task"];
  const steps = given(form, "steps");
  const structures = new FormData(form).getAll("structures").map(String);
  if (task === "segmenter" && structures.length === 0) throw new Error("Choose at least one structure.");
  return {
    task,
    name: given(form, "name"),
    structures: task === "segmenter" ? structures : [],
    category: given(form, "category") || null,
    start: given(form, "start") || null,
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
