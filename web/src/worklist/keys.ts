// The worklist's keys: j and k or the arrows move, x selects, / searches; Enter opens the row's link by itself.

import { onKeys } from "../parts/keys.ts";
import type { Table } from "./table.ts";

export function worklistKeys(table: Table, search: () => void): void {
  onKeys({
    j: () => table.move(1),
    ArrowDown: () => table.move(1),
    k: () => table.move(-1),
    ArrowUp: () => table.move(-1),
    x: () => table.toggle(),
    "/": search,
  });
}
