// The one script that every page loads: it fetches the page's own part and hands it the frame.

import "./style/page.css";
import { put, h } from "./dom.ts";
import { frame, type Frame } from "./shell.ts";

type PageModule = { show: (frame: Frame) => Promise<void> | void };

const pages = import.meta.glob<PageModule>("./pages/*.ts");

async function begin(): Promise<void> {
  const name = document.body.dataset.page ?? "";
  const shell = await frame(name);
  if (shell === null) return;
  const load = pages[`./pages/${name}.ts`];
  if (load === undefined) {
    put(shell.main, h("p", { class: "empty" }, "There is nothing on this page yet."));
    return;
  }
  try {
    await (await load()).show(shell);
  } catch (error) {
    shell.fail(error);
  }
}

void begin();
