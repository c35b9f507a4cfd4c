import {
  anchorId,
  type Certificate,
  type Issuer,
  type KeySpec,
  ownRoots,
  type RootProfile,
  type TrustBundle,
  trustBundle,
  uniqueAnchors,
} from '../../pki/index.ts';
import type { Reissue } from '../certificate/reissue.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import { rootsInStatus } from '../records/status-roots.ts';
import { expiredRootMessage, planExpiredRoot } from '../rotation/expired-root.ts';
import type { ObservedRoot, RootSecret } from '../rotation/observed-root.ts';
import { rootRequest } from '../rotation/root-request.ts';
import { planRotation } from '../rotation/rotation-plan.ts';
import { planStart, wasOverwritten } from '../rotation/rotation-start.ts';
import type { RotationState } from '../rotation/rotation-state.ts';
import type { RotationInput, RotationPlan, RotationReport, RotationStep } from '../rotation/rotation-step.ts';
import { skipCommand } from '../text/kubectl-command.ts';
import { trustAnchors } from './trust-anchors.ts';

/** The step for the root Secret. */
export type RootStep =
  | { readonly step: 'keep' }
  | {
      readonly step: 'create';
      readonly profile: RootProfile;
      readonly key: KeySpec;
      readonly remembered: readonly Certificate[];
    }
  /** A root was replaced: write its predecessor to ca.crt, so that peers still trust it. */
  | { readonly step: 'remember'; readonly resourceVersion: string; readonly bundle: TrustBundle }
  | RotationStep;

/** Whether the authority may sign, and the reason if it may not. */
export type RootVerdict =
  | {
      readonly state: 'ready';
      /** The signer. While `issuancePaused` is set, it does not sign yet. */
      readonly issuer: Issuer;
      readonly bundle: TrustBundle;
      /** Digests of other bundles that a Secret may keep until the operator writes it for another reason. */
      readonly acceptedBundleDigests: readonly string[];
      /** The schedule on which certificates issued by other roots are issued again by the active root. */
      readonly reissue?: Reissue;
      /** Why the operator issues no certificate now, although it keeps bundles up to date. */
      readonly issuancePaused?: { readonly reason: string; readonly message: string };
    }
  | { readonly state: 'notReady'; readonly reason: string; readonly message: string };

/** The next step for the root of an authority, and whether the authority may sign meanwhile. */
export interface RootPlan {
  readonly step: RootStep;
  /** The state of the authority that certificates see until the step is done. */
  readonly verdict: RootVerdict;
  /** The rotation in progress. */
  readonly rotation?: RotationReport;
  /** Why a requested rotation cannot start. */
  readonly problem?: { readonly reason: string; readonly message: string };
}

/**
 * Plans the step for the root.
 * @param additional roots of other CAs, which follow the authority's own roots in the bundle and decide nothing else
 */
export function planRoot(observed: ObservedRoot, now: Date, additional: readonly Certificate[] = []): RootPlan {
  const { authority, secret } = observed;
  const { spec } = authority;
  const notReady = (reason: string, message: string, step: RootStep = { step: 'keep' }) => ({
    step,
    verdict: { state: 'notReady', reason, message } as const,
  });
  if (authority.specProblem !== undefined) return notReady('InvalidSpec', authority.specProblem);
  if (secret === undefined) {
    if (authority.deleting || spec.root === undefined) {
      return notReady(
        'RootMissing',
        `Secret ${spec.secretName} with tls.crt and tls.key does not exist in the namespace of the operator; create it`,
      );
    }
    const request = rootRequest(spec.root);
    if (request === undefined) return notReady('InvalidSpec', 'spec.root: duration or key size is not valid');
    const step = { step: 'create', ...request, remembered: rootsInStatus(authority.status) } as const;
    return notReady('Pending', `the operator is creating Secret ${spec.secretName} with a new root`, step);
  }
  const { inspection, anchors } = secret;
  // ca.crt comes first: it may hold the root without which an intermediate may not sign.
  if ('problem' in anchors) return notReady('RootMalformed', `ca.crt of the root Secret: ${anchors.problem}`);
  if ('reason' in inspection) {
    if (inspection.reason !== 'RootExpired') return notReady(inspection.reason, inspection.message);
    const input = { authority, secret, rollout: observed.rollout, ...podLeavesOf(observed) };
    // The active root may have been overwritten by a root that is already expired. Then the certificates of the
    // overwritten root still work.
    const valid = rootsInStatus(authority.status).filter(({ notAfter }) => notAfter > now);
    const step = authority.deleting ? undefined : planExpiredRoot(input, uniqueAnchors([...anchors, ...valid]), now);
    const message = step === undefined ? expiredRootMessage(input, inspection.message) : inspection.message;
    return notReady(inspection.reason, message, step);
  }
  return planWithIssuer(observed, secret, { active: inspection.issuer, anchors, additional }, now);
}

