// A dialog: modal, closed by Escape and by its cross; the browser gives the focus back.

import { h, type Child } from "../dom.ts";

export interface Dialog {
  element: HTMLDialogElement;
  close: () => void;
  /** A sentence at the end: what went wrong, or what was done. */
  say: (sentence: string, tone?: "quiet" | "warning") => void;
}

let opened = 0;

/** Open a dialog with a title; `content` is drawn once, and may close it. */
export function dialog(title: string, content: (dialog: Dialog) => Child, options: { wide?: boolean; onclose?: () => void } = {}): Dialog {
  const id = `dialog-${(opened += 1)}`;
  const message = h("p", { class: "dialog-message", role: "alert" });
  const close = (): void => element.close();
  const cross = h("button", { type: "button", class: "plain cross", "aria-label": "Close", onclick: close }, "✕");
  const element = h("dialog", { class: options.wide ? "wide" : null, "aria-labelledby": id });
  const made: Dialog = {
    element,
    close,
    say: (sentence, tone = "quiet") => {
      message.textContent = sentence;
      message.dataset.tone = tone;
    },
  };
  element.append(h("header", { class: "dialog-head" }, h("h2", { id }, title), cross), h("div", { class: "dialog-body" }, content(made)), message);
  element.addEventListener("close", () => {
    element.remove();
    options.onclose?.();
  });
  document.body.append(element);
  element.showModal();
  return made;
}

/** A dialog whose form does one thing; it closes when that is done, and says the error's sentence when it fails. */
export function formDialog(title: string, fields: Child, verb: string, act: (form: HTMLFormElement, dialog: Dialog) => Promise<void>): Dialog {
  return dialog(title, (made) => {
    const submit = h("button", { type: "submit", class: "button primary" }, verb);
    const cancel = h("button", { type: "button", class: "button", onclick: made.close }, "Cancel");
    const form = h("form", { class: "form" }, fields, h("div", { class: "form-actions" }, cancel, submit));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      submit.disabled = true;
      made.say("");
      act(form, made).then(made.close, (error: unknown) => {
        made.say(error instanceof Error ? error.message : String(error), "warning");
        submit.disabled = false;
      });
    });
    return form;
  });
}

/** A labelled field of a form. */
export function field(label: string, control: HTMLElement, note = ""): HTMLElement {
  return h("label", { class: "labelled" }, h("span", {}, label), control, note && h("small", { class: "quiet" }, note));
}

/** A choice among values, each with its words. */
export function choice(name: string, values: readonly (readonly [string, string])[], chosen = ""): HTMLSelectElement {
  const select = h("select", { class: "field", name }, ...values.map(([value, words]) => h("option", { value }, words)));
  if (chosen) select.value = chosen;
  return select;
}

/** What a form's field holds, without the spaces around it. */
export function given(form: HTMLFormElement, name: string): string {
  const value = new FormData(form).get(name);
  return typeof value === "string" ? value.trim() : "";
}
