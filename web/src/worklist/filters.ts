// The filters at the left: a text, four lists of values with their numbers of images, and "assigned to me".

import { h, put } from "../dom.ts";
import { stateWord } from "../parts/states.ts";
import { kind, readable, sentence } from "../parts/words.ts";
import type { ReadingState } from "../types.ts";
import { FACETS, isFiltered, type Facet, type Query } from "./query.ts";

const TITLES: Record<Facet, string> = { state: "State", category: "Category", site: "Site", finding: "Finding" };
const STATES: ReadingState[] = ["new", "analysed", "annotated", "done"];
const SHOWN = 8;
const WAIT_MS = 250; // after the last key, before the list is asked for

export class Filters {
  readonly element: HTMLElement;
  private readonly text: HTMLInputElement;
  private readonly mine: HTMLInputElement;
  private readonly clear: HTMLButtonElement;
  private readonly lists = new Map<Facet, HTMLElement>();
  private readonly all = new Set<Facet>();
  private counts: Record<string, Record<string, number>> = {};
  private timer = 0;

  constructor(
    private readonly query: Query,
    private readonly onchange: () => void,
  ) {
    this.text = h("input", { type: "search", class: "field", placeholder: "Name or finding", "aria-label": "Search the worklist", value: query.text });
    this.text.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = window.setTimeout(() => this.change("text", this.text.value.trim()), WAIT_MS);
    });
    this.mine = h("input", { type: "checkbox", checked: query.mine });
    this.mine.addEventListener("change", () => this.change("mine", this.mine.checked));
    this.clear = h("button", { type: "button", class: "plain", onclick: () => this.reset() }, "Clear all filters");
    const lists = FACETS.map((facet) => {
      const list = h("div", { class: "facet-values" });
      this.lists.set(facet, list);
      return h("fieldset", { class: "facet", "data-facet": facet }, h("legend", { class: "heading" }, TITLES[facet]), list);
    });
    this.element = h(
      "details",
      { class: "filters", open: true },
      h("summary", {}, "Filters"),
      h(
        "div",
        { class: "filters-body" },
        h("div", { class: "search" }, this.text, h("kbd", { title: "Press / to search" }, "/")),
        h("label", { class: "check" }, this.mine, "Assigned to me"),
        lists,
        this.clear,
      ),
    );
    this.draw();
  }

  focus(): void {
    this.element.setAttribute("open", "");
    this.text.focus();
    this.text.select();
  }

  /** The numbers of images beside each value. */
  show(counts: Record<string, Record<string, number>>): void {
    this.counts = counts;
    this.draw();
  }

  reset(): void {
    Object.assign(this.query, { text: "", category: "", site: "", finding: "", state: "", mine: false });
    this.text.value = "";
    this.mine.checked = false;
    this.draw();
    this.onchange();
  }

  private change<K extends keyof Query>(name: K, value: Query[K]): void {
    if (this.query[name] === value) return;
    this.query[name] = value;
    this.draw();
    this.onchange();
  }

  private draw(): void {
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.value : undefined;
    this.clear.hidden = !isFiltered(this.query);
    for (const facet of FACETS) {
      const list = this.lists.get(facet);
      if (list) put(list, this.values(facet));
      const again = list?.querySelector<HTMLElement>(`[data-value="${CSS.escape(focused ?? "")}"]`);
      if (focused && again) again.focus();
    }
  }

  private values(facet: Facet): HTMLElement[] {
    const counts = this.counts[facet] ?? {};
    const chosen = this.query[facet];
    const names = facet === "state" ? STATES.filter((name) => name in counts || name === chosen) : Object.keys(counts);
    if (facet !== "state") names.sort((a, b) => (counts[b] ?? 0) - (counts[a] ?? 0) || a.localeCompare(b));
    if (chosen && !names.includes(chosen)) names.unshift(chosen);
    if (names.length === 0) return [h("p", { class: "quiet small" }, "None")];
    const shown = this.all.has(facet) ? names : names.slice(0, SHOWN);
    const values = shown.map((name) => this.value(facet, name, counts[name] ?? 0, name === chosen));
    if (names.length > shown.length) values.push(this.more(facet, names.length));
    return values;
  }

  private value(facet: Facet, name: string, n: number, chosen: boolean): HTMLElement {
    const words = valueWords(facet, name);
    const pick = (): void => this.change(facet, chosen ? "" : name);
    return h(
      "button",
      { type: "button", class: "facet-value", "data-value": `${facet}:${name}`, "aria-pressed": String(chosen), title: words, onclick: pick },
      h("span", { class: "clip" }, words),
      h("span", { class: "number" }, chosen ? `${n} ✕` : n),
    );
  }

  private more(facet: Facet, n: number): HTMLElement {
    const show = (): void => {
      this.all.add(facet);
      this.draw();
    };
    return h("button", { type: "button", class: "plain small", onclick: show }, `All ${n}`);
  }
}

function valueWords(facet: Facet, name: string): string {
  if (facet === "state") return stateWord(name as ReadingState);
  if (facet === "category") return kind(name);
  return facet === "site" ? name : sentence(readable(name));
}
