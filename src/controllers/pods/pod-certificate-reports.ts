import type { PodCertificatesStatus } from '../../api/types.ts';
import type { AuthorityRecord } from '../../plan/index.ts';
import type { PendingGroup, PendingPodRequests } from './pending-pod-requests.ts';

/** What status reports about the certificates of pods. */
export type PodCertificateReport = Pick<PodCertificatesStatus, 'issued' | 'pending'>;

/** Status is written at most once in this time because of the certificates of pods. */
const intervalMs = 10_000;
/** One write of status covers the first certificates of a burst. */
const firstDelayMs = 1000;

/** The largest number of reasons in status. */
const mostGroups = 16;

interface Kept {
  readonly atMs: number;
  readonly report: PodCertificateReport;
}

/** Counts the certificates of pods by authority. What status reports changes at most once in 10 seconds. */
export class PodCertificateReports {
  readonly #pending: PendingPodRequests;
  readonly #onDue: (authority: string, delayMs: number) => void;
  readonly #monotonicMs: () => number;
  /** By UID of authority: how many certificates this term has issued. */
  readonly #issued = new Map<string, number>();
  /** By UID of authority: how many certificates status had counted when the term began. */
  readonly #earlier = new Map<string, number>();
  readonly #reports = new Map<string, Kept>();
  /** UIDs of the authorities whose report is out of date. */
  readonly #outdated = new Set<string>();

  /** @param onDue called when the status of an authority should be written after a delay */
  constructor(
    pending: PendingPodRequests,
    onDue: (authority: string, delayMs: number) => void,
    monotonicMs: () => number,
  ) {
    this.#pending = pending;
    this.#onDue = onDue;
    this.#monotonicMs = monotonicMs;
  }

  /** Counts a certificate. */
  issued(authority: Pick<AuthorityRecord, 'uid' | 'name' | 'status'> | undefined): void {
    if (authority === undefined) return;
    this.#earlierOf(authority);
    this.#issued.set(authority.uid, (this.#issued.get(authority.uid) ?? 0) + 1);
    this.changed(authority);
  }

  /** The certificates or the requests of an authority have changed. */
  changed(authority: Pick<AuthorityRecord, 'uid' | 'name'>): void {
    this.#outdated.add(authority.uid);
    this.#schedule(authority);
  }

  #schedule({ uid, name }: Pick<AuthorityRecord, 'uid' | 'name'>): void {
    const known = this.#reports.get(uid);
    const waitMs = known === undefined ? 0 : known.atMs + intervalMs - this.#monotonicMs();
    this.#onDue(name, Math.max(waitMs, firstDelayMs));
  }

  /** What status reports now. Undefined for an authority that never was a signer for pods. */
  report(authority: AuthorityRecord): PodCertificateReport | undefined {
    const { uid, spec, status } = authority;
    if (spec.podCertificates === undefined && status.podCertificates === undefined) return undefined;
    const nowMs = this.#monotonicMs();
    const known = this.#reports.get(uid);
    if (known !== undefined && nowMs - known.atMs < intervalMs) {
      // Another change queued the authority, or the timer of the queue was early.
      if (this.#outdated.has(uid)) this.#schedule(authority);
      return known.report;
    }
    this.#outdated.delete(uid);
    const pending = this.#pending.groups().get(authority.name) ?? [];
    const report = {
      issued: this.#earlierOf(authority) + (this.#issued.get(uid) ?? 0),
      ...(pending.length === 0 ? {} : { pending: pending.slice(0, mostGroups) as readonly PendingGroup[] }),
    };
    this.#reports.set(uid, { atMs: nowMs, report });
    return report;
  }

  /** Forgets a deleted authority. */
  forget(uid: string): void {
    for (const known of [this.#issued, this.#earlier, this.#reports, this.#outdated]) known.delete(uid);
  }

  #earlierOf({ uid, status }: Pick<AuthorityRecord, 'uid' | 'status'>): number {
    const earlier = this.#earlier.get(uid) ?? status.podCertificates?.issued ?? 0;
    this.#earlier.set(uid, earlier);
    return earlier;
  }
}
