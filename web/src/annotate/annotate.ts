// The page Annotate: the viewer, the session, and what lies around them.

import { api, ApiError } from "../api.ts";
import { h, set } from "../dom.ts";
import { dialog } from "../parts/dialog.ts";
import { readable } from "../parts/words.ts";
import type { Frame } from "../shell.ts";
import type { Answer, NextImage } from "../types.ts";
import { Viewer, type Tool } from "../viewer/viewer.ts";
import { addressOf, afterwards, ahead, skip, stopped, structures, type Stop } from "./course.ts";
import { Clock } from "./clock.ts";
import { guide } from "./guide.ts";
import { Images } from "./images.ts";
import { keymap } from "./keymap.ts";
import { keysDialog, obey } from "./keys.ts";
import { Panel } from "./panel.ts";
import { StructureChoice } from "./structure.ts";
import { Tools } from "./tools.ts";
import { Work } from "./work.ts";
import type { Order } from "./orders.ts";

export class Annotate {
  private readonly clock = new Clock();
  private readonly viewer: Viewer;
  private readonly images: Images;
  private readonly panel: Panel;
  private readonly tools: Tools;
  private readonly choice: StructureChoice;
  private readonly dialog: HTMLDialogElement;
  private readonly buttons: Record<"undo" | "redo" | "skip" | "accept", HTMLButtonElement>;
  private work: Work;
  private stop: Stop | null = null;
  private next: NextImage | null = null;
  private outlined: string[] = [];
  private last: { answer: Answer; order: Order } | null = null;
  private loading = true;
  private leaving = false;
  private said = "";
  private doing: Promise<void> = Promise.resolve();

  constructor(private readonly frame: Frame) {
    this.viewer = new Viewer({
      stroke: (kind, runs) => this.do({ kind: "strokes", foreground: kind === "foreground" ? runs : [], background: kind === "background" ? runs : [], count: 1 }),
      erase: (voxels) => this.do({ kind: "erase", voxels }),
      box: (box) => this.do({ kind: "box", box }),
      changed: () => undefined,
      active: () => this.clock.tick(),
    });
    this.images = new Images({ changed: () => this.viewer.refresh(true) });
    this.work = this.newWork();
    this.panel = new Panel({
      select: (number) => void this.attempt(() => this.select(number)),
      another: () => this.another(),
      channel: (channel) => void this.reopen(channel),
    });
    this.choice = new StructureChoice((name) => void this.attempt(() => this.name(name)));
    const keys = keymap(this.viewer, {
      tool: (tool) => this.tool(tool),
      undo: () => this.undo(),
      redo: () => this.redo(),
      accept: () => this.accept(),
      skip: () => this.skip(),
      another: () => this.another(),
      select: (number) => void this.attempt(() => this.select(number)),
      grow: () => this.grow(),
      hide: () => this.hide(),
      help: () => this.dialog.showModal(),
    });
    this.dialog = keysDialog(keys);
    this.tools = new Tools(
      [
        { name: "box", title: "Box", key: "B", tool: "box", does: () => this.tool("box") },
        { name: "foreground", title: "Belongs to it", key: "F", tool: "foreground", does: () => this.tool("foreground") },
        { name: "background", title: "Does not belong", key: "D", tool: "background", does: () => this.tool("background") },
        { name: "erase", title: "Erase strokes", key: "E", tool: "erase", does: () => this.tool("erase") },
        { name: "window", title: "Brightness and contrast", key: "W", tool: "window", does: () => this.tool("window") },
        { name: "move", title: "Move", key: "M", tool: "move", does: () => this.tool("move") },
        { name: "grow", title: "Grow through the slices", key: "G", does: () => this.grow() },
        { name: "hide", title: "Hide the mask", key: "Space", does: () => this.hide() },
        { name: "fit", title: "Whole image", key: "0", does: () => this.viewer.fit() },
      ],
      { name: "keys", title: "Keys", key: "?", does: () => this.dialog.showModal() },
    );
    const button = (label: string, key: string, does: () => void, kind = ""): HTMLButtonElement =>
      h("button", { type: "button", class: `button ${kind}`, onclick: does }, label, " ", ...key.split(" ").map((one) => h("kbd", {}, one)));
    this.buttons = {
      undo: button("Undo", "Ctrl Z", () => this.undo()),
      redo: button("Redo", "", () => this.redo()),
      skip: button("Skip", "S", () => this.skip()),
      accept: button("Accept and next", "A", () => this.accept(), "primary"),
    };
    this.buttons.redo.querySelector("kbd")?.remove();
    frame.actions.append(this.choice.element, this.buttons.undo, this.buttons.redo, this.buttons.skip, this.buttons.accept);
    frame.main.append(this.tools.element, this.viewer.element, this.panel.element, this.dialog);
    this.tool("box");
    obey(keys);
    addEventListener("beforeunload", (event) => !this.work.isIdle && event.preventDefault());
    addEventListener("popstate", () => void this.attempt(() => this.back()));
    setInterval(() => this.show(), 1000);
  }

