// The server's state: version, disk, memory, what it holds, what is queued, who works.

import { api } from "../api.ts";
import { h, put } from "../dom.ts";
import { bytes, count, moment, span } from "../parts/words.ts";
import type { ServerState } from "../types.ts";

export async function server(section: HTMLElement): Promise<void> {
  const now = await api.server();
  put(section, h("h2", {}, "Server"), h("div", { class: "tiles" }, disk(now), tile("Memory", bytes(now.memory), "of the server's process"), held(now), queue(now), workers(now), version(now)));
}

function tile(title: string, value: string, note: string, tone = ""): HTMLElement {
  return h("div", { class: "card tile", "data-tone": tone || null }, h("span", { class: "heading" }, title), h("strong", {}, value), h("span", { class: "quiet small" }, note));
}

function disk(now: ServerState): HTMLElement {
  const share = now.disk_total ? now.disk_free / now.disk_total : 1;
  const low = share < 0.05;
  return tile("Disk", `${bytes(now.disk_free)} free`, low ? `Only ${Math.round(100 * share)} % of ${bytes(now.disk_total)}: make room.` : `${Math.round(100 * share)} % of ${bytes(now.disk_total)}`, low ? "warning" : "");
}

function held(now: ServerState): HTMLElement {
  return tile("In memory", count(now.sessions, "session"), `${bytes(now.images_cached)} of images`);
}

function queue(now: ServerState): HTMLElement {
  const { waiting = 0, running = 0, dead = 0, failed = 0 } = now.queue;
  const bad = dead + failed;
  return tile("Jobs", `${running} running, ${waiting} waiting`, bad ? `${bad} need a person: see Jobs` : "None needs a person", bad ? "warning" : "");
}

function workers(now: ServerState): HTMLElement {
  return now.workers.length ? tile("Workers", count(now.workers.length, "worker"), now.workers.join(", ")) : tile("Workers", "None", "Start one with casewise work.", "warning");
}

function version(now: ServerState): HTMLElement {
  return tile("Version", `casewise ${now.version}`, `up since ${moment(now.started)} (${span(Math.max(0, Date.now() / 1000 - now.started))})`);
}
