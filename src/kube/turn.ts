/**
 * The share that work has of the event loop. Promises that wait for nothing real settle one after the other before any
 * timer or answer has its turn, however many they are: a hundred thousand objects that are as they should be would keep the
 * Lease from being renewed.
 */
export class Turn {
  readonly #longestMs: number;
  #endsAtMs: number | undefined;
  #next: Promise<void> | undefined;

  /** @param longestMs for how long work may keep everything else waiting */
  constructor(longestMs = 10) {
    this.#longestMs = longestMs;
  }

  /** Resolves at once while the turn lasts, else in one of the next. */
  async rest(): Promise<void> {
    // Of all who wait for the next one, those who come late find it over.
    while (this.#isOver()) {
      this.#next ??= new Promise((resolve) => {
        setImmediate(() => {
          this.#next = undefined;
          resolve();
        });
      });
      await this.#next;
    }
  }

  #isOver(): boolean {
    if (this.#endsAtMs === undefined) {
      this.#endsAtMs = performance.now() + this.#longestMs;
      setImmediate(() => {
        this.#endsAtMs = undefined;
      });
    }
    return performance.now() >= this.#endsAtMs;
  }
}