  /** Show an image, and begin to outline a structure in it. */
  begin(stop: Stop): Promise<void> {
    return this.attempt(() => this.go(stop, "replace"));
  }

  private async go(stop: Stop, history: "push" | "replace" | "none"): Promise<void> {
    this.work.end();
    const work = (this.work = this.newWork());
    [this.stop, this.last, this.loading, this.said] = [stop, null, true, ""];
    this.clock.restart();
    if (history !== "none") window.history[`${history}State`](null, "", addressOf(stop));
    this.tool("box");
    try {
      const [{ image, source }] = await Promise.all([this.images.get(stop.key, null), this.know(stop)]);
      this.panel.image(image);
      document.title = `${image.name} – Annotate – casewise`;
      this.outlined = image.structures;
      const begun = stop.structure ? this.open(work, stop) : Promise.resolve();
      begun.catch(() => undefined); // it is waited for below
      await this.viewer.show(image, source);
      this.loading = this.leaving = false;
      this.show();
      if (!stop.structure) this.choice.ask("What do you want to outline?", (name) => void this.attempt(() => this.name(name)));
      await begun;
    } finally {
      this.loading = false;
      this.show();
    }
    if (this.next !== null) this.images.ahead(this.next.key);
  }

  /** From the image's own mask where it has one, else from what the accepted cases say. */
  private open(work: Work, { key, structure, set }: Stop): Promise<void> {
    const own = this.outlined.some((name) => name === structure || name === `${structure}@${this.frame.me.name}`);
    return work.begin({ case: key, structure, set, begin: own ? "mask" : "guess" });
  }

  private newWork(): Work {
    const work: Work = new Work(this.clock, {
      drawn: (objects, current) => {
        const scene = this.viewer.scene;
        if (scene === null || work !== this.work) return;
        [scene.objects, scene.current] = [objects, current];
        this.viewer.refresh(true);
        // A first mask that came by itself is corrected by strokes.
        if (work.isIdle && !this.viewer.busy && this.viewer.tool === "box" && this.last === null && (work.current?.voxels ?? 0) > 0) this.tool("foreground");
      },
      changed: () => work === this.work && this.show(),
      answered: (answer, order) => {
        if (work !== this.work) return;
        this.last = { answer, order };
        if (order.kind === "box" && this.viewer.tool === "box" && answer.object.voxels > 0) this.tool("foreground");
      },
      problem: (error) => this.frame.fail(error),
    });
    return work;
  }

  private async know(stop: Stop): Promise<void> {
    const [set, known] = await Promise.all([stop.set === null ? null : api.set(stop.set).catch(() => null), structures().catch((): string[] => [])]);
    if (this.stop !== stop) return;
    this.choice.setKnown(known);
    this.panel.showSet(set);
    this.next = await ahead(stop, set).catch(() => null);
  }

  private isDisplayed(): boolean {
    return this.stop !== null && this.viewer.element.getAttribute("data-ready") === this.stop.key;
  }

  private do(order: Order): void {
    if (!this.isDisplayed()) return; // what is displayed is still the image before
    this.clock.tick();
    this.said = "";
    this.work.do(order);
  }

  private undo(): void {
    if (this.work.canUndo) this.do({ kind: "undo" });
  }

  private redo(): void {
    if (this.work.canRedo) this.do({ kind: "redo" });
  }

  private grow(): void {
    if (this.canGrow()) this.do({ kind: "grow" });
    else this.say("Only what is outlined in one slice can grow: draw a box with Shift held down.");
  }

  private canGrow(): boolean {
    const box = this.work.current?.box;
    return this.viewer.scene?.image.shape.length === 3 && !!box?.some(([low, high]) => high - low === 1);
  }

  private another(): void {
    this.choice.ask("Another structure in this image", (name) => void this.attempt(() => this.name(name)));
  }

  private async name(name: string): Promise<void> {
    const stop = this.stop;
    if (stop === null || name === this.work.current?.structure) return;
    if (stop.structure) {
      await this.work.another(name);
      this.last = null;
      this.tool("box");
      return;
    }
    this.stop = { ...stop, structure: name };
    window.history.replaceState(null, "", addressOf(this.stop));
    await this.open(this.work, this.stop);
  }

  private async select(number: number): Promise<void> {
    const before = this.work.current;
    await this.work.select(number);
    if (this.work.current?.number === before?.number) return;
    this.last = null; // the answer was to another structure
    this.show();
  }

