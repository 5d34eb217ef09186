// What waits to be sent. Strokes that wait are one order; an undo takes back what was not sent yet.

import { api } from "../api.ts";
import type { Answer, BoxPairs, ObjectState, Runs } from "../types.ts";
import { without } from "../viewer/strokes.ts";

export type Order =
  | { kind: "strokes"; foreground: Runs; background: Runs; count: number }
  | { kind: "erase"; voxels: Runs }
  | { kind: "box"; box: BoxPairs }
  | { kind: "undo" | "redo" | "grow" };

/** Put an order at the end; strokes join those that wait there. The newer counts where two strokes meet. */
export function enqueue(waiting: Order[], order: Order): void {
  const last = waiting.at(-1);
  if (order.kind === "strokes" && last?.kind === "strokes") {
    last.foreground = joined(without(last.foreground, order.background), order.foreground);
    last.background = joined(without(last.background, order.foreground), order.background);
    last.count += order.count;
  } else if (order.kind === "undo" && waiting.length > 0 && last?.kind !== "undo" && last?.kind !== "redo") waiting.pop();
  else waiting.push(order);
}

/** An order for an object as it is seen here: another window of the person may be at work on another one of the same session. */
export function send(session: string, order: Order, { number, round: after }: ObjectState, seconds: number): Promise<Answer> {
  const known = { number, after, seconds };
  switch (order.kind) {
    case "strokes":
      return api.strokes(session, { ...known, foreground: order.foreground, background: order.background, count: order.count });
    case "erase":
      return api.erase(session, { ...known, voxels: order.voxels });
    case "box":
      return api.box(session, { ...known, box: order.box });
    default:
      return api[order.kind](session, known);
  }
}

/** Whether an order whose answer was lost has been done: the round that it would have made is there. */
export function wasDone(order: Order, before: ObjectState, now: ObjectState): boolean {
  if (order.kind === "strokes") return now.round === before.round + 1 && now.strokes === before.strokes + order.count;
  if (order.kind === "undo") return now.round === before.round - 1;
  return now.round === before.round + 1 && now.strokes === before.strokes;
}

function joined(one: Runs, other: Runs): Runs {
  return [...one, ...without(other, one)].sort((a, b) => a[0] - b[0]);
}
