// The fields of a new set, as the dialog on the sets page and that on the worklist ask for them.

import { h, type Child } from "../dom.ts";
import { choice, field, given } from "../parts/dialog.ts";
import { kind } from "../parts/words.ts";
import type { SetOrder, Strategy } from "../types.ts";

type Pairs = (readonly [string, string])[];

export const STRATEGIES: readonly (readonly [Strategy, string, string])[] = [
  ["unlike", "Most unlike what is labelled", "Begins with images that the accepted ones say least about."],
  ["uncertainty", "Most uncertain", "Begins with images whose first mask is least certain."],
  ["first", "In order", "As the images are listed."],
  ["random", "At random", "An order that depends on nothing; the same each time."],
];

export function strategyWords(strategy: Strategy): string {
  return STRATEGIES.find(([name]) => name === strategy)?.[1] ?? strategy;
}

export function strategyChoice(chosen: Strategy = "unlike"): HTMLSelectElement {
  return choice("strategy", STRATEGIES.map(([name, words]) => [name, words] as const), chosen);
}

/** `choose`: ask for category and site; without it the images are given. */
export function newSetFields(options: { choose: boolean; categories?: string[]; sites?: string[]; structures?: string[] }): Child {
  const list = h("datalist", { id: "structures" }, ...(options.structures ?? []).map((name) => h("option", { value: name })));
  const any = (values: string[], words: (value: string) => string): Pairs => [["", "Any"], ...values.map((value) => [value, words(value)] as const)];
  return [
    field("Name", h("input", { class: "field", name: "name", required: true, maxlength: "100", autocomplete: "off", autofocus: true })),
    field("Structure", h("input", { class: "field", name: "structure", required: true, maxlength: "100", list: "structures", autocomplete: "off" }), "What is outlined in each image, for example hippocampus."),
    list,
    options.choose && field("Category", choice("category", any(options.categories ?? [], kind))),
    options.choose && field("Site", choice("site", any(options.sites ?? [], String))),
    field("Which image comes next", strategyChoice()),
  ];
}

export function setOrder(form: HTMLFormElement): SetOrder {
  return {
    name: given(form, "name"),
    structure: given(form, "structure"),
    strategy: given(form, "strategy") as Strategy,
    category: given(form, "category") || null,
    site: given(form, "site") || null,
  };
}
