// Results sent to other systems: what, where to and how far, and sending the newest one.

import { api } from "../api.ts";
import { h, put } from "../dom.ts";
import { KINDS, remark } from "../network/words.ts";
import { may } from "../parts/access.ts";
import { formDialog } from "../parts/dialog.ts";
import { listen } from "../parts/live.ts";
import { state } from "../parts/states.ts";
import { moment } from "../parts/words.ts";
import type { Frame } from "../shell.ts";
import type { NetworkState, ObjectKind, ObjectLine } from "../types-network.ts";
import type { CaseDetail } from "../types.ts";

const EVERY = 3000; // ms, while something is on its way
const OPEN = ["waiting", "sending"];

/** Null where nothing can be sent: the image is not from DICOM, or there is no network. `analysed` : there is a result to send. */
export function sentParts(frame: Frame, image: CaseDetail): { element: HTMLElement; analysed: (on: boolean) => void } | null {
  if (image.facts.format !== "DICOM" || !frame.me.network) return null;
  const list = h("ul", { class: "lines" });
  const send = h("button", { type: "button", class: "button small", hidden: true }, "Send to …");
  const element = h("section", { "aria-label": "Other systems", hidden: true }, h("div", { class: "row centred" }, h("h2", {}, "Other systems"), send), list);
  let network: NetworkState | null = null;
  let there = false;
  let drawn = "";
  let timer = 0;

  async function load(): Promise<void> {
    clearTimeout(timer);
    const { objects } = await api.objects({ case: image.key });
    draw(objects);
    if (objects.some((one) => OPEN.includes(one.state) || one.awaiting)) timer = window.setTimeout(() => void load().catch(frame.fail), EVERY);
  }

  function draw(objects: ObjectLine[]): void {
    const now = JSON.stringify(objects);
    if (now !== drawn) put(list, ...(objects.length ? objects.map(line) : [h("li", { class: "quiet" }, "Nothing of this case was sent.")]));
    drawn = now;
    send.hidden = !there || !may(frame.me, "annotator") || !network?.systems.length;
    element.hidden = objects.length === 0 && !network?.systems.length;
  }

  send.addEventListener("click", () => network && choose(frame, image, network, () => void load().catch(frame.fail)));
  void api
    .network()
    .then((found) => (network = found))
    .then(load)
    .catch(frame.fail);
  return {
    element,
    analysed: (on) => {
      there = on;
      send.hidden = !there || !may(frame.me, "annotator") || !network?.systems.length;
    },
  };
}

function line(one: ObjectLine): HTMLElement {
  const more = [remark(one), moment(one.changed)].filter(Boolean).join(" · ");
  return h(
    "li",
    { class: "sent", "data-object": one.id },
    h("div", { class: "row" }, h("span", {}, `${KINDS[one.kind]} → ${one.target}`), state(one.state)),
    h("div", { class: "quiet small" }, more),
    one.error && h("div", { class: "small fault" }, one.error),
  );
}

function choose(frame: Frame, image: CaseDetail, network: NetworkState, sent: () => void): void {
  const usual = image.shape.length === 2 ? network.radiographs : network.volumes;
  const box = (name: string, value: string, words: string, checked: boolean): HTMLElement => h("label", { class: "check" }, h("input", { type: "checkbox", name, value, checked }), h("span", {}, words));
  const only = network.systems.length === 1;
  formDialog(
    "Send the results",
    [
      h("fieldset", {}, h("legend", {}, "To"), ...network.systems.map((one) => box("target", one.name, `${one.name} (${one.address})`, only || one.usual))),
      h("fieldset", {}, h("legend", {}, "As"), ...(Object.keys(KINDS) as ObjectKind[]).map((kind) => box("kind", kind, KINDS[kind], usual.includes(kind)))),
      image.shape.length === 2 && h("p", { class: "quiet small" }, "Some viewers show nothing of a study that has a segmentation of a radiograph."),
    ],
    "Send",
    async (form) => {
      const data = new FormData(form);
      const [targets, kinds] = [data.getAll("target").map(String), data.getAll("kind").map(String) as ObjectKind[]];
      if (targets.length === 0 || kinds.length === 0) throw new Error(targets.length ? "Choose what to send." : "Choose a system to send to.");
      const job = await api.send(image.key, { targets, kinds });
      frame.say("The results are made ready and sent.");
      follow(frame, job.id, sent);
    },
  );
}

/** Until the job that makes the objects has ended. */
function follow(frame: Frame, id: number, ended: () => void): void {
  const stop = listen({ job: (job) => job.id === id && take(job.state, job.error) });
  const take = (now: string, error: string | null): void => {
    if (OPEN.includes(now) || now === "running") return;
    stop();
    if (error) frame.say(error, "warning");
    ended();
  };
  void api
    .job(id)
    .then((job) => take(job.state, job.error))
    .catch(frame.fail);
}
