// The volume in three dimensions: NiiVue, which is fetched only when it is asked for.

import { h, put } from "../dom.ts";
import { dialog } from "../parts/dialog.ts";
import { readable, sentence } from "../parts/words.ts";
import type { CaseDetail } from "../types.ts";

/** Whether an image is a volume. */
export function isVolume(image: CaseDetail): boolean {
  return image.shape.length === 3 && !image.loop && image.channels.length === 1;
}

export function space(image: CaseDetail): void {
  const canvas = h("canvas", { class: "space-canvas", tabindex: "0", "aria-label": `${image.name} in three dimensions. Arrow keys turn it.` });
  const state = h("p", { class: "quiet", role: "status" }, "Opening the volume.");
  let close = (): void => undefined;
  const body = h("div", { class: "space-body" }, h("div", { class: "space-frame" }, canvas), state);
  dialog("Three dimensions", () => body, { wide: true, onclose: () => close() });
  if (!hasWebGL()) {
    put(body, h("p", {}, "This browser has no WebGL 2, which the three-dimensional view needs. Switch hardware acceleration on in its settings, or use another browser; the planes work without it."));
    return;
  }
  void import("./niivue.ts")
    .then(async ({ draw }) => {
      const scene = await draw(canvas, image, null);
      close = scene.close;
      canvas.dataset.ready = "true";
      put(state, "Drag to turn, wheel to zoom. ", h("span", { class: "small" }, "Shown from the same voxels as the planes."));
      if (image.structures.length > 0) state.after(choice(image, scene.mask));
    })
    .catch((error: unknown) => put(state, `The volume cannot be displayed: ${error instanceof Error ? error.message : String(error)}`));
}

function choice(image: CaseDetail, show: (name: string | null) => Promise<void>): HTMLElement {
  const select = h("select", { class: "field" }, h("option", { value: "" }, "None"), ...image.structures.map((name) => h("option", { value: name }, sentence(readable(name)))));
  select.addEventListener("change", () => void show(select.value || null));
  return h("label", { class: "check" }, "Mask", select);
}

function hasWebGL(): boolean {
  return document.createElement("canvas").getContext("webgl2") !== null;
}
