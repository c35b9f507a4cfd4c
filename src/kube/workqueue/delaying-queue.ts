import { Heap } from './heap.ts';

/** Keys with a due time. If several times are set for a key, the earliest counts. */
export class DelayingQueue {
  readonly #dueAt = new Map<string, number>();
  /** An entry whose time differs from `#dueAt` is superseded by an earlier one. */
  readonly #heap = new Heap<string>();

  /** Entries in memory, including superseded ones. There are at most about twice as many entries as keys. */
  get entries(): number {
    return this.#heap.length;
  }

  /** When the next key is due, in milliseconds of one clock. It may be the time of a superseded entry. */
  get nextAt(): number | undefined {
    return this.#heap.peek()?.at;
  }

  /** Sets a due time. Does nothing if the key has an earlier one. */
  set(key: string, at: number): void {
    if (at >= (this.#dueAt.get(key) ?? Number.POSITIVE_INFINITY)) return;
    this.#dueAt.set(key, at);
    this.#heap.push(at, key);
    // A key that is due in months and is woken earlier, again and again, leaves a superseded entry each time.
    if (this.#heap.length > 2 * this.#dueAt.size + 16) this.#dropSuperseded();
  }

  /** Removes a key. */
  delete(key: string): void {
    this.#dueAt.delete(key);
    if (this.#dueAt.size === 0) this.#heap.clear();
  }

  /** Removes and returns the next key that is due at `now`; undefined if no key is due. */
  takeDue(now: number): string | undefined {
    for (let next = this.#heap.peek(); next !== undefined && next.at <= now; next = this.#heap.peek()) {
      this.#heap.pop();
      if (this.#dueAt.get(next.value) !== next.at) continue;
      this.#dueAt.delete(next.value);
      return next.value;
    }
    return undefined;
  }

  #dropSuperseded(): void {
    this.#heap.clear();
    for (const [key, at] of this.#dueAt) this.#heap.push(at, key);
  }
}
