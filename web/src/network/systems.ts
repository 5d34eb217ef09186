// The systems that results can be sent to, each with a test of its connection.

import { api } from "../api.ts";
import { h, put } from "../dom.ts";
import { may } from "../parts/access.ts";
import { span } from "../parts/words.ts";
import type { Frame } from "../shell.ts";
import type { NetworkState, SystemLine } from "../types-network.ts";

export function systems(frame: Frame, now: NetworkState): HTMLElement {
  if (now.systems.length === 0) return h("p", { class: "quiet" }, "None is set: add one to ", h("code", {}, "dicom.toml"), " in the archive's folder.");
  const heading = (words: string): HTMLElement => h("th", { scope: "col" }, words);
  const test = may(frame.me, "admin");
  return h(
    "div",
    { class: "scroll" },
    h("table", {}, h("thead", {}, h("tr", {}, heading("Name"), heading("Address"), heading("Results"), test && heading("Connection"))), h("tbody", {}, ...now.systems.map((one) => row(frame, one, test)))),
  );
}

function row(frame: Frame, one: SystemLine, test: boolean): HTMLElement {
  const results = [one.usual ? "All of received images" : "Where a rule or a person says so", one.commitment && "reports what it keeps"].filter(Boolean).join(", ");
  return h(
    "tr",
    { "data-system": one.name },
    h("th", { scope: "row" }, one.name),
    h("td", { class: "address" }, one.address, h("div", { class: "quiet small" }, one.kind === "dicom" ? "DICOM node" : "DICOMweb service")),
    h("td", {}, results),
    test && h("td", {}, connection(frame, one.name)),
  );
}

function connection(frame: Frame, name: string): HTMLElement {
  const answer = h("span", { class: "small", role: "status" });
  const button = h("button", { type: "button", class: "button small", "aria-label": `Test connection: ${name}`, onclick: () => void ask() }, "Test connection");
  async function ask(): Promise<void> {
    button.disabled = true;
    put(answer);
    try {
      const reached = await api.echo(name);
      put(answer, reached.answers ? `✓ Answers in ${span(reached.seconds)}` : `! ${reached.sentence}`);
      answer.classList.toggle("fault", !reached.answers);
    } catch (error) {
      frame.fail(error);
    } finally {
      button.disabled = false;
    }
  }
  return h("div", { class: "connection" }, button, answer);
}
