import type { PodIssuance } from '../../plan/index.ts';

/**
 * The certificates that this leader has issued to pods since the switch of a rotation: the rotation knows from them which pods no
 * longer use the old root. A new term begins without them, and the rotation then waits longer.
 */
export class PodIssuances {
  /** By name of authority, then by UID of pod. The oldest entry comes first. */
  readonly #byAuthority = new Map<string, Map<string, PodIssuance>>();
  readonly #monotonicMs: () => number;

  /** @param monotonicMs a monotonic clock in milliseconds */
  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /** The last certificate of each pod, by UID. */
  of(authority: string): ReadonlyMap<string, PodIssuance> {
    return this.#byAuthority.get(authority) ?? none;
  }

  /** @param root the root that issued the certificate, see anchorId */
  note(authority: string, podUid: string, root: string): void {
    const pods = this.#byAuthority.get(authority) ?? new Map<string, PodIssuance>();
    this.#byAuthority.set(authority, pods);
    pods.delete(podUid);
    pods.set(podUid, { root, atMs: this.#monotonicMs() });
    for (const oldest of pods.keys()) {
      if (pods.size <= mostPods) break;
      pods.delete(oldest);
    }
  }

  /** Forgets the pods of an authority, because its rotation has ended. */
  forget(authority: string): void {
    this.#byAuthority.delete(authority);
  }
}

const none: ReadonlyMap<string, PodIssuance> = new Map();

/** About 200 bytes each. For a pod that is forgotten, a rotation waits until its certificate has expired. */
const mostPods = 50_000;
