// The name of a structure: those that the archive knows, or any other.

import { h, put, set, text } from "../dom.ts";
import { readable } from "../parts/words.ts";

const SHOWN = 8;

export class StructureChoice {
  readonly element: HTMLElement;
  private readonly button: HTMLButtonElement;
  private readonly name = h("span", { class: "name" });
  private readonly field: HTMLInputElement;
  private readonly list: HTMLUListElement;
  private readonly panel: HTMLElement;
  private readonly title = h("label", { class: "quiet small", for: "structure-field" });
  private known: string[] = [];
  private shown: string[] = [];
  private active = -1;
  private chosen: (name: string) => void = () => undefined;

  constructor(private readonly choose: (name: string) => void) {
    this.button = h("button", { type: "button", class: "button structure", "aria-haspopup": "dialog", "aria-expanded": "false" }, this.name, h("span", { "aria-hidden": "true" }, "▾"));
    this.field = h("input", {
      id: "structure-field",
      class: "field",
      type: "text",
      maxlength: 100,
      autocomplete: "off",
      spellcheck: "false",
      role: "combobox",
      "aria-controls": "structure-list",
      "aria-expanded": "true",
      "aria-autocomplete": "list",
    });
    this.list = h("ul", { id: "structure-list", role: "listbox", "aria-label": "Structures" });
    this.panel = h("div", { class: "choice", popover: "auto" }, this.title, this.field, this.list);
    this.element = h("div", { class: "structure-choice" }, h("span", { class: "quiet" }, "Structure"), this.button, this.panel);
    this.button.addEventListener("click", () => this.ask("Structure to outline", this.choose));
    this.panel.addEventListener("toggle", (event) => set(this.button, "aria-expanded", String((event as ToggleEvent).newState === "open")));
    this.field.addEventListener("input", () => this.offer());
    this.field.addEventListener("keydown", (event) => this.key(event));
  }

  setKnown(names: string[]): void {
    this.known = names;
  }

  show(name: string): void {
    text(this.name, readable(name) || "choose");
    set(this.button, "aria-label", `Structure: ${name || "none chosen"}. Choose another`);
  }

  /** Let the person choose a name; nothing happens where they close the list. */
  ask(title: string, chosen: (name: string) => void): void {
    this.chosen = chosen;
    text(this.title, title);
    this.field.value = "";
    this.offer();
    this.panel.showPopover();
    const edge = this.button.getBoundingClientRect();
    this.panel.style.top = `${edge.bottom + 6}px`;
    this.panel.style.left = `${Math.max(8, Math.min(edge.left, innerWidth - this.panel.offsetWidth - 8))}px`;
    this.field.focus();
  }

  private offer(): void {
    const typed = this.field.value.trim();
    const like = this.known.filter((name) => readable(name).toLowerCase().includes(readable(typed).toLowerCase())).slice(0, SHOWN);
    this.shown = typed && !like.some((name) => readable(name) === readable(typed)) ? [...like, typed] : like;
    this.active = this.shown.length > 0 ? 0 : -1;
    put(
      this.list,
      ...this.shown.map((name, number) => {
        const fresh = !this.known.includes(name);
        const item = h("li", { role: "option", id: `structure-${number}` }, readable(name), fresh && h("span", { class: "quiet small" }, "new"));
        item.addEventListener("pointerdown", (event) => event.preventDefault());
        item.addEventListener("click", () => this.take(name));
        return item;
      }),
      this.shown.length === 0 && h("li", { class: "quiet small" }, "Type a name."),
    );
    this.mark();
  }

  private key(event: KeyboardEvent): void {
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (move !== undefined && this.shown.length > 0) {
      this.active = (this.active + move + this.shown.length) % this.shown.length;
      this.mark();
    } else if (event.key === "Enter" && this.active >= 0) this.take(this.shown[this.active]);
    else return;
    event.preventDefault();
  }

  private mark(): void {
    [...this.list.children].forEach((item, number) => set(item, "aria-selected", String(number === this.active)));
    set(this.field, "aria-activedescendant", this.active >= 0 ? `structure-${this.active}` : null);
  }

  private take(name: string): void {
    this.panel.hidePopover();
    this.chosen(name);
  }
}
