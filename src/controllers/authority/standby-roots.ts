import { Controller, type Log, type Store, WorkQueue } from '../../kube/index.ts';
import type { AuthorityRecord } from '../../plan/index.ts';
import type { RootSecretMark } from '../cache/caches.ts';

export interface StandbyRootsOptions {
  readonly authorities: Pick<Store<AuthorityRecord, 'rootSecret'>, 'subscribe' | 'keys'> & {
    by(index: 'rootSecret', value: string): readonly AuthorityRecord[];
  };
  readonly rootSecrets: Store<RootSecretMark>;
  /** Reads and validates the root of an authority. Writes nothing. */
  readonly refresh: (authority: string, signal: AbortSignal) => Promise<void>;
  readonly log: Log;
}

/**
 * Keeps the roots of authorities up to date on a replica that does not lead: the replica may have to take over a rotation that
 * began after it started. Reads a root again when its Secret or its authority changes, and retries failed reads. It runs from
 * the constructor until `stop`. On a leader, the authority controller does this.
 */
export class StandbyRoots {
  readonly #queue = new WorkQueue();
  readonly #stop = new AbortController();
  readonly #unsubscribe: ReadonlyArray<() => void>;
  readonly #ended: Promise<void>;

  /** Queues every authority, because the leader may have changed its root since this replica last read it. */
  constructor({ authorities, rootSecrets, refresh, log }: StandbyRootsOptions) {
    const queue = this.#queue;
    this.#unsubscribe = [
      authorities.subscribe((before, after) => queue.add((after ?? before)?.name ?? '')),
      rootSecrets.subscribe((before, after) => {
        for (const { name } of authorities.by('rootSecret', (after ?? before)?.name ?? '')) queue.add(name);
      }),
    ];
    for (const name of authorities.keys()) queue.add(name);
    const controller = new Controller({
      name: 'standby',
      queue,
      workers: 1,
      reconcile: (name, { signal }) => refresh(name, signal),
      log,
    });
    this.#ended = controller.run(this.#stop.signal, this.#stop.signal);
  }

  /** Resolves when no read is in progress, so that a late result cannot overwrite the state that a leader reads. */
  async stop(): Promise<void> {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#stop.abort();
    this.#queue.shutDown();
    await this.#ended;
  }
}
