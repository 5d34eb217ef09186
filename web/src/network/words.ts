// What objects with results are called, and where they are on their way.

import { moment } from "../parts/words.ts";
import type { ObjectKind, ObjectLine } from "../types-network.ts";

export const KINDS: Record<ObjectKind, string> = {
  seg: "Segmentation",
  sr: "Structured report",
  capture: "Secondary capture",
  map: "Heat map",
};

/** What a line adds to its state. */
export function remark(line: ObjectLine): string {
  const parts: string[] = [];
  if (line.awaiting) parts.push("asked whether it keeps it");
  if (line.state === "waiting" && line.tries > 0 && line.due !== null) parts.push(`next try ${moment(line.due)}`);
  if (line.tries > 1) parts.push(`tried ${line.tries} times`);
  if (line.superseded) parts.push("a newer result was made since");
  return parts.join(" · ");
}
