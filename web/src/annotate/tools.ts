// The tools at the left, each with its key.

import { h, set } from "../dom.ts";
import type { Tool } from "../viewer/viewer.ts";
import { icon } from "../icons.ts";

export interface Action {
  name: string;
  title: string;
  key: string;
  does: () => void;
  /** A tool stays chosen; anything else happens once. */
  tool?: Tool;
}

export class Tools {
  readonly element: HTMLElement;
  private readonly buttons = new Map<string, HTMLButtonElement>();

  constructor(actions: Action[], last: Action) {
    this.element = h("div", { class: "tools", role: "toolbar", "aria-label": "Tools", "aria-orientation": "vertical" });
    for (const action of [...actions, last]) {
      const button = h(
        "button",
        {
          type: "button",
          class: `tool tool-${action.name}`,
          "aria-pressed": action.tool ? "false" : null,
          "data-tip": action.title,
          "data-key": action.key,
          onclick: action.does,
        },
        icon(action.name),
        h("span", { class: "key", "aria-hidden": "true" }, action.key),
        h("span", { class: "out-of-sight" }, `${action.title} (${action.key})`),
      );
      this.buttons.set(action.name, button);
      if (action === last) this.element.append(h("span", { class: "fill" }));
      this.element.append(button);
    }
  }

  choose(tool: Tool): void {
    for (const [name, button] of this.buttons) if (button.hasAttribute("aria-pressed")) set(button, "aria-pressed", String(name === tool));
  }

  /** Whether something can be done now; what never can on this image is not displayed. */
  allow(name: string, allowed: boolean, shown = true): void {
    const button = this.buttons.get(name);
    if (button === undefined) return;
    button.disabled = !allowed;
    button.hidden = !shown;
  }
}
