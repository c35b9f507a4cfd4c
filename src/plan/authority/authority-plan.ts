import { type Certificate, caId, type Issuer, subjectText } from '../../pki/index.ts';
import type { CrlBundle } from '../revocation/crl-bundle.ts';
import { crlBundle } from '../revocation/crl-bundle.ts';
import type { CrlPlan } from '../revocation/crl-plan.ts';
import { planCrlsWithinRate } from '../revocation/crl-rate-limit.ts';
import { withLaterCrls } from '../revocation/published-crls.ts';
import type { RevocationState } from '../revocation/revocation-state.ts';
import { issuersInUse } from '../rotation/live-leaves.ts';
import type { RootSecret } from '../rotation/observed-root.ts';
import type { RotationStep } from '../rotation/rotation-step.ts';
import { parseDurationMs } from '../timing/duration.ts';
import type { ObservedAuthority } from './observed-authority.ts';
import { planRoot, type RootPlan, type RootStep, type RootVerdict } from './root-plan.ts';

/** What is to be done about the root Secret. */
export type AuthorityStep =
  | RootStep
  /** Something is to be revoked, or a CRL is missing or will soon have ended. */
  | { readonly step: 'signCrls'; readonly resourceVersion: string; readonly plan: CrlPlan };

/** Whether the authority signs, and if not why. */
export type AuthorityVerdict =
  | Exclude<RootVerdict, { state: 'ready' }>
  /** `crl` is absent when none of what signs may sign CRLs. */
  | (Extract<RootVerdict, { state: 'ready' }> & { readonly crl?: CrlBundle });

/** The decision about an authority. */
export interface AuthorityPlan extends Pick<RootPlan, 'rotation' | 'problem'> {
  readonly step: AuthorityStep;
  /** What certificates may expect of the authority until the step is done. */
  readonly verdict: AuthorityVerdict;
  /** When requests to revoke that wait now can be put onto the CRLs, or may have room there. */
  readonly nextCrlsAt?: Date;
}

/** Decides what is to be done about the root Secret, its root first, and what may be expected of it until it is. */
export function planAuthority(observed: ObservedAuthority, now: Date): AuthorityPlan {
  const plan = planRoot(observed, now);
  const { secret, revocation, revocationBefore: before, requestedRevocations } = observed;
  if (secret === undefined || plan.verdict.state === 'notReady') return plan;
  // A step of the root's brings the CRLs of its roots along, in the same write.
  const { roots: trusted } = plan.verdict.bundle;
  const signers = trustedSigners(observed, trusted);
  const context = { before, trusted, isInUse: issuersInUse(observed.rollout, settleMsOf(observed), now) };
  const publicationCount = () => observed.rollout.publications.length;
  const { plan: crls, nextAt } =
    plan.step.step === 'keep'
      ? planCrlsWithinRate(revocation, signers, requestedRevocations, now, { ...context, publicationCount })
      : {};
  // What was published stays until the new lists are there, should the root Secret be behind it.
  const crl = crlBundle(crls === undefined ? revocation : withLaterCrls(revocation, before), signers, context);
  const paced = nextAt === undefined ? plan : { ...plan, nextCrlsAt: nextAt };
  const decided = crl === undefined ? paced : { ...paced, verdict: { ...plan.verdict, crl } };
  if (crls !== undefined) {
    return { ...decided, step: { step: 'signCrls', resourceVersion: secret.resourceVersion, plan: crls } };
  }
  const isQuiet = plan.step.step === 'keep' && secret.rotation === undefined;
  const retirement = isQuiet
    ? retireIssuer(secret, plan.verdict.issuer, trusted, revocation, context.isInUse)
    : undefined;
  return retirement === undefined ? decided : { ...decided, step: retirement };
}

/** How long pods may take to load a change. */
const settleMsOf = ({ authority }: ObservedAuthority): number =>
  parseDurationMs(authority.spec.rotation.propagationDelay) ?? Number.POSITIVE_INFINITY;

/**
 * Outside of a rotation, the key of a replaced issuer is there for its CRL alone. It is destroyed once no certificate of
 * that issuer is in use, and none on its CRL would be valid.
 */
function retireIssuer(
  secret: RootSecret,
  signer: Issuer,
  trusted: readonly Certificate[],
  { revocations }: RevocationState,
  isInUse: (issuer: string) => boolean,
): RotationStep | undefined {
  const { previous } = secret;
  if (previous === undefined || 'reason' in previous) return undefined;
  const issuer = caId(previous.issuer.certificate);
  const isNeeded =
    issuer !== caId(signer.certificate) && (isInUse(issuer) || revocations.some((one) => one.issuer === issuer));
  if (isNeeded) return undefined;
  const message = `no certificate issued by ${subjectText(previous.issuer.certificate)} is in use any more; the operator destroys its key`;
  const { resourceVersion } = secret;
  const event = { reason: 'IssuerRetired', message };
  return { step: 'rotate', resourceVersion, event, move: { previous: null }, trusted, requiresLiveRead: true };
}

/** The signers whose roots are trusted. A retired one signs no list any more: its list goes with it. */
const trustedSigners = (
  observed: Pick<ObservedAuthority, 'secret' | 'issuerInMemory'>,
  trusted: readonly Certificate[],
): Issuer[] => {
  const ids = new Set(trusted.map(caId));
  return signersIn(observed).filter(({ anchor }) => ids.has(caId(anchor)));
};

/** The signers of a step of a rotation, as they are after it: the one that it makes the active one comes first. */
export function signersAfter(
  observed: Pick<ObservedAuthority, 'secret' | 'issuerInMemory'>,
  step: RotationStep,
): Issuer[] {
  const { active } = step.move;
  const moved = active === undefined ? undefined : observed.secret?.[active];
  const first = moved !== undefined && 'issuer' in moved ? caId(moved.issuer.certificate) : '';
  const isFirst = ({ certificate }: Issuer): boolean => caId(certificate) === first;
  const signers = trustedSigners(observed, step.trusted);
  return [...signers.filter(isFirst), ...signers.filter((signer) => !isFirst(signer))];
}

/** Everything that can sign: what the root Secret has the keys of, and the root that signed until it was written over. */
export function signersIn({ secret, issuerInMemory }: Pick<ObservedAuthority, 'secret' | 'issuerInMemory'>): Issuer[] {
  const { inspection, next, previous } = secret ?? {};
  const inSecret = [inspection, next, previous].flatMap((one) =>
    one !== undefined && 'issuer' in one ? one.issuer : [],
  );
  return [...inSecret, ...(issuerInMemory === undefined ? [] : [issuerInMemory])];
}