/** The plan when the root may sign. */
function planWithIssuer(
  observed: ObservedRoot,
  secret: RootSecret,
  {
    active,
    anchors,
    additional,
  }: {
    readonly active: Issuer;
    readonly anchors: readonly Certificate[];
    readonly additional: readonly Certificate[];
  },
  now: Date,
): RootPlan {
  const { authority, rollout, leadingSince } = observed;
  const rotation = currentRotation(secret, active);
  const trusted = trustAnchors({ authority, secret, active, inSecret: anchors, rotation }, now);
  const input = { authority, secret, active, trusted, rollout, ...podLeavesOf(observed) };
  if (rotation === undefined) return planWithoutRotation({ ...input, acceptedDigests: [] }, additional, now);

  const signer = signerOf(observed, rotation, active);
  const bundle = trustBundle((signer ?? oldRoot(rotation, trusted) ?? active).anchor, trusted, additional);
  const acceptedBundleDigests = acceptedBundles(rotation, { trusted, additional }, active);
  // Injected objects hold only the own roots.
  const ownDigests = [ownRoots(bundle).digest, ...acceptedBundles(rotation, { trusted, additional: [] }, active)];
  const acceptedDigests = [...new Set([bundle.digest, ...acceptedBundleDigests, ...ownDigests])];
  const plan = planRotation({ ...input, acceptedDigests }, rotation, now);
  const reissue = {
    id: rotation.id,
    since: notInFuture(new Date(rotation.since), now),
    windowMs: rotation.windowMs,
    resumedAt: notInFuture(leadingSince, now),
  };
  return {
    verdict: {
      state: 'ready',
      issuer: signer ?? active,
      bundle,
      acceptedBundleDigests,
      ...(rotation.phase === 'Distributing' ? {} : { reissue }),
      ...(signer === undefined ? { issuancePaused: pausedForBundles(authority, rotation) } : {}),
    },
    ...outcomeOf(plan),
  };
}

const podLeavesOf = ({ podLeaves }: ObservedRoot) => (podLeaves === undefined ? {} : { podLeaves });

/** The moment, or the epoch if it is in the future because the clock was set back. */
const notInFuture = (moment: Date, now: Date): Date => (moment <= now ? moment : new Date(0));

/** The plan when no rotation is in progress: it may start a rotation, or add a previous root to ca.crt of the root Secret. */
function planWithoutRotation(input: RotationInput, additional: readonly Certificate[], now: Date): RootPlan {
  const { secret, active, trusted } = input;
  const bundle = trustBundle(active.anchor, trusted, additional);
  const verdict = { state: 'ready', issuer: active, bundle, acceptedBundleDigests: [] } as const;
  const plan = planStart(input, now);
  if ('step' in plan) {
    // Until the step is done, no peer trusts its new roots, so bundles stay unchanged.
    return wasOverwritten(input)
      ? {
          step: plan.step,
          verdict: { ...verdict, issuancePaused: { reason: 'RootReplaced', message: plan.step.event.message } },
        }
      : { step: plan.step, verdict };
  }
  const outcome = outcomeOf(plan);
  if (secret.rotation !== undefined) return { ...outcome, verdict, step: withdrawRotation(input) };
  const inSecret = 'problem' in secret.anchors ? [] : secret.anchors;
  const kept = new Set([active.anchor, ...inSecret].map(anchorId));
  const isRemembered = bundle.roots.every((root) => kept.has(anchorId(root)));
  if (isRemembered) return { ...outcome, verdict };
  return { ...outcome, verdict, step: { step: 'remember', resourceVersion: secret.resourceVersion, bundle } };
}

