/** For how long work may keep everything else waiting, in milliseconds. */
const longestMs = 10;

/**
 * The share that work has of the event loop. Promises that wait for nothing real settle one after the other before any
 * timer or answer has its turn, however many they are: a hundred thousand objects that are as they should be would keep the
 * Lease from being renewed.
 */
export class TimeSlice {
  #current: { readonly endsAtMs: number; readonly over: Promise<void> } | undefined;

  /** Resolves at once while the turn lasts, else in one of the next. */
  async yield(): Promise<void> {
    // Of all who wait for the next one, those who come late find it over.
    for (let turn = this.#timeSlice(); performance.now() >= turn.endsAtMs; turn = this.#timeSlice()) await turn.over;
  }

  #timeSlice(): { readonly endsAtMs: number; readonly over: Promise<void> } {
    this.#current ??= {
      endsAtMs: performance.now() + longestMs,
      over: new Promise((resolve) => {
        setImmediate(() => {
          this.#current = undefined;
          resolve();
        });
      }),
    };
    return this.#current;
  }
}
