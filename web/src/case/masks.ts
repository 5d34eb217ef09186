// The image's own masks: by whom, how well people agree, and on or off in the viewer.

import { address, api, ask as request } from "../api.ts";
import { h, put, type Child } from "../dom.ts";
import { may } from "../parts/access.ts";
import { readable, score, sentence } from "../parts/words.ts";
import type { Frame } from "../shell.ts";
import type { CaseDetail, Label } from "../types.ts";
import { Mask, unpacked } from "../viewer/masks.ts";

interface Agreement {
  masks: { name: string; user: string | null; final: boolean; chosen_by: string | null; version: string }[];
  pairs: { first: string; second: string; dice: number }[];
}

export interface Structure {
  name: string;
  masks: { label: Label; by: string | null }[];
}

/** Masks by structure: `lung` and `lung@anna` are two persons' masks of one structure. */
export function structures(labels: Label[]): Structure[] {
  const found = new Map<string, Structure>();
  for (const label of labels.filter((one) => one.kind === "mask")) {
    const at = label.name.lastIndexOf("@");
    const [name, by] = at > 0 ? [label.name.slice(0, at), label.name.slice(at + 1)] : [label.name, person(label)];
    const structure = found.get(name) ?? { name, masks: [] };
    structure.masks.push({ label, by });
    found.set(name, structure);
  }
  return [...found.values()];
}

function person(label: Label): string | null {
  const user = label.origin.user ?? label.origin.by;
  return typeof user === "string" ? user : null;
}

/** `show` displays one of the image's masks in the viewer, or takes it away. */
export function masks(frame: Frame, image: CaseDetail, show: (name: string, mask: Mask | null) => void): HTMLElement | null {
  const all = structures(image.labels);
  if (all.length === 0) return null;
  return h("section", {}, h("h2", {}, "Masks"), h("div", { class: "card lines" }, ...all.flatMap((structure) => rows(frame, image, structure, show))));
}

function rows(frame: Frame, image: CaseDetail, structure: Structure, show: (name: string, mask: Mask | null) => void): Child[] {
  const lines: Child[] = structure.masks.map(({ label, by }) => {
    const box = h("input", { type: "checkbox" });
    box.addEventListener("change", () => void turn(box.checked));
    const turn = async (on: boolean): Promise<void> => {
      if (!on) return show(label.name, null);
      try {
        const patch = await api.mask(image.key, label.name);
        const mask = new Mask();
        mask.put(patch.box, await unpacked(patch), true);
        show(label.name, mask);
      } catch (error) {
        box.checked = false;
        frame.fail(error);
      }
    };
    const file = h("a", { href: `${address(["cases", image.key, "masks", label.name])}.nii.gz`, download: "", "aria-label": `Download the mask of ${label.name} as NIfTI` }, "NIfTI");
    return h("div", { class: "row centred" }, h("label", { class: "check" }, box, sentence(readable(structure.name))), h("span", { class: "quiet small" }, origin(label, by), " ", file));
  });
  if (structure.masks.length > 1) lines.push(agreement(frame, image, structure));
  return lines;
}

function origin(label: Label, by: string | null): string {
  const how = label.origin.how;
  return [by && `by ${by}`, typeof how === "string" && readable(how)].filter(Boolean).join(", ");
}

/** How far the masks of several people agree, and which of them counts. */
function agreement(frame: Frame, image: CaseDetail, structure: Structure): HTMLElement {
  const line = h("div", { class: "quiet small stack" }, "Comparing the masks.");
  const draw = (found: Agreement): void => {
    const who = (name: string): string => found.masks.find((one) => one.name === name)?.user ?? name;
    const pairs = found.pairs.map((pair) => `${who(pair.first)} and ${who(pair.second)}: Dice ${score(pair.dice)}`);
    const final = found.masks.find((one) => one.final);
    put(
      line,
      h("p", { class: "number" }, `Agreement of ${readable(structure.name)}: ${pairs.join("; ") || "one mask alone"}.`),
      final && h("p", {}, `The mask of ${final.user ?? final.name} counts${final.chosen_by ? `, chosen by ${final.chosen_by}` : ""}.`),
      may(frame.me, "admin") && h("div", { class: "file-links" }, ...found.masks.filter((one) => !one.final).map((one) => h("button", { type: "button", class: "button small", onclick: () => void choose(one.name, one.version) }, `Let the mask of ${one.user ?? one.name} count`))),
    );
  };
  const ask = (call: Promise<Response>): Promise<void> =>
    call
      .then((answer) => answer.json())
      .then((found: Agreement) => draw(found))
      .catch((error: unknown) => {
        put(line);
        frame.fail(error);
      });
  const choose = (name: string, seen: string): Promise<void> =>
    ask(request(address(["cases", image.key, "final"]), { method: "PUT", body: JSON.stringify({ structure: structure.name, name, seen }), headers: { "Content-Type": "application/json" } }));
  void ask(request(address(["cases", image.key, "agreement"], { structure: structure.name })));
  return line;
}
