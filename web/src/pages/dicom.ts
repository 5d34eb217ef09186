// The network: the systems that casewise speaks with, what is on its way to them, and what arrived; it follows the server by itself.

import "../style/network.css";
import { api } from "../api.ts";
import { h, put, text } from "../dom.ts";
import { Arrivals } from "../network/arrivals.ts";
import { Objects } from "../network/objects.ts";
import { senders } from "../network/senders.ts";
import { systems } from "../network/systems.ts";
import type { Frame } from "../shell.ts";
import type { NetworkState } from "../types-network.ts";

const EVERY = 4000; // ms

export async function show(frame: Frame): Promise<void> {
  const here = h("p", { class: "quiet" });
  const known = h("section", { "aria-label": "Systems" });
  const allowed = h("section", { "aria-label": "Senders" });
  const objects = new Objects(frame);
  const arrivals = new Arrivals(frame);
  put(frame.main, h("div", { class: "column network" }, h("div", { class: "page-head" }, h("h1", {}, "Network"), here), known, objects.element, arrivals.element, allowed));
  try {
    const now = await api.network();
    text(here, where(now));
    put(known, h("h2", {}, "Systems"), systems(frame, now));
    put(allowed, h("h2", {}, "Senders"), senders(now));
  } catch (error) {
    frame.fail(error); // the settings cannot be used; the lists are there all the same
  }
  const load = async (): Promise<void> => {
    for (const list of [objects, arrivals]) await list.load().catch(frame.fail);
  };
  await load();
  const follow = (): void => {
    window.setTimeout(() => void (document.hidden ? Promise.resolve() : load()).then(follow), EVERY);
  };
  follow();
}

function where(now: NetworkState): string {
  if (now.port === null) return `casewise is called ${now.ae_title} and receives nothing: start casewise serve with --dicom-port`;
  return `casewise is called ${now.ae_title} and receives at ${now.host}:${now.port}`;
}
