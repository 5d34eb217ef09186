// Upload: drop files or folders anywhere on the page, or choose them; what was refused is listed with its reason.

import { api } from "../api.ts";
import { h, put, text } from "../dom.ts";
import { dialog, type Dialog } from "../parts/dialog.ts";
import { listen } from "../parts/live.ts";
import { Progress } from "../parts/progress.ts";
import { bytes, count } from "../parts/words.ts";
import type { JobLine } from "../types-results.ts";
import type { Uploaded } from "../types.ts";
import { filesOf, filesOfInput, type Dropped } from "./dropped.ts";
import { send } from "./send.ts";

type Done = (uploaded: Uploaded) => void;

/** Take what is dropped anywhere on the page. */
export function acceptDrops(done: Done): void {
  const veil = h("div", { class: "veil", hidden: true }, h("p", {}, "Drop images here", h("small", {}, "DICOM folders, NIfTI, PNG, JPEG, TIFF, MHA, NRRD")));
  document.body.append(veil);
  let depth = 0;
  const carries = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
  const shown = (on: boolean): void => {
    veil.hidden = !on;
    if (!on) depth = 0;
  };
  addEventListener("dragenter", (event) => {
    if (!carries(event)) return;
    depth += 1;
    shown(true);
  });
  addEventListener("dragleave", (event) => {
    if (!carries(event)) return;
    depth -= 1;
    if (depth <= 0) shown(false);
  });
  addEventListener("dragover", (event) => {
    if (carries(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    if (!carries(event) || event.dataTransfer === null) return;
    event.preventDefault();
    shown(false);
    void filesOf(event.dataTransfer).then((files) => upload(files, done));
  });
}

/** The button's dialog: choose files, or a folder. */
export function chooseFiles(done: Done): void {
  dialog("Upload images", (made) => {
    const picker = (words: string, folder: boolean): HTMLElement => {
      const input = h("input", { type: "file", multiple: true, class: "out-of-sight", webkitdirectory: folder, tabindex: "-1", "aria-label": words });
      input.addEventListener("change", () => {
        made.close();
        upload(filesOfInput(input), done);
      });
      return h("span", {}, input, h("button", { type: "button", class: "button", onclick: () => input.click() }, words));
    };
    return [
      h("p", {}, "A DICOM series is a folder of files; NIfTI, PNG, JPEG, TIFF, MHA and NRRD images are files of their own. You can also drop them anywhere on the worklist."),
      h("p", { class: "quiet" }, "Nothing leaves this server. Patient names stay in the DICOM files and are not displayed."),
      h("div", { class: "form-actions" }, picker("Choose a folder", true), picker("Choose files", false)),
    ];
  });
}

function upload(files: Dropped[], done: Done): void {
  if (files.length === 0) {
    dialog("Nothing to upload", () => h("p", {}, "There is no file in what was dropped."));
    return;
  }
  const stop = new AbortController();
  const size = files.reduce((sum, { file }) => sum + file.size, 0);
  const sent = h("span", {});
  const line = h("p", { class: "quiet" }, `${count(files.length, "file")}, ${bytes(size)}`);
  const bar = h("div", { class: "bar", role: "progressbar", "aria-label": "Sent", "aria-valuemin": "0", "aria-valuemax": "100" }, sent);
  const body = h("div", { class: "stack" }, line, bar);
  const made = dialog("Uploading", () => body, { onclose: () => stop.abort() });
  const progress = (share: number): void => {
    sent.style.width = `${100 * share}%`;
    bar.setAttribute("aria-valuenow", String(Math.round(100 * share)));
    text(line, share < 1 ? `${bytes(share * size)} of ${bytes(size)}, ${count(files.length, "file")}` : "Sent. The server is reading the images.");
  };
  const taken = (uploaded: Uploaded): void => {
    report(made, body, uploaded);
    done(uploaded);
  };
  send(files, progress, stop.signal).then(
    (uploaded) => (uploaded.job === null ? taken(uploaded) : follow(made, body, uploaded.job, taken)),
    (error: Error) => {
      if (error.name === "AbortError") return;
      put(body, line);
      made.say(error.message, "warning");
    },
  );
}

/** Many files are taken in by a job, which goes on when the dialog is closed. */
function follow(made: Dialog, body: HTMLElement, number: number, taken: Done): void {
  const progress = new Progress("Taken in");
  const end = listen({ job: (job) => take(job) });
  const take = (job: JobLine): void => {
    if (job.id !== number) return;
    progress.show(job.progress[0], job.progress[1]);
    if (job.state === "waiting" || job.state === "running") return;
    end();
    if (job.state === "done" && job.result) taken({ ...(job.result as unknown as Uploaded), job: null });
    else made.say(job.error ?? "The import was stopped.", "warning");
  };
  put(body, h("p", {}, "Sent. The images are being taken in; you may close this."), progress.element);
  made.element.addEventListener("close", end);
  void api.job(number).then(take, (error: Error) => made.say(error.message, "warning"));
}

/** What became of the files: closes by itself when there is nothing to read. */
function report(made: Dialog, body: HTMLElement, uploaded: Uploaded): void {
  text(made.element.querySelector("h2") ?? body, "Upload");
  if (uploaded.failed.length === 0) {
    made.close();
    return;
  }
  put(
    body,
    h("p", {}, sentenceOf(uploaded)),
    uploaded.failed.length > 0 && [
      h("h3", { class: "heading" }, `Refused: ${count(uploaded.failed.length, "file")}`),
      h("ul", { class: "refused" }, ...uploaded.failed.map((one) => h("li", {}, h("b", {}, one.path ?? ""), " ", h("span", { class: "quiet" }, one.reason ?? "")))),
    ],
    h("div", { class: "form-actions" }, h("button", { type: "button", class: "button primary", onclick: made.close, autofocus: true }, "Close")),
  );
  body.querySelector("button")?.focus();
}

export function sentenceOf(uploaded: Uploaded): string {
  const parts = [`${count(uploaded.added, "image")} added`];
  if (uploaded.known) parts.push(`${uploaded.known} known already`);
  if (uploaded.failed.length) parts.push(`${count(uploaded.failed.length, "file")} refused`);
  return `${parts.join(", ")}.`;
}
