import { anchorId, type Certificate, caId, type Issuer, subjectText } from '../../pki/index.ts';
import {
  exceeds,
  livePodLeaves,
  mergePodLeaves,
  noPodLeaves,
  type PodLeaves,
  podLeavesTime,
  roundUp,
} from '../records/pod-leaves.ts';
import { podLeavesInStatus } from '../records/status-roots.ts';
import type { CrlBundle } from '../revocation/crl-bundle.ts';
import { crlBundle } from '../revocation/crl-bundle.ts';
import type { CrlPlan } from '../revocation/crl-plan.ts';
import { planCrlsWithinRate } from '../revocation/crl-rate-limit.ts';
import { withLaterCrls } from '../revocation/published-crls.ts';
import type { RevocationState } from '../revocation/revocation-state.ts';
import { issuersInUse } from '../rotation/live-leaves.ts';
import type { RootSecret } from '../rotation/observed-root.ts';
import { longestPodLifetimeMs } from '../rotation/pod-lifetime.ts';
import type { RotationStep } from '../rotation/rotation-step.ts';
import { parseDurationMs } from '../timing/duration.ts';
import { type AdditionalRootsPlan, planAdditionalRoots } from './additional-roots.ts';
import type { ObservedAuthority } from './observed-authority.ts';
import { planRoot, type RootPlan, type RootStep, type RootVerdict } from './root-plan.ts';

/** The step for the root Secret. */
export type AuthorityStep =
  | RootStep
  /** A leaf has to be revoked, or a CRL is missing or expires soon. */
  | { readonly step: 'signCrls'; readonly resourceVersion: string; readonly plan: CrlPlan }
  /** Certificates for pods are to be signed that are valid longer than the root Secret says. */
  | { readonly step: 'recordPodLeaves'; readonly resourceVersion: string; readonly podLeaves: PodLeaves };

/** Whether the authority may sign, and the reason if it may not. */
export type AuthorityVerdict =
  | Exclude<RootVerdict, { state: 'ready' }>
  /** `crl` is absent when no signing CA may sign CRLs. */
  | (Extract<RootVerdict, { state: 'ready' }> & {
      readonly crl?: CrlBundle;
      /** Until when certificates for pods may be valid, as both the root Secret and status record it. */
      readonly podLeaves?: PodLeaves;
      /** The longest lifetime that a rotation allows for certificates of pods, in milliseconds. Absent when it sets no limit. */
      readonly longestPodLifetimeMs?: number;
    });

export interface AuthorityPlan extends Pick<RootPlan, 'rotation' | 'problem'> {
  readonly step: AuthorityStep;
  /** The state of the authority that certificates see until the step is done. */
  readonly verdict: AuthorityVerdict;
  /** When pending requests to revoke may get onto the CRLs: their delay ends, or an entry expires and makes room. */
  readonly nextCrlsAt?: Date;
  /** The roots of other CAs that peers trust too. Absent when spec requests none. */
  readonly additional?: AdditionalRootsPlan;
  /** Until when pods may hold certificates, without the entries that are over. */
  readonly podLeaves?: PodLeaves;
}

/** Plans the step for the root Secret. A step for the root comes before a step for the CRLs. */
export function planAuthority(observed: ObservedAuthority, now: Date): AuthorityPlan {
  const additional = observed.sources === undefined ? undefined : planAdditionalRoots(observed.sources, now);
  const plan = withPodLeaves(planOwn(observed, now, additional?.roots), observed, now);
  return additional === undefined ? plan : { ...plan, additional };
}

/** Adds the records of certificates for pods, and the step that writes them if no other step is due. */
function withPodLeaves(plan: AuthorityPlan, observed: ObservedAuthority, now: Date): AuthorityPlan {
  const { secret, podLeaves: known = noPodLeaves } = observed;
  const live = livePodLeaves(known, now);
  const common = live.roots.size + live.issuers.size === 0 ? plan : { ...plan, podLeaves: live };
  const { verdict } = common;
  if (secret === undefined || verdict.state === 'notReady') return common;
  const { podLeaves: written } = secret;
  const signable = written && inBoth(written, podLeavesInStatus(observed.authority.status));
  const longest = longestPodLifetimeMs(secret.rotation);
  const decided = {
    ...common,
    verdict: {
      ...verdict,
      ...(signable === undefined ? {} : { podLeaves: signable }),
      ...(longest === undefined ? {} : { longestPodLifetimeMs: longest }),
    },
  };
  const podLeaves = recordFor(verdict, live, observed.requestedPodLeaves);
  if (plan.step.step !== 'keep' || !exceeds(podLeaves, written ?? noPodLeaves)) return decided;
  return { ...decided, step: { step: 'recordPodLeaves', resourceVersion: secret.resourceVersion, podLeaves } };
}

