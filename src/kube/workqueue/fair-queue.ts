import { Fifo } from './fifo.ts';

/** `requested`: something happened to the object. `background`: the object is only reconciled because all objects are. */
export type Priority = 'requested' | 'background';

interface Flow {
  readonly name: string;
  /** A key whose priority changes stays in its old list, where it is skipped. */
  readonly requested: Fifo<string>;
  readonly background: Fifo<string>;
  waiting: number;
  /** How many turns the flow has had. */
  turns: number;
  /** How many keys were taken and are not done yet. */
  inProgress: number;
  /** Whether the flow waits in `#line` for its turn. */
  isInLine: boolean;
}

/** Every fourth turn of a flow takes a background key. */
const backgroundTurn = 4;

/**
 * A queue of keys that is fair between flows. Each key waits at most once. Flows take turns, one key per turn. Within a flow,
 * keys of the same priority are first in, first out, and background keys get one turn of four while other keys wait. So a key
 * with n keys before it in its own flow waits for at most n + 1 keys of each other flow, however many keys the other flows have.
 * A flow with `most` keys in progress is skipped until one of them is done.
 */
export class FairQueue {
  readonly #flowOf: (key: string) => string;
  readonly #most: number;
  readonly #priorities = new Map<string, Priority>();
  /** Only flows with keys that wait or are in progress. */
  readonly #flows = new Map<string, Flow>();
  /** Flows with waiting keys and less than `most` keys in progress, in the order of their turns. */
  readonly #line = new Fifo<Flow>();

  /** @param most how many keys of one flow may be in progress at the same time */
  constructor(flowOf: (key: string) => string, most = Number.POSITIVE_INFINITY) {
    this.#flowOf = flowOf;
    this.#most = most;
  }

  get size(): number {
    return this.#priorities.size;
  }

  has(key: string): boolean {
    return this.#priorities.has(key);
  }

  /** Adds a key, or changes the priority of a key that waits already. */
  push(key: string, priority: Priority = 'requested'): void {
    const before = this.#priorities.get(key);
    if (before === priority) return;
    this.#priorities.set(key, priority);
    const name = this.#flowOf(key);
    const flow = this.#flows.get(name) ?? newFlow(name);
    this.#flows.set(name, flow);
    flow[priority].push(key);
    if (before === undefined) flow.waiting += 1;
    this.#lineUp(flow);
  }

  /** Changes the priority of all waiting keys to background. */
  putOff(): void {
    for (const key of this.#priorities.keys()) this.push(key, 'background');
  }

  /** Removes the next key and marks it as in progress. Returns undefined if no key waits, or if every flow has enough in progress. */
  take(): string | undefined {
    const flow = this.#line.shift();
    const key = flow && this.#nextOf(flow);
    if (flow === undefined || key === undefined) return undefined;
    this.#priorities.delete(key);
    flow.waiting -= 1;
    flow.inProgress += 1;
    flow.isInLine = false;
    this.#lineUp(flow);
    return key;
  }

  /** Marks a key as no longer in progress. */
  done(key: string): void {
    const flow = this.#flows.get(this.#flowOf(key));
    if (flow === undefined) return;
    flow.inProgress -= 1;
    this.#lineUp(flow);
    if (flow.inProgress === 0 && flow.waiting === 0) this.#flows.delete(flow.name);
  }

  #nextOf(flow: Flow): string | undefined {
    flow.turns += 1;
    // Without this, a flow with a steady stream of requested keys would never reach its background keys.
    const [first, second]: [Priority, Priority] =
      flow.turns % backgroundTurn === 0 ? ['background', 'requested'] : ['requested', 'background'];
    return this.#next(flow, first) ?? this.#next(flow, second);
  }

  #next(flow: Flow, priority: Priority): string | undefined {
    for (let key = flow[priority].shift(); key !== undefined; key = flow[priority].shift()) {
      if (this.#priorities.get(key) === priority) return key;
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
