import { unitInterval } from './renewal.ts';

/** Failed attempts at one state of the world, as they stand in status. */
export interface Failures {
  readonly attempts: number;
  readonly lastFailureTime: Date;
  readonly nextRetryTime: Date;
}

const firstDelayMs = 5000;
const longestDelayMs = 3_600_000;

/**
 * The state after one more failure: 5 s at first, doubling to one hour, each up to a tenth shorter so that what failed
 * together is not retried together; never later than the moment at which the certificate in place expires, should that
 * be ahead.
 */
export function afterFailure(previousAttempts: number, now: Date, seed: string, expiry?: Date): Failures {
  const attempts = previousAttempts + 1;
  const fullMs = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(previousAttempts, 20));
  const delayMs = fullMs * (1 - 0.1 * unitInterval(`${seed}/${attempts}`));
  const retryMs = now.getTime() + delayMs;
  const limitMs = expiry !== undefined && expiry > now ? expiry.getTime() : Number.POSITIVE_INFINITY;
  return { attempts, lastFailureTime: now, nextRetryTime: new Date(Math.min(retryMs, limitMs)) };
}
