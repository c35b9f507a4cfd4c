import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** So much work leaves something behind that is worth the pause. */
const worthwhile = 500;

/** How long there has to be no work, in milliseconds. */
const idleMs = 5000;

/**
 * Gives memory back when work is over. V8 lets its heap grow while there is much to do, and looks at it again when more is
 * to be had: a process that has read 40,000 Secrets at its start, and then waits for renewals, would keep for weeks what
 * it has let go of.
 */
export class IdleCollection {
  readonly #collect: () => void;
  #work = 0;
  #workBefore = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param collect collects all garbage; the default is V8's own, which stops the process for a fraction of a second */
  constructor(collect: () => void = garbageCollector()) {
    this.#collect = collect;
  }

  /** So many pieces of work were done. To be called often. */
  worked(pieces = 1): void {
    this.#work += pieces;
    if (this.#timer === undefined && this.#work >= worthwhile) this.#wait();
  }

  #wait(): void {
    this.#workBefore = this.#work;
    this.#timer = setTimeout(this.#look, idleMs).unref();
  }

  readonly #look = (): void => {
    this.#timer = undefined;
    if (this.#work !== this.#workBefore) {
      this.#wait();
      return;
    }
    this.#work = 0;
    this.#collect();
  };
}

/** What `node --expose-gc` would offer to everybody. */
function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  setFlagsFromString('--no-expose-gc');
  return () => collect();
}
