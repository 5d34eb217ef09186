// The keys of the page: one table, from which they are obeyed and explained.

import { h } from "../dom.ts";

export interface Key {
  /** As the browser names them; with Ctrl+ and Shift+ in front. */
  keys: string[];
  /** As the list of keys names and explains them; those without are not in it. */
  shown?: string;
  says?: string;
  does?: () => void;
}

/** Obey keys while nothing is typed into a field and no dialog is open. */
export function obey(keys: Key[]): void {
  const table = new Map(keys.flatMap((key) => key.keys.map((name) => [name, key] as const)));
  document.addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    if (event.defaultPrevented || event.altKey || target.closest("input:not([type=range]), select, textarea, dialog, [popover]")) return;
    const space = event.key === " " && target.closest("button, a, summary, input"); // there it presses
    const enter = event.key === "Enter";
    const found = space || enter ? undefined : table.get(nameOf(event));
    if (found?.does === undefined || (event.repeat && !found.keys.some((name) => name === "[" || name === "]"))) return;
    event.preventDefault();
    found.does();
  });
}

function nameOf(event: KeyboardEvent): string {
  const control = event.ctrlKey || event.metaKey ? "Ctrl+" : "";
  const shift = event.shiftKey && (control || event.key.length > 1) ? "Shift+" : "";
  return control + shift + (event.key.length === 1 ? event.key.toLowerCase() : event.key);
}

export function keysDialog(keys: Key[]): HTMLDialogElement {
  const close = h("button", { type: "button", class: "button" }, "Close");
  const rows = keys.flatMap(({ shown, says }) => (shown === undefined ? [] : [h("tr", {}, h("td", {}, ...shown.split(" ").map((one) => h("kbd", {}, one))), h("td", {}, says))]));
  const dialog = h(
    "dialog",
    { class: "key-list", "aria-label": "Keys" },
    h("div", { class: "row" }, h("h1", {}, "Keys"), close),
    h("table", {}, h("tbody", {}, ...rows)),
  );
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  return dialog;
}
