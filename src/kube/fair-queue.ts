import { Fifo } from './fifo.ts';

interface Flow {
  readonly name: string;
  readonly keys: Fifo<string>;
  /** Keys that were taken and are not done yet. */
  inWork: number;
  /** Whether it stands in line for its turn. */
  isInLine: boolean;
}

/**
 * Keys that wait, each at most once. Flows take turns of one key; within a flow, who comes first is served first. So a key
 * waits for no more than one key of every other flow for itself and for each key before it in its own, however many keys
 * the others have. A flow that has enough keys in work sits out until one of them is done.
 */
export class FairQueue {
  readonly #flowOf: (key: string) => string;
  readonly #most: number;
  readonly #keys = new Set<string>();
  /** Only flows that have keys, waiting or in work. */
  readonly #flows = new Map<string, Flow>();
  /** Those that have keys and may have more of them in work, in the order of their turns. */
  readonly #line = new Fifo<Flow>();

  /** @param most how many keys of one flow may be in work at a time */
  constructor(flowOf: (key: string) => string, most = Number.POSITIVE_INFINITY) {
    this.#flowOf = flowOf;
    this.#most = most;
  }

  get size(): number {
    return this.#keys.size;
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  /** Adds a key that is not there yet. */
  push(key: string): void {
    this.#keys.add(key);
    const name = this.#flowOf(key);
    const flow = this.#flows.get(name) ?? { name, keys: new Fifo<string>(), inWork: 0, isInLine: false };
    this.#flows.set(name, flow);
    flow.keys.push(key);
    this.#lineUp(flow);
  }

  /** Takes the next key, which is then in work; undefined when there is none, or none that may be. */
  take(): string | undefined {
    const flow = this.#line.shift();
    const key = flow?.keys.shift();
    if (flow === undefined || key === undefined) return undefined;
    this.#keys.delete(key);
    flow.inWork += 1;
    flow.isInLine = false;
    this.#lineUp(flow);
    return key;
  }

  /** A key that was taken is not in work any more. */
  done(key: string): void {
    const flow = this.#flows.get(this.#flowOf(key));
    if (flow === undefined) return;
    flow.inWork -= 1;
    this.#lineUp(flow);
    if (flow.inWork === 0 && flow.keys.length === 0) this.#flows.delete(flow.name);
  }

  #lineUp(flow: Flow): void {
    if (flow.isInLine || flow.keys.length === 0 || flow.inWork >= this.#most) return;
    flow.isInLine = true;
    this.#line.push(flow);
  }
}
