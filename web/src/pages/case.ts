// One case: the image with what was found in it, and beside it what is known, in the order in which one reads.

import "../style/viewer.css";
import "../style/case.css";
import { api, ApiError } from "../api.ts";
import { Analysis } from "../case/analysis.ts";
import { neighbours } from "../case/neighbours.ts";
import { panel } from "../case/panel.ts";
import { Picture } from "../case/picture.ts";
import { sequences } from "../case/sequences.ts";
import { isVolume, space } from "../case/space.ts";
import { h, put } from "../dom.ts";
import { may } from "../parts/access.ts";
import { onKeys } from "../parts/keys.ts";
import { span } from "../parts/words.ts";
import type { Frame } from "../shell.ts";
import type { ResultDetail } from "../types-results.ts";
import type { CaseDetail } from "../types.ts";

export async function show(frame: Frame): Promise<void> {
  const key = decodeURIComponent(location.pathname.split("/")[2] ?? "");
  const image = await api.case(key);
  document.title = `${image.name} – casewise`;
  const annotator = may(frame.me, "annotator");
  const analyse = h("button", { type: "button", class: "button", hidden: true, onclick: () => void analysis.begin() }, "Analyse again");
  const analysis = new Analysis(frame, key, (on) => (analyse.disabled = on), () => void take());
  const picture = new Picture();
  const side = panel(frame, image, picture, () => notYet(annotator, () => void analysis.begin()));
  put(frame.main, h("div", { class: "stage" }, picture.viewer.element, sequences(image, (number) => picture.channel(image, number).catch(frame.fail))), side.element);
  const steps = walk(key);
  put(
    frame.actions,
    steps.elements,
    image.ohif && h("a", { class: "button", href: `/cases/${encodeURIComponent(key)}/ohif` }, "Open in OHIF"),
    isVolume(image) && h("button", { type: "button", class: "button", onclick: () => space(image) }, "3D"),
    annotator && [done(frame, image), analyse, h("a", { class: "button primary", href: `/annotate/${encodeURIComponent(key)}` }, "Annotate")],
  );
  onKeys({ j: steps.next, k: steps.previous, l: () => side.outlines() });

  async function take(analysed = true): Promise<void> {
    const result = analysed ? await resultOf(key) : null;
    side.show(result);
    analyse.hidden = result === null; // the panel offers it then
    if (result) frame.say(answered(result));
    await picture.findings(result);
  }

  const results = await Promise.allSettled([picture.show(image), take(image.headline !== null)]);
  for (const one of results) if (one.status === "rejected") frame.fail(one.reason);
}

/** Null where the case was not analysed. */
async function resultOf(key: string): Promise<ResultDetail | null> {
  try {
    return await api.result(key);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

function answered(result: ResultDetail): string {
  const seconds = result.seconds.total ?? Object.values(result.seconds).reduce((sum, one) => sum + one, 0);
  const n = result.applications.length;
  return `Answered in ${span(seconds)}${n ? ` · ${n} application${n === 1 ? "" : "s"}` : ""}`;
}

function notYet(annotator: boolean, begin: () => void): HTMLElement {
  return h("section", {}, h("p", { class: "card stack" }, "No application has read this image yet.", annotator && h("button", { type: "button", class: "button primary", onclick: begin }, "Analyse")));
}

/** Previous and next in the worklist, as links that keys press too. */
function walk(key: string): { elements: HTMLElement[]; next: () => void; previous: () => void } {
  const link = (words: string, name: string): HTMLAnchorElement => h("a", { class: "button", "aria-disabled": "true", "aria-keyshortcuts": name }, words, h("kbd", {}, name));
  const [previous, next] = [link("Previous", "K"), link("Next", "J")];
  const lead = (to: HTMLAnchorElement, other: string | null): void => {
    if (other === null) return;
    to.href = `/cases/${encodeURIComponent(other)}`;
    to.removeAttribute("aria-disabled");
  };
  void neighbours(key)
    .then((found) => {
      lead(previous, found.previous);
      lead(next, found.next);
      for (const one of [previous, next]) one.title = found.place;
    })
    .catch(() => undefined); // the case itself is displayed all the same
  return { elements: [previous, next], next: () => next.click(), previous: () => previous.click() };
}

/** Mark the case as read, or as open again. */
function done(frame: Frame, image: CaseDetail): HTMLElement {
  let on = image.state === "done";
  const button = h("button", { type: "button", class: "button", "aria-pressed": String(on) }, "Done");
  button.addEventListener("click", () => {
    api
      .assign(image.key, on ? { user: image.assigned, state: "open" } : { user: frame.me.name, state: "done" })
      .then((line) => {
        on = line.state === "done";
        button.setAttribute("aria-pressed", String(on));
        frame.say(on ? "Marked as done." : "Open again.");
      })
      .catch(frame.fail);
  });
  return button;
}
