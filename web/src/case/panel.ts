// The panel beside the image, always in the same order.

import { h, put } from "../dom.ts";
import type { Frame } from "../shell.ts";
import type { ResultDetail } from "../types-results.ts";
import type { CaseDetail } from "../types.ts";
import { notFound, notLookedFor } from "./absent.ts";
import { answer } from "./answer.ts";
import { compare } from "./compare.ts";
import { files } from "./files.ts";
import { findings } from "./findings.ts";
import { headline } from "./headline.ts";
import { masks } from "./masks.ts";
import { measures } from "./measures.ts";
import { details } from "./notes.ts";
import type { Picture } from "./picture.ts";
import { sentParts } from "./sent.ts";
import { similarCases } from "./similar.ts";

export interface Panel {
  element: HTMLElement;
  /** Draw the parts that come from the result; those of the image stay as they are. */
  show: (result: ResultDetail | null) => void;
  /** The key L. */
  outlines: () => void;
}

/** `begin` is what the panel offers where nothing was analysed yet. */
export function panel(frame: Frame, image: CaseDetail, picture: Picture, begin: () => HTMLElement | null): Panel {
  const head = h("div", {});
  const upper = h("div", { class: "parts" });
  const lower = h("div", { class: "parts" });
  const own = h("div", { class: "parts" }, similarCases(frame, image, (other) => compare(image, other)), masks(frame, image, (name, mask) => picture.showMask(name, mask)));
  const sent = sentParts(frame, image);
  let press = (): void => undefined;
  return {
    element: h("aside", { class: "panel", "aria-label": "What is known of this case" }, head, upper, own, lower),
    outlines: () => press(),
    show: (result) => {
      put(head, headline(image, result));
      sent?.analysed(result !== null);
      put(lower, files(image, result), sent?.element, details(image, result));
      if (result === null) {
        press = () => undefined;
        put(upper, begin());
        return;
      }
      const measured = measures(result, (numbers) => picture.outline(numbers).catch(frame.fail));
      press = () => measured?.press();
      put(upper, findings(frame, result, (finding) => picture.go(finding)), notFound(result), notLookedFor(result), measured?.element, answer(result));
    },
  };
}
