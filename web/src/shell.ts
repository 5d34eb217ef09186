// The frame of every page: the links on top, the person's menu, and the line at the bottom.

import { api, ApiError } from "./api.ts";
import { h, put, set, text, type Child } from "./dom.ts";
import type { Me, Role } from "./types.ts";

export interface Frame {
  me: Me;
  /** Where the page draws itself. */
  main: HTMLElement;
  /** Right part of the top line: the page's own actions. */
  actions: HTMLElement;
  /** Say in one sentence what just happened, or what to do now. */
  say: (sentence: string, tone?: "quiet" | "warning") => void;
  /** Put something short beside the note on research use. */
  aside: (words: string) => void;
  /** Say an error's sentence; unknown errors are said too, and told to the console. */
  fail: (error: unknown) => void;
}

const PAGES: { name: string; title: string; address: string; role: Role }[] = [
  { name: "worklist", title: "Worklist", address: "/", role: "reader" },
  { name: "annotate", title: "Annotate", address: "/annotate", role: "annotator" },
  { name: "sets", title: "Sets", address: "/sets", role: "reader" },
  { name: "jobs", title: "Jobs", address: "/jobs", role: "reader" },
  { name: "dicom", title: "Network", address: "/dicom", role: "reader" },
  { name: "models", title: "Models", address: "/models", role: "reader" },
  { name: "admin", title: "Admin", address: "/admin", role: "admin" },
];
const ROLES: Role[] = ["reader", "annotator", "admin"];

/** Draw the frame; null where nobody is signed in (the page then goes to the sign-in). */
export async function frame(page: string): Promise<Frame | null> {
  const main = h("main", { id: "main", class: `main ${page}`, tabindex: "-1" });
  const actions = h("div", { class: "actions" });
  const status = h("p", { class: "status", role: "status" });
  const extra = h("span", { class: "aside" });
  const links = h("nav", { class: "links", "aria-label": "Pages" });
  const person = h("div", { class: "person" });
  document.body.replaceChildren(
    h("a", { class: "skip", href: "#main" }, "Skip to content"),
    h("header", { class: "top" }, h("a", { class: "brand", href: "/" }, "casewise"), links, actions, person),
    main,
    h("footer", { class: "bottom" }, status, h("span", { class: "notes" }, extra, h("span", {}, "Research use only, not a medical device"))),
  );
  const say = (sentence: string, tone: "quiet" | "warning" = "quiet"): void => {
    text(status, sentence);
    set(status, "title", sentence);
    set(status, "data-tone", tone);
  };
  const fail = (error: unknown): void => {
    const known = error instanceof Error ? error : new Error(String(error));
    say(known.message, "warning");
    if (!(known instanceof ApiError)) console.warn(known);
  };
  let me: Me;
  try {
    me = await api.me();
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 401)) {
      fail(error);
      put(main, h("p", { class: "empty" }, error instanceof Error ? error.message : String(error)));
    }
    return null;
  }
  const may = (role: Role): boolean => ROLES.indexOf(me.role) >= ROLES.indexOf(role);
  put(links, ...PAGES.filter((one) => may(one.role) && (one.name !== "dicom" || me.network)).map((one) => link(one.title, one.address, one.name === (page === "case" ? "worklist" : page))));
  put(person, menu(me));
  return { me, main, actions, say, fail, aside: (words) => text(extra, words) };
}

function link(title: string, address: string, current: boolean): HTMLElement {
  return h("a", { href: address, "aria-current": current ? "page" : null }, title);
}

function menu(me: Me): Child {
  const signOut = h("button", { type: "button", class: "item", onclick: () => void leave() }, "Sign out");
  const list = h(
    "div",
    { class: "menu" },
    h("p", { class: "who" }, h("strong", {}, me.name), h("span", { class: "quiet" }, me.role)),
    h("a", { class: "item", href: "/help" }, "Help"),
    me.users && signOut,
    h("p", { class: "quiet small" }, `casewise ${me.version}`),
  );
  const box = h("details", { class: "drop" }, h("summary", {}, h("span", { "aria-hidden": "true" }, initials(me.name)), h("span", { class: "out-of-sight" }, `Signed in as ${me.name}`)), list);
  document.addEventListener("click", (event) => {
    if (!box.contains(event.target as Node)) box.open = false;
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    box.open = false;
    box.querySelector("summary")?.focus();
  });
  return box;
}

function initials(name: string): string {
  const words = name.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  return (words.length > 1 ? words.slice(0, 2).map((word) => word[0]) : [name.slice(0, 2)]).join("").toUpperCase();
}

async function leave(): Promise<void> {
  try {
    await api.signOut();
  } finally {
    location.assign("/login");
  }
}
