// Objects on their way to other systems: what, where to, how far, and what to do where that went wrong.

import { api } from "../api.ts";
import { h, put, text } from "../dom.ts";
import { may } from "../parts/access.ts";
import { choice } from "../parts/dialog.ts";
import { state, stateWord } from "../parts/states.ts";
import { count, moment } from "../parts/words.ts";
import type { Frame } from "../shell.ts";
import type { ObjectLine, ObjectPage, ObjectState } from "../types-network.ts";
import { KINDS, remark } from "./words.ts";

const STATES: ObjectState[] = ["dead", "waiting", "sending", "sent", "committed"];

/** The list follows the server: `load` brings it up to date, and touches only rows that changed. */
export class Objects {
  readonly element = h("section", { "aria-label": "On the way" });
  private readonly summary = h("span", { class: "quiet" });
  private readonly filter = choice("state", [["", "All"], ...STATES.map((name) => [name, stateWord(name)] as const)]);
  private readonly all = h("button", { type: "button", class: "button small", hidden: true, onclick: () => void this.sendAll() }, "Send all again");
  private readonly body = h("tbody", {});
  private readonly table: HTMLElement;
  private readonly nothing = h("p", { class: "quiet" });
  private readonly more = h("button", { type: "button", class: "button", hidden: true, onclick: () => void this.earlier() }, "Show earlier objects");
  private rows = new Map<number, { drawn: string; element: HTMLElement }>();
  private next: number | null = null;
  private beyond = false; // whether earlier pages are displayed, which are not asked for again

  constructor(private readonly frame: Frame) {
    const heading = (words: string): HTMLElement => h("th", { scope: "col" }, words);
    this.table = h("div", { class: "scroll" }, h("table", { class: "object-table" }, h("thead", {}, h("tr", {}, ...["Object", "To", "State", "Since"].map(heading), h("td", {}))), this.body));
    this.filter.addEventListener("change", () => void this.choose());
    const tools = h("div", { class: "network-tools" }, h("label", { class: "inline" }, h("span", {}, "State"), this.filter), this.all);
    put(this.element, h("div", { class: "row centred" }, h("h2", {}, "On the way"), this.summary), tools, this.nothing, this.table, h("div", { class: "more" }, this.more));
  }

  async load(): Promise<void> {
    const page = await api.objects({ state: this.filter.value });
    if (!this.beyond) this.next = page.next;
    this.draw(page);
  }

  private draw(page: ObjectPage): void {
    const { waiting = 0, sending = 0, dead = 0, sent = 0, committed = 0 } = page.counts;
    const parts = [`${count(waiting + sending, "object")} to be sent`, `${sent + committed} sent`, dead ? `${dead} given up` : ""];
    text(this.summary, parts.filter(Boolean).join(" · "));
    this.all.hidden = dead === 0 || !may(this.frame.me, "annotator");
    const shown = this.beyond ? [...new Set([...page.objects.map((one) => one.id), ...this.rows.keys()])].sort((a, b) => b - a) : page.objects.map((one) => one.id);
    for (const line of page.objects) this.take(line);
    for (const id of [...this.rows.keys()]) if (!shown.includes(id)) this.rows.delete(id);
    shown.forEach((id, i) => {
      const row = this.rows.get(id)?.element;
      if (row && this.body.children[i] !== row) this.body.insertBefore(row, this.body.children[i] ?? null);
    });
    while (this.body.children.length > shown.length) this.body.lastElementChild?.remove();
    text(this.nothing, shown.length ? "" : this.filter.value ? "No object is in this state." : "Nothing was sent yet.");
    this.nothing.hidden = shown.length > 0;
    this.table.hidden = shown.length === 0;
    this.more.hidden = this.next === null;
  }

  private take(line: ObjectLine): void {
    const drawn = JSON.stringify(line);
    const row = this.rows.get(line.id) ?? { drawn: "", element: h("tr", { "data-object": line.id }) };
    if (row.drawn !== drawn) put(row.element, ...this.cells(line));
    this.rows.set(line.id, { ...row, drawn });
  }

  private cells(line: ObjectLine): HTMLElement[] {
    const more = remark(line);
    const again = line.state !== "sending" && may(this.frame.me, "annotator");
    const name = `${KINDS[line.kind]} to ${line.target}`;
    return [
      h("th", { scope: "row" }, line.case ? h("a", { href: `/cases/${encodeURIComponent(line.case)}` }, KINDS[line.kind]) : KINDS[line.kind], line.created_by && h("div", { class: "quiet small" }, `asked for by ${line.created_by}`)),
      h("td", {}, line.target),
      h("td", { class: "object-state" }, state(line.state), more && h("div", { class: "quiet small" }, more), line.error && h("div", { class: "small fault" }, line.error)),
      h("td", { class: "since" }, moment(line.changed)),
      h("td", { class: "set-actions" }, again && h("button", { type: "button", class: "button small", "aria-label": `Send again: ${name}`, onclick: () => void this.again(line.id) }, "Send again")),
    ];
  }

  private async choose(): Promise<void> {
    this.rows = new Map();
    this.beyond = false;
    put(this.body);
    await this.load().catch(this.frame.fail);
  }

  private async earlier(): Promise<void> {
    if (this.next === null) return;
    try {
      const page = await api.objects({ state: this.filter.value, after: this.next });
      [this.next, this.beyond] = [page.next, true];
      this.draw(page);
    } catch (error) {
      this.frame.fail(error);
    }
  }

  private async again(id: number): Promise<void> {
    try {
      this.take(await api.objectAgain(id));
      this.frame.say("It is sent again.");
    } catch (error) {
      this.frame.fail(error);
    }
  }

  private async sendAll(): Promise<void> {
    try {
      const { objects } = await api.allAgain();
      this.frame.say(`${count(objects, "object")} ${objects === 1 ? "is" : "are"} sent again.`);
      await this.load();
    } catch (error) {
      this.frame.fail(error);
    }
  }
}
