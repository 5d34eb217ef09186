// Which image one works on and which comes next: of a set where there is one, else of the worklist.

import { api } from "../api.ts";
import type { CaseLine, NextImage, SetDetail, SetLine } from "../types.ts";

const LOOKED_AT = 200; // images of the worklist among which the next one is sought

export interface Stop {
  key: string;
  structure: string;
  set: number | null;
}

/** What the address says: /annotate/KEY?structure=…&set=… */
export function stopped(): Partial<Stop> {
  const query = new URLSearchParams(location.search);
  const key = decodeURIComponent(/^\/annotate\/([^/]+)$/.exec(location.pathname)?.[1] ?? "");
  const found: Partial<Stop> = { structure: query.get("structure") ?? "" };
  if (key) found.key = key;
  if (query.has("set")) found.set = Number(query.get("set"));
  return found;
}

export function addressOf(stop: Stop): string {
  const query = new URLSearchParams();
  if (stop.structure) query.set("structure", stop.structure);
  if (stop.set !== null) query.set("set", String(stop.set));
  return `/annotate/${encodeURIComponent(stop.key)}${query.size > 0 ? `?${query}` : ""}`;
}

/** Where to begin: the image that the address names, the set's next, or the newest image that lacks the structure. */
export async function start(): Promise<Stop | null> {
  const asked = stopped();
  const sets = asked.key && asked.structure ? [] : await api.sets();
  if (asked.key) {
    const structure = asked.structure || (sets.find((one) => one.id === asked.set)?.structure ?? "");
    return { key: asked.key, structure, set: asked.set ?? (await setOf(structure)) };
  }
  const set = asked.set !== undefined ? sets.find((one) => one.id === asked.set) : sets.find(open);
  if (set) {
    const next = await api.takeNext(set.id);
    if (next !== null) return { key: next.key, structure: set.structure, set: set.id };
  }
  return fromAll(asked.structure ?? "");
}

/** The next image after this one, without taking it. */
export async function ahead(stop: Stop, set: SetDetail | null): Promise<NextImage | null> {
  if (set !== null) return set.following ?? (set.next?.key === stop.key ? null : set.next);
  return fromWorklist(stop.structure, stop.key);
}

/** Go past an image without a mask; which one comes then. */
export async function skip(stop: Stop): Promise<NextImage | null> {
  if (stop.set !== null) {
    await api.changeSetImage(stop.set, stop.key, { state: "skipped" });
    return api.takeNext(stop.set);
  }
  return fromWorklist(stop.structure, stop.key);
}

/** After an accepted image. */
export async function afterwards(stop: Stop, offered: NextImage | null): Promise<NextImage | null> {
  return offered ?? (stop.set === null ? fromWorklist(stop.structure, stop.key) : api.takeNext(stop.set));
}

/** Names of structures, the most frequent first. */
export async function structures(): Promise<string[]> {
  const counts = (await api.cases({ limit: 1 })).counts["structure"] ?? {};
  return Object.entries(counts)
    .filter(([name]) => !name.includes("@"))
    .sort((one, other) => other[1] - one[1])
    .map(([name]) => name);
}

/** The newest image that lacks the structure; without one, that which is outlined most in images of its category. */
async function fromAll(structure: string): Promise<Stop | null> {
  const { cases } = await api.cases({ limit: LOOKED_AT });
  const usual = (one: CaseLine): string => {
    const names = cases.filter((other) => other.category === one.category).flatMap((other) => other.structures.filter((name) => !name.includes("@")));
    const counts = new Map<string, number>();
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? "";
  };
  const stops = cases.map((one) => ({ key: one.key, structure: structure || usual(one), set: null, lacks: lacks(one, structure || usual(one)) }));
  const found = stops.find((one) => one.lacks && one.structure) ?? stops.find((one) => one.lacks) ?? null;
  return found && { key: found.key, structure: found.structure, set: null };
}

function lacks(one: CaseLine, structure: string): boolean {
  return !one.structures.some((name) => name === structure || name.startsWith(`${structure}@`));
}

async function setOf(structure: string): Promise<number | null> {
  if (!structure) return null;
  const sets = await api.sets().catch((): SetLine[] => []);
  return sets.find((set) => set.structure === structure && open(set))?.id ?? null;
}

function open(set: SetLine): boolean {
  return (set.counts["waiting"] ?? 0) + (set.counts["open"] ?? 0) > 0;
}

async function fromWorklist(structure: string, after: string | null): Promise<NextImage | null> {
  const { cases } = await api.cases({ limit: LOOKED_AT });
  const at = cases.findIndex((one) => one.key === after);
  const later = [...cases.slice(at + 1), ...cases.slice(0, Math.max(0, at))];
  const category = cases[at]?.category;
  const found = later.find((one) => one.category === category && lacks(one, structure)) ?? later.find((one) => lacks(one, structure));
  if (found === undefined) return null;
  return { key: found.key, name: found.name, reason: "next in the worklist", prepared: false, job: null };
}
