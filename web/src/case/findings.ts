// The findings: what, where, how large, how probable; whether people agree; a click goes to the place.

import { api } from "../api.ts";
import { h, put } from "../dom.ts";
import { may } from "../parts/access.ts";
import { measured } from "../parts/measures.ts";
import { readable, score, sentence } from "../parts/words.ts";
import type { Frame } from "../shell.ts";
import type { FindingDetail, ResultDetail, VerdictLine } from "../types-results.ts";

const SIZES = /^(diameter|length|size|volume|area)/;

/** `go` is called with the finding to be displayed. */
export function findings(frame: Frame, result: ResultDetail, go: (finding: FindingDetail) => void): HTMLElement {
  const list = result.findings.map((finding, i) => new Card(frame, result, finding, i + 1, go).element);
  return h("section", {}, h("h2", {}, "Findings"), list.length ? h("ol", { class: "cards" }, ...list) : h("p", { class: "card quiet" }, result.not_found.length ? "None of what was looked for was found." : "None."));
}

/** "right lower lung · 21 mm": where it is and its size. */
export function whereAndSize(finding: FindingDetail): string {
  const size = Object.entries(finding.measures).find(([name]) => SIZES.test(name));
  return [finding.region && sentence(readable(finding.region)), size && measured(...size)[1]].filter(Boolean).join(" · ");
}

class Card {
  readonly element: HTMLElement;
  private readonly said = h("ul", { class: "verdicts" });
  private readonly agree: HTMLButtonElement;
  private readonly disagree: HTMLButtonElement;
  private readonly note: HTMLInputElement;
  private readonly form: HTMLFormElement;

  constructor(
    private readonly frame: Frame,
    private readonly result: ResultDetail,
    private readonly finding: FindingDetail,
    number: number,
    go: (finding: FindingDetail) => void,
  ) {
    const name = sentence(readable(finding.label));
    this.agree = h("button", { type: "button", class: "button small", "aria-label": `Agree: ${name}`, onclick: () => void this.judge(true, "") }, "Agree");
    this.disagree = h("button", { type: "button", class: "button small", "aria-label": `Disagree: ${name}`, onclick: () => this.ask() }, "Disagree");
    this.note = h("input", { class: "field", maxlength: "2000", placeholder: "Why (may be empty)", "aria-label": `Why you disagree: ${name}`, autocomplete: "off" });
    this.form = h("form", { class: "note", hidden: true }, this.note, h("button", { class: "button small", type: "submit" }, "Keep"));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.judge(false, this.note.value.trim());
    });
    const segment = finding.segment && h("a", { class: "button small", href: finding.segment, target: "_blank", rel: "noopener", "aria-label": `Segment of ${name}, at 1:1`, title: "What was looked at, pixel by pixel" }, "Segment 1:1");
    const buttons = may(frame.me, "annotator") && h("span", { class: "judge" }, this.agree, this.disagree);
    this.element = h(
      "li",
      { class: "card marked finding", "data-finding": finding.number },
      h("button", { type: "button", class: "finding-head", title: finding.place || finding.box ? "Show the place" : finding.sentence, onclick: () => go(finding) }, h("span", { class: "swatch", "aria-hidden": "true" }), h("strong", {}, `${number} ${name}`), h("strong", { class: "number" }, score(finding.probability))),
      bar(finding.probability),
      h("div", { class: "row centred" }, h("span", { class: "quiet" }, whereAndSize(finding) || finding.application), segment, buttons),
      this.form,
      this.said,
    );
    this.show(finding.verdicts);
  }

  private ask(): void {
    this.form.hidden = !this.form.hidden;
    if (!this.form.hidden) this.note.focus();
  }

  private async judge(agree: boolean, note: string): Promise<void> {
    try {
      const now = await api.verdict(this.result.key, { result: this.result.id, finding: this.finding.number, agree, note });
      this.show(now);
      this.form.hidden = true;
      this.frame.say(`${sentence(readable(this.finding.label))}: you ${agree ? "agree" : "disagree"}. It is kept with the result.`);
    } catch (error) {
      this.frame.fail(error);
    }
  }

  /** The newest of each person counts. */
  private show(verdicts: VerdictLine[]): void {
    const newest = new Map<string, VerdictLine>();
    for (const one of verdicts) if ((newest.get(one.user)?.created ?? -1) <= one.created) newest.set(one.user, one);
    const mine = newest.get(this.frame.me.name);
    this.agree.setAttribute("aria-pressed", String(mine?.agree === true));
    this.disagree.setAttribute("aria-pressed", String(mine?.agree === false));
    put(this.said, [...newest.values()].map((one) => h("li", {}, h("span", { "aria-hidden": "true" }, one.agree ? "✓ " : "✕ "), `${one.user === this.frame.me.name ? "You" : one.user} ${verb(one, this.frame.me.name)}`, one.note && h("span", { class: "quiet" }, `: ${one.note}`))));
    this.said.hidden = newest.size === 0;
  }
}

function verb(one: VerdictLine, me: string): string {
  const word = one.agree ? "agree" : "disagree";
  return one.user === me ? word : `${word}s`;
}

function bar(probability: number | null): HTMLElement | null {
  if (probability === null) return null;
  const filled = h("span", {});
  filled.style.width = `${100 * Math.min(1, Math.max(0, probability))}%`;
  return h("div", { class: "bar amber", "aria-hidden": "true" }, filled);
}
