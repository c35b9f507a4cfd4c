import { isKubeError } from '../api/kube-error.ts';
import type { Log } from '../api/log.ts';
import type { KubeObject } from '../api/object.ts';
import { onAbort } from '../async/abort.ts';
import { type Backoff, backoffMs, sleep } from '../async/backoff.ts';
import { Reflector, type ReflectorOptions } from './reflector.ts';
import type { StoreRecord } from './store.ts';

export interface PermittedReflectorOptions<T extends KubeObject, R extends StoreRecord> extends ReflectorOptions<T, R> {
  /** Called after the first list, and whenever the API server begins or ceases to forbid the list or watch. */
  readonly onPermitted?: ((isPermitted: boolean) => void) | undefined;
  /** After a refused watch: the next watch is permitted if the API server has not refused it within this time. Default: a second. */
  readonly watchRefusalMs?: number;
}

/** An API server that has just started forbids every request for a moment. */
const refusalsToBelieve = 3;

/**
 * A Reflector for a collection that the program may not be permitted to read yet, for instance in a namespace that does not exist.
 * While the API server answers `Forbidden`, the records stay as they are, `synced` resolves, and the reflector tries again with
 * backoff. Once the API server permits the list, the reflector lists the whole collection again.
 */
export class PermittedReflector<T extends KubeObject, R extends StoreRecord> {
  /**
   * Resolves with true when the first list is in the store or the API server forbids it, and with false if the run ends before that.
   * Never rejects.
   */
  readonly synced: Promise<boolean>;
  readonly #options: PermittedReflectorOptions<T, R>;
  readonly #backoff: Backoff;
  readonly #settleSynced: (synced: boolean) => void;
  #hasSynced = false;
  #isPermitted: boolean | undefined;
  /** How often in a row the API server has answered `Forbidden`, and its last answer. */
  #refusals = 0;
  #refusal: unknown;
  /** The last refusal was that of a watch: the list before it proves nothing about the next watch. */
  #wasWatchRefused = false;
  #endPause = new AbortController();

  constructor(options: PermittedReflectorOptions<T, R>) {
    this.#options = options;
    this.#backoff = options.backoff ?? { baseMs: 250, maxMs: 30_000 };
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.synced = promise;
    this.#settleSynced = resolve;
  }

  /** True once a list is in the store. */
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** Resolves when `signal` has aborted. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#keep(signal);
      if (signal.aborted) break;
      this.#refusals += 1;
      if (this.#refusals >= refusalsToBelieve) this.#report(false);
      await this.#pause(signal);
    }
    this.#settleSynced(false);
  }

  /** Ends the pause after a refusal: the caller has seen a sign that the API server permits the list now. */
  retry(): void {
    this.#refusals = Math.min(this.#refusals, 1);
    this.#endPause.abort();
  }

  async #pause(signal: AbortSignal): Promise<void> {
    this.#endPause = new AbortController();
    const stopListening = onAbort(signal, () => this.#endPause.abort());
    await sleep(backoffMs(this.#refusals - 1, this.#backoff), this.#endPause.signal);
    stopListening();
  }

  /** Runs a Reflector until the API server forbids its list or watch. */
  async #keep(signal: AbortSignal): Promise<void> {
    const end = new AbortController();
    const stopListening = onAbort(signal, () => end.abort());
    const { onError, onEvent, onListed, watchRefusalMs = 1000 } = this.#options;
    let hasListed = false;
    let timer: NodeJS.Timeout | undefined;
    const permitted = (): void => {
      clearTimeout(timer);
      if (end.signal.aborted) return;
      this.#refusals = 0;
      this.#report(true);
    };
    const reflector = new Reflector({
      ...this.#options,
      log: this.#withoutRefusals(),
      onListed: (count) => {
        hasListed = true;
        this.#hasSynced = true;
        onListed?.(count);
        if (!this.#wasWatchRefused) return permitted();
        if (this.#refusals < refusalsToBelieve) this.#report(true);
        clearTimeout(timer);
        timer = setTimeout(permitted, watchRefusalMs);
      },
      onEvent: (type) => {
        onEvent?.(type);
        permitted();
      },
      onError: (code) => {
        onError?.(code);
        if (code !== 'Forbidden') return;
        this.#wasWatchRefused = hasListed;
        end.abort();
      },
    });
    await reflector.run(end.signal);
    clearTimeout(timer);
    stopListening();
  }

  #report(isPermitted: boolean): void {
    const before = this.#isPermitted;
    this.#isPermitted = isPermitted;
    this.#log(before, isPermitted);
    if (before !== isPermitted) this.#options.onPermitted?.(isPermitted);
    this.#settleSynced(true);
  }

  /** A log for the Reflector: only the change of the permission is worth a warning. */
  #withoutRefusals(): Log {
    const { log } = this.#options;
    return {
      debug: (message, fields) => log.debug(message, fields),
      // A refused list in the form of a watch: the list in pages follows, and its answer counts.
      info: (message, fields) => log[isKubeError(fields?.['error'], 'Forbidden') ? 'debug' : 'info'](message, fields),
      error: (message, fields) => log.error(message, fields),
      warn: (message, fields) => {
        const isRefusal = fields?.['code'] === 'Forbidden';
        if (isRefusal) this.#refusal = fields['error'];
        log[isRefusal ? 'debug' : 'warn'](message, fields);
      },
    };
  }

  #log(before: boolean | undefined, isPermitted: boolean): void {
    const { log, resource, namespace, fieldSelector } = this.#options;
    const where = namespace === undefined ? { fieldSelector } : { namespace };
    const fields = { resource: resource.plural, group: resource.group, ...where };
    if (before === isPermitted) return;
    if (!isPermitted)
      log.warn('the API server forbids this list or watch; it is tried again', { ...fields, error: this.#refusal });
    else if (before === false) log.info('the API server permits this list and watch now', fields);
  }
}
