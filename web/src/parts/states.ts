// States as a sign and a word: the colour is never alone.

import { h } from "../dom.ts";
import type { JobState, ReadingState, SetImageState } from "../types.ts";

type State = ReadingState | JobState | SetImageState;

const SIGNS: Record<State, [sign: string, word: string, tone: string]> = {
  new: ["○", "New", "quiet"],
  analysed: ["◐", "Analysed", "blue"],
  annotated: ["✎", "Annotated", "amber"],
  done: ["✓", "Done", "green"],
  waiting: ["○", "Waiting", "quiet"],
  running: ["▸", "Running", "blue"],
  failed: ["!", "Failed", "amber"],
  dead: ["✕", "Given up", "red"],
  stopped: ["■", "Stopped", "quiet"],
  open: ["✎", "Being outlined", "blue"],
  accepted: ["✓", "Accepted", "green"],
  skipped: ["↷", "Skipped", "quiet"],
  excluded: ["✕", "Excluded", "red"],
};

export function state(name: State): HTMLElement {
  const [sign, word, tone] = SIGNS[name];
  return h("span", { class: "state", "data-tone": tone }, h("span", { class: "sign", "aria-hidden": "true" }, sign), word);
}

export function stateWord(name: State): string {
  return SIGNS[name][1];
}
