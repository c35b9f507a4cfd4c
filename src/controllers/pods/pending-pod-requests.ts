import type { PodCertificateReason } from '../../api/reasons.ts';
import type { PodRequestRecord } from '../../plan/index.ts';

/** The requests of one authority that wait for one reason. */
export interface PendingGroup {
  readonly reason: PodCertificateReason;
  readonly count: number;
  /** One of the pods, as namespace/name. */
  readonly example: string;
}

interface Pending {
  readonly authority: string;
  readonly namespace: string;
  readonly reason: PodCertificateReason;
  readonly pod: string;
  /** When this process first saw that it waits. The clock of the API server may differ. */
  readonly since: Date;
}

/** Why requests wait, by key, for status and metrics. It has at most one entry for each request in the cache. */
export class PendingPodRequests {
  readonly #byKey = new Map<string, Pending>();
  readonly #byNamespace = new Map<string, number>();

  /** Records why a request waits. Returns since when it waits, and whether the reason is new. */
  note(
    key: string,
    { authority, namespace, podName }: PodRequestRecord,
    reason: PodCertificateReason,
    now: Date,
  ): { readonly since: Date; readonly isNew: boolean } {
    const before = this.#byKey.get(key);
    // A time in the future was before the clock was set back.
    const since = before === undefined || before.since > now ? now : before.since;
    if (before === undefined) this.#count(namespace, 1);
    this.#byKey.set(key, { authority, namespace, reason, pod: `${namespace}/${podName}`, since });
    return { since, isNew: before?.reason !== reason };
  }

  /** Forgets a request that has its answer or is gone. Returns its authority if it was waiting. */
  forget(key: string): string | undefined {
    const known = this.#byKey.get(key);
    if (known === undefined) return undefined;
    this.#byKey.delete(key);
    this.#count(known.namespace, -1);
    return known.authority;
  }

  /** How many requests of a namespace wait. */
  waitingIn(namespace: string): number {
    return this.#byNamespace.get(namespace) ?? 0;
  }

  #count(namespace: string, change: 1 | -1): void {
    const count = this.waitingIn(namespace) + change;
    if (count > 0) this.#byNamespace.set(namespace, count);
    else this.#byNamespace.delete(namespace);
  }

  /** The groups by name of authority, sorted by reason. The example is the first pod in the alphabet, so that it rarely changes. */
  groups(): ReadonlyMap<string, readonly PendingGroup[]> {
    const groups = new Map<string, Map<PodCertificateReason, { count: number; example: string }>>();
    for (const { authority, reason, pod } of this.#byKey.values()) {
      const ofAuthority = groups.get(authority) ?? new Map();
      groups.set(authority, ofAuthority);
      const known = ofAuthority.get(reason);
      if (known === undefined) ofAuthority.set(reason, { count: 1, example: pod });
      else {
        known.count += 1;
        if (pod < known.example) known.example = pod;
      }
    }
    return new Map(
      [...groups].map(([authority, reasons]) => [
        authority,
        [...reasons].map(([reason, rest]) => ({ reason, ...rest })).sort((a, b) => (a.reason < b.reason ? -1 : 1)),
      ]),
    );
  }
}
