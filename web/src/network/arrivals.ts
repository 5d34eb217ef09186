// Series that came by the network: from whom, how many instances, and what became of them.

import { api } from "../api.ts";
import { h, put, text } from "../dom.ts";
import { state } from "../parts/states.ts";
import { count, moment } from "../parts/words.ts";
import type { Frame } from "../shell.ts";
import type { ArrivalLine, ArrivalPage } from "../types-network.ts";

const MOST_LINKS = 3;

export class Arrivals {
  readonly element = h("section", { "aria-label": "Arrived" });
  private readonly summary = h("span", { class: "quiet" });
  private readonly body = h("tbody", {});
  private readonly table: HTMLElement;
  private readonly nothing = h("p", { class: "quiet", hidden: true }, "Nothing arrived yet.");
  private readonly more = h("button", { type: "button", class: "button", hidden: true, onclick: () => void this.earlier() }, "Show earlier series");
  private shown: ArrivalLine[] = [];
  private drawn = "";
  private next: string | null = null;
  private beyond = false;

  constructor(private readonly frame: Frame) {
    const heading = (words: string): HTMLElement => h("th", { scope: "col" }, words);
    this.table = h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ...["Series", "From", "Instances", "State", "Last came"].map(heading))), this.body));
    put(this.element, h("div", { class: "row centred" }, h("h2", {}, "Arrived"), this.summary), this.nothing, this.table, h("div", { class: "more" }, this.more));
  }

  async load(): Promise<void> {
    const page = await api.arrivals();
    if (!this.beyond) this.next = page.next;
    const newer = new Set(page.arrivals.map((one) => one.series_uid));
    this.draw(page, [...page.arrivals, ...(this.beyond ? this.shown.filter((one) => !newer.has(one.series_uid)) : [])]);
  }

  private draw(page: ArrivalPage, lines: ArrivalLine[]): void {
    const { receiving = 0, failed = 0 } = page.counts;
    const all = Object.values(page.counts).reduce((sum, one) => sum + one, 0);
    text(this.summary, [count(all, "series", "series"), receiving ? `${receiving} being received` : "", failed ? `${failed} failed` : ""].filter(Boolean).join(" · "));
    this.shown = lines;
    this.more.hidden = this.next === null;
    const drawn = JSON.stringify(lines);
    if (drawn === this.drawn) return; // what nobody changed keeps its place and the focus
    this.drawn = drawn;
    put(this.body, ...lines.map(row));
    this.nothing.hidden = lines.length > 0;
    this.table.hidden = lines.length === 0;
  }

  private async earlier(): Promise<void> {
    if (this.next === null) return;
    try {
      const page = await api.arrivals({ after: this.next });
      [this.next, this.beyond] = [page.next, true];
      this.draw(page, [...this.shown, ...page.arrivals]);
    } catch (error) {
      this.frame.fail(error);
    }
  }
}

function row(line: ArrivalLine): HTMLElement {
  const links = line.cases.slice(0, MOST_LINKS).map((key, n) => h("a", { href: `/cases/${encodeURIComponent(key)}` }, line.cases.length === 1 ? "Open" : `Image ${n + 1}`));
  const left = line.cases.length - links.length;
  return h(
    "tr",
    { "data-series": line.series_uid },
    h("th", { scope: "row", title: line.series_uid }, line.modality || "Unknown", line.version > 1 && h("div", { class: "quiet small" }, `came in ${line.version} parts`)),
    h("td", {}, line.sender || "Unknown", h("div", { class: "quiet small" }, [line.site && `site ${line.site}`, line.address].filter(Boolean).join(" · "))),
    h("td", { class: "number" }, line.expected !== null ? `${line.instances} of ${line.expected}` : String(line.instances)),
    h("td", {}, state(line.state), links.length > 0 && h("div", { class: "small case-links" }, ...links, left > 0 && h("span", { class: "quiet" }, `and ${left} more`)), line.error && h("div", { class: "small fault" }, line.error)),
    h("td", { class: "since" }, moment(line.last)),
  );
}
