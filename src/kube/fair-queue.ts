import { Fifo } from './fifo.ts';

interface Flow {
  readonly name: string;
  readonly keys: Fifo<string>;
}

/**
 * Keys that wait, each at most once. Flows take turns of one key; within a flow, who comes first is served first. So a key
 * waits for no more than one key of every other flow for itself and for each key before it in its own, however many keys
 * the others have.
 */
export class FairQueue {
  readonly #flowOf: (key: string) => string;
  readonly #keys = new Set<string>();
  /** Only flows that have keys. */
  readonly #flows = new Map<string, Flow>();
  /** The same flows in the order of their turns. */
  readonly #turns = new Fifo<Flow>();

  constructor(flowOf: (key: string) => string) {
    this.#flowOf = flowOf;
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
    let flow = this.#flows.get(name);
    if (flow === undefined) {
      flow = { name, keys: new Fifo() };
      this.#flows.set(name, flow);
      this.#turns.push(flow);
    }
    flow.keys.push(key);
  }

  /** Takes the next key; undefined when there is none. */
  take(): string | undefined {
    const flow = this.#turns.shift();
    const key = flow?.keys.shift();
    if (flow === undefined || key === undefined) return undefined;
    this.#keys.delete(key);
    if (flow.keys.length > 0) this.#turns.push(flow);
    else this.#flows.delete(flow.name);
    return key;
  }
}
