// The audit log: who saw, changed, and exported what; filtered, page by page, and as a file.

import { api, ask } from "../api.ts";
import { h, put } from "../dom.ts";
import { count, moment } from "../parts/words.ts";
import type { Frame } from "../shell.ts";
import type { AuditLine } from "../types.ts";

const WAIT_MS = 250;

export async function audit(frame: Frame, section: HTMLElement): Promise<void> {
  const user = h("input", { type: "search", class: "field", placeholder: "Person", "aria-label": "Person" });
  const action = h("input", { type: "search", class: "field", placeholder: "Action", "aria-label": "Action" });
  const body = h("tbody", {});
  const none = h("p", { class: "quiet", hidden: true }, "No line matches.");
  const more = h("button", { type: "button", class: "button small", onclick: () => void load(last) }, "Show earlier");
  const heading = (words: string): HTMLElement => h("th", { scope: "col" }, words);
  let last: number | undefined;
  let timer = 0;
  const filter = (): { user?: string; action?: string } => ({ ...(user.value && { user: user.value.trim() }), ...(action.value && { action: action.value.trim() }) });
  const check = h("button", { type: "button", class: "button small", onclick: () => void verify() }, "Check");
  const exported = h("a", { class: "button small", href: "/api/v1/audit/export", download: "" }, "Export");
  for (const input of [user, action]) {
    input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = window.setTimeout(() => void load(), WAIT_MS);
    });
  }
  put(
    section,
    h("div", { class: "row" }, h("h2", {}, "Audit log"), h("span", { class: "set-actions" }, check, exported)),
    h("div", { class: "audit-filter" }, user, action),
    h("div", { class: "scroll" }, h("table", { class: "audit" }, h("thead", {}, h("tr", {}, heading("Time"), heading("Person"), heading("Action"), heading("Object"), heading("Outcome"), heading("Address"))), body)),
    none,
    h("div", { class: "more" }, more),
  );

  /** Whether a line was changed or taken out: each holds the hash of the one before. */
  async function verify(): Promise<void> {
    try {
      const found = (await (await ask("/api/v1/audit/check")).json()) as { rows: number; problem: string | null };
      frame.say(found.problem ?? `${count(found.rows, "line")}, none changed or missing.`, found.problem ? "warning" : "quiet");
    } catch (error) {
      frame.fail(error);
    }
  }

  async function load(after?: number): Promise<void> {
    try {
      const lines = await api.audit({ ...filter(), ...(after !== undefined && { after }) });
      if (after === undefined) put(body, lines.map(row));
      else body.append(...lines.map(row));
      last = lines.at(-1)?.id ?? last;
      more.hidden = lines.length < 50;
      none.hidden = body.childElementCount > 0;
    } catch (error) {
      frame.fail(error);
    }
  }

  await load();
}

function row(line: AuditLine): HTMLElement {
  return h("tr", {}, h("td", { class: "number" }, moment(line.time)), h("td", {}, line.user), h("td", {}, line.action), h("td", { class: "object" }, line.object), h("td", {}, line.outcome), h("td", { class: "number" }, line.address));
}
