// The end of the panel: files to take along, times, versions, notes, and what the file says of itself.

import { h, type Child } from "../dom.ts";
import { bytes, moment, readable, sentence, span } from "../parts/words.ts";
import type { ResultDetail } from "../types-results.ts";
import type { CaseDetail } from "../types.ts";

export function details(image: CaseDetail, result: ResultDetail | null): HTMLElement {
  const times = Object.entries(result?.seconds ?? {}).map(([step, seconds]): [string, string] => [sentence(readable(step)), span(seconds)]);
  const notes = [...new Set([...(result?.notes ?? []), ...image.notes])];
  return h(
    "section",
    {},
    h("h2", {}, "Times, notes and facts"),
    h(
      "div",
      { class: "card lines" },
      result && h("p", { class: "quiet" }, analysed(result)),
      notes.length > 0 && h("ul", { class: "bullets" }, ...notes.map((note) => h("li", {}, note))),
      times.length > 0 && h("details", {}, h("summary", {}, "Times"), list(times)),
      h("details", {}, h("summary", {}, "The image"), list(facts(image))),
    ),
  );
}

function analysed(result: ResultDetail): string {
  const when = result.created === null ? "Analysed" : `Analysed ${moment(result.created)}`;
  return result.earlier ? `${when}; ${result.earlier} earlier ${result.earlier === 1 ? "analysis is" : "analyses are"} kept.` : `${when}.`;
}

function list(pairs: [string, string][]): HTMLElement {
  return h("dl", { class: "facts" }, pairs.map(([name, value]): Child => [h("dt", {}, name), h("dd", { class: "number" }, value)]));
}

function facts(image: CaseDetail): [string, string][] {
  const own: [string, string][] = [
    ["Key", image.key],
    ["Size", image.shape.join(" × ")],
    ["Values", `${image.dtype}, ${bytes(image.bytes)}${image.unit ? `, ${image.unit}` : ""}`],
    ["Spacing", image.spacing_known ? "known" : "not known"],
    ["Orientation", image.orientation_known ? "known" : "not known"],
  ];
  const others = Object.entries(image.facts)
    .map(([name, value]): [string, string] => [sentence(readable(name)), plain(value)])
    .filter(([, value]) => value !== "");
  return [...own, ...others];
}

function plain(value: unknown): string {
  if (value === null || value === undefined || value === "") return "";
  if (typeof value === "number") return String(Number(value.toPrecision(6)));
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map(plain).filter(Boolean).join(", ");
  if (typeof value === "object") return Object.entries(value).map(([name, inner]) => `${readable(name)} ${plain(inner)}`).join(", ");
  return String(value);
}
