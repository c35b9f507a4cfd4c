import type { Crl } from '../../pki/index.ts';
import type { CrlBundle } from './crl-bundle.ts';
import type { RevocationState } from './revocation-state.ts';

/**
 * How long a CRL is valid. It is mounted as a file, not fetched, so that a short life would not make it any fresher; but
 * whoever checks it refuses everybody once it has ended, and an operator that is down must not come to that.
 */
export const crlLifetimeMs = 30 * 24 * 3_600_000;
/** What is left of a CRL's life when the next one is signed. */
export const crlRenewBeforeMs = 20 * 24 * 3_600_000;
/** For verifiers whose clocks are behind, as for leaves. */
export const crlBackdateMs = 5 * 60_000;

/** When a list was signed, in whole seconds. */
export const signedAt = ({ thisUpdate }: Crl): Date => new Date(thisUpdate.getTime() + crlBackdateMs);

/** When a CRL has to be signed again although nothing is revoked. */
export const crlRenewalTime = ({ nextUpdate }: CrlBundle): Date => new Date(nextUpdate.getTime() - crlRenewBeforeMs);

/** When a list that is signed then is dated after the end of the certificate: dates on lists have whole seconds. */
export const leavesAt = (notAfter: Date): Date => new Date(notAfter.getTime() + crlBackdateMs + 1000);

/** When the next entry expires so that there is room for others; undefined when none does. */
export function nextRoomAt({ revocations }: RevocationState, now: Date): Date | undefined {
  const moments = revocations.map(({ notAfter }) => leavesAt(notAfter).getTime()).filter((ms) => ms > now.getTime());
  return moments.length === 0 ? undefined : new Date(moments.reduce((a, b) => Math.min(a, b)));
}
