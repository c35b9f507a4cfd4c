import { Fifo } from './fifo.ts';

/** `requested`: something happened to the object. `background`: the object is only reconciled because all objects are. */
export type Priority = 'requested' | 'background';

/** Every fourth turn takes a background key. */
const backgroundTurn = 4;

/**
 * Keys that wait, each at most once. Keys of the same priority are first in, first out, and background keys get one turn of four
 * while other keys wait.
 */
export class PriorityFifo {
  readonly #priorities = new Map<string, Priority>();
  /** A key whose priority changes stays in its old list, where it is skipped. */
  readonly #lists: Readonly<Record<Priority, Fifo<string>>> = { requested: new Fifo(), background: new Fifo() };
  #turns = 0;

  get size(): number {
    return this.#priorities.size;
  }

  has(key: string): boolean {
    return this.#priorities.has(key);
  }

  /** Adds a key, or changes the priority of a key that waits already. */
  push(key: string, priority: Priority): void {
    if (this.#priorities.get(key) === priority) return;
    this.#priorities.set(key, priority);
    this.#lists[priority].push(key);
  }

  /** Changes the priority of all keys to background. */
  putOff(): void {
    for (const key of this.#priorities.keys()) this.push(key, 'background');
  }

  /** Removes the next key. */
  take(): string | undefined {
    this.#turns += 1;
    // Without this, a steady stream of requested keys would never let the background keys through.
    const [first, second]: [Priority, Priority] =
      this.#turns % backgroundTurn === 0 ? ['background', 'requested'] : ['requested', 'background'];
    const key = this.#next(first) ?? this.#next(second);
    if (key !== undefined) this.#priorities.delete(key);
    return key;
  }

  #next(priority: Priority): string | undefined {
    const list = this.#lists[priority];
    for (let key = list.shift(); key !== undefined; key = list.shift()) {
      if (this.#priorities.get(key) === priority) return key;
    }
    return undefined;
  }
}
