import { keyOf, Store } from '../../kube/index.ts';
import type { TrustRecord } from '../../plan/index.ts';

/** The index key of a target. @param owner UID of the authority @param namespace empty for the cluster */
export const targetOf = (owner: string, namespace: string): string => `${owner}/${namespace}`;

/** The records of published bundles of one kind, with the time at which each bundle last changed. */
export class TrustCache {
  readonly store = new Store<TrustRecord, 'target'>({
    indexes: { target: ({ owner, namespace }) => (owner === undefined ? [] : [targetOf(owner, namespace)]) },
  });
  readonly #monotonicMs: () => number;
  /**
   * Deleted objects that have not been created again, by namespace: pods that mounted them still use the old content. The
   * values are lostKey, oldest first.
   */
  readonly #lost = new Map<string, Set<string>>();
  /** Namespaces in which pods may have mounted an earlier bundle; undefined until they are known. */
  #knownBefore: Set<string> | undefined;

  /** @param monotonicMs a monotonic clock in milliseconds */
  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
    this.store.subscribe((before, after) => {
      if (before !== undefined && after === undefined) {
        this.#knownBefore?.add(before.namespace);
        if (before.owner !== undefined) this.#lose(before.namespace, lostKey(before));
      } else if (after !== undefined) this.#lost.get(after.namespace)?.delete(lostKey(after));
    });
  }

  /** True when a namespace holds an object of this owner. */
  holdsBundle(owner: string, namespace: string): boolean {
    return this.store.count('target', targetOf(owner, namespace)) > 0;
  }

  /**
   * True when an object of this owner was deleted and has not been created again. A restart forgets this: an object that is
   * missing at that time counts from its next creation.
   */
  isLost(owner: string, namespace: string, name: string): boolean {
    return this.#lost.get(namespace)?.has(lostKey({ owner, name })) === true;
  }

  /** Sets the namespaces that are older than this cache: pods in them may have mounted an earlier bundle. */
  noteNamespaces(namespaces: Iterable<string>): void {
    this.#knownBefore = new Set(namespaces);
  }

  /** Forgets a deleted namespace: its pods are gone too. */
  forget(namespace: string): void {
    this.#knownBefore?.delete(namespace);
    this.#lost.delete(namespace);
  }

  /** Forgets a deleted authority: no rotation waits for its bundles. */
  forgetOwner(owner: string): void {
    for (const lost of this.#lost.values()) {
      for (const key of lost) if (key.startsWith(`${owner}/`)) lost.delete(key);
    }
  }

  /** Keeps only the newest entries of a namespace: any user can create and delete objects that name an authority as owner. */
  #lose(namespace: string, key: string): void {
    const lost = this.#lost.get(namespace) ?? new Set();
    this.#lost.set(namespace, lost.add(key));
    for (const oldest of lost) if (lost.size > mostLost) lost.delete(oldest);
  }

  /** The record with its change time: minus infinity for the first bundle of a new namespace, where no pod has an older one. */
  withChangeTime(record: TrustRecord): TrustRecord {
    const before = this.store.get(keyOf(record));
    if (before?.uid === record.uid && before.bundle === record.bundle) {
      const { changedAtMs, written = record.written } = before;
      return { ...record, changedAtMs, ...(written === undefined ? {} : { written }) };
    }
    const isFirst = before === undefined && this.#knownBefore?.has(record.namespace) === false;
    return { ...record, changedAtMs: isFirst ? Number.NEGATIVE_INFINITY : this.#monotonicMs() };
  }
}

const lostKey = ({ owner = '', name }: Pick<TrustRecord, 'owner' | 'name'>): string => `${owner}/${name}`;

/** Limit for a namespace or the cluster. An authority has one object there, and two while it is renamed. */
const mostLost = 64;
