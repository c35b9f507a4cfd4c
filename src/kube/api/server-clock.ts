/**
 * The clock of the API server, as far as its answers show it. Every answer has a Date in whole seconds, from before it was sent
 * (RFC 9110, 6.6.1). So this clock is never ahead of the clock of the API server, and about a second behind it.
 */
export class ServerClock {
  readonly #monotonicMs: () => number;
  #aheadMs: number | undefined;

  /** @param monotonicMs milliseconds of a monotonic clock: a change of the system clock does not count as time */
  constructor(monotonicMs: () => number = () => performance.now()) {
    this.#monotonicMs = monotonicMs;
  }

  /** Notes the header Date of an answer. Ignores a header that is absent or not valid. */
  note(date: string | undefined): void {
    const ms = date === undefined ? Number.NaN : Date.parse(date);
    if (!Number.isNaN(ms)) this.#aheadMs = ms - this.#monotonicMs();
  }

  /** Undefined before the first answer. */
  now(): Date | undefined {
    return this.#aheadMs === undefined ? undefined : new Date(this.#aheadMs + this.#monotonicMs());
  }
}
