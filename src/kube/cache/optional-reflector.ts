import { isKubeError } from '../api/kube-error.ts';
import type { KubeObject } from '../api/object.ts';
import { onAbort } from '../async/abort.ts';
import { type Backoff, backoffMs, sleep } from '../async/backoff.ts';
import { Reflector, type ReflectorOptions } from './reflector.ts';
import type { StoreRecord } from './store.ts';

export interface OptionalReflectorOptions<T extends KubeObject, R extends StoreRecord> extends ReflectorOptions<T, R> {
  /** How often to look whether the kind has come to be served, in milliseconds. Default 5 minutes. */
  readonly recheckMs?: number | undefined;
  /** Called whenever `isServed` changes. */
  readonly onServed?: ((isServed: boolean) => void) | undefined;
}

/**
 * A Reflector for a kind that the API server may not have, such as one of a later Kubernetes. Then its Store is empty,
 * nobody is kept waiting, and it looks again now and then: a control plane may be upgraded under a running program.
 */
export class OptionalReflector<T extends KubeObject, R extends StoreRecord> {
  /**
   * True when the first listing is in the store, or the API server has said that it does not serve the kind; false when
   * the run ended before. Never rejects.
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

  /** Whether the store is kept; undefined until that is known. */
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
      else if (answer === 'unserved') this.#say(false);
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
      log.warn('it is unknown whether the API server serves this resource', { resource: resource.plural, error });
      return 'unknown';
    }
  }

  /** Runs a Reflector until the kind is no longer served. */
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
    if (await reflector.synced) this.#say(true);
    await running;
    stopListening();
    if (signal.aborted) return;
    store.replaceAll([], '0');
    this.#say(false);
  }

  #say(isServed: boolean): void {
    this.#settleSynced(true);
    if (this.#isServed === isServed) return;
    this.#isServed = isServed;
    this.#options.onServed?.(isServed);
  }
}
