// Where each model stands in the graph of who was made from whom: a column a generation, children beside their parent.

import type { ModelLine } from "../types-results.ts";

/** What a node of the graph says. `gone`: a parent that is not here any more. */
export interface Node {
  key: string;
  name: string;
  origin: ModelLine["origin"] | "gone";
  task: string;
  refined_on: number;
  parent: string | null;
}

export interface Place {
  model: Node;
  column: number;
  row: number;
}

export interface Lineage {
  places: Place[];
  edges: [parent: Place, child: Place][];
  columns: number;
  rows: number;
}

/** Of the models that have a parent or a child here; a model alone says nothing in a graph. */
export function lineage(models: readonly ModelLine[]): Lineage {
  const nodes = new Map<string, Node>(models.map((model) => [model.key, model]));
  const children = new Map<string, Node[]>();
  for (const model of models) {
    if (model.parent === null) continue;
    if (!nodes.has(model.parent)) nodes.set(model.parent, gone(model.parent, model));
    children.set(model.parent, [...(children.get(model.parent) ?? []), model]);
  }
  const roots = [...nodes.values()].filter((model) => model.parent === null && children.has(model.key));
  const places: Place[] = [];
  const edges: [Place, Place][] = [];
  const seen = new Set<string>();
  let rows = 0;
  const set = (model: Node, column: number): Place => {
    seen.add(model.key);
    const below = (children.get(model.key) ?? []).filter((child) => !seen.has(child.key)).map((child) => set(child, column + 1));
    const place = { model, column, row: below[0]?.row ?? rows };
    if (below.length === 0) rows += 1;
    places.push(place);
    for (const child of below) edges.push([place, child]);
    return place;
  };
  for (const root of roots) set(root, 0);
  return { places, edges, columns: 1 + Math.max(0, ...places.map((place) => place.column)), rows };
}

function gone(key: string, child: ModelLine): Node {
  return { key, name: child.parent_name ?? key.slice(0, 12), origin: "gone", task: child.task, refined_on: 0, parent: null };
}
