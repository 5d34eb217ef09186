// Sets: the list, or one of them.

import "../style/sets.css";
import type { Frame } from "../shell.ts";
import { showSet } from "../sets/detail.ts";
import { showSets } from "../sets/list.ts";

export function show(frame: Frame): Promise<void> {
  const number = /^\/sets\/(\d+)$/.exec(location.pathname)?.[1];
  return number === undefined ? showSets(frame) : showSet(frame, Number(number));
}
