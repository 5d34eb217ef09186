// One image of a set: its thumbnail with the mask, how it was made, and what can be done with it.

import { h, put } from "../dom.ts";
import { picture } from "../parts/picture.ts";
import { state } from "../parts/states.ts";
import { score, span } from "../parts/words.ts";
import type { SetDetail, SetImage, SetImageChange } from "../types.ts";

export type Change = (image: SetImage, state: SetImageChange["state"]) => void;

/** `change` null where the person may not. */
export function imageRow(set: SetDetail, image: SetImage, change: Change | null): HTMLElement {
  const accepted = image.state === "accepted";
  const structure = accepted ? set.structure : undefined;
  return h(
    "tr",
    { "data-key": image.key, "data-state": image.state },
    h("td", { class: "picture" }, picture(image.key, structure)),
    h("th", { scope: "row" }, h("a", { class: "case-link clip", href: `/cases/${encodeURIComponent(image.key)}` }, image.name), image.reason && h("div", { class: "quiet small" }, image.reason)),
    h("td", {}, state(image.state), image.user && h("div", { class: "quiet small clip" }, `by ${image.user}`)),
    h("td", { class: "figure" }, image.strokes ?? ""),
    h("td", { class: "figure" }, image.seconds === null ? "" : span(image.seconds)),
    h("td", {}, doubt(image.doubt)),
    h("td", { class: "set-actions" }, ...actions(set, image, change)),
  );
}

/** How far the mask is from what the others predict, as a bar with its number. */
function doubt(value: number | null): HTMLElement | null {
  if (value === null) return null;
  const filled = h("span", {});
  filled.style.width = `${100 * Math.min(1, Math.max(0, value))}%`;
  return h("span", { class: "doubt" }, h("span", { class: "bar amber", "aria-hidden": "true" }, filled), h("span", { class: "number" }, score(value)));
}

function actions(set: SetDetail, image: SetImage, change: Change | null): HTMLElement[] {
  if (change === null) return [];
  const button = (words: string, to: SetImageChange["state"]): HTMLElement =>
    h("button", { type: "button", class: "button small", "aria-label": `${words}: ${image.name}`, onclick: () => change(image, to) }, words);
  const outline = (words: string): HTMLElement =>
    h("a", { class: "button small", href: `/annotate/${encodeURIComponent(image.key)}?set=${set.id}`, "aria-label": `${words}: ${image.name}` }, words);
  switch (image.state) {
    case "accepted":
      return [outline("Correct"), button("Exclude", "excluded")];
    case "excluded":
    case "skipped":
      return [button("Put back", "waiting")];
    default:
      return [outline("Outline"), button("Skip", "skipped"), button("Exclude", "excluded")];
  }
}

/** A table of a set's images. */
export function imageTable(set: SetDetail, images: SetImage[], change: Change | null): HTMLElement {
  const body = h("tbody", {});
  put(body, images.map((image) => imageRow(set, image, change)));
  const heading = (words: string, name = ""): HTMLElement => h("th", { scope: "col", class: name || null }, words);
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { class: "set-images" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "picture" }, h("span", { class: "out-of-sight" }, "Picture")), heading("Image"), heading("State"), heading("Strokes", "figure"), heading("Time", "figure"), heading("Doubt"), h("th", { scope: "col" }, h("span", { class: "out-of-sight" }, "Actions")))),
      body,
    ),
  );
}
