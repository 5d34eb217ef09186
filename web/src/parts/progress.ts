// A bar with its number in words.

import { h, set } from "../dom.ts";

export class Progress {
  private readonly filled = h("span", {});
  private readonly bar: HTMLElement;
  readonly element: HTMLElement;
  private readonly words = h("span", { class: "quiet small number" });

  constructor(label: string) {
    this.bar = h("div", { class: "bar", role: "progressbar", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100" }, this.filled);
    this.element = h("div", { class: "progress" }, this.bar, this.words);
  }

  /** `total` 0 where it is not known yet. */
  show(done: number, total: number): void {
    const share = total ? Math.min(1, done / total) : 0;
    this.filled.style.width = `${100 * share}%`;
    set(this.bar, "aria-valuenow", total ? String(Math.round(100 * share)) : null);
    const words = total ? `${done} of ${total}` : "begun";
    if (this.words.textContent !== words) this.words.textContent = words;
  }
}
