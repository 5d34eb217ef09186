// A case's thumbnail; the name beside it says what it is, so it needs no words of its own.

import { api } from "../api.ts";
import { h } from "../dom.ts";

/** With the outline of a structure's mask where one is named. A picture that cannot be had leaves its place empty. */
export function picture(key: string, structure?: string): HTMLImageElement {
  const image = h("img", { class: "thumb", src: api.thumbnail(key, structure), alt: "", loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => image.classList.add("missing"));
  return image;
}
