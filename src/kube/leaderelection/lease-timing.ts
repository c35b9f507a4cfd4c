/** The timing of a Lease, in milliseconds. */
export interface LeaseTiming {
  /**
   * Another candidate may take a Lease that has not been renewed for this long. Whole seconds, because the Lease stores seconds.
   */
  readonly leaseDurationMs: number;
  /** A leader that has not renewed the Lease for this long stops leading. */
  readonly renewDeadlineMs: number;
  /** The time between two attempts. */
  readonly retryPeriodMs: number;
}

/** The defaults of client-go. */
export const defaultLeaseTiming: LeaseTiming = {
  leaseDurationMs: 15_000,
  renewDeadlineMs: 10_000,
  retryPeriodMs: 2_000,
};

/** client-go's JitterFactor: candidates retry after 1 to 1.2 retry periods, so that they do not all retry at the same time. */
export const jitterFactor = 1.2;

// A timer is limited to 24.8 days. A shorter limit is safer: a Lease that is not released leaves the cluster without a leader.
const longestLeaseMs = 24 * 3_600_000;

/**
 * The problem with a timing in words, or undefined if the timing is valid. Both the command line and LeaderElector use these
 * rules, so that LeaderElector never refuses a timing that the command line accepted.
 * @param names the names of the settings in messages
 */
export function leaseTimingProblem(
  timing: LeaseTiming,
  names: Readonly<Record<keyof LeaseTiming, string>>,
): string | undefined {
  const { leaseDurationMs: lease, renewDeadlineMs: renew, retryPeriodMs: retry } = timing;
  const instead = (setting: keyof LeaseTiming, ms: number): string =>
    `use for example ${names[setting]}=${inWords(ms)}`;
  if (lease % 1000 !== 0) {
    const seconds = Math.ceil(lease / 1000) * 1000;
    return `${names.leaseDurationMs} must be in whole seconds; ${instead('leaseDurationMs', seconds)}`;
  }
  if (lease > longestLeaseMs) return `${names.leaseDurationMs} must be at most ${inWords(longestLeaseMs)}`;
  if (renew >= lease) {
    const rule = `${names.renewDeadlineMs} must be shorter than ${names.leaseDurationMs}`;
    return `${rule}: ${inWords(renew)} is not shorter than ${inWords(lease)}; ${instead('renewDeadlineMs', (lease * 2) / 3)}`;
  }
  if (retry * jitterFactor >= renew) {
    const rule = `${names.retryPeriodMs} must be shorter than ${names.renewDeadlineMs} divided by ${jitterFactor}`;
    const most = inWords(renew / jitterFactor);
    return `${rule}: ${inWords(retry)} is not shorter than ${most}; ${instead('retryPeriodMs', renew / 5)}`;
  }
  return undefined;
}

const inWords = (ms: number): string => (ms % 1000 === 0 ? `${ms / 1000}s` : `${Math.floor(ms)}ms`);
