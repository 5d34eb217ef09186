// Seconds of work: the time between two actions counts, unless the person was away.

const AWAY = 30; // seconds without an action after which nothing counts

export class Clock {
  private seconds = 0;
  private last: number | null = null;

  /** Something was done. */
  tick(): void {
    const now = performance.now() / 1000;
    if (this.last !== null && now - this.last <= AWAY) this.seconds += now - this.last;
    this.last = now;
  }

  /** The seconds since they were last taken. */
  take(): number {
    const found = Math.round(this.seconds * 10) / 10;
    this.seconds -= found;
    return Math.max(0, found);
  }

  /** Put back what was taken for an order that was not done. */
  give(seconds: number): void {
    this.seconds += seconds;
  }

  /** The seconds that are not yet taken. */
  get waiting(): number {
    return Math.max(0, this.seconds);
  }

  restart(): void {
    [this.seconds, this.last] = [0, null];
  }
}
