// Export of a set as a folder that nnU-Net reads: made by a job, then downloaded.

import { api, ask } from "../api.ts";
import { h, put } from "../dom.ts";
import { dialog } from "../parts/dialog.ts";
import { listen } from "../parts/live.ts";
import { Progress } from "../parts/progress.ts";
import { count } from "../parts/words.ts";
import type { JobLine } from "../types-results.ts";
import type { SetDetail } from "../types.ts";

export function exportSet(set: SetDetail): void {
  const accepted = set.counts.accepted ?? 0;
  let stop = (): void => undefined;
  dialog(
    `Export ${set.name}`,
    (made) => {
      const body = h("div", { class: "stack" });
      const begin = h("button", { type: "button", class: "button primary", disabled: accepted === 0, onclick: () => void run() }, "Export");
      put(
        body,
        h("p", {}, accepted ? `${count(accepted, "accepted image")} and their masks as an nnU-Net raw folder (imagesTr, labelsTr, dataset.json), in one ZIP file.` : "No mask is accepted yet: there is nothing to export."),
        h("div", { class: "form-actions" }, begin),
      );
      async function run(): Promise<void> {
        begin.disabled = true;
        const progress = new Progress("Export");
        progress.show(0, accepted);
        body.append(progress.element);
        try {
          const job = (await (await ask(`/api/v1/sets/${set.id}/export`, { method: "POST" })).json()) as JobLine;
          stop = listen({ job: (now) => now.id === job.id && take(now, progress) });
          take(await api.job(job.id), progress);
        } catch (error) {
          made.say(error instanceof Error ? error.message : String(error), "warning");
        }
      }
      function take(job: JobLine, progress: Progress): void {
        progress.show(job.progress[0], job.progress[1] || accepted);
        if (job.state === "done") {
          stop();
          const href = typeof job.result?.url === "string" ? job.result.url : `/api/v1/sets/${set.id}/export/${job.id}`;
          put(body, h("p", {}, "The folder is ready."), h("div", { class: "form-actions" }, h("a", { class: "button primary", href, download: "" }, "Download")));
          body.querySelector("a")?.focus();
        } else if (job.error) made.say(job.error, "warning");
      }
      return body;
    },
    { onclose: () => stop() },
  );
}
