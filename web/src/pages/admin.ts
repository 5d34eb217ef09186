// Admin: people, tokens, the audit log and the server's state.

import "../style/admin.css";
import { audit } from "../admin/audit.ts";
import { people } from "../admin/people.ts";
import { server } from "../admin/server.ts";
import { tokens } from "../admin/tokens.ts";
import { h, put } from "../dom.ts";
import { may } from "../parts/access.ts";
import type { Frame } from "../shell.ts";

export async function show(frame: Frame): Promise<void> {
  if (!may(frame.me, "admin")) {
    put(frame.main, h("p", { class: "empty" }, "This page needs the role admin."));
    return;
  }
  const sections = ["Server", "People", "Tokens", "Audit log"].map((title) => h("section", { "aria-label": title }));
  const [state, persons, programs, log] = sections as [HTMLElement, HTMLElement, HTMLElement, HTMLElement];
  put(frame.main, h("div", { class: "column" }, h("h1", {}, "Admin"), ...sections));
  // One part that fails leaves the others in place.
  for (const part of [() => server(state), () => people(frame, persons), () => tokens(frame, programs), () => audit(frame, log)]) {
    await part().catch(frame.fail);
  }
}
