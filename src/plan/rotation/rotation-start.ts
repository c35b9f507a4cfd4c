import { anchorId, type Certificate, caId, type Issuer } from '../../pki/index.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import { activeRootInStatus, anchorIdInStatus } from '../records/status-roots.ts';
import { parseDurationMs } from '../timing/duration.ts';
import { mayHaveLiveLeavesOfOtherRoots } from './live-leaves.ts';
import { rootRequest } from './root-request.ts';
import {
  initialRotation,
  type RotationInput,
  type RotationPlan,
  type RotationStep,
  rotationStep,
} from './rotation-step.ts';

/** Plans whether a rotation starts, for an authority without one. */
export function planStart(input: RotationInput, now: Date): RotationPlan {
  const { authority, secret, active, trusted } = input;
  const { next } = secret;
  const token = unhandledRotateRoot(input);
  const handledToken = token === undefined ? {} : { handledToken: token };
  if (wasOverwritten(input)) return { step: adoptOverwrite(input, now) };
  if (next !== undefined && 'reason' in next) {
    // The inspection's messages name the files of the active root.
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
 * next.crt chains to the active root, so nothing has to be distributed. The key of the replaced issuer stays as
 * `previous`: only that key can renew the CRL for its leaves.
 */
function replaceIssuer(input: RotationInput, next: Issuer): RotationStep {
  const event = {
    reason: 'IssuerReplaced',
    message: 'the certificate in next.crt chains to the same root, and signs from now on',
  };
  const isSameCa = caId(next.certificate) === caId(input.active.certificate);
  const move = { active: 'next', next: null } as const;
  return {
    ...rotationStep(input, event),
    move: isSameCa ? move : { ...move, previous: 'active' },
    trusted: input.trusted,
  };
}

/** Starts a rotation to a root that an administrator put into next.crt. */
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
 * Starts a rotation to a root that overwrote the active one. The earlier roots stay trusted. The new root signs when
 * every peer knows it, or at once when no certificate of another root is live.
 */
function adoptOverwrite(input: RotationInput, now: Date): RotationStep {
  const { authority, active, trusted } = input;
  const event = {
    reason: 'RootReplaced',
    message: 'another root has overwritten the active root; both are trusted',
  };
  const incoming = anchorId(active.anchor);
  const old = [...new Set([activeRootInStatus(authority.status) ?? '', ...interruptedRoots(input)])].filter(
    (root) => root !== incoming && trusted.some((one) => anchorId(one) === root),
  );
  const phase = mayHaveLiveLeavesOfOtherRoots(input, incoming, now) ? 'Distributing' : 'Switching';
  // The key of the interrupted rotation's next root is useless. The operator keeps any other root in next.crt, because an
  // administrator put it there.
  const { next, rotation } = input.secret;
  const isForgotten = next !== undefined && 'issuer' in next && anchorId(next.issuer.anchor) === rotation?.new;
  const move = { previous: null, ...(isForgotten ? { next: null } : {}) };
  return { ...rotationStep(input, event), move, trusted, rotation: initialRotation(input, old, incoming, phase, now) };
}

/** The roots of a rotation that was interrupted because the Secret was overwritten. */
const interruptedRoots = ({ secret, authority }: RotationInput): string[] => {
  const { rotation } = secret;
  if (rotation !== undefined) return [...rotation.old, rotation.new];
  const { status } = authority;
  const { oldRoot, newRoot } = status.rotation ?? {};
  return [oldRoot, newRoot].flatMap((fingerprint) => anchorIdInStatus(status, fingerprint) ?? []);
};

/** True when status shows a rotation that has not ended, and the root Secret has lost the state of that rotation. */
export const isInterrupted = ({
  authority: { status },
  secret,
}: Pick<RotationInput, 'authority' | 'secret'>): boolean =>
  status.rotation !== undefined && secret.rotation === undefined && secret.endedRotation !== status.rotation.id;

/** True when an administrator ended a rotation by restoring a root, while other roots were still being replaced. */
const isUnfinished = ({ secret: { rotation }, active, trusted }: RotationInput): boolean =>
  trusted.map(anchorId).some((root) => root !== anchorId(active.anchor) && rotation?.old.includes(root) === true);

/** True when the Secret holds another root than the active root in status, or has lost the state of a rotation. */
export function wasOverwritten(input: RotationInput): boolean {
  const { authority, active } = input;
  if (isInterrupted(input) || isUnfinished(input)) return true;
  // A renewed certificate of the same CA is the same root: peers that trust either certificate accept the leaves of
  // both.
  const known = activeRootInStatus(authority.status);
  return known !== undefined && known !== anchorId(active.anchor);
}

/** The value of rotate-root that the operator has not acted on. Undefined when there is none. */
export function unhandledRotateRoot({
  authority,
  secret,
}: Pick<RotationInput, 'authority' | 'secret'>): string | undefined {
  const { rotateRootToken, status } = authority;
  const isHandled = rotateRootToken === secret.handledToken || rotateRootToken === status.lastHandledRotateRoot;
  return isHandled ? undefined : rotateRootToken;
}

/** Why a generated root is due for replacement. Undefined when it is not. */
function renewalReason({ authority, active }: RotationInput, now: Date): string | undefined {
  const renewAt = rootRenewalTime(authority, active.anchor);
  return renewAt === undefined || renewAt > now
    ? undefined
    : `the active root expires at ${active.anchor.notAfter.toISOString()}`;
}

/** When a rotation starts automatically. Undefined for a root that only an administrator can replace. */
export function rootRenewalTime({ spec }: AuthorityRecord, { notBefore, notAfter }: Certificate): Date | undefined {
  if (spec.root === undefined) return undefined;
  const lifetimeMs = notAfter.getTime() - notBefore.getTime();
  const { renewBefore } = spec.root;
  const requested = renewBefore === undefined ? undefined : parseDurationMs(renewBefore);
  // If renewBefore were longer than the lifetime, the operator would replace each new root at once, in an endless loop.
  const beforeMs = Math.min(requested ?? lifetimeMs * defaultRenewalShare, lifetimeMs * longestRenewalShare);
  return new Date(notAfter.getTime() - beforeMs);
}
const defaultRenewalShare = 0.1;
const longestRenewalShare = 0.9;
