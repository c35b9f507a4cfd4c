import { isCrlOf, type SigningRoot } from '../pki/index.ts';
import {
  type CrlContext,
  type CrlPlan,
  crlSigners,
  nextRoomAt,
  planCrls,
  type Revocation,
  type RevocationState,
  signedAt,
} from './revocation.ts';

/**
 * Requests to revoke are put onto the CRLs together, at most once in this time, in milliseconds: each change of a CRL is
 * written to every namespace that has it. The first request after a quiet time does not wait.
 */
export const crlIntervalMs = 5000;

/** What planCrls decides, and when it has to be asked again without an event. */
export interface PacedCrls {
  readonly plan?: CrlPlan;
  readonly nextAt?: Date;
}

/** Decides about the CRLs of an authority as planCrls does, and lets requests that come soon after others wait for more. */
export function paceCrls(
  state: RevocationState,
  signers: readonly SigningRoot[],
  asked: readonly Revocation[],
  now: Date,
  context: CrlContext = {},
): PacedCrls {
  const plan = planCrls(state, signers, asked, now, context);
  if (plan === undefined) {
    const nextAt = isAwaited(state, asked) ? nextRoomAt(state, now) : undefined;
    return nextAt === undefined ? {} : { nextAt };
  }
  const nextAt = pauseEnd(state, signers, now);
  // Whatever else has to be signed is signed now, with the requests.
  const isPutOff = nextAt !== undefined && planCrls(state, signers, [], now, context) === undefined;
  return isPutOff ? { nextAt } : { plan };
}

/** True when a leaf waits for room on the CRL, or for the key of its issuer. */
function isAwaited({ revocations }: RevocationState, asked: readonly Revocation[]): boolean {
  const present = new Set(revocations.map(({ serialNumber }) => serialNumber));
  return asked.some(({ serialNumber }) => !present.has(serialNumber));
}

/** When the pause after the last signing ends; undefined when there is none. An empty list was signed for no request. */
function pauseEnd({ crls }: RevocationState, signers: readonly SigningRoot[], now: Date): Date | undefined {
  const cas = crlSigners(signers).map(({ certificate }) => certificate);
  const moments = crls
    .filter((crl) => crl.revoked.length > 0 && cas.some((ca) => isCrlOf(crl, ca)))
    .map((crl) => signedAt(crl).getTime())
    // The clock was set back.
    .filter((ms) => ms <= now.getTime());
  const end = moments.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY) + crlIntervalMs;
  return end > now.getTime() ? new Date(end) : undefined;
}
