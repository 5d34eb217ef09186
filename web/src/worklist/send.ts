// Send files to the server, with the share that is sent. `fetch` does not report it, so this is an XMLHttpRequest.

import { ApiError, ConnectionError } from "../api.ts";
import type { Uploaded } from "../types.ts";
import type { Dropped } from "./dropped.ts";

export function send(files: Dropped[], progress: (share: number) => void, stop: AbortSignal): Promise<Uploaded> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", "/api/v1/cases");
    request.setRequestHeader("X-Casewise", "1");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => progress(event.total ? event.loaded / event.total : 0));
    request.addEventListener("error", () => reject(new ConnectionError()));
    request.addEventListener("abort", () => reject(new DOMException("The upload was stopped.", "AbortError")));
    request.addEventListener("load", () => {
      const answer = request.response as (Uploaded & { detail?: unknown }) | null;
      if (request.status < 300 && answer) resolve(answer);
      else reject(new ApiError(request.status, typeof answer?.detail === "string" ? answer.detail : `The server answered ${request.status}.`));
    });
    stop.addEventListener("abort", () => request.abort());
    const form = new FormData();
    for (const { path, file } of files) form.append("files", file, path);
    request.send(form);
  });
}
