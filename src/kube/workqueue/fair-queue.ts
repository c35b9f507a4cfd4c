import { Fifo } from './fifo.ts';

/** Whether somebody waits for a key, or it is looked at because everything is. */
export type Priority = 'requested' | 'background';

interface Flow {
  readonly name: string;
  /** What has come to be of another rank since is still in its old place, and passed over there. */
  readonly requested: Fifo<string>;
  readonly background: Fifo<string>;
  waiting: number;
  /** Counts the turns that it has had. */
  turns: number;
  /** Keys that were taken and are not done yet. */
  inProgress: number;
  /** Whether it stands in line for its turn. */
  isInLine: boolean;
}

/** One of so many turns of a flow is for its background. */
const backgroundTurn = 4;

/**
 * Keys that wait, each at most once. Flows take turns of one key; within a flow, who comes first is served first, and the
 * background has one turn of four while there is anything else. So a key waits for no more than one key of every other
 * flow for itself and for each key before it in its own, however many keys the others have. A flow that has enough keys in
 * work sits out until one of them is done.
 */
export class FairQueue {
  readonly #flowOf: (key: string) => string;
  readonly #most: number;
  readonly #ranks = new Map<string, Priority>();
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
    return this.#ranks.size;
  }

  has(key: string): boolean {
    return this.#ranks.has(key);
  }

  /** Adds a key, or gives one that waits already another rank. */
  push(key: string, priority: Priority = 'requested'): void {
    const before = this.#ranks.get(key);
    if (before === priority) return;
    this.#ranks.set(key, priority);
    const name = this.#flowOf(key);
    const flow = this.#flows.get(name) ?? newFlow(name);
    this.#flows.set(name, flow);
    flow[priority].push(key);
    if (before === undefined) flow.waiting += 1;
    this.#lineUp(flow);
  }

  /** Moves all keys to the background. */
  putOff(): void {
    for (const key of this.#ranks.keys()) this.push(key, 'background');
  }

  /** Takes the next key, which is then in work; undefined when there is none, or none that may be. */
  take(): string | undefined {
    const flow = this.#line.shift();
    const key = flow && this.#nextOf(flow);
    if (flow === undefined || key === undefined) return undefined;
    this.#ranks.delete(key);
    flow.waiting -= 1;
    flow.inProgress += 1;
    flow.isInLine = false;
    this.#lineUp(flow);
    return key;
  }

  /** A key that was taken is not in work any more. */
  done(key: string): void {
    const flow = this.#flows.get(this.#flowOf(key));
    if (flow === undefined) return;
    flow.inProgress -= 1;
    this.#lineUp(flow);
    if (flow.inProgress === 0 && flow.waiting === 0) this.#flows.delete(flow.name);
  }

  #nextOf(flow: Flow): string | undefined {
    flow.turns += 1;
    // Or a flow in which there is always something to be asked for would never get to what all others wait for.
    const [first, second]: [Priority, Priority] =
      flow.turns % backgroundTurn === 0 ? ['background', 'requested'] : ['requested', 'background'];
    return this.#next(flow, first) ?? this.#next(flow, second);
  }

  #next(flow: Flow, priority: Priority): string | undefined {
    for (let key = flow[priority].shift(); key !== undefined; key = flow[priority].shift()) {
      if (this.#ranks.get(key) === priority) return key;
    }
    return undefined;
  }

  #lineUp(flow: Flow): void {
    if (flow.isInLine || flow.waiting === 0 || flow.inProgress >= this.#most) return;
    flow.isInLine = true;
    this.#line.push(flow);
  }
}

const newFlow = (name: string): Flow => ({
  name,
  requested: new Fifo(),
  background: new Fifo(),
  waiting: 0,
  turns: 0,
  inProgress: 0,
  isInLine: false,
});
