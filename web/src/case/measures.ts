// Measures: no signs of disease. Their outlines are off until asked for: one by a click on its name, all by the key L.

import { h, type Child } from "../dom.ts";
import { measured } from "../parts/measures.ts";
import { readable, score, sentence } from "../parts/words.ts";
import type { FindingDetail, ResultDetail } from "../types-results.ts";

export interface Measures {
  element: HTMLElement;
  /** All outlines on, or off where any is on: the key L. */
  press: () => void;
}

/** `show` is told whose outlines are to be displayed. Null where nothing was measured. */
export function measures(result: ResultDetail, show: (numbers: Set<number>) => void): Measures | null {
  const all = [...result.measures, ...result.quality];
  if (all.length === 0) return null;
  const on = new Set<number>();
  const outlined = all.filter((one) => one.mask !== null || one.box !== null);
  const toggle = h("button", { type: "button", class: "plain outlines", "aria-keyshortcuts": "L", onclick: () => press() }, "Outlines off ", h("kbd", {}, "L"));
  const names = new Map(outlined.map((one) => [one.number, h("button", { type: "button", class: "measure-name", onclick: () => turn(one.number) }, words(one.label))]));
  const draw = (): void => {
    toggle.setAttribute("aria-pressed", String(on.size > 0));
    toggle.firstChild?.replaceWith(on.size === 0 ? "Outlines off " : on.size === outlined.length ? "Outlines on " : `${on.size} of ${outlined.length} outlined `);
    for (const [number, button] of names) button.setAttribute("aria-pressed", String(on.has(number)));
    show(on);
  };
  const turn = (number: number): void => {
    if (!on.delete(number)) on.add(number);
    draw();
  };
  const press = (): void => {
    if (on.size > 0) on.clear();
    else for (const one of outlined) on.add(one.number);
    draw();
  };
  const element = h("section", {}, h("div", { class: "row" }, h("h2", {}, "Measures"), outlined.length > 0 && toggle), h("div", { class: "card lines" }, ...all.map((one) => row(one, names.get(one.number)))));
  draw();
  return { element, press };
}

function row(one: FindingDetail, name: HTMLElement | undefined): Child {
  const [first, ...others] = Object.entries(one.measures).map(([what, value]) => measured(what, value));
  const amount = first ? (isNamedAlike(first[0], one.label) || /^(area|volume|count)$/i.test(first[0]) ? first[1] : first.join(" ")) : one.probability === null ? "" : score(one.probability);
  const rest = others.slice(0, 3).map(([what, value]) => `${what} ${value}`).join(" · ");
  return h("div", {}, h("div", { class: "row" }, name ?? h("span", {}, words(one.label)), h("span", { class: "number" }, amount)), rest && h("div", { class: "quiet small number" }, rest));
}

/** Labels have hyphens where the names of measures have underscores: `non-uniformity`, `non_uniformity_percent`. */
function isNamedAlike(what: string, label: string): boolean {
  const plain = (text: string): string => readable(text).replaceAll("-", " ").toLowerCase();
  return plain(what) === plain(label);
}

function words(label: string): string {
  return sentence(readable(label));
}
