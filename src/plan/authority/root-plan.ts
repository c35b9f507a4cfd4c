import {
  anchorId,
  type Certificate,
  type Issuer,
  type KeySpec,
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

/** What is to be done about the root Secret. */
export type RootStep =
  | { readonly step: 'keep' }
  | {
      readonly step: 'create';
      readonly profile: RootProfile;
      readonly key: KeySpec;
      readonly remembered: readonly Certificate[];
    }
  /** The active root was renewed: its predecessor goes on being trusted, and into ca.crt before any peer loses it. */
  | { readonly step: 'remember'; readonly resourceVersion: string; readonly bundle: TrustBundle }
  | RotationStep;

/** Whether the authority signs, and if not why. */
export type RootVerdict =
  | {
      readonly state: 'ready';
      /** What signs; the root that will, while `issuancePaused` says why it does not yet. */
      readonly issuer: Issuer;
      readonly bundle: TrustBundle;
      /** Other bundles, as digests, that a Secret may keep until it is written for another reason. */
      readonly acceptedBundleDigests: readonly string[];
      /** How the certificates of other roots are brought to the one that signs. */
      readonly reissue?: Reissue;
      /** Why nothing is issued now, although bundles are kept. */
      readonly issuancePaused?: { readonly reason: string; readonly message: string };
    }
  | { readonly state: 'notReady'; readonly reason: string; readonly message: string };

/** The decision about an authority. */
export interface RootPlan {
  readonly step: RootStep;
  /** What certificates may expect of the authority until the step is done. */
  readonly verdict: RootVerdict;
  /** The rotation that is under way. */
  readonly rotation?: RotationReport;
  /** Why a requested rotation cannot begin. */
  readonly problem?: { readonly reason: string; readonly message: string };
}

/** Decides what is to be done about the root, and what certificates may expect of the authority until it is. */
export function planRoot(observed: ObservedRoot, now: Date): RootPlan {
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
  // First, because an intermediate is not fit to sign without the root that may be in there.
  if ('problem' in anchors) return notReady('RootMalformed', `ca.crt of the root Secret: ${anchors.problem}`);
  if ('reason' in inspection) {
    if (inspection.reason !== 'RootExpired') return notReady(inspection.reason, inspection.message);
    const input = { authority, secret, rollout: observed.rollout };
    // The root may have expired before it was written over one whose certificates work.
    const valid = rootsInStatus(authority.status).filter(({ notAfter }) => notAfter > now);
    const step = authority.deleting ? undefined : planExpiredRoot(input, uniqueAnchors([...anchors, ...valid]), now);
    const message = step === undefined ? expiredRootMessage(input, inspection.message) : inspection.message;
    return notReady(inspection.reason, message, step);
  }
  return planWithIssuer(observed, secret, inspection.issuer, anchors, now);
}

/** The decision once there is a root that may sign. */
function planWithIssuer(
  observed: ObservedRoot,
  secret: RootSecret,
  active: Issuer,
  anchors: readonly Certificate[],
  now: Date,
): RootPlan {
  const { authority, rollout, leadingSince } = observed;
  const rotation = currentRotation(secret, active);
  const trusted = trustAnchors({ authority, secret, active, inSecret: anchors, rotation }, now);
  const input = { authority, secret, active, trusted, rollout };
  if (rotation === undefined) return planWithoutRotation({ ...input, acceptedDigests: [] }, now);

  const signer = signerOf(observed, rotation, active);
  const bundle = trustBundle((signer ?? oldRoot(rotation, trusted) ?? active).anchor, trusted);
  const acceptedBundleDigests = acceptedBundles(rotation, trusted, active);
  const acceptedDigests = [bundle.digest, ...acceptedBundleDigests];
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

/** A moment that has passed; the beginning of time for one that a clock that was set back has put into the future. */
const notInFuture = (moment: Date, now: Date): Date => (moment <= now ? moment : new Date(0));

/** No rotation is under way: one may begin, or what was renewed is remembered. */
function planWithoutRotation(input: RotationInput, now: Date): RootPlan {
  const { secret, active, trusted } = input;
  const bundle = trustBundle(active.anchor, trusted);
  const verdict = { state: 'ready', issuer: active, bundle, acceptedBundleDigests: [] } as const;
  const plan = planStart(input, now);
  if ('step' in plan) {
    // Until the step is done nobody knows the roots that it brings: what is out there stays as it is.
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

/** The recorded rotation, if the Secret still holds its roots: a person may have replaced them since. */
function currentRotation({ rotation, next }: RootSecret, { anchor }: Issuer): RotationState | undefined {
  if (rotation === undefined) return undefined;
  const isActive = rotation.new === anchorId(anchor);
  if (rotation.phase !== 'Distributing') return isActive ? rotation : undefined;
  if (isActive) return rotation;
  const isNext = next !== undefined && 'issuer' in next && anchorId(next.issuer.anchor) === rotation.new;
  return isNext && rotation.old[0] === anchorId(anchor) ? rotation : undefined;
}

/** What signs while a rotation is under way; undefined when the key of the old root is gone and the new one has to wait. */
function signerOf({ issuerInMemory }: ObservedRoot, rotation: RotationState, active: Issuer): Issuer | undefined {
  if (rotation.phase !== 'Distributing' || rotation.new !== anchorId(active.anchor)) return active;
  return issuerInMemory !== undefined && anchorId(issuerInMemory.anchor) === rotation.old[0]
    ? issuerInMemory
    : undefined;
}

/** The bundle begins with the root that signs; where that one has no key left, with it all the same. */
const oldRoot = (rotation: RotationState, trusted: readonly Certificate[]): { anchor: Certificate } | undefined =>
  trusted.filter((root) => anchorId(root) === rotation.old[0]).map((anchor) => ({ anchor }))[0];

/**
 * While certificates switch, a bundle of the same roots with another of them in front is as good: it is put in order with
 * the next certificate, so that each Secret is written once.
 */
const acceptedBundles = (rotation: RotationState, trusted: readonly Certificate[], active: Issuer): string[] =>
  rotation.phase === 'Switching' || rotation.phase === 'Draining'
    ? trusted
        .filter((root) => anchorId(root) !== anchorId(active.anchor) && rotation.old.includes(anchorId(root)))
        .map((first) => trustBundle(first, trusted).digest)
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

/** Removes the state of a rotation that a person has ended by removing its roots. */
const withdrawRotation = ({ secret, trusted }: RotationInput): RotationStep => ({
  step: 'rotate',
  ...(secret.rotation === undefined ? {} : { endedRotation: secret.rotation.id }),
  resourceVersion: secret.resourceVersion,
  event: { reason: 'RotationWithdrawn', message: whyWithdrawn(secret) },
  move: {},
  trusted,
});