  private accept(): void {
    if (this.leaving) return;
    this.clock.tick();
    void this.attempt(async () => {
      await this.work.settled();
      const objects = this.work.state?.objects ?? [];
      if (objects.some((object) => object.voxels > 0)) await this.keep(false);
      else if (objects.some((object) => object.box !== null)) this.askEmpty(objects[0].structure);
      else this.say("There is nothing to accept yet. Draw a box, or skip the image (S).");
    });
  }

  private askEmpty(structure: string): void {
    dialog("Nothing is outlined", (asked) => {
      const cancel = h("button", { type: "button", class: "button", onclick: asked.close }, "Cancel");
      const yes = h("button", { type: "button", class: "button primary", autofocus: true }, "Accept as not there");
      yes.addEventListener("click", () => {
        asked.close();
        void this.attempt(() => this.keep(true));
      });
      return [h("p", {}, `Accept that there is no ${readable(structure)} in this image?`), h("div", { class: "form-actions" }, cancel, yes)];
    });
  }

  /** Keep what is outlined, and go on to the next image. */
  private async keep(empty: boolean): Promise<void> {
    const { stop } = this;
    if (stop === null || this.work.state === null) return;
    await this.leave(async () => {
      const accepted = await this.work.accept(empty);
      await this.onward(stop, await afterwards(stop, accepted.next), "Accepted.");
    });
  }

  private skip(): void {
    const { stop } = this;
    if (stop === null || this.leaving) return;
    void this.attempt(() => this.leave(async () => this.onward(stop, await skip(stop), "Skipped.")));
  }

  private async leave(how: () => Promise<void>): Promise<void> {
    this.leaving = true;
    this.show();
    try {
      await how();
    } finally {
      this.leaving = false;
      this.show();
    }
  }

  private async onward(stop: Stop, next: NextImage | null, done: string): Promise<void> {
    if (next === null || next.key === stop.key) {
      if (stop.set !== null) location.assign(`/sets/${stop.set}`);
      else this.say(`${done} No other image waits.`);
      return;
    }
    await this.go({ ...stop, key: next.key }, "push");
  }

  /** The browser's back and forward. */
  private async back(): Promise<void> {
    const { key, structure, set } = stopped();
    if (key) await this.go({ key, structure: structure ?? "", set: set ?? null }, "none");
  }

  private async reopen(channel: number): Promise<void> {
    const { stop } = this;
    const scene = this.viewer.scene;
    if (stop === null || scene === null) return;
    await this.attempt(async () => {
      const { source } = await this.images.get(stop.key, channel);
      scene.source = await source;
      this.viewer.refresh(true);
    });
  }

  private tool(tool: Tool): void {
    this.viewer.setTool(tool);
    this.tools.choose(tool);
    this.show();
  }

  private hide(): void {
    const scene = this.viewer.scene;
    if (scene === null) return;
    scene.masksShown = !scene.masksShown;
    this.viewer.refresh(true);
  }

  private say(sentence: string): void {
    this.said = sentence;
    this.show();
  }

  /** Do one thing after the other, and say what went wrong. */
  private attempt(what: () => Promise<void>): Promise<void> {
    this.doing = this.doing.then(what).catch((error: unknown) => {
      if (error instanceof ApiError && error.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
      this.said = error instanceof Error ? error.message : String(error);
      this.frame.fail(error);
    });
    return this.doing;
  }

  /** Say how things stand; everything keeps its place. */
  private show(): void {
    if (this.tools === undefined) return;
    const { work, stop } = this;
    const object = work.current;
    const structure = object?.structure ?? stop?.structure ?? "";
    const state = work.state;
    this.choice.show(structure);
    this.buttons.undo.disabled = !work.canUndo;
    this.buttons.redo.disabled = !work.canRedo;
    this.buttons.accept.disabled = this.leaving || this.loading;
    this.buttons.skip.disabled = this.leaving;
    this.tools.allow("grow", this.canGrow(), (this.viewer.scene?.image.shape.length ?? 2) === 3);
    this.panel.session(state, this.clock.waiting, structure);
    if (this.stop !== null) this.panel.showNext(this.next);
    set(this.frame.main, "data-busy", work.busy ? "true" : null);
    this.frame.aside(state?.model ?? "");
    const { sentence, warning } = guide({
      loading: this.loading && !this.isDisplayed(),
      busy: work.busy || (work.state === null && !work.isIdle),
      offline: work.offline,
      tool: this.viewer.tool,
      structure,
      object,
      reason: state?.reason ?? "",
      similar: state?.similar.length ?? 0,
      flat: this.viewer.scene?.image.shape.length !== 3,
      last: this.last,
    });
    if (this.said && !warning) this.frame.say(this.said, "warning");
    else this.frame.say(sentence, warning ? "warning" : "quiet");
  }
}
