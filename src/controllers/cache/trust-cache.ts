import { keyOf, Store } from '../../kube/index.ts';
import type { TrustRecord } from '../../plan/index.ts';

/** Where an authority, by UID, publishes: a namespace, or the cluster for the empty name. */
export const targetOf = (owner: string, namespace: string): string => `${owner}/${namespace}`;

/** The records of one kind of published bundles, with the moments from which on their bundles have been as they are. */
export class TrustCache {
  readonly store = new Store<TrustRecord, 'place'>({
    indexes: { place: ({ owner, namespace }) => (owner === undefined ? [] : [targetOf(owner, namespace)]) },
  });
  readonly #monotonicMs: () => number;
  /**
   * Objects that were deleted and are not back, by namespace: pods that mounted them still have their content. As owner and
   * name, the oldest first.
   */
  readonly #lost = new Map<string, Set<string>>();
  /** Namespaces in which pods may have mounted what was there before; undefined while that may be any of them. */
  #knownBefore: Set<string> | undefined;

  /** @param monotonicMs milliseconds of a clock that only goes forward */
  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
    this.store.subscribe((before, after) => {
      if (before !== undefined && after === undefined) {
        this.#knownBefore?.add(before.namespace);
        if (before.owner !== undefined) this.#lose(before.namespace, lostKey(before));
      } else if (after !== undefined) this.#lost.get(after.namespace)?.delete(lostKey(after));
    });
  }

  /**
   * True when an object of this owner was there, and is not any more. After a restart that is not known: then an object
   * that was deleted meanwhile counts again from the moment when it is back.
   */
  isLost(owner: string, namespace: string, name: string): boolean {
    return this.#lost.get(namespace)?.has(lostKey({ owner, name })) === true;
  }

  /** Says which namespaces are older than this cache; in those that come later nobody has mounted anything yet. */
  noteNamespaces(namespaces: Iterable<string>): void {
    this.#knownBefore = new Set(namespaces);
  }

  /** A namespace is gone, with all that was mounted in it. */
  forget(namespace: string): void {
    this.#knownBefore?.delete(namespace);
    this.#lost.delete(namespace);
  }

  /** An authority is gone, and nobody waits for what it has published. */
  forgetOwner(owner: string): void {
    for (const lost of this.#lost.values()) {
      for (const key of lost) if (key.startsWith(`${owner}/`)) lost.delete(key);
    }
  }

  /** Anybody can make and delete objects that name an authority as their owner: the last ones of a namespace are remembered. */
  #lose(namespace: string, key: string): void {
    const lost = this.#lost.get(namespace) ?? new Set();
    this.#lost.set(namespace, lost.add(key));
    for (const oldest of lost) if (lost.size > mostLost) lost.delete(oldest);
  }

  /** The record with its moment. The first bundle of a namespace has none: nobody has an older one. */
  withChangeTime(record: TrustRecord): TrustRecord {
    const before = this.store.get(keyOf(record));
    if (before?.uid === record.uid && before.bundle === record.bundle) {
      return { ...record, changedAtMs: before.changedAtMs };
    }
    const isFirst = before === undefined && this.#knownBefore?.has(record.namespace) === false;
    return { ...record, changedAtMs: isFirst ? Number.NEGATIVE_INFINITY : this.#monotonicMs() };
  }
}

const lostKey = ({ owner = '', name }: Pick<TrustRecord, 'owner' | 'name'>): string => `${owner}/${name}`;

/** Of one namespace, or of the cluster. An authority has one object there, and two while it gets another name. */
const mostLost = 64;
