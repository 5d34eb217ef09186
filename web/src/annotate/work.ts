// A session with the server: one order at a time, what is drawn meanwhile waits and is sent next, nothing drawn is lost.

import { api, ApiError, ConnectionError } from "../api.ts";
import type { Accepted, Answer, ObjectState, SessionOrder, SessionState, StaleRound } from "../types.ts";
import { Mask, unpacked } from "../viewer/masks.ts";
import type { Marks, Outlined } from "../viewer/scene.ts";
import { without } from "../viewer/strokes.ts";
import type { Clock } from "./clock.ts";
import { enqueue, send, wasDone, type Order } from "./orders.ts";

const BUSY_AFTER = 300; // ms
const AGAIN = [1000, 2000, 4000, 8000]; // ms between tries where the server does not answer
const HEARTBEAT = 25_000;
const GUESS = 3000; // ms between questions after a first mask that is being prepared

export interface Events {
  /** The masks, strokes or boxes are others than before. */
  drawn: (objects: Outlined[], current: number) => void;
  /** What the page says about them may have changed. */
  changed: () => void;
  answered: (answer: Answer, order: Order) => void;
  problem: (error: unknown) => void;
}

export class Work {
  state: SessionState | null = null;
  busy = false;
  /** Whether the server does not answer; what was drawn is kept meanwhile. */
  offline = false;
  private objects: Outlined[] = [];
  private waiting: Order[] = [];
  private sent: Order | null = null;
  private idle: (() => void)[] = [];
  private timer = 0;
  private ended = false;
  private order: SessionOrder | null = null;

  constructor(
    private readonly clock: Clock,
    private readonly events: Events,
  ) {}

  get current(): ObjectState | null {
    return this.state?.objects[this.state.current] ?? null;
  }

  /** Of all objects: which masks are seen here. */
  private get versions(): number[] {
    return this.state?.objects.map((object) => object.version) ?? [];
  }

  get isIdle(): boolean {
    return this.sent === null && this.waiting.length === 0;
  }

  /** What can be undone or done again, counting what is under way. */
  get canUndo(): boolean {
    return !this.isIdle || (this.current?.can_undo ?? false);
  }

  get canRedo(): boolean {
    const pending = this.waiting.at(-1) ?? this.sent;
    return pending === null ? (this.current?.can_redo ?? false) : pending.kind === "undo";
  }

  /** Begin or go on; what is drawn until the server knows of it waits. */
  async begin(order: SessionOrder): Promise<void> {
    this.order = order;
    await this.take(await api.openSession(order));
    this.beat();
    void this.run();
  }

  /** Stop asking; the server keeps the session for a while. */
  end(): void {
    this.ended = true;
    clearTimeout(this.timer);
  }

  /** Do something to the current object, after what waits; also while the session is still being opened. */
  do(order: Order): void {
    enqueue(this.waiting, order);
    this.draw();
    void this.run();
  }

  /** All that was drawn is answered. */
  settled(): Promise<void> {
    return this.isIdle ? Promise.resolve() : new Promise((done) => this.idle.push(done));
  }

  async another(structure: string): Promise<void> {
    const known = this.state?.objects.find((object) => object.structure === structure);
    if (known) return this.select(known.number);
    await this.settled();
    if (this.state) await this.take(await api.object(this.state.id, { structure }));
  }

  async select(number: number): Promise<void> {
    if (this.state === null || number === this.state.current || number >= this.state.objects.length) return;
    await this.settled();
    await this.take(await api.object(this.state.id, { number }));
  }

  /** Keep what is outlined as it is seen here; where another window has changed it, that is shown, and nothing is kept. */
  async accept(force: boolean): Promise<Accepted> {
    const { state } = this;
    if (state === null) throw new Error("The session has not begun yet; wait until it has.");
    const seconds = this.clock.take();
    try {
      return await api.accept(state.id, { number: state.current, seen: this.versions, seconds, force });
    } catch (error) {
      this.clock.give(seconds);
      if (error instanceof ApiError && error.status === 409) await this.takeStale(error, state.current);
      throw error;
    }
  }

  private async run(): Promise<void> {
    if (this.sent !== null || this.state === null) return;
    while (!this.ended && this.waiting.length > 0) {
      this.sent = this.waiting.shift() as Order;
      const slow = setTimeout(() => this.setBusy(true), BUSY_AFTER);
      for (let tries = 0; !this.ended && !(await this.once(this.sent, tries)); tries++) await pause(AGAIN[Math.min(tries, AGAIN.length - 1)]);
      clearTimeout(slow);
      this.sent = null;
      this.setBusy(false);
      this.draw();
    }
    if (this.isIdle) this.idle.splice(0).forEach((done) => done());
  }

  /** Send an order; whether it is dealt with, be it done or refused. */
  private async once(order: Order, tries: number): Promise<boolean> {
    const before = this.current;
    const state = this.state;
    if (state === null || before === null) return true;
    const seconds = this.clock.take();
    try {
      const answer = await send(state.id, order, before, seconds);
      this.setOffline(false);
      const isWhole = await this.apply(answer, before);
      if (!isWhole) await this.look();
      this.events.answered(answer, order);
      return true;
    } catch (error) {
      this.clock.give(seconds);
      if (error instanceof ConnectionError || (error instanceof ApiError && error.status >= 502)) {
        this.setOffline(true);
        return false;
      }
      this.setOffline(false);
      return this.refused(error, order, before, tries);
    }
  }

