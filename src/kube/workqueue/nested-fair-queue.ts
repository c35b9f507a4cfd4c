import { FairQueue, type Priority } from './fair-queue.ts';
import { Fifo } from './fifo.ts';

interface Flow {
  readonly name: string;
  readonly keys: FairQueue;
  /** How many keys were taken and are not done yet. */
  inProgress: number;
  /** Whether the flow waits in `#line` for its turn. */
  isInLine: boolean;
}

/**
 * A queue of keys that is fair between flows, and within each flow between its subflows: flows take turns, and each turn of a flow
 * is the turn of the next of its subflows. So one subflow with thousands of keys delays neither other flows nor the other
 * subflows of its flow.
 */
export class NestedFairQueue {
  readonly #flowOf: (key: string) => string;
  readonly #subflowOf: (key: string) => string;
  readonly #most: number;
  /** Only flows with keys that wait or are in progress. */
  readonly #flows = new Map<string, Flow>();
  readonly #line = new Fifo<Flow>();
  #size = 0;

  /** @param most how many keys of one flow may be in progress at the same time */
  constructor(
    flowOf: (key: string) => string,
    subflowOf: (key: string) => string,
    most: number = Number.POSITIVE_INFINITY,
  ) {
    this.#flowOf = flowOf;
    this.#subflowOf = subflowOf;
    this.#most = most;
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
    const flow = this.#flows.get(name) ?? this.#newFlow(name);
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
    flow.keys.done(key);
    flow.inProgress -= 1;
    this.#lineUp(flow);
    if (flow.inProgress === 0 && flow.keys.size === 0) this.#flows.delete(flow.name);
  }

  #newFlow(name: string): Flow {
    return { name, keys: new FairQueue(this.#subflowOf), inProgress: 0, isInLine: false };
  }

  #lineUp(flow: Flow): void {
    if (flow.isInLine || flow.keys.size === 0 || flow.inProgress >= this.#most) return;
    flow.isInLine = true;
    this.#line.push(flow);
  }
}
