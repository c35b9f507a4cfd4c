import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Pieces of work after which a collection frees enough memory to justify the pause. */
const worthwhile = 500;

/** How long the operator must be without work before a collection, in milliseconds. */
const idleMs = 5000;

/**
 * Collects garbage once a burst of work is over. V8 collects only when more memory is allocated: a process that has read
 * 40,000 Secrets at its start and then waits for renewals would keep that garbage for weeks.
 */
export class IdleCollection {
  readonly #collect: () => void;
  #work = 0;
  #workBefore = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param collect collects all garbage; the default is V8's collector, which pauses the process for a fraction of a second */
  constructor(collect: () => void = garbageCollector()) {
    this.#collect = collect;
  }

  /** Counts work that is done. Callers call it often, so it is cheap. */
  worked(pieces = 1): void {
    this.#work += pieces;
    if (this.#timer === undefined && this.#work >= worthwhile) this.#wait();
  }

  #wait(): void {
    this.#workBefore = this.#work;
    this.#timer = setTimeout(this.#check, idleMs).unref();
  }

  readonly #check = (): void => {
    this.#timer = undefined;
    if (this.#work !== this.#workBefore) {
      this.#wait();
      return;
    }
    this.#work = 0;
    this.#collect();
  };
}

/** The function that `node --expose-gc` adds to the global scope. */
function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  setFlagsFromString('--no-expose-gc');
  return () => collect();
}
