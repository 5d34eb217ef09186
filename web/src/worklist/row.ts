// One row of the worklist; it is mended in place, so that nothing jumps when an analysis ends.

import { h, put } from "../dom.ts";
import { picture } from "../parts/picture.ts";
import { state } from "../parts/states.ts";
import { day, kind, readable, score, sentence } from "../parts/words.ts";
import type { CaseLine, FindingLine } from "../types.ts";

const FINDINGS = 3;

export class Row {
  readonly element: HTMLTableRowElement;
  readonly box: HTMLInputElement;
  readonly link: HTMLAnchorElement;
  private readonly facts = h("div", { class: "quiet small clip" });
  private readonly viewer = h("div", { class: "small" });
  private readonly findings = h("td", { class: "findings" });
  private readonly category = h("td", { class: "category" });
  private readonly state = h("td", { class: "reading" });
  private readonly assigned = h("td", { class: "assigned" });
  private drawn = "";

  constructor(
    public line: CaseLine,
    onselect: (row: Row, range: boolean) => void,
  ) {
    this.box = h("input", { type: "checkbox", "aria-label": `Select ${line.name}` });
    this.box.addEventListener("click", (event) => onselect(this, event.shiftKey));
    this.link = h("a", { class: "case-link clip", href: `/cases/${encodeURIComponent(line.key)}` }, line.name);
    this.element = h(
      "tr",
      { "data-key": line.key },
      h("td", { class: "pick" }, this.box),
      h("td", { class: "picture" }, picture(line.key)),
      h("th", { scope: "row", class: "case" }, this.link, this.facts, this.viewer),
      this.findings,
      this.category,
      this.state,
      this.assigned,
    );
    this.draw(line);
  }

  /** Draw what changed. */
  draw(line: CaseLine): void {
    const now = JSON.stringify(line);
    if (now === this.drawn) return;
    this.drawn = now;
    this.line = line;
    this.link.title = line.name;
    put(this.facts, [day(line.study_date), line.modality, line.shape.join(" × ")].filter(Boolean).join(" · "));
    put(this.viewer, line.ohif && h("a", { href: `/cases/${encodeURIComponent(line.key)}/ohif`, "aria-label": `Open ${line.name} in OHIF` }, "Open in OHIF"));
    put(this.findings, headline(line), more(line));
    put(this.category, h("div", { class: "clip" }, line.category ? kind(line.category) : h("span", { class: "quiet" }, "Not known")), line.site && h("div", { class: "quiet small clip", title: line.site }, `Site ${line.site}`));
    put(this.state, state(line.state));
    put(this.assigned, line.assigned ?? h("span", { class: "quiet" }, "–"));
  }
}

function headline(line: CaseLine): HTMLElement {
  if (line.headline) return h("div", { class: line.findings.length ? "headline found" : "headline" }, line.headline);
  return h("div", { class: "quiet" }, line.state === "new" ? "Not analysed yet" : "No analysis");
}

/** The findings after the one that the headline names. */
function more(line: CaseLine): HTMLElement | null {
  const others = line.findings.slice(1, 1 + FINDINGS);
  const left = line.findings.length - 1 - others.length;
  if (others.length === 0) return null;
  return h("div", { class: "chips" }, ...others.map(chip), left > 0 && h("span", { class: "quiet small" }, `and ${left} more`));
}

function chip(finding: FindingLine): HTMLElement {
  return h("span", { class: "chip", title: finding.region ?? "" }, sentence(readable(finding.label)), " ", h("b", {}, score(finding.probability)));
}
