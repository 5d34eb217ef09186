// The worklist: which images there are, what was found in them, and how far they are.

import "../style/worklist.css";
import { api } from "../api.ts";
import { h, put } from "../dom.ts";
import { may } from "../parts/access.ts";
import { choice } from "../parts/dialog.ts";
import type { Frame } from "../shell.ts";
import type { CasePage, Uploaded } from "../types.ts";
import { happening } from "../worklist/arrivals.ts";
import { bulk } from "../worklist/bulk.ts";
import { Filters } from "../worklist/filters.ts";
import { worklistKeys } from "../worklist/keys.ts";
import { remember } from "../worklist/order.ts";
import { isFiltered, readQuery, writeQuery } from "../worklist/query.ts";
import { Table } from "../worklist/table.ts";
import { acceptDrops, chooseFiles, sentenceOf } from "../worklist/upload.ts";

const PAGE = 50;

export async function show(frame: Frame): Promise<void> {
  const query = readQuery(location.search);
  let next: string | null = null;
  let total = 0;
  let newest = 0;
  const asked: { list?: AbortController; refresh?: AbortController } = {}; // an answer that a later question of its kind has outrun is dropped

  const table = new Table(() => tools.update([...table.selected], total));
  const tools = bulk(frame, () => news.changed(), () => table.selectNone());
  const filters = new Filters(query, () => void changed());
  const more = h("button", { type: "button", class: "button", hidden: true, onclick: () => void further() }, "Show more");
  const nothing = h("div", { class: "nothing", hidden: true });
  const news = happening(refresh, () => void changed());
  const order = choice("order", [["", "Newest first"], ["finding", "Findings first"]], query.order);
  order.setAttribute("aria-label", "Order");
  order.addEventListener("change", () => {
    query.order = order.value;
    void changed();
  });
  const list = h("section", { class: "list", "aria-label": "Images" }, h("div", { class: "list-head" }, tools.element, h("div", { class: "happening" }, news.element, order)), table.element, nothing, h("div", { class: "more" }, more));
  put(frame.main, h("h1", { class: "out-of-sight" }, "Worklist"), filters.element, list);
  if (may(frame.me, "annotator")) {
    const uploaded = (done: Uploaded): void => {
      frame.say(sentenceOf(done));
      void changed().then(() => table.selectOnly(done.keys)); // what one does next concerns these
    };
    acceptDrops(uploaded);
    put(
      frame.actions,
      h("button", { type: "button", class: "button", onclick: () => chooseFiles(uploaded) }, "Upload"),
      h("a", { class: "button primary", href: "/annotate" }, "Annotate next"),
    );
  }
  if (matchMedia("(max-width: 900px)").matches) filters.element.removeAttribute("open");
  worklistKeys(table, () => filters.focus());
  new IntersectionObserver((seen) => {
    if (seen.some((one) => one.isIntersecting)) void further();
  }, { root: null, rootMargin: "400px" }).observe(more);

  async function ask(kind: "list" | "refresh", after?: string, limit = PAGE): Promise<CasePage | null> {
    asked[kind]?.abort();
    const control = (asked[kind] = new AbortController());
    try {
      return await api.cases({ ...query, ...(after === undefined ? {} : { after }), limit }, control.signal);
    } catch (error) {
      if (!(error instanceof DOMException && error.name === "AbortError")) frame.fail(error);
      return null;
    }
  }

  function took(page: CasePage): void {
    next = page.next;
    total = page.total;
    more.hidden = next === null;
    if (Object.keys(page.counts).length > 0) filters.show(page.counts); // they come with the first page alone
    tools.update([...table.selected], total);
    remember({ search: writeQuery(query), keys: table.keys, next });
    put(nothing, total === 0 && empty());
    nothing.hidden = total > 0;
    table.element.hidden = total === 0;
  }

  /** Other filters, or new images: the list from its beginning. */
  async function changed(): Promise<void> {
    history.replaceState(null, "", location.pathname + writeQuery(query));
    asked.refresh?.abort(); // it was asked with the filters of before
    const page = await ask("list");
    if (page === null) return;
    table.show(page.cases);
    newest = Math.max(newest, ...page.cases.map((line) => line.added));
    took(page);
    news.drawn();
  }

  async function further(): Promise<void> {
    if (next === null || more.disabled) return;
    more.disabled = true;
    const page = await ask("list", next);
    more.disabled = false;
    if (page === null) return;
    table.add(page.cases);
    took(page);
  }

  /** The rows that are here, as they are now; and how many images came after the list was drawn, null where a later question tells. */
  async function refresh(): Promise<number | null> {
    const page = await ask("refresh", undefined, Math.min(200, Math.max(PAGE, table.keys.length)));
    if (page === null) return null;
    table.mend(page.cases);
    filters.show(page.counts);
    if (table.keys.length === 0 && page.total > 0) {
      void changed();
      return null;
    }
    return page.cases.filter((line) => line.added > newest).length;
  }

  function empty(): (Node | null)[] {
    if (isFiltered(query)) {
      return [h("p", {}, "No image matches these filters."), h("button", { type: "button", class: "button", onclick: () => filters.reset() }, "Clear all filters")];
    }
    if (!may(frame.me, "annotator")) return [h("p", {}, "There is no image in this archive yet.")];
    return [
      h("h2", {}, "No image yet"),
      h("p", {}, "Drop a DICOM folder, or NIfTI, PNG, JPEG, TIFF, MHA or NRRD files, anywhere on this page."),
      h("p", { class: "quiet" }, "Or import a folder of this machine: ", h("code", {}, "casewise import FOLDER"), "."),
    ];
  }

  await changed();
}
