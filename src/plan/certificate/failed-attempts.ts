import type { MtlsCertificateStatus } from '../../api/types.ts';
import type { Role } from '../../pki/index.ts';
import { spreadDelayMs } from '../timing/jitter.ts';

/** Consecutive failed attempts at the same request. */
export interface Failures {
  readonly attempts: number;
  readonly lastFailureTime: Date;
  readonly nextRetryTime: Date;
}

/** The failed attempts of one role, and why the last one failed. */
export interface FailedAttempts extends Failures {
  readonly message: string;
}

const delays = { firstMs: 5000, longestMs: 600_000 };
/** The largest count that the schema of status allows (int32). */
export const largestCount = 2 ** 31 - 1;
/** The API server may answer with a long text, and status holds the message twice. */
const longestMessage = 1024;

/**
 * The state after one more failure. The delay starts at 5 s and doubles to ten minutes. Each delay is up to a tenth
 * shorter, so that roles that failed together are not retried together. A retry is never later than the expiry of the
 * current certificate, if that is in the future.
 */
export function afterFailure(previousAttempts: number, now: Date, seed: string, expiry?: Date): Failures {
  const attempts = Math.min(previousAttempts + 1, largestCount);
  const retryMs = now.getTime() + spreadDelayMs(previousAttempts, delays, `${seed}/${attempts}`);
  const limitMs = expiry !== undefined && expiry > now ? expiry.getTime() : Number.POSITIVE_INFINITY;
  return { attempts, lastFailureTime: now, nextRetryTime: new Date(Math.min(retryMs, limitMs)) };
}

/** A last failure in the future was before the clock was set back. It counts as a failure now, and its delay starts over. */
export function failuresNotInFuture(
  { lastFailureTime, nextRetryTime, ...rest }: FailedAttempts,
  now: Date,
): FailedAttempts {
  const aheadMs = Math.max(0, lastFailureTime.getTime() - now.getTime());
  if (aheadMs === 0) return { ...rest, lastFailureTime, nextRetryTime };
  return { ...rest, lastFailureTime: now, nextRetryTime: new Date(nextRetryTime.getTime() - aheadMs) };
}

/** Shortens the message of a failure to the length that status holds. */
export const failureMessage = (message: string): string =>
  message.length <= longestMessage ? message : `${message.slice(0, longestMessage - 1).toWellFormed()}…`;

/**
 * The failed attempts of a role in status. Undefined when status has none, or when its next retry is later than the
 * longest delay: the operator did not write such an entry. A last failure in the future counts as a failure now.
 */
export function failuresInStatus(
  { failures }: MtlsCertificateStatus,
  role: Role,
  now: Date,
): FailedAttempts | undefined {
  const entry = failures?.find((one) => one.role === role);
  if (entry === undefined) return undefined;
  const [lastFailureTime, nextRetryTime] = [new Date(entry.lastFailureTime), new Date(entry.nextRetryTime)];
  if (Number.isNaN(lastFailureTime.getTime()) || Number.isNaN(nextRetryTime.getTime())) return undefined;
  if (nextRetryTime.getTime() - now.getTime() > delays.longestMs) return undefined;
  const lastTime = lastFailureTime > now ? now : lastFailureTime;
  return { attempts: Math.max(1, entry.attempts), lastFailureTime: lastTime, nextRetryTime, message: entry.message };
}
