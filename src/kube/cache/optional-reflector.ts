import { isKubeError } from '../api/kube-error.ts';
import type { KubeObject } from '../api/object.ts';
import { onAbort } from '../async/abort.ts';
import { type Backoff, backoffMs, sleep } from '../async/backoff.ts';
import { Reflector, type ReflectorOptions } from './reflector.ts';
import type { StoreRecord } from './store.ts';

export interface OptionalReflectorOptions<T extends KubeObject, R extends StoreRecord> extends ReflectorOptions<T, R> {
  /** How often the reflector checks whether the API server serves the kind now, in milliseconds. Default 5 minutes. */
  readonly recheckMs?: number | undefined;
  /** Called whenever `isServed` changes. */
  readonly onServed?: ((isServed: boolean) => void) | undefined;
}

/**
 * A Reflector for a kind that the API server may not serve, for instance a kind of a later Kubernetes version. If it is not
 * served, the Store is empty, `synced` resolves, and the reflector checks again periodically: a control plane can be upgraded
 * while the program runs.
 */
export class OptionalReflector<T extends KubeObject, R extends StoreRecord> {
  /**
   * Resolves with true when the first list is in the store or the API server has answered that it does not serve the kind, and
   * with false if the run ends before that. Never rejects.
   */
  readonly synced: Promise<boolean>;
  readonly #options: OptionalReflectorOptions<T, R>;
  readonly #backoff: Backoff;
  readonly #settleSynced: (synced: boolean) => void;
  #isServed: boolean | undefined;

  constructor(options: OptionalReflectorOptions<T, R>) {
    this.#options = options;
    this.#backoff = options.backoff ?? { baseMs: 250, maxMs: 30_000 };
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.synced = promise;
    this.#settleSynced = resolve;
  }

  /** Whether the API server serves the kind; undefined until that is known. */
  get isServed(): boolean | undefined {
    return this.#isServed;
  }

  /** Resolves when `signal` has aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { recheckMs = 300_000 } = this.#options;
    for (let failures = 0; !signal.aborted; ) {
      const answer = await this.#ask(signal);
      failures = answer === 'unknown' ? failures + 1 : 0;
      if (answer === 'served') await this.#keep(signal);
      else if (answer === 'unserved') this.#report(false);
      if (answer !== 'served') {
        await sleep(answer === 'unserved' ? recheckMs : backoffMs(failures - 1, this.#backoff), signal);
      }
    }
    this.#settleSynced(false);
  }

  async #ask(signal: AbortSignal): Promise<'served' | 'unserved' | 'unknown'> {
    const { client, resource, log, onError } = this.#options;
    try {
      await client.list(resource, { limit: 1, metadataOnly: true, signal });
      return 'served';
    } catch (error) {
      if (isKubeError(error, 'NotFound')) return 'unserved';
      if (signal.aborted) return 'unknown';
      if (isKubeError(error)) onError?.(error.code);
      log.warn('could not find out whether the API server serves this resource', { resource: resource.plural, error });
      return 'unknown';
    }
  }

  /** Runs a Reflector until the API server no longer serves the kind. */
  async #keep(signal: AbortSignal): Promise<void> {
    const end = new AbortController();
    const stopListening = onAbort(signal, () => end.abort());
    const { onError, store } = this.#options;
    const reflector = new Reflector({
      ...this.#options,
      onError(code) {
        onError?.(code);
        if (code === 'NotFound') end.abort();
      },
    });
    const running = reflector.run(end.signal);
    if (await reflector.synced) this.#report(true);
    await running;
    stopListening();
    if (signal.aborted) return;
    store.replaceAll([], '0');
    this.#report(false);
  }

  #report(isServed: boolean): void {
    this.#settleSynced(true);
    if (this.#isServed === isServed) return;
    this.#isServed = isServed;
    this.#options.onServed?.(isServed);
  }
}
