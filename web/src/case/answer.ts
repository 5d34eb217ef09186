// Which model answered, what it was refined on, and what that gained.

import { h } from "../dom.ts";
import { figure, measureName } from "../parts/measures.ts";
import { count } from "../parts/words.ts";
import type { ResultDetail } from "../types-results.ts";

export function answer(result: ResultDetail): HTMLElement {
  const { model } = result;
  const refined = model.refined_on.length ? `refined on ${count(model.refined_on.length, "similar case")}` : model.parent ? `from ${model.parent}` : "as it is";
  const gains = Object.entries(model.after).filter(([name]) => name in model.before);
  return h(
    "section",
    {},
    h("h2", {}, "Which model answered"),
    h(
      "div",
      { class: "card lines" },
      model.name !== "none" && h("div", { class: "row" }, h("strong", {}, model.name), h("span", { class: "quiet" }, refined)),
      h("p", { class: "quiet" }, `${model.sentence.replace(/\.$/, "")}.`),
      ...gains.map(([name, after]) => h("p", { class: "quiet number" }, `${measureName(name)} on held-out similar cases: ${figure(model.before[name] ?? NaN)} → ${figure(after)}`)),
      result.applications.length > 0 && model.name !== "none" && h("p", { class: "quiet small" }, `Applications: ${result.applications.join(", ")}`),
      h("a", { href: "/models" }, "Lineage"),
    ),
  );
}
