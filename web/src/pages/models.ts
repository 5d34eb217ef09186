// Models: what this server answers with, where each comes from, and the dialog that trains one more.

import "../style/models.css";
import { api } from "../api.ts";
import { h, put } from "../dom.ts";
import { graph } from "../models/graph.ts";
import { modelTable } from "../models/table.ts";
import { train } from "../models/train.ts";
import { may } from "../parts/access.ts";
import type { Frame } from "../shell.ts";
import type { ModelPage } from "../types-results.ts";

export async function show(frame: Frame): Promise<void> {
  const column = h("div", { class: "column" });
  put(frame.main, column);
  let page = await api.models();
  if (may(frame.me, "admin")) {
    put(frame.actions, h("button", { type: "button", class: "button primary", onclick: () => train(page, () => void again().catch(frame.fail)) }, "Train"));
  }
  draw(page);

  function draw(now: ModelPage): void {
    const picture = graph(now.models);
    put(
      column,
      h("div", { class: "page-head" }, h("h1", {}, "Models"), h("p", { class: "quiet" }, "What answers here, and what it was made from")),
      picture && h("section", {}, h("h2", {}, "Lineage"), picture),
      h("section", {}, h("h2", {}, "All models"), now.models.length ? modelTable(now.models) : h("p", { class: "quiet" }, "No model yet.")),
    );
  }

  async function again(): Promise<void> {
    page = await api.models();
    draw(page);
  }
}