  private async refused(error: unknown, order: Order, before: ObjectState, tries: number): Promise<boolean> {
    if (error instanceof ApiError && error.status === 409) {
      await this.takeStale(error, before.number);
      const now = this.current;
      if (now?.structure !== before.structure) {
        // What was drawn is for a structure that the session does not have any more, and for no other.
        this.waiting.length = 0;
        this.events.problem(error);
        return true;
      }
      if (tries > 0 && now !== null && wasDone(order, before, now)) return true;
      if (order.kind === "undo" || order.kind === "redo" || order.kind === "grow" || tries > 3) return true;
      return this.once(order, tries + 1);
    }
    if (error instanceof ApiError && error.status === 404 && this.order !== null && tries < 2) {
      // The session ended elsewhere: begin another one, with what was drawn here.
      await this.take(await api.openSession({ ...this.order, structure: before.structure, begin: "guess" }));
      return this.once(order, tries + 2);
    }
    this.events.problem(error);
    return true;
  }

  /** Take the masks as the server has them now. Where it does not answer, they are taken later: their versions are others. */
  private async look(): Promise<void> {
    if (this.state === null) return;
    const now = await api.session(this.state.id, this.state.current).catch(() => null);
    if (now !== null) await this.take(now);
  }

  /** The session as a refusal tells it. */
  private async takeStale(error: ApiError, number: number): Promise<void> {
    const stale = error.body as StaleRound | null;
    await this.take(stale?.session ?? (await api.session(this.state?.id ?? "", number)));
  }

  /** The session as the server has it. */
  private async take(state: SessionState): Promise<void> {
    const objects = await Promise.all(
      state.objects.map(async (object, number): Promise<Outlined> => {
        const known = this.objects[number];
        const mask = known?.structure === object.structure ? known.mask : new Mask();
        if (object.mask === null) mask.clear();
        else mask.put(object.mask.box, await unpacked(object.mask), true);
        return { structure: object.structure, mask, box: object.box, marks: marksOf(object) };
      }),
    );
    [this.state, this.objects] = [state, objects];
    this.draw();
  }

  /** Whether the answer brings the mask from the one before to that of now: not where another window has drawn too. */
  private async apply(answer: Answer, before: ObjectState): Promise<boolean> {
    const { patch } = answer;
    const isWhole = answer.object.version <= before.version + 1;
    const object = isWhole ? answer.object : { ...answer.object, version: before.version };
    const bytes = patch === null ? null : await unpacked(patch);
    const known = this.objects[object.number];
    if (this.state === null || known === undefined) return true;
    if (patch !== null && bytes !== null) known.mask.put(patch.box, bytes, false);
    [known.box, known.marks] = [object.box, marksOf(object)];
    this.state.objects[object.number] = object;
    this.state.reason = answer.reason;
    return isWhole;
  }

  /** Show the server's masks with what was drawn since. */
  private draw(): void {
    const current = this.state?.current ?? 0;
    const objects = this.state === null ? [{ structure: this.order?.structure ?? "", mask: new Mask(), box: null, marks: [] }] : this.objects;
    const shown = objects.map((object, number) => (number === current ? this.withWaiting(object) : object));
    this.events.drawn(shown, current);
    this.events.changed();
  }

  private withWaiting(object: Outlined): Outlined {
    let { box, marks } = object;
    for (const order of [...(this.sent === null ? [] : [this.sent]), ...this.waiting]) {
      if (order.kind === "box") [box, marks] = [order.box, []];
      else if (order.kind === "erase") marks = marks.map(({ kind, runs }) => ({ kind, runs: without(runs, order.voxels) }));
      else if (order.kind === "strokes") {
        marks = [...marks, { kind: "foreground", runs: order.foreground }, { kind: "background", runs: order.background }];
      }
    }
    return { ...object, box, marks };
  }

  private setBusy(busy: boolean): void {
    if (this.busy === busy) return;
    this.busy = busy;
    this.events.changed();
  }

  private setOffline(offline: boolean): void {
    if (this.offline === offline) return;
    this.offline = offline;
    this.events.changed();
  }

  /** Say that the person is there; and take the first mask when it has been prepared. */
  private beat(): void {
    clearTimeout(this.timer);
    const object = this.current;
    const awaited = object !== null && object.round === 0 && object.box === null && (this.state?.reason ?? "").includes("being prepared");
    this.timer = window.setTimeout(() => void this.ask(), awaited ? GUESS : HEARTBEAT);
  }

  private async ask(): Promise<void> {
    if (this.ended || this.state === null) return;
    try {
      const [before, seen] = [this.state, this.versions.join()];
      const state = await api.session(before.id, before.current);
      const isOther = state.objects.map((object) => object.version).join() !== seen || state.reason !== before.reason;
      // Only where nothing is under way and nothing was done meanwhile: an answer is newer than this one.
      if (this.isIdle && !this.ended && this.state === before && this.versions.join() === seen && isOther) await this.take(state);
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) this.events.problem(error);
    }
    this.beat();
  }
}

function marksOf(object: ObjectState): Marks[] {
  return [
    { kind: "foreground", runs: object.foreground },
    { kind: "background", runs: object.background },
  ];
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
