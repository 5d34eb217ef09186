// The cases before and after this one in the worklist as it was left; without it, in the whole list.

import { api } from "../api.ts";
import { recall, remember, type Left } from "../worklist/order.ts";
import { readQuery } from "../worklist/query.ts";

export interface Neighbours {
  previous: string | null;
  next: string | null;
  /** "3 of 40": where the case stands; empty where it is in no list. */
  place: string;
}

export async function neighbours(key: string): Promise<Neighbours> {
  let left = recall();
  if (left === null || !left.keys.includes(key)) left = await begin();
  if (left.keys.at(-1) === key && left.next !== null) left = await further(left);
  remember(left);
  const at = left.keys.indexOf(key);
  if (at < 0) return { previous: null, next: null, place: "" };
  return { previous: left.keys[at - 1] ?? null, next: left.keys[at + 1] ?? null, place: `${at + 1} of ${left.keys.length}${left.next === null ? "" : "+"}` };
}

async function begin(): Promise<Left> {
  const page = await api.cases({ limit: 200 });
  return { search: "", keys: page.cases.map((one) => one.key), next: page.next };
}

async function further(left: Left): Promise<Left> {
  const page = await api.cases({ ...readQuery(left.search), after: left.next ?? "", limit: 50 });
  return { ...left, keys: [...left.keys, ...page.cases.map((one) => one.key)], next: page.next };
}