/**
 * A certificate is signed only when both records have it: if another client then overwrites the root Secret, status still
 * remembers how long the roots have to be trusted.
 */
const inBoth = ({ roots, issuers }: PodLeaves, inStatus: PodLeaves): PodLeaves | undefined => {
  const both = [...roots].flatMap(([root, until]) => {
    const known = inStatus.roots.get(root);
    return known === undefined ? [] : [[root, known < until ? known : until] as const];
  });
  return both.length === 0 ? undefined : { roots: new Map(both), issuers };
};

/** What the root Secret has to record: what is known, and what the signing CA is about to sign. */
function recordFor(
  { issuer, issuancePaused }: AuthorityVerdict & { state: 'ready' },
  live: PodLeaves,
  requested: ObservedAuthority['requestedPodLeaves'],
): PodLeaves {
  if (issuancePaused !== undefined) return live;
  const root = anchorId(issuer.anchor);
  const notAfter = requested?.get(root);
  const roots = new Map(notAfter === undefined ? [] : [[root, roundUp(notAfter)]]);
  const recorded = mergePodLeaves(live, { roots, issuers: new Map() });
  const until = recorded.roots.get(root);
  // An intermediate may have been replaced since the time of its root was recorded.
  const issuers = new Map(until === undefined ? [] : [[caId(issuer.certificate), until]]);
  return mergePodLeaves(recorded, { roots: new Map(), issuers });
}

function planOwn(
  observed: ObservedAuthority,
  now: Date,
  additional: readonly Certificate[] | undefined,
): AuthorityPlan {
  const plan = planRoot(observed, now, additional);
  const { secret, revocation, revocationBefore: before, requestedRevocations } = observed;
  if (secret === undefined || plan.verdict.state === 'notReady') return plan;
  // A step for the root signs the CRLs of its roots in the same write.
  const { roots: trusted } = plan.verdict.bundle;
  const signers = trustedSigners(observed, trusted);
  const isInSecret = issuersInUse(observed.rollout, settleMsOf(observed), now);
  const isInUse = (issuer: string): boolean => isInPods(observed, issuer, now) || isInSecret(issuer);
  const context = { before, trusted, isInUse };
  const publicationCount = () => observed.rollout.publications.length;
  const { plan: crls, nextAt } =
    plan.step.step === 'keep'
      ? planCrlsWithinRate(revocation, signers, requestedRevocations, now, { ...context, publicationCount })
      : {};
  // If the root Secret holds older CRLs than the published ones, the published CRLs stay until new ones are signed.
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

/** True when a pod may hold a certificate of this CA. */
const isInPods = ({ podLeaves }: ObservedAuthority, issuer: string, now: Date): boolean => {
  const until = podLeaves?.issuers.get(issuer);
  return until !== undefined && until > podLeavesTime(podLeaves, now);
};

const settleMsOf = ({ authority }: ObservedAuthority): number =>
  parseDurationMs(authority.spec.rotation.propagationDelay) ?? Number.POSITIVE_INFINITY;

/**
 * Outside a rotation, the key of a replaced issuer only signs its CRL. The operator destroys the key once no
 * certificate of that issuer is in use, and every certificate on its CRL has expired.
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

/** The signers whose roots are trusted. A retired signer signs no CRL, and its CRL is removed. */
const trustedSigners = (
  observed: Pick<ObservedAuthority, 'secret' | 'issuerInMemory'>,
  trusted: readonly Certificate[],
): Issuer[] => {
  const ids = new Set(trusted.map(caId));
  return signersIn(observed).filter(({ anchor }) => ids.has(caId(anchor)));
};

/** The signers after a step of a rotation. The signer that the step makes active comes first. */
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

/** All signers: the CAs whose keys the root Secret holds, and the CA that signed until it was overwritten. */
export function signersIn({ secret, issuerInMemory }: Pick<ObservedAuthority, 'secret' | 'issuerInMemory'>): Issuer[] {
  const { inspection, next, previous } = secret ?? {};
  const inSecret = [inspection, next, previous].flatMap((one) =>
    one !== undefined && 'issuer' in one ? one.issuer : [],
  );
  return [...inSecret, ...(issuerInMemory === undefined ? [] : [issuerInMemory])];
}
