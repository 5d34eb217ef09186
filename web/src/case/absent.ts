// What was looked for and not found, with its score; and what nobody here looked for.

import { h } from "../dom.ts";
import { readable, score, sentence } from "../parts/words.ts";
import type { ResultDetail } from "../types-results.ts";

export function notFound(result: ResultDetail): HTMLElement {
  const rows = result.not_found.map((one) => h("div", { class: "row" }, h("span", {}, sentence(readable(one.label))), h("span", { class: "quiet number" }, one.score === null ? one.sentence : score(one.score))));
  const failed = result.failed.map((one) => h("div", { class: "row" }, h("span", {}, `⚠ ${one.application ?? one.name ?? ""}`), h("span", { class: "quiet" }, `no answer: ${one.reason ?? ""}`)));
  return h("section", {}, h("h2", {}, "Looked for and not found"), h("div", { class: "card lines" }, rows.length + failed.length ? [...rows, ...failed] : h("p", { class: "quiet" }, result.findings.length ? "Nothing else was looked for." : "Nothing was looked for.")));
}

export function notLookedFor(result: ResultDetail): HTMLElement {
  return h("section", {}, h("h2", {}, "Not looked for"), h("p", { class: "card quiet" }, result.not_looked_for));
}
