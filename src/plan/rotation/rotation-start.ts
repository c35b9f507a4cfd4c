import { anchorId, type Certificate, caId, type Issuer } from '../../pki/index.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import { activeRootInStatus, anchorIdInStatus } from '../records/status-roots.ts';
import { parseDurationMs } from '../timing/duration.ts';
import { hasLiveLeavesOfOtherRoots } from './live-leaves.ts';
import { rootRequest } from './root-request.ts';
import {
  initialRotation,
  type RotationInput,
  type RotationPlan,
  type RotationStep,
  rotationStep,
} from './rotation-step.ts';

/** The decision about an authority of which no rotation is under way: whether one begins. */
export function planStart(input: RotationInput, now: Date): RotationPlan {
  const { authority, secret, active, trusted } = input;
  const { next } = secret;
  const token = unhandledRotateRoot(input);
  const handledToken = token === undefined ? {} : { handledToken: token };
  if (wasOverwritten(input)) return { step: adoptOverwrite(input, now) };
  if (next !== undefined && 'reason' in next) {
    // What judges roots speaks of the one that signs.
    const message = `the next root cannot be used: ${next.message.replaceAll('tls.', 'next.')}`;
    return { problem: { reason: `Next${next.reason}`, message } };
  }
  if (next !== undefined && anchorId(next.issuer.anchor) === anchorId(active.anchor)) {
    return { step: { ...replaceIssuer(input, next.issuer), trusted, ...handledToken } };
  }
  if (next !== undefined) return { step: { ...startWithStagedRoot(input, next.issuer.anchor, now), ...handledToken } };
  const reason = token === undefined ? renewalReason(input, now) : 'a rotation was requested';
  if (reason === undefined) return { none: true };
  const request = authority.spec.root === undefined ? undefined : rootRequest(authority.spec.root);
  if (request === undefined && authority.spec.root !== undefined) {
    return { problem: { reason: 'InvalidSpec', message: 'spec.root: duration or key size is not valid' } };
  }
  if (request === undefined) {
    const message = `spec.root is not set, so the operator cannot generate a root; put the next root into Secret ${authority.spec.secretName} as next.crt and next.key`;
    return { problem: { reason: 'NextRootMissing', message } };
  }
  const event = {
    reason: 'RotationStarted',
    message: `the operator distributes a new root next to the active root: ${reason}`,
  };
  const step = {
    ...rotationStep(input, event),
    generate: { slot: 'next' as const, ...request },
    trusted,
    ...handledToken,
  };
  return { step: { ...step, rotation: initialRotation(input, [anchorId(active.anchor)], '', 'Distributing', now) } };
}

/**
 * What is in next.crt has the root that everybody trusts: nothing has to be distributed first. The key of another issuer
 * under that root stays, since only that key can renew the CRL that leaves of that issuer are checked against.
 */
function replaceIssuer(input: RotationInput, next: Issuer): RotationStep {
  const event = { reason: 'IssuerReplaced', message: 'next.crt chains to the same root; it signs from now on' };
  const isSameCa = caId(next.certificate) === caId(input.active.certificate);
  const move = { active: 'next', next: null } as const;
  return {
    ...rotationStep(input, event),
    move: isSameCa ? move : { ...move, previous: 'active' },
    trusted: input.trusted,
  };
}

/** A root that was put into the Secret to follow the present one, or has taken the place of one that was to. */
function startWithStagedRoot(input: RotationInput, next: Certificate, now: Date): RotationStep {
  const { active, trusted } = input;
  const event = {
    reason: 'RotationStarted',
    message: 'the operator distributes the root in next.crt next to the active root',
  };
  const rotation = initialRotation(input, [anchorId(active.anchor)], anchorId(next), 'Distributing', now);
  return { ...rotationStep(input, event), trusted: [...trusted, next], rotation };
}

/**
 * Somebody wrote another root over the one that signed. Those that were trusted go on being so; nothing is signed by the
 * new one until it is known everywhere, unless no certificate of another root works any more.
 */
