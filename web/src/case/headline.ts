// The worst of it first: what was found, where, how probable; then what kind of image it is.

import { h, type Child } from "../dom.ts";
import { day, kind, score } from "../parts/words.ts";
import type { ResultDetail } from "../types-results.ts";
import type { CaseDetail } from "../types.ts";

export function headline(image: CaseDetail, result: ResultDetail | null): HTMLElement {
  const category = result?.category ?? image.category;
  const probability = result?.category_probability ?? null;
  const facts: Child[] = [
    category && (category === "unknown" ? "Kind of image not recognised" : `${kind(category)}${probability === null ? "" : ` (${score(probability)})`}`),
    day(image.study_date),
    image.site && `site ${image.site}`,
  ];
  return h(
    "header",
    { class: "case-head" },
    h("h1", {}, result?.headline ?? "Not analysed yet"),
    h("p", { class: "quiet" }, facts.filter(Boolean).join(" · ")),
    h("p", { class: "quiet small clip", title: image.name }, image.name),
  );
}
