// The table of the worklist: rows by key, what is selected, and the keyboard's place.

import { h } from "../dom.ts";
import type { CaseLine } from "../types.ts";
import { Row } from "./row.ts";

export class Table {
  readonly element: HTMLTableElement;
  readonly selected = new Set<string>();
  private readonly rows = new Map<string, Row>();
  private readonly body = h("tbody", {});
  private readonly every: HTMLInputElement;
  private anchor: string | null = null;

  constructor(private readonly onselect: () => void) {
    this.every = h("input", { type: "checkbox", "aria-label": "Select all that are listed" });
    this.every.addEventListener("change", () => this.selectAll(this.every.checked));
    const heading = (words: string, name: string): HTMLElement => h("th", { scope: "col", class: name }, words);
    this.element = h(
      "table",
      { class: "worklist-table" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { class: "pick", scope: "col" }, this.every),
          h("th", { class: "picture", scope: "col" }, h("span", { class: "out-of-sight" }, "Picture")),
          heading("Image", "case"),
          heading("Findings", "findings"),
          heading("Category", "category"),
          heading("State", "reading"),
          heading("Assigned", "assigned"),
        ),
      ),
      this.body,
    );
  }

  get keys(): string[] {
    return [...this.body.children].map((row) => (row as HTMLElement).dataset.key ?? "");
  }

  get lines(): CaseLine[] {
    return this.keys.map((key) => this.rows.get(key)?.line).filter((line) => line !== undefined);
  }

  /** Show these rows and no others, in this order. */
  show(lines: CaseLine[]): void {
    const kept = new Set(lines.map((line) => line.key));
    for (const [key, row] of this.rows) {
      if (kept.has(key)) continue;
      row.element.remove();
      this.rows.delete(key);
      this.selected.delete(key);
    }
    lines.forEach((line, i) => {
      const row = this.row(line);
      if (this.body.children[i] !== row.element) this.body.insertBefore(row.element, this.body.children[i] ?? null);
    });
    this.told();
  }

  /** Add rows at the end. */
  add(lines: CaseLine[]): void {
    for (const line of lines) {
      const row = this.row(line);
      if (!row.element.isConnected) this.body.append(row.element);
    }
    this.told();
  }

  /** Mend the rows that are here; none comes, none goes, none moves. */
  mend(lines: CaseLine[]): void {
    for (const line of lines) this.rows.get(line.key)?.draw(line);
  }

  /** Select these rows, of those that are here, and no others. */
  selectOnly(keys: string[]): void {
    for (const key of this.rows.keys()) this.select(key, keys.includes(key));
    this.told();
  }

  selectNone(): void {
    this.selectAll(false);
  }

  /** Move the keyboard's place by `step` rows; the first key goes to the first row. */
  move(step: number): void {
    const keys = this.keys;
    const here = keys.indexOf(this.current() ?? "");
    const there = here < 0 ? (step > 0 ? 0 : keys.length - 1) : Math.min(Math.max(here + step, 0), keys.length - 1);
    const row = this.rows.get(keys[there] ?? "");
    row?.link.focus();
    row?.element.scrollIntoView({ block: "nearest" });
  }

  /** Select or leave the row where the keyboard is. */
  toggle(): void {
    const row = this.rows.get(this.current() ?? "");
    if (row === undefined) return;
    row.box.checked = !row.box.checked;
    this.pick(row, false);
  }

  current(): string | null {
    return document.activeElement?.closest<HTMLElement>("tr[data-key]")?.dataset.key ?? null;
  }

  private row(line: CaseLine): Row {
    const known = this.rows.get(line.key);
    if (known) {
      known.draw(line);
      return known;
    }
    const row = new Row(line, (one, range) => this.pick(one, range));
    this.rows.set(line.key, row);
    return row;
  }

  private pick(row: Row, range: boolean): void {
    const keys = this.keys;
    const from = range && this.anchor !== null ? keys.indexOf(this.anchor) : -1;
    const here = keys.indexOf(row.line.key);
    const between = from < 0 ? [row.line.key] : keys.slice(Math.min(from, here), Math.max(from, here) + 1);
    for (const key of between) this.select(key, row.box.checked);
    this.anchor = row.line.key;
    this.told();
  }

  private selectAll(on: boolean): void {
    for (const key of this.rows.keys()) this.select(key, on);
    this.told();
  }

  private select(key: string, on: boolean): void {
    const row = this.rows.get(key);
    if (row === undefined) return;
    row.box.checked = on;
    row.element.toggleAttribute("data-selected", on);
    if (on) this.selected.add(key);
    else this.selected.delete(key);
  }

  private told(): void {
    this.every.checked = this.rows.size > 0 && this.selected.size === this.rows.size;
    this.every.indeterminate = this.selected.size > 0 && !this.every.checked;
    this.onselect();
  }
}
