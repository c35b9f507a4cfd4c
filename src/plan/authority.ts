import type { SigningRoot } from '../pki/index.ts';
import type { CrlBundle } from './observed.ts';
import type { ObservedAuthority } from './observed-authority.ts';
import { type CrlPlan, crlBundle, latestOf, planCrls } from './revocation.ts';
import { planRoot, type RootPlan, type RootStep, type RootVerdict } from './root.ts';

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
}

/** Decides what is to be done about the root Secret, its root first, and what may be expected of it until it is. */
export function planAuthority(observed: ObservedAuthority, now: Date): AuthorityPlan {
  const plan = planRoot(observed, now);
  const { secret, revocation, revocationBefore: before, asked } = observed;
  if (secret === undefined || plan.verdict.state === 'notReady') return plan;
  const signers = signersIn(observed);
  // A step of the root's brings the CRLs of its roots along, in the same write.
  const { roots: trusted } = plan.verdict.bundle;
  // What is of a root that nobody trusts any more is refused without a list.
  const matters = asked.filter(({ root }) => trusted.some(({ fingerprint }) => fingerprint === root));
  const context = { before, trusted };
  const crls = plan.step.step === 'keep' ? planCrls(revocation, signers, matters, now, context) : undefined;
  // What was published stays until the new lists are there, should the root Secret be behind it.
  const crl = crlBundle(crls === undefined ? revocation : latestOf(revocation, before), signers);
  const decided = crl === undefined ? plan : { ...plan, verdict: { ...plan.verdict, crl } };
  return crls === undefined
    ? decided
    : { ...decided, step: { step: 'signCrls', resourceVersion: secret.resourceVersion, plan: crls } };
}

/** Everything that can sign: what the root Secret has the keys of, and the root that signed until it was written over. */
export function signersIn({ secret, held }: Pick<ObservedAuthority, 'secret' | 'held'>): SigningRoot[] {
  const { inspection, next, previous } = secret ?? {};
  const inSecret = [inspection, next, previous].flatMap((one) => (one !== undefined && 'root' in one ? one.root : []));
  return [...inSecret, ...(held === undefined ? [] : [held])];
}
