import { Heap } from './heap.ts';

/** Keys that are due at a time, each at the earliest of the times that were set for it. */
export class DelayingQueue {
  readonly #dueAt = new Map<string, number>();
  /** An entry with another time than `#dueAt` has was overtaken by an earlier one. */
  readonly #heap = new Heap<string>();

  /** Entries in memory: those of keys, and overtaken ones, which are never many more. */
  get entries(): number {
    return this.#heap.length;
  }

  /** When the next key is due, in milliseconds since the epoch. It may be the time of an overtaken entry. */
  get nextAt(): number | undefined {
    return this.#heap.peek()?.at;
  }

  /** Sets a time; a later one than is set already changes nothing. */
  set(key: string, at: number): void {
    if (at >= (this.#dueAt.get(key) ?? Number.POSITIVE_INFINITY)) return;
    this.#dueAt.set(key, at);
    this.#heap.push(at, key);
    // A key that waits for a far date and is woken before, again and again, overtakes an entry every time.
    if (this.#heap.length > 2 * this.#dueAt.size + 16) this.#dropOvertaken();
  }

  /** Takes the next key that is due at `now`; undefined when there is none. */
  takeDue(now: number): string | undefined {
    for (let next = this.#heap.peek(); next !== undefined && next.at <= now; next = this.#heap.peek()) {
      this.#heap.pop();
      if (this.#dueAt.get(next.value) !== next.at) continue;
      this.#dueAt.delete(next.value);
      return next.value;
    }
    return undefined;
  }

  #dropOvertaken(): void {
    this.#heap.clear();
    for (const [key, at] of this.#dueAt) this.#heap.push(at, key);
  }
}
