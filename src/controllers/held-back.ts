import { afterFailure, type Failures, type HeldBack, nextAttempt, type ObservedCertificate } from '../plan/index.ts';

/**
 * Failed attempts, by key of the resource. What was attempted is remembered with them: a changed spec, a new rotate token
 * or another root is another attempt, and is made at once.
 */
export class HeldBackAttempts {
  readonly #attempts = new Map<string, HeldBack & { readonly attempt: string }>();

  /** The failed attempt that holds the next one back; undefined when nothing does. */
  get(key: string, observed: ObservedCertificate): HeldBack | undefined {
    const known = this.#attempts.get(key);
    if (known !== undefined) return known.attempt === attemptOf(observed) ? known : undefined;
    // After a restart only status remembers.
    const { status, generation, rotateToken, revokeToken } = observed.certificate;
    const isAnother =
      status.observedGeneration !== generation ||
      // Which token failed is not in status; one that is not handled may have come since.
      (rotateToken !== undefined && rotateToken !== status.lastHandledRotate) ||
      (revokeToken !== undefined && revokeToken !== status.lastHandledRevoke);
    if (status.nextRetryTime === undefined || isAnother) return undefined;
    const failures = {
      attempts: status.failedIssuanceAttempts ?? 1,
      lastFailureTime: new Date(status.lastFailureTime ?? status.nextRetryTime),
      nextRetryTime: new Date(status.nextRetryTime),
    };
    // The condition Issuing has the message as it was; Ready has it behind the names of roles.
    const failed = status.conditions?.find(({ type, reason }) => type === 'Issuing' && reason === 'IssuanceFailed');
    return { failures, message: failed?.message.replace(nextAttempt, '') ?? 'the last attempt failed' };
  }

  /** Notes one more failure of the same attempt. `expiry` is that of the certificate in place. */
  failed(
    key: string,
    observed: ObservedCertificate,
    message: string,
    before: HeldBack | undefined,
    now: Date,
    expiry?: Date,
  ): Failures {
    const failures = afterFailure(before?.failures.attempts ?? 0, now, observed.certificate.uid, expiry);
    this.#attempts.set(key, { failures, message, attempt: attemptOf(observed) });
    return failures;
  }

  /** Forgets a resource that succeeded, or is gone. */
  forget(key: string): void {
    this.#attempts.delete(key);
  }
}

/** What an attempt is about. */
function attemptOf({ certificate, authority }: ObservedCertificate): string {
  const root = authority.state === 'ready' ? authority.bundle.digest : authority.state;
  const { uid, generation, rotateToken = '', revokeToken = '' } = certificate;
  return [uid, generation, rotateToken, revokeToken, root].join('/');
}
