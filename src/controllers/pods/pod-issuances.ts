import type { PodIssuance } from '../../plan/index.ts';

/** The last certificate of a pod, and when the request for it was created. */
interface Known extends PodIssuance {
  readonly requestedAtMs: number;
}

/** Equal to no root. */
const unknownRoot = '';

/**
 * The certificates that this leader has issued to pods since the switch of a rotation: the rotation knows from them which pods no
 * longer use the old root. A new term begins without them, and the rotation then waits longer.
 */
export class PodIssuances {
  /** By name of authority, then by UID of pod. The oldest entry comes first. */
  readonly #byAuthority = new Map<string, Map<string, Known>>();
  readonly #monotonicMs: () => number;

  /** @param monotonicMs a monotonic clock in milliseconds */
  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /** The last certificate of each pod, by UID. */
  of(authority: string): ReadonlyMap<string, PodIssuance> {
    return this.#byAuthority.get(authority) ?? none;
  }

  /**
   * The certificate of a pod is about to be written. Until `note`, it is unknown which certificate the pod has: the answer to the
   * write may get lost.
   * @param requestedAt when the request was created
   */
  begin(authority: string, podUid: string, requestedAt: string): void {
    const known = this.#byAuthority.get(authority)?.get(podUid);
    const requestedAtMs = Math.max(Date.parse(requestedAt), known?.requestedAtMs ?? Number.NEGATIVE_INFINITY);
    this.#set(authority, podUid, { root: unknownRoot, atMs: this.#monotonicMs(), requestedAtMs });
  }

  /**
   * A certificate was written. kubelet reads only the answer to its last request: an earlier request, from before a restart of
   * kubelet, says nothing about the pod.
   * @param root the root that issued the certificate, see anchorId
   */
  note(authority: string, podUid: string, { root, requestedAt }: { root: string; requestedAt: string }): void {
    const requestedAtMs = Date.parse(requestedAt);
    const known = this.#byAuthority.get(authority)?.get(podUid);
    if (known !== undefined && known.requestedAtMs > requestedAtMs) return;
    this.#set(authority, podUid, { root, atMs: this.#monotonicMs(), requestedAtMs });
  }

  #set(authority: string, podUid: string, issuance: Known): void {
    const pods = this.#byAuthority.get(authority) ?? new Map<string, Known>();
    this.#byAuthority.set(authority, pods);
    pods.delete(podUid);
    pods.set(podUid, issuance);
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
