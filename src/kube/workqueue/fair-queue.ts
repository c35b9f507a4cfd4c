import { Fifo } from './fifo.ts';
import { type Priority, PriorityFifo } from './priority-fifo.ts';

/** The keys of a flow that wait. */
interface Keys {
  readonly size: number;
  has(key: string): boolean;
  push(key: string, priority: Priority): void;
  putOff(): void;
  take(): string | undefined;
  done?(key: string): void;
}

interface Flow {
  readonly name: string;
  readonly keys: Keys;
  /** How many keys were taken and are not done yet. */
  inProgress: number;
  /** Whether the flow waits in `#line` for its turn. */
  isInLine: boolean;
}

/**
 * A queue of keys that is fair between flows. Each key waits at most once. Flows take turns, one key per turn. Within a flow,
 * keys of the same priority are first in, first out, and background keys get one turn of four while other keys wait. So a key
 * with n keys before it in its own flow waits for at most n + 1 keys of each other flow, however many keys the other flows have.
 * A flow with `most` keys in progress is skipped until one of them is done.
 */
export class FairQueue {
  readonly #flowOf: (key: string) => string;
  readonly #most: number;
  readonly #newKeys: () => Keys;
  /** Only flows with keys that wait or are in progress. */
  readonly #flows = new Map<string, Flow>();
  /** Flows with waiting keys and less than `most` keys in progress, in the order of their turns. */
  readonly #line = new Fifo<Flow>();
  #size = 0;

  /**
   * @param most how many keys of one flow may be in progress at the same time
   * @param newKeys makes the queue within a flow, for instance one that is fair between the flow's parts
   */
  constructor(
    flowOf: (key: string) => string,
    most: number = Number.POSITIVE_INFINITY,
    newKeys: () => Keys = () => new PriorityFifo(),
  ) {
    this.#flowOf = flowOf;
    this.#most = most;
    this.#newKeys = newKeys;
  }

  get size(): number {
    return this.#size;
  }

  has(key: string): boolean {
    return this.#flows.get(this.#flowOf(key))?.keys.has(key) === true;
  }

  /** Adds a key, or changes the priority of a key that waits already. */
  push(key: string, priority: Priority = 'requested'): void {
    const name = this.#flowOf(key);
    const flow = this.#flows.get(name) ?? { name, keys: this.#newKeys(), inProgress: 0, isInLine: false };
    this.#flows.set(name, flow);
    const before = flow.keys.size;
    flow.keys.push(key, priority);
    this.#size += flow.keys.size - before;
    this.#lineUp(flow);
  }

  /** Changes the priority of all waiting keys to background. */
  putOff(): void {
    for (const { keys } of this.#flows.values()) keys.putOff();
  }

  /** Removes the next key and marks it as in progress. Returns undefined if no key waits, or if every flow has enough in progress. */
  take(): string | undefined {
    const flow = this.#line.shift();
    const key = flow?.keys.take();
    if (flow === undefined || key === undefined) return undefined;
    this.#size -= 1;
    flow.inProgress += 1;
    flow.isInLine = false;
    this.#lineUp(flow);
    return key;
  }

  /** Marks a key as no longer in progress. */
  done(key: string): void {
    const flow = this.#flows.get(this.#flowOf(key));
    if (flow === undefined) return;
    flow.keys.done?.(key);
    flow.inProgress -= 1;
    this.#lineUp(flow);
    if (flow.inProgress === 0 && flow.keys.size === 0) this.#flows.delete(flow.name);
  }

  #lineUp(flow: Flow): void {
    if (flow.isInLine || flow.keys.size === 0 || flow.inProgress >= this.#most) return;
    flow.isInLine = true;
    this.#line.push(flow);
  }
}
