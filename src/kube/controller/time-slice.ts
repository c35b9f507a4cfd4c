/** How long work may block the event loop, in milliseconds. */
const longestMs = 10;

/**
 * Limits how long work blocks the event loop. Promises without real waiting settle before any timer or answer of the API server
 * is handled: a leader that reconciles a hundred thousand unchanged objects could not renew its Lease meanwhile.
 */
export class TimeSlice {
  #current: { readonly endsAtMs: number; readonly over: Promise<void> } | undefined;

  /** Resolves at once while the current slice lasts, and otherwise in a later turn of the event loop. */
  async yield(): Promise<void> {
    // Many callers may wait for the next slice. When the last of them continues, that slice may be over, too.
    for (let slice = this.#timeSlice(); performance.now() >= slice.endsAtMs; slice = this.#timeSlice())
      await slice.over;
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
