import { Controller, type Log, type Store, WorkQueue } from '../../kube/index.ts';
import type { AuthorityRecord } from '../../plan/index.ts';
import type { RootSecretMark } from '../cache/caches.ts';

/** What a replica that stands by works with. */
export interface StandbyRootsOptions {
  readonly authorities: Store<AuthorityRecord, 'rootSecret'>;
  readonly rootSecrets: Store<RootSecretMark>;
  /** Reads the root of an authority and judges it, without writing anything. */
  readonly refresh: (authority: string, signal: AbortSignal) => Promise<void>;
  readonly log: Log;
}

/**
 * Keeps a replica that does not lead informed about the roots of authorities: it may have to carry on a rotation that began
 * after the replica had started. A changed root is read again; a read that fails is repeated.
 */
export class StandbyRoots {
  readonly #options: StandbyRootsOptions;
  readonly #queue = new WorkQueue();
  readonly #controller: Controller;
  #term: { readonly stop: AbortController; readonly ended: Promise<void> } | undefined;

  constructor(options: StandbyRootsOptions) {
    this.#options = options;
    const { authorities, rootSecrets, refresh, log } = options;
    this.#controller = new Controller({
      name: 'standby',
      queue: this.#queue,
      workers: 1,
      reconcile: (name, { signal }) => refresh(name, signal),
      log,
    });
    authorities.subscribe((before, after) => this.#add((after ?? before)?.name));
    rootSecrets.subscribe((before, after) => {
      for (const { name } of authorities.by('rootSecret', (after ?? before)?.name ?? '')) this.#add(name);
    });
  }

  /** Begins to stand by. What has changed before is read again: somebody else may have led since. */
  start(): void {
    const stop = new AbortController();
    this.#term = { stop, ended: this.#controller.run(stop.signal, stop.signal) };
    for (const name of this.#options.authorities.keys()) this.#add(name);
  }

  /** Ends it. Resolves when no read is under way any more, so that none comes after what a leader reads. */
  async stop(): Promise<void> {
    const term = this.#term;
    this.#term = undefined;
    term?.stop.abort();
    await term?.ended;
  }

  /** A leader has a controller of its own for this. */
  #add(name: string | undefined): void {
    if (this.#term !== undefined && name !== undefined) this.#queue.add(name);
  }
}
