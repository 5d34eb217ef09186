// Help: the keys, and how programs connect to this server, with its own address.

import "../style/help.css";
import { tokens } from "../admin/tokens.ts";
import { h, put, type Child } from "../dom.ts";
import type { Frame } from "../shell.ts";

// A page's keys: those that stand together are one line.
const KEYS: readonly (readonly [page: string, keys: readonly (readonly [keys: readonly string[], does: string])[]])[] = [
  ["Worklist", [[["J", "K"], "Next and previous image; the arrows too"], [["Enter"], "Open the image"], [["X"], "Select the image"], [["/"], "Search"]]],
  ["Case", [[["J", "K"], "Next and previous case"], [["L"], "Outlines of the measures"], [["Arrows"], "Move in the plane"], [["Page up", "Page down"], "Move through the slices"]]],
  [
    "Annotate",
    [
      [["B"], "Box"],
      [["F"], "Stroke inside the structure"],
      [["D"], "Stroke outside it; the right mouse button too"],
      [["[", "]"], "Thinner and thicker pen"],
      [["Ctrl+Z", "Ctrl+Shift+Z"], "Undo and redo a round"],
      [["G"], "Grow the mask"],
      [["Space"], "Hide the mask"],
      [["W"], "Window: drag over the image"],
      [["1", "9"], "First to ninth structure"],
      [["A"], "Accept and next"],
      [["S"], "Skip"],
      [["?"], "All keys"],
    ],
  ],
];

export function show(frame: Frame): Promise<void> {
  const here = location.origin;
  const own = h("section", { "aria-label": "Tokens" });
  put(
    frame.main,
    h(
      "div",
      { class: "column help" },
      h("div", { class: "page-head" }, h("h1", {}, "Help"), h("p", { class: "quiet" }, `casewise ${frame.me.version} at ${here}`)),
      h("section", {}, h("h2", {}, "Connect a program"), h("div", { class: "programs" }, slicer(here, frame.me.users), napari(here, frame.me.users), ohif(here), script(here))),
      own,
      h("section", {}, h("h2", {}, "Keys"), h("div", { class: "key-lists" }, ...KEYS.map(([page, lines]) => h("div", { class: "card" }, h("h3", {}, page), h("dl", { class: "keys" }, lines.map(([keys, does]): Child => [h("dt", {}, ...keys.map((key) => h("kbd", {}, key))), h("dd", {}, does)])))))),
      h("section", {}, h("h2", {}, "Research use only"), h("p", { class: "card" }, "casewise is not a medical device. What it reports is for research, and must not decide on a patient's care.")),
    ),
  );
  return tokens(frame, own);
}

function program(name: string, ...lines: Child[]): HTMLElement {
  return h("div", { class: "card stack" }, h("h3", {}, name), ...lines);
}

function address(value: string): HTMLElement {
  return h("code", { class: "address" }, value);
}

function slicer(here: string, users: boolean): HTMLElement {
  return program(
    "3D Slicer",
    h("ol", { class: "numbered" }, h("li", {}, "Install the extension MONAILabel in Slicer's extension manager."), h("li", {}, "Open the module MONAI Label, and give this server: ", address(here)), h("li", {}, users ? "Sign in there with your name and password." : "No sign-in is needed on this machine."), h("li", {}, "Choose Next Sample, draw, and submit the label.")),
  );
}

function napari(here: string, users: boolean): HTMLElement {
  return program(
    "napari, and other clients of nnInteractive",
    h("ol", { class: "numbered" }, h("li", {}, "Install the plug-in: ", h("code", {}, "pip install napari-nninteractive")), h("li", {}, "Choose the remote server, and give: ", address(`${here}/nninteractive`)), h("li", {}, users ? "As API key give a token; you make one below." : "No API key is needed on this machine."), h("li", {}, "Choose Initialize, and draw.")),
  );
}

function ohif(here: string): HTMLElement {
  return program("OHIF", h("ol", { class: "numbered" }, h("li", {}, "Build OHIF with its MONAI Label extension, and give this server: ", address(here)), h("li", {}, "Add OHIF's own address to ", h("code", {}, "origins"), " in server.toml.")));
}

function script(here: string): HTMLElement {
  return program("Scripts", h("p", {}, "All that the pages do can be done over HTTP, with a token in the header Authorization: ", address(`${here}/api/v1/`)), h("p", {}, "The calls are described in ", h("a", { href: "/openapi.json" }, "openapi.json"), "."));
}
