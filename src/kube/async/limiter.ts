/** Lets a limited number of tasks run at the same time. The others wait, first in, first out. */
export class Limiter {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  /** @param most how many tasks may run at the same time */
  constructor(most: number) {
    this.#free = most;
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => void this.#waiting.push(resolve));
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      // The next task takes the place of this one.
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
