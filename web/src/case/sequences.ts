// An image of several sequences: which of them is displayed.

import { h } from "../dom.ts";
import type { CaseDetail } from "../types.ts";
import { inColour } from "../viewer/voxels.ts";

/** Null for an image of one sequence, and for a picture in colour. */
export function sequences(image: CaseDetail, show: (number: number) => Promise<void>): HTMLElement | null {
  if (image.channels.length < 2 || inColour(image)) return null;
  const select = h("select", { class: "field", "aria-label": "Sequence" }, ...image.channels.map((name, i) => h("option", { value: String(i) }, name)));
  select.addEventListener("change", () => void show(Number(select.value)));
  return h("div", { class: "sequences" }, select);
}
