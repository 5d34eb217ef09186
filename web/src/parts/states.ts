// States as a sign and a word: the colour is never alone.

import { h } from "../dom.ts";
import type { ArrivalState, ObjectState } from "../types-network.ts";
import type { JobState, ReadingState, SetImageState } from "../types.ts";

type State = ReadingState | JobState | SetImageState | ArrivalState | ObjectState;

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
  sending: ["▸", "Being sent", "blue"],
  sent: ["✓", "Sent", "green"],
  committed: ["✓", "Kept there", "green"],
  receiving: ["▸", "Being received", "blue"],
  complete: ["○", "Complete", "quiet"],
  "taken in": ["✓", "In the archive", "green"],
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