const outcomeOf = (plan: RotationPlan): Pick<RootPlan, 'step' | 'rotation' | 'problem'> => {
  if ('step' in plan) return { step: plan.step };
  const keep = { step: 'keep' } as const;
  if ('report' in plan) return { step: keep, rotation: plan.report };
  return 'problem' in plan ? { step: keep, problem: plan.problem } : { step: keep };
};

/** The recorded rotation, if the Secret still holds its roots. An administrator may have replaced them. */
function currentRotation({ rotation, next }: RootSecret, { anchor }: Issuer): RotationState | undefined {
  if (rotation === undefined) return undefined;
  const isActive = rotation.new === anchorId(anchor);
  if (rotation.phase !== 'Distributing') return isActive ? rotation : undefined;
  if (isActive) return rotation;
  const isNext = next !== undefined && 'issuer' in next && anchorId(next.issuer.anchor) === rotation.new;
  return isNext && rotation.old[0] === anchorId(anchor) ? rotation : undefined;
}

/** The signer during a rotation. Undefined when the key of the old root is gone and the new root may not sign yet. */
function signerOf({ issuerInMemory }: ObservedRoot, rotation: RotationState, active: Issuer): Issuer | undefined {
  if (rotation.phase !== 'Distributing' || rotation.new !== anchorId(active.anchor)) return active;
  return issuerInMemory !== undefined && anchorId(issuerInMemory.anchor) === rotation.old[0]
    ? issuerInMemory
    : undefined;
}

/** A bundle begins with the signing root. It does so even when the key of that root is gone. */
const oldRoot = (rotation: RotationState, trusted: readonly Certificate[]): { anchor: Certificate } | undefined =>
  trusted.filter((root) => anchorId(root) === rotation.old[0]).map((anchor) => ({ anchor }))[0];

/**
 * While certificates switch, a bundle with the same roots in another order is accepted. The next certificate corrects
 * the order, so that each Secret is written once.
 */
const acceptedBundles = (
  rotation: RotationState,
  { trusted, additional }: { readonly trusted: readonly Certificate[]; readonly additional: readonly Certificate[] },
  active: Issuer,
): string[] =>
  rotation.phase === 'Switching' || rotation.phase === 'Draining'
    ? trusted
        .filter((root) => anchorId(root) !== anchorId(active.anchor) && rotation.old.includes(anchorId(root)))
        .map((first) => trustBundle(first, trusted, additional).digest)
    : [];

const pausedForBundles = (authority: AuthorityRecord, rotation: RotationState) => ({
  reason: 'RootDistributing',
  message:
    'another root has overwritten the active root, and signs as soon as every bundle holds it; ' +
    `to skip the wait: ${skipCommand(authority, rotation)}`,
});

const whyWithdrawn = ({ next }: RootSecret): string =>
  next !== undefined && 'reason' in next
    ? `the next root cannot be used any more: ${next.message.replaceAll('tls.', 'next.')}`
    : 'the next root is not in the root Secret any more';

/** Removes the state of a rotation that an administrator has ended by removing its root. */
const withdrawRotation = ({ secret, trusted }: RotationInput): RotationStep => ({
  step: 'rotate',
  ...(secret.rotation === undefined ? {} : { endedRotation: secret.rotation.id }),
  resourceVersion: secret.resourceVersion,
  event: { reason: 'RotationWithdrawn', message: whyWithdrawn(secret) },
  move: {},
  trusted,
});
