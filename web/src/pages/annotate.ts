// The page Annotate.

import { Annotate } from "../annotate/annotate.ts";
import { start } from "../annotate/course.ts";
import { h, put } from "../dom.ts";
import type { Frame } from "../shell.ts";
import "../style/viewer.css";
import "../style/annotate.css";

export async function show(frame: Frame): Promise<void> {
  const stop = await start();
  if (stop === null) {
    put(
      frame.main,
      h("div", { class: "empty" }, h("p", {}, "There is no image left to outline."), h("p", {}, h("a", { href: "/" }, "Add images in the worklist"), " or ", h("a", { href: "/sets" }, "begin a set"), ".")),
    );
    return;
  }
  await new Annotate(frame).begin(stop);
}
