// The models as a table: what each is for, what it was made from, how well it did, and what its licence allows.

import { h, type Child } from "../dom.ts";
import { figure, measureName } from "../parts/measures.ts";
import { count, day, readable, sentence } from "../parts/words.ts";
import type { ModelLine } from "../types-results.ts";
import { showCard } from "./card.ts";
import { originWord } from "./graph.ts";

export function modelTable(models: readonly ModelLine[]): HTMLElement {
  const heading = (words: string): HTMLElement => h("th", { scope: "col" }, words);
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { class: "models" },
      h("thead", {}, h("tr", {}, heading("Model"), heading("What it does"), heading("Made from"), heading("How well"), heading("Licence"))),
      h("tbody", {}, ...models.map(row)),
    ),
  );
}

function row(model: ModelLine): HTMLElement {
  return h(
    "tr",
    { "data-model": model.key },
    h(
      "th",
      { scope: "row" },
      h("button", { type: "button", class: "model-name", title: "Model card", onclick: () => showCard(model) }, model.name),
      h("div", { class: "quiet small" }, [sentence(originWord(model.origin)), day(model.created)].filter(Boolean).join(" · ")),
    ),
    h("td", {}, sentence(readable(model.task)), model.structures.length > 0 && h("div", { class: "quiet small" }, structures(model.structures))),
    h("td", {}, madeFrom(model)),
    h("td", {}, measure(model.measures)),
    h("td", {}, licence(model)),
  );
}

function structures(names: string[]): string {
  const shown = names.slice(0, 4).map(readable).join(", ");
  return names.length > 4 ? `${shown} and ${names.length - 4} more` : shown;
}

function madeFrom(model: ModelLine): Child {
  if (model.parent === null) return h("span", { class: "quiet" }, "–");
  return [model.parent_name ?? model.parent, model.refined_on > 0 && h("div", { class: "quiet small" }, `refined on ${count(model.refined_on, "image")}`)];
}

/** The first measure, with what it was measured on; the card has all. */
function measure(values: Record<string, number>): Child {
  const [first] = Object.entries(values);
  if (!first) return h("span", { class: "quiet" }, "Not recorded");
  const [name = "", on = ""] = first[0].split(" | ");
  return [h("div", {}, h("b", { class: "number" }, figure(first[1])), ` ${measureName(name)}`), on && h("div", { class: "quiet small" }, on)];
}

export function licence(model: ModelLine): Child {
  if (model.research_only) return h("span", { class: "badge", "data-tone": "warning" }, "Research only");
  return model.licence ? h("span", { class: "badge" }, "Open") : h("span", { class: "quiet" }, "Not stated");
}
