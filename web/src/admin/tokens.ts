// Tokens for programs: Slicer, napari, scripts. The value is displayed once.

import { api } from "../api.ts";
import { h, put } from "../dom.ts";
import { choice, dialog, field, formDialog, given } from "../parts/dialog.ts";
import { moment, sentence } from "../parts/words.ts";
import type { Frame } from "../shell.ts";
import type { NewToken, Role, TokenLine } from "../types.ts";

const HOURS: readonly (readonly [string, string])[] = [
  ["12", "12 hours"],
  ["168", "1 week"],
  ["720", "30 days"],
  ["8760", "1 year"],
];

export async function tokens(frame: Frame, section: HTMLElement): Promise<void> {
  const lines = await api.tokens();
  const again = (): Promise<void> => tokens(frame, section);
  const heading = (words: string): HTMLElement => h("th", { scope: "col" }, words);
  const remove = (token: TokenLine): void => void api.removeToken(token.id).then(again).catch(frame.fail);
  put(
    section,
    h("div", { class: "row" }, h("h2", {}, "Tokens"), h("button", { type: "button", class: "button small", onclick: () => newToken(frame.me.role, again) }, "New token")),
    lines.length === 0
      ? h("p", { class: "quiet" }, "No token. A program signs in with one: Slicer, napari, a script.")
      : h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, heading("For"), heading("Of"), heading("Role"), heading("Made"), heading("Ends"), h("th", { scope: "col" }, h("span", { class: "out-of-sight" }, "Actions")))), h("tbody", {}, ...lines.map((line) => row(line, remove))))),
  );
}

function row(token: TokenLine, remove: (token: TokenLine) => void): HTMLElement {
  const over = token.expires * 1000 < Date.now();
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, token.note || h("span", { class: "quiet" }, "No note")),
    h("td", {}, token.user),
    h("td", {}, sentence(token.role)),
    h("td", { class: "number" }, moment(token.created)),
    h("td", { class: "number" }, over ? "✕ has ended" : moment(token.expires)),
    h("td", { class: "set-actions" }, h("button", { type: "button", class: "button small", "aria-label": `End the token ${token.note || token.id}`, onclick: () => remove(token) }, "End")),
  );
}

const ROLES: readonly (readonly [Role, string])[] = [
  ["reader", "Reader"],
  ["annotator", "Annotator"],
  ["admin", "Admin"],
];

/** A token may do at most what its person may. */
function newToken(own: Role, again: () => Promise<void>): void {
  const roles = ROLES.slice(0, 1 + ROLES.findIndex(([role]) => role === own));
  const fields = [
    field("What it is for", h("input", { class: "field", name: "note", maxlength: "200", required: true, autocomplete: "off", placeholder: "Slicer in room 3" })),
    field("Role", choice("role", roles, own === "reader" ? "reader" : "annotator")),
    field("Ends after", choice("hours", HOURS, "12")),
  ];
  formDialog("New token", fields, "Make the token", async (form) => {
    const made = await api.newToken({ note: given(form, "note"), role: given(form, "role") as Role, hours: Number(given(form, "hours")) });
    shown(made);
    await again();
  });
}

/** The only time that the token is displayed. */
function shown(made: NewToken): void {
  dialog("The new token", (own) => {
    const value = h("input", { class: "field token", readonly: true, value: made.token, "aria-label": "Token" });
    const copy = (): void => {
      value.select();
      void navigator.clipboard?.writeText(made.token).then(() => own.say("Copied."), () => own.say("Press Ctrl+C to copy it."));
    };
    return [
      h("p", {}, "Copy it now: it is not displayed again. The server keeps only a hash of it."),
      h("div", { class: "token-line" }, value, h("button", { type: "button", class: "button primary", onclick: copy }, "Copy")),
      h("p", { class: "quiet small" }, `Ends ${moment(made.expires)}.`),
    ];
  });
}
