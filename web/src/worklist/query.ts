// What the worklist is filtered by; it stands in the page's address, so that a link and "back" keep it.

export interface Query {
  text: string;
  category: string;
  site: string;
  finding: string;
  state: string;
  mine: boolean;
  /** "finding" for the most probable finding first; empty for the newest first. */
  order: string;
}

export const FACETS = ["state", "category", "site", "finding"] as const;
export type Facet = (typeof FACETS)[number];

export function readQuery(search: string): Query {
  const words = new URLSearchParams(search);
  const value = (name: string): string => words.get(name) ?? "";
  return {
    text: value("text"),
    category: value("category"),
    site: value("site"),
    finding: value("finding"),
    state: value("state"),
    mine: value("mine") === "true",
    order: value("order") === "finding" ? "finding" : "",
  };
}

export function writeQuery(query: Query): string {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) words.set(name, String(value));
  const search = words.toString();
  return search ? `?${search}` : "";
}

export function isFiltered(query: Query): boolean {
  return writeQuery({ ...query, order: "" }) !== "";
}
