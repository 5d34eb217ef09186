// The models as a table: what each is for, what it was made from, how well it did, and what its licence allows.

import { h, type Child } from "../dom.ts";
import { dialog } from "../parts/dialog.ts";
import { figure, measureName } from "../parts/measures.ts";
import { count, day, readable } from "../parts/words.ts";
import type { ModelLine } from "../types-results.ts";
import { originWord } from "./graph.ts";

const MEASURES = 3;

export function modelTable(models: readonly ModelLine[]): HTMLElement {
  const heading = (words: string): HTMLElement => h("th", { scope: "col" }, words);
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { class: "models" },
      h("thead", {}, h("tr", {}, heading("Model"), heading("What it does"), heading("Made from"), heading("Measures"), heading("Licence"))),
      h("tbody", {}, ...models.map(row)),
    ),
  );
}

function row(model: ModelLine): HTMLElement {
  const card = model.card;
  return h(
    "tr",
    { "data-model": model.key },
    h(
      "th",
      { scope: "row" },
      model.name,
      h("div", { class: "quiet small" }, [originWord(model.origin), day(model.created)].filter(Boolean).join(" · ")),
      card && h("button", { type: "button", class: "plain small", "aria-label": `Model card of ${model.name}`, onclick: () => showCard(model, card) }, "Model card"),
    ),
    h("td", {}, readable(model.task), model.structures.length > 0 && h("div", { class: "quiet small" }, structures(model.structures))),
    h("td", {}, madeFrom(model)),
    h("td", {}, measures(model.measures)),
    h("td", {}, licence(model)),
  );
}

function structures(names: string[]): string {
  const shown = names.slice(0, 6).map(readable).join(", ");
  return names.length > 6 ? `${shown} and ${names.length - 6} more` : shown;
}

function madeFrom(model: ModelLine): Child {
  if (model.parent === null) return h("span", { class: "quiet" }, "–");
  return [model.parent_name ?? model.parent, model.refined_on > 0 && h("div", { class: "quiet small" }, `refined on ${count(model.refined_on, "image")}`)];
}

function measures(values: Record<string, number>): Child {
  const all = Object.entries(values);
  if (all.length === 0) return h("span", { class: "quiet" }, "None recorded");
  const shown = all.slice(0, MEASURES).map(([name, value]) => h("div", {}, h("span", { class: "quiet" }, `${measureName(name)} `), h("b", { class: "number" }, figure(value))));
  return [...shown, all.length > MEASURES && h("div", { class: "quiet small" }, `and ${all.length - MEASURES} more in the card`)];
}

function licence(model: ModelLine): Child {
  if (model.research_only) return [h("span", { class: "badge", "data-tone": "warning" }, "Research only"), model.licence && h("div", { class: "quiet small" }, model.licence)];
  return model.licence ? h("span", { class: "badge" }, model.licence) : h("span", { class: "quiet" }, "Not stated");
}

function showCard(model: ModelLine, card: string): void {
  const all = Object.entries(model.measures).map(([name, value]) => [h("dt", {}, measureName(name)), h("dd", { class: "number" }, figure(value))]);
  dialog(model.name, () => [h("div", { class: "card-text" }, card), all.length > 0 && h("dl", { class: "facts" }, all), h("p", { class: "quiet small" }, `Key ${model.key}`)], { wide: true });
}
