import { Fifo } from '../workqueue/fifo.ts';

/** An event in the order in which the watch brought it. */
interface Position {
  readonly resourceVersion: string;
  isDone: boolean;
}

interface DeferredEvent<E> {
  readonly event: E;
  readonly position: Position;
  readonly until: Promise<unknown>;
}

/**
 * The events of one watch, some of which are held back for a moment. Events of other objects go on meanwhile: whoever writes
 * slowly to an object of theirs must not delay everybody's events.
 */
export class DeferredEvents<E> {
  readonly #apply: (event: E) => void;
  readonly #advance: (resourceVersion: string) => void;
  readonly #positions = new Fifo<Position>();
  readonly #held = new Map<string, DeferredEvent<E>>();

  /**
   * @param apply takes an event in; the events of one object come in their order
   * @param advance is told that every event up to a resourceVersion was applied
   */
  constructor(apply: (event: E) => void, advance: (resourceVersion: string) => void) {
    this.#apply = apply;
    this.#advance = advance;
  }

  /**
   * Takes the next event of the watch.
   * @param key of its object; empty for a bookmark
   * @param until the event is held until this settles; undefined: it is applied at once, after what is held of its object
   */
  take(event: E, resourceVersion: string, key = '', until?: Promise<unknown>): void {
    const position = { resourceVersion, isDone: false };
    this.#positions.push(position);
    if (until === undefined) {
      this.#release(key);
      this.#done(event, position);
      return;
    }
    // The later event says all that the earlier one would have said.
    const before = this.#held.get(key);
    if (before !== undefined) before.position.isDone = true;
    this.#held.set(key, { event, position, until });
    const release = (): void => {
      if (this.#held.get(key)?.until === until) this.#release(key);
    };
    until.then(release, release);
  }

  /** Resolves when nothing is held any more. To be called when nothing is taken any more. */
  async drain(): Promise<void> {
    // Each releases its event when it settles, before this goes on.
    await Promise.allSettled([...this.#held.values()].map(({ until }) => until));
  }

  #release(key: string): void {
    const held = this.#held.get(key);
    if (held === undefined) return;
    this.#held.delete(key);
    this.#done(held.event, held.position);
  }

  #done(event: E, position: Position): void {
    this.#apply(event);
    position.isDone = true;
    let last: string | undefined;
    for (let first = this.#positions.first; first?.isDone === true; first = this.#positions.first) {
      last = first.resourceVersion;
      this.#positions.shift();
    }
    if (last !== undefined) this.#advance(last);
  }
}
