// What is done with several selected cases: analyse, assign, add to a set.

import { api } from "../api.ts";
import { h, put } from "../dom.ts";
import { may } from "../parts/access.ts";
import { choice, field, formDialog, given } from "../parts/dialog.ts";
import { count } from "../parts/words.ts";
import type { Frame } from "../shell.ts";
import { newSetFields, setOrder } from "../sets/fields.ts";

export interface Bulk {
  element: HTMLElement;
  /** Show how many are selected, out of how many there are. */
  update: (selected: string[], total: number) => void;
}

/** `done` is called when something changed that the rows display. */
export function bulk(frame: Frame, done: () => void, none: () => void): Bulk {
  let keys: string[] = [];
  const words = h("span", { class: "total", "aria-live": "polite" });
  const button = (title: string, act: () => void): HTMLButtonElement =>
    h("button", { type: "button", class: "button small", onclick: act }, title);
  const buttons = h("span", { class: "bulk-actions", hidden: true });
  const annotator = may(frame.me, "annotator");
  put(
    buttons,
    annotator && button("Analyse", () => void analyse(frame, keys)),
    annotator && button("Assign", () => assign(frame, keys, done)),
    annotator && button("Add to set", () => addToSet(frame, keys)),
    button("Clear selection", none),
  );
  return {
    element: h("div", { class: "bulk" }, words, buttons),
    update: (selected, total) => {
      keys = selected;
      words.textContent = keys.length ? `${keys.length} of ${count(total, "image")} selected` : count(total, "image");
      buttons.hidden = keys.length === 0;
    },
  };
}

async function analyse(frame: Frame, keys: string[]): Promise<void> {
  try {
    await api.analyse({ cases: keys });
    frame.say(`Analysing ${count(keys.length, "image")}. The rows change as the results come.`);
  } catch (error) {
    frame.fail(error);
  }
}

function assign(frame: Frame, keys: string[], done: () => void): void {
  const who = choice("who", [
    [frame.me.name, `Me (${frame.me.name})`],
    ["other", "Someone else"],
    ["", "Nobody"],
  ]);
  const name = h("input", { class: "field", name: "name", autocomplete: "off" });
  const other = field("Name", name);
  other.hidden = true;
  who.addEventListener("change", () => (other.hidden = who.value !== "other"));
  formDialog(`Assign ${count(keys.length, "image")}`, [field("To", who), other], "Assign", async (form) => {
    const user = who.value === "other" ? given(form, "name") : who.value;
    if (who.value === "other" && !user) throw new Error("Give the person's name.");
    for (const key of keys) await api.assign(key, { user: user || null });
    frame.say(user ? `${count(keys.length, "image")} assigned to ${user}.` : `${count(keys.length, "image")} assigned to nobody.`);
    done();
  });
}

function addToSet(frame: Frame, keys: string[]): void {
  formDialog(`A new set of ${count(keys.length, "image")}`, newSetFields({ choose: false }), "Make the set", async (form) => {
    const made = await api.newSet({ ...setOrder(form), cases: keys });
    frame.say(`The set ${made.name} has ${count(keys.length, "image")}.`);
    location.assign(`/sets/${made.id}`);
  });
}
