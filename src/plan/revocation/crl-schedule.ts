import type { Crl } from '../../pki/index.ts';
import type { CrlBundle } from './crl-bundle.ts';
import type { RevocationState } from './revocation-state.ts';

/**
 * How long a CRL is valid. Pods mount it as a file, so a shorter lifetime would not make it fresher. Verifiers reject
 * every certificate once the CRL has expired, and that must not happen while the operator is down.
 */
export const crlLifetimeMs = 30 * 24 * 3_600_000;
/** The remaining lifetime of a CRL at which the next one is signed. */
export const crlRenewBeforeMs = 20 * 24 * 3_600_000;
/** thisUpdate is backdated for verifiers whose clocks are behind, as for leaves. */
export const crlBackdateMs = 5 * 60_000;

/** When a CRL was signed, in whole seconds. */
export const signedAt = ({ thisUpdate }: Crl): Date => new Date(thisUpdate.getTime() + crlBackdateMs);

/** When a CRL is signed again without a new revocation. */
export const crlRenewalTime = ({ nextUpdate }: CrlBundle): Date => new Date(nextUpdate.getTime() - crlRenewBeforeMs);

/**
 * The earliest time at which a new CRL has a thisUpdate after the certificate's expiry. Dates on CRLs have whole
 * seconds.
 */
export const leavesAt = (notAfter: Date): Date => new Date(notAfter.getTime() + crlBackdateMs + 1000);

/** When the next entry expires and makes room. Undefined when no entry does. */
export function nextRoomAt({ revocations }: RevocationState, now: Date): Date | undefined {
  const moments = revocations.map(({ notAfter }) => leavesAt(notAfter).getTime()).filter((ms) => ms > now.getTime());
  return moments.length === 0 ? undefined : new Date(moments.reduce((a, b) => Math.min(a, b)));
}
