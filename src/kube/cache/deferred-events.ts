import { Fifo } from '../workqueue/fifo.ts';

/** The position of an event in its watch. */
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
 * The events of one watch. An event can be deferred for a moment, while the events of other objects are applied: a slow write to
 * one object must not delay the events of all objects.
 */
export class DeferredEvents<E> {
  readonly #apply: (event: E) => void;
  readonly #advance: (resourceVersion: string) => void;
  readonly #positions = new Fifo<Position>();
  readonly #deferred = new Map<string, DeferredEvent<E>>();

  /**
   * @param apply applies an event; the events of one object are applied in their order
   * @param advance called with a resourceVersion when every event up to it was applied
   */
  constructor(apply: (event: E) => void, advance: (resourceVersion: string) => void) {
    this.#apply = apply;
    this.#advance = advance;
  }

  /**
   * Accepts the next event of the watch.
   * @param key the key of its object; empty for a bookmark
   * @param until defers the event until this promise settles. Without it, the event is applied at once, after a deferred event
   * of the same object.
   */
  take(event: E, resourceVersion: string, key = '', until?: Promise<unknown>): void {
    const position = { resourceVersion, isDone: false };
    this.#positions.push(position);
    if (until === undefined) {
      this.#release(key);
      this.#done(event, position);
      return;
    }
    // The later event contains the whole object, so the earlier event is dropped.
    const before = this.#deferred.get(key);
    if (before !== undefined) before.position.isDone = true;
    this.#deferred.set(key, { event, position, until });
    const release = (): void => {
      if (this.#deferred.get(key)?.until === until) this.#release(key);
    };
    until.then(release, release);
  }

  /** Resolves when no event is deferred any more. Call it after the last `take`. */
  async drain(): Promise<void> {
    // The promise reactions that release the events were registered first, so they run before this function continues.
    await Promise.allSettled([...this.#deferred.values()].map(({ until }) => until));
  }

  #release(key: string): void {
    const deferred = this.#deferred.get(key);
    if (deferred === undefined) return;
    this.#deferred.delete(key);
    this.#done(deferred.event, deferred.position);
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
