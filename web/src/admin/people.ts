// People: who may sign in, and as what.

import { api } from "../api.ts";
import { h, put } from "../dom.ts";
import { choice, field, formDialog, given } from "../parts/dialog.ts";
import { moment, sentence } from "../parts/words.ts";
import type { Frame } from "../shell.ts";
import type { Role, UserLine } from "../types.ts";

const ROLES: readonly (readonly [Role, string])[] = [
  ["reader", "Reader: looks"],
  ["annotator", "Annotator: outlines, analyses, uploads"],
  ["admin", "Admin: trains, and manages people"],
];

export async function people(frame: Frame, section: HTMLElement): Promise<void> {
  const users = await api.users();
  const again = (): Promise<void> => people(frame, section);
  const act = (call: () => Promise<unknown>): void => void call().then(again).catch(frame.fail);
  const heading = (words: string): HTMLElement => h("th", { scope: "col" }, words);
  put(
    section,
    h("div", { class: "row" }, h("h2", {}, "People"), h("button", { type: "button", class: "button small", onclick: () => addUser(again) }, "Add a person")),
    users.length === 0
      ? h("p", { class: "quiet" }, "Nobody signs in here yet: this server answers to this machine alone. Add a first person, an admin, before you open it to others.")
      : h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, heading("Name"), heading("Role"), heading("Signs in by"), heading("Since"), heading("State"), h("th", { scope: "col" }, h("span", { class: "out-of-sight" }, "Actions")))), h("tbody", {}, ...users.map((user) => row(user, act, again))))),
  );
}

function row(user: UserLine, act: (call: () => Promise<unknown>) => void, again: () => Promise<void>): HTMLElement {
  const turn = (): void => act(() => api.setUser(user.name, { role: user.role, disabled: !user.disabled }));
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, user.name),
    h("td", {}, sentence(user.role)),
    h("td", {}, user.source === "own" ? "Password" : user.source),
    h("td", { class: "number" }, moment(user.created)),
    h("td", {}, user.disabled ? "✕ Closed" : "✓ Open"),
    h(
      "td",
      { class: "set-actions" },
      h("button", { type: "button", class: "button small", "aria-label": `Change ${user.name}`, onclick: () => changeUser(user, again) }, "Change"),
      h("button", { type: "button", class: "button small", "aria-label": `${user.disabled ? "Open" : "Close"} the account of ${user.name}`, onclick: turn }, user.disabled ? "Open" : "Close"),
    ),
  );
}

function addUser(again: () => Promise<void>): void {
  const fields = [
    field("Name", h("input", { class: "field", name: "name", required: true, autocomplete: "off" })),
    field("Role", choice("role", ROLES, "annotator")),
    password(true),
  ];
  formDialog("Add a person", fields, "Add", async (form) => {
    await api.setUser(given(form, "name"), { role: given(form, "role") as Role, password: given(form, "password") });
    await again();
  });
}

function changeUser(user: UserLine, again: () => Promise<void>): void {
  const fields = [field("Role", choice("role", ROLES, user.role)), user.source === "own" && password(false)];
  formDialog(`Change ${user.name}`, fields, "Change", async (form) => {
    await api.setUser(user.name, { role: given(form, "role") as Role, password: given(form, "password") || null, disabled: user.disabled });
    await again();
  });
}

function password(required: boolean): HTMLElement {
  const input = h("input", { class: "field", name: "password", type: "password", required, minlength: "12", maxlength: "200", autocomplete: "new-password" });
  return field("Password", input, required ? "At least 12 characters." : "At least 12 characters; empty leaves it as it is.");
}
