// A model's card: all measures, what its licence rests on, and what its makers wrote.

import { h } from "../dom.ts";
import { dialog } from "../parts/dialog.ts";
import { markdown } from "../parts/markdown.ts";
import { figure, measureName } from "../parts/measures.ts";
import type { ModelLine } from "../types-results.ts";

export function showCard(model: ModelLine): void {
  const measures = Object.entries(model.measures).map(([name, value]) => [h("dt", {}, measureName(name).replace(" | ", ", ")), h("dd", { class: "number" }, figure(value))]);
  dialog(
    model.name,
    () =>
      h(
        "div",
        { class: "card-text", tabindex: "0" },
        model.licence && [h("h3", {}, model.research_only ? "Licence: research only" : "Licence: open"), h("ul", { class: "bullets" }, ...model.licence.split("; ").map((one) => h("li", {}, one)))],
        model.card ? markdown(model.card).slice(1) : measures.length > 0 && [h("h3", {}, "Measures"), h("dl", { class: "facts" }, measures)],
        h("p", { class: "quiet small" }, `Key ${model.key}`),
      ),
    { wide: true },
  );
}
