// The right side: this image and its structures, the set and what it costs, the similar cases, the next image.

import { h, put, text } from "../dom.ts";
import { picture } from "../parts/picture.ts";
import { kind, readable } from "../parts/words.ts";
import type { CaseDetail, NextImage, ObjectState, SessionState, SetDetail } from "../types.ts";
import { rounded } from "../viewer/pane.ts";
import { inColour } from "../viewer/voxels.ts";
import { change, chart } from "./chart.ts";

export interface PanelEvents {
  select: (number: number) => void;
  another: () => void;
  channel: (channel: number) => void;
}

const SIMILAR = 4;

export class Panel {
  readonly element: HTMLElement;
  private readonly heading = h("p", { class: "image-name" });
  private readonly facts = h("p", { class: "quiet small" });
  private readonly channels = h("div", { class: "channels" });
  private readonly objects = h("ul", { class: "objects", "aria-label": "Structures in this image" });
  private readonly set = h("section", { hidden: true });
  private readonly similar = h("section", { hidden: true });
  private readonly next = h("section", { hidden: true });
  private flat = false;
  private drawn = "";
  private keys = "";

  constructor(private readonly events: PanelEvents) {
    const another = h("button", { type: "button", class: "button wide", onclick: events.another }, "+ another structure ", h("kbd", {}, "N"));
    this.element = h(
      "aside",
      { class: "panel", "aria-label": "This image and its set" },
      h("section", {}, h("h2", {}, "This image"), this.heading, this.facts, this.channels, this.objects, another),
      this.set,
      this.similar,
      this.next,
    );
  }

  image(image: CaseDetail): void {
    this.flat = image.loop || image.shape.length === 2;
    text(this.heading, image.name);
    const category = image.category === null ? null : kind(image.category);
    const modality = category?.includes(image.modality ?? "") ? null : image.modality;
    text(this.facts, [category, modality, image.study_date, image.site].filter(Boolean).join(" · "));
    const several = image.channels.length > 1 && !inColour(image);
    put(this.channels, several && this.channelChoice(image.channels));
    this.drawn = this.keys = "";
    put(this.objects);
    this.similar.hidden = this.next.hidden = true;
  }

  private channelChoice(names: string[]): HTMLElement {
    const options = names.map((name, number) => h("option", { value: String(number) }, name));
    const choice = h("select", { class: "field" }, ...options);
    choice.addEventListener("change", () => this.events.channel(Number(choice.value)));
    return h("label", { class: "row" }, h("span", { class: "quiet" }, "Sequence"), choice);
  }

  session(state: SessionState | null, waiting: number, structure: string): void {
    const objects = state?.objects ?? [];
    const words = objects.map((object) => [object.structure, object.accepted ? "accepted" : object.voxels ? "draft" : "empty", effort(object, object.number === state?.current ? waiting : 0, this.flat)]);
    const drawn = JSON.stringify([words, state?.current, structure]);
    if (drawn === this.drawn) return;
    const focused = this.objects.contains(document.activeElement);
    this.drawn = drawn;
    put(this.objects, ...objects.map((object, number) => this.object(object, number === state?.current, words[number])), objects.length === 0 && empty(structure));
    if (focused) this.objects.querySelector<HTMLElement>("[aria-current]")?.focus();
    this.showSimilar(state?.similar ?? [], state?.objects[state.current]?.structure ?? "", state?.reason ?? "");
  }

  private object(object: ObjectState, current: boolean, [name, state, spent]: string[]): HTMLElement {
    return h(
      "li",
      {},
      h(
        "button",
        { type: "button", class: "card object", "aria-current": current ? "true" : null, onclick: () => this.events.select(object.number) },
        h("span", { class: "row" }, h("span", { class: "title" }, h("span", { class: current ? "swatch" : "swatch other" }), h("strong", {}, readable(name))), h("span", { class: "quiet" }, state)),
        h("span", { class: "quiet number spent" }, spent),
      ),
    );
  }

  showSet(set: SetDetail | null): void {
    this.set.hidden = set === null;
    if (set === null) return;
    const accepted = set.counts["accepted"] ?? 0;
    const total = Object.entries(set.counts).reduce((sum, [state, count]) => (state === "excluded" ? sum : sum + count), 0);
    const strokes = change(set.strokes);
    const done = h("span", {});
    done.style.width = `${total > 0 ? (100 * accepted) / total : 0}%`;
    put(
      this.set,
      h("h2", {}, "The set"),
      h(
        "a",
        { class: "card set", href: `/sets/${set.id}`, title: "Open the set" },
        h("span", { class: "quiet small" }, set.name),
        h("span", { class: "row" }, h("strong", { class: "number" }, `${accepted} of ${total}`), strokes !== null && h("span", { class: "quiet number" }, `strokes ${strokes}`)),
        h("span", { class: "bar" }, done),
        set.strokes.length > 1 && chart(set.strokes, `Strokes an image over the ${set.strokes.length} accepted images: ${strokes}`),
      ),
    );
  }

  private showSimilar(keys: string[], structure: string, reason: string): void {
    const shown = keys.slice(0, SIMILAR);
    const name = JSON.stringify([shown, structure]);
    if (name === this.keys) return;
    this.keys = name;
    this.similar.hidden = shown.length === 0;
    put(
      this.similar,
      h("h2", {}, "Similar accepted cases"),
      h("ul", { class: "similar-cases" }, ...shown.map((key) => h("li", {}, h("a", { href: `/cases/${key}`, target: "_blank", "aria-label": "Open a similar case" }, picture(key, structure || undefined))))),
      h("p", { class: "quiet small reason" }, reason),
    );
  }

  showNext(next: NextImage | null): void {
    this.next.hidden = next === null;
    if (next === null) return;
    put(
      this.next,
      h("h2", {}, "Next"),
      h(
        "div",
        { class: "card next-image" },
        picture(next.key),
        h("p", {}, h("span", { class: "image-name" }, next.name), h("span", { class: "quiet small" }, next.prepared ? `${next.reason.replace(/\.$/, "")} · prepared` : next.reason)),
      ),
    );
  }
}

function empty(structure: string): HTMLElement {
  return h("li", { class: "card quiet" }, readable(structure) || "No structure yet");
}

function effort(object: ObjectState, waiting: number, flat: boolean): string {
  if (object.round === 0 && object.voxels === 0) return "nothing drawn yet";
  const words = [object.strokes === 1 ? "1 stroke" : `${object.strokes} strokes`, `${Math.round(object.seconds + waiting)} s`];
  if (object.volume_ml !== null) words.push(`${rounded(object.volume_ml)} ml`);
  else if (object.area_cm2 !== null) words.push(`${rounded(object.area_cm2)} cm²`);
  else words.push(`${object.voxels} ${flat ? "pixels" : "voxels"}`);
  return words.join(" · ");
}