function adoptOverwrite(input: RotationInput, now: Date): RotationStep {
  const { authority, active, trusted, rollout } = input;
  const event = {
    reason: 'RootReplaced',
    message: 'another root has overwritten the active root; both are trusted',
  };
  const incoming = anchorId(active.anchor);
  const old = [...new Set([activeRootInStatus(authority.status) ?? '', ...interruptedRoots(input)])].filter(
    (root) => root !== incoming && trusted.some((one) => anchorId(one) === root),
  );
  const phase = hasLiveLeavesOfOtherRoots(rollout, incoming, now) ? 'Distributing' : 'Switching';
  // Keys of a rotation that was under way are of no more use; what a person has put there since is.
  const { next, rotation } = input.secret;
  const isForgotten = next !== undefined && 'issuer' in next && anchorId(next.issuer.anchor) === rotation?.new;
  const move = { previous: null, ...(isForgotten ? { next: null } : {}) };
  return { ...rotationStep(input, event), move, trusted, rotation: initialRotation(input, old, incoming, phase, now) };
}

/** The roots of a rotation that an overwrite has interrupted. */
const interruptedRoots = ({ secret, authority }: RotationInput): string[] => {
  const { rotation } = secret;
  if (rotation !== undefined) return [...rotation.old, rotation.new];
  const { status } = authority;
  const { oldRoot, newRoot } = status.rotation ?? {};
  return [oldRoot, newRoot].flatMap((fingerprint) => anchorIdInStatus(status, fingerprint) ?? []);
};

/** True when status tells of a rotation of which the Secret knows nothing, and that did not come to its end. */
export const isInterrupted = ({
  authority: { status },
  secret,
}: Pick<RotationInput, 'authority' | 'secret'>): boolean =>
  status.rotation !== undefined && secret.rotation === undefined && secret.endedRotation !== status.rotation.id;

/** True when a person has ended a rotation by putting a root back, and others than that one were on their way out. */
const isUnfinished = ({ secret: { rotation }, active, trusted }: RotationInput): boolean =>
  trusted.map(anchorId).some((root) => root !== anchorId(active.anchor) && rotation?.old.includes(root) === true);

/** True when the Secret has another root than the one that status says signs, or has lost its part of a rotation. */
export function wasOverwritten(input: RotationInput): boolean {
  const { authority, active } = input;
  if (isInterrupted(input) || isUnfinished(input)) return true;
  // A renewed certificate of the same CA is the same root: whoever trusts one of them accepts the leaves of both.
  const known = activeRootInStatus(authority.status);
  return known !== undefined && known !== anchorId(active.anchor);
}

/** The value of rotate-root that asks for a rotation still. */
export function unhandledRotateRoot({
  authority,
  secret,
}: Pick<RotationInput, 'authority' | 'secret'>): string | undefined {
  const { rotateRootToken, status } = authority;
  const isHandled = rotateRootToken === secret.handledToken || rotateRootToken === status.lastHandledRotateRoot;
  return isHandled ? undefined : rotateRootToken;
}

/** Why a root that the operator has made is due to be replaced; undefined when it is not. */
function renewalReason({ authority, active }: RotationInput, now: Date): string | undefined {
  const renewAt = rootRenewalTime(authority, active.anchor);
  return renewAt === undefined || renewAt > now
    ? undefined
    : `the active root expires at ${active.anchor.notAfter.toISOString()}`;
}

/** When a rotation begins by itself; never for a root that only a person can replace. */
export function rootRenewalTime({ spec }: AuthorityRecord, { notBefore, notAfter }: Certificate): Date | undefined {
  if (spec.root === undefined) return undefined;
  const lifetimeMs = notAfter.getTime() - notBefore.getTime();
  const { renewBefore } = spec.root;
  const requested = renewBefore === undefined ? undefined : parseDurationMs(renewBefore);
  // A root that were due from its beginning would be replaced without end.
  const beforeMs = Math.min(requested ?? lifetimeMs * defaultRenewalShare, lifetimeMs * longestRenewalShare);
  return new Date(notAfter.getTime() - beforeMs);
}
const defaultRenewalShare = 0.1;
const longestRenewalShare = 0.9;
