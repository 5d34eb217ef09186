// Who may send images here.

import { h } from "../dom.ts";
import type { NetworkState } from "../types-network.ts";

export function senders(now: NetworkState): HTMLElement {
  if (now.senders.length === 0) return h("p", { class: "quiet" }, "None is listed: whoever reaches the receiver may send.");
  const heading = (words: string): HTMLElement => h("th", { scope: "col" }, words);
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, heading("AE title"), heading("Address"), heading("Site"))),
      h("tbody", {}, ...now.senders.map((one) => h("tr", {}, h("th", { scope: "row" }, one.ae_title), h("td", {}, one.address ?? "any"), h("td", {}, one.site ?? "its AE title")))),
    ),
  );
}
