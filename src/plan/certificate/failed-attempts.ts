import type { MtlsCertificateStatus } from '../../api/types.ts';
import type { Role } from '../../pki/index.ts';
import { spreadDelayMs } from '../timing/jitter.ts';

/** Failed attempts in a row, at one state of the world. */
export interface Failures {
  readonly attempts: number;
  readonly lastFailureTime: Date;
  readonly nextRetryTime: Date;
}

/** The failed attempts of one role at the same request, and why the last one failed. */
export interface FailedAttempts extends Failures {
  readonly message: string;
}

const delays = { firstMs: 5000, longestMs: 600_000 };
/** The largest count that status can hold. */
export const largestCount = 2 ** 31 - 1;
/** An API server may answer with a page of text. Status has two copies of it. */
const longestMessage = 1024;

/**
 * The state after one more failure: 5 s at first, doubling to ten minutes, each up to a tenth shorter so that what failed
 * together is not retried together; never later than the moment at which the certificate in place expires, should that
 * be ahead.
 */
export function afterFailure(previousAttempts: number, now: Date, seed: string, expiry?: Date): Failures {
  const attempts = Math.min(previousAttempts + 1, largestCount);
  const retryMs = now.getTime() + spreadDelayMs(previousAttempts, delays, `${seed}/${attempts}`);
  const limitMs = expiry !== undefined && expiry > now ? expiry.getTime() : Number.POSITIVE_INFINITY;
  return { attempts, lastFailureTime: now, nextRetryTime: new Date(Math.min(retryMs, limitMs)) };
}

/** The message of a failure, as it is remembered and reported. */
export const failureMessage = (message: string): string =>
  message.length <= longestMessage ? message : `${message.slice(0, longestMessage - 1).toWellFormed()}…`;

/**
 * The failed attempts of a role in status; undefined when status has none, or an entry that the operator cannot have
 * written: it would delay the role for longer than a failure does. A last failure in the future counts as one of now.
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
