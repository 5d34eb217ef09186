// The one sentence at the bottom: what just happened, and what to do now.

import { readable } from "../parts/words.ts";
import type { Answer, ObjectState } from "../types.ts";
import type { Tool } from "../viewer/viewer.ts";
import type { Order } from "./orders.ts";

export interface Situation {
  loading: boolean;
  busy: boolean;
  offline: boolean;
  tool: Tool;
  structure: string;
  object: ObjectState | null;
  reason: string;
  /** How many accepted cases the first mask came from. */
  similar: number;
  flat: boolean;
  last: { answer: Answer; order: Order } | null;
}

export function guide(now: Situation): { sentence: string; warning: boolean } {
  if (now.offline) return { sentence: "The server does not answer. Your strokes are kept and sent again.", warning: true };
  return { sentence: quiet(now), warning: false };
}

function quiet({ loading, busy, tool, structure, object, reason, similar, flat, last }: Situation): string {
  const named = readable(structure);
  if (loading) return "The image is coming …";
  if (!structure) return "What do you want to outline? Choose its name at the top, or type one.";
  if (busy) return object === null || object.round === 0 ? `Outlining the ${named} …` : "Working on your strokes …";
  if (object === null || (object.box === null && object.voxels === 0)) {
    if (reason.includes("being prepared")) return `${first(reason)} You need not wait: draw a box around the ${named}.`;
    return tool === "box" ? `Draw a box around the ${named}.` : `Draw on the ${named}, or around it with the box (B).`;
  }
  if (object.accepted) return "Accepted. It can still be changed and accepted again.";
  if (object.voxels === 0) return `Nothing is outlined here. Draw on the ${named} in green (F), or another box (B).`;
  if (last === null && similar > 0) {
    return `The first mask came from ${similar === 1 ? "1 accepted case" : `${similar} accepted cases`}. Accept it (A), or correct it with strokes.`;
  }
  if (last === null) return "Go on with strokes, or accept (A).";
  if (!flat && object.box?.some(([low, high]) => high - low === 1)) return "Outlined in one slice. Correct it, then let it grow through the others (G).";
  return said(last.answer, last.order);
}

function said(answer: Answer, order: Order): string {
  const time = `${Math.round(answer.ms)} ms`;
  const next = "Add in green (F), take away in red (D), or accept (A).";
  if (order.kind === "undo") return "Taken back.";
  if (order.kind === "redo") return "Done again.";
  if (order.kind === "box") return `Outlined in ${time}. ${next}`;
  if (answer.changed === 0) return `Round ${answer.object.round} changed nothing. ${next}`;
  return `Round ${answer.object.round} answered in ${time}. ${next}`;
}

function first(text: string): string {
  return text.split(". ")[0].replace(/\.?$/, ".");
}
