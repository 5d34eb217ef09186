// All sets, and the dialog for a new one.

import { api } from "../api.ts";
import { h, put } from "../dom.ts";
import { may } from "../parts/access.ts";
import { formDialog } from "../parts/dialog.ts";
import type { Frame } from "../shell.ts";
import { newSetFields, setOrder } from "./fields.ts";
import { setCard } from "./line.ts";

export async function showSets(frame: Frame): Promise<void> {
  const sets = await api.sets();
  const annotator = may(frame.me, "annotator");
  if (annotator) put(frame.actions, h("button", { type: "button", class: "button primary", onclick: () => void newSet(frame) }, "New set"));
  const list = h("ul", { class: "set-list" }, ...sets.map(setCard));
  const nothing = h(
    "div",
    { class: "nothing" },
    h("h2", {}, "No set yet"),
    h("p", {}, "A set is one structure to outline in many images. Each accepted mask helps the next: casewise begins from the accepted cases that are most alike, and proposes the image that teaches it most."),
    annotator && h("button", { type: "button", class: "button primary", onclick: () => void newSet(frame) }, "New set"),
  );
  put(frame.main, h("div", { class: "column" }, h("div", { class: "page-head" }, h("h1", {}, "Sets"), h("p", { class: "quiet" }, "One structure, many images")), sets.length ? list : nothing));
}

async function newSet(frame: Frame): Promise<void> {
  try {
    const { counts } = await api.cases({ limit: 1 });
    const names = (facet: string): string[] => Object.keys(counts[facet] ?? {}).sort();
    const fields = newSetFields({ choose: true, categories: names("category"), sites: names("site"), structures: names("structure") });
    formDialog("New set", fields, "Make the set", async (form) => {
      const made = await api.newSet(setOrder(form));
      location.assign(`/sets/${made.id}`);
    });
  } catch (error) {
    frame.fail(error);
  }
}
