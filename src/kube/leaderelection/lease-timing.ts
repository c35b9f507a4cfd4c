/** How a Lease is held, in milliseconds. */
export interface LeaseTiming {
  /** After which a Lease that was not renewed may be taken by another. Whole seconds: the Lease says it in seconds. */
  readonly leaseDurationMs: number;
  /** After which a leader that could not renew stops leading. */
  readonly renewDeadlineMs: number;
  /** Between two attempts. */
  readonly retryPeriodMs: number;
}

/** As in client-go. */
export const defaultLeaseTiming: LeaseTiming = {
  leaseDurationMs: 15_000,
  renewDeadlineMs: 10_000,
  retryPeriodMs: 2_000,
};

/** client-go's JitterFactor: candidates come back after one to 1.2 retry periods, not all at once. */
export const jitterFactor = 1.2;

// Timers end at 24.8 days. Long before that, a Lease that is not released would leave the cluster without a leader.
const longestLeaseMs = 24 * 3_600_000;

/**
 * What is wrong with a timing, in words; undefined when it can be used. These are all rules: who takes a timing from a user asks
 * here, so that nothing is accepted first and refused later.
 * @param names what the user calls the settings
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
    return `${names.leaseDurationMs} must be in whole seconds: ${instead('leaseDurationMs', seconds)}`;
  }
  if (lease > longestLeaseMs) return `${names.leaseDurationMs} must be ${inWords(longestLeaseMs)} at most`;
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
