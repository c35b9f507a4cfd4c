import { anchorId, type Certificate, type Issuer, uniqueAnchors } from '../../pki/index.ts';
import { activeRootInStatus, rootsInStatus } from '../records/status-roots.ts';
import { mayHaveLiveLeavesOfOtherRoots } from './live-leaves.ts';
import type { RootSecret } from './observed-root.ts';
import { rootRequest } from './root-request.ts';
import { unhandledRotateRoot } from './rotation-start.ts';
import {
  initialRotation,
  type RotationInput,
  type RotationStep,
  reissueWindowMs,
  rotationStep,
} from './rotation-step.ts';

type Input = Pick<RotationInput, 'authority' | 'rollout' | 'podLeaves' | 'secret'>;

/**
 * Plans the replacement of a root that has expired. Undefined when only an administrator can replace it. Certificates
 * issued by that root no longer verify. So the next root does not wait for its distribution, unless certificates issued
 * by other roots are live. The expired pair stays as `previous`: if the clock is wrong, its key is still needed.
 */
export function planExpiredRoot(input: Input, anchors: readonly Certificate[], now: Date): RotationStep | undefined {
  const { next, previous, rotation } = input.secret;
  const coming = usable(next);
  const isComing =
    rotation?.phase === 'Distributing' && coming !== undefined && anchorId(coming.anchor) === rotation.new;
  // Peers already trust this root. They do not know a root that an administrator staged for later.
  const known = rotation === undefined || isComing ? undefined : trustedOnly(usable(previous), anchors);
  if (known !== undefined) return returnToPrevious(input, known, anchors, now);
  if (coming !== undefined) return promoteNext(input, coming, anchors, now);
  return generateReplacement(input, anchors, now);
}

/** The message when the operator cannot replace the root. */
export function expiredRootMessage(
  { authority, secret }: Pick<Input, 'authority' | 'secret'>,
  message: string,
): string {
  const { spec } = authority;
  if (spec.root !== undefined) return `${message}, or correct spec.root: its duration or key size is not valid`;
  const namespace = secret.namespace === undefined ? '' : ` --namespace=${secret.namespace}`;
  const command =
    `kubectl create secret tls ${spec.secretName}${namespace} --cert=root.crt --key=root.key --dry-run=client -o yaml | ` +
    'kubectl apply --server-side --force-conflicts -f -';
  const inVain =
    secret.rotation === undefined ? '' : '; until then approve-rotation, skip-gate and abort-rotation do nothing';
  return `${message} in tls.crt and tls.key of its Secret; no annotation is needed: ${command}${inVain}`;
}

/**
 * Signs with the other root of the rotation, which is still valid: an abort back to the old root, or the end of an
 * abort that was already in progress.
 */
function returnToPrevious(input: Input, root: Issuer, anchors: readonly Certificate[], now: Date): RotationStep {
  const { rotation } = input.secret;
  const fresh = initialRotation(input, outgoingRoots(input, root), anchorId(root.anchor), 'Switching', now);
  const aborting = rotation !== undefined && !rotation.aborting;
  const event = {
    reason: aborting ? 'RotationAborting' : 'RotationSwitching',
    message: 'the signing root has expired; the other root of the rotation signs',
  };
  const kept = rotation === undefined ? {} : { id: rotation.id, startedAt: rotation.startedAt };
  return {
    ...stepOf(input, event, anchors),
    move: { active: 'previous', previous: 'active' },
    rotation: { ...fresh, ...kept, aborting },
  };
}

/** Signs with the next root: the root that was being distributed, or a root that an administrator staged. */
function promoteNext(input: Input, root: Issuer, anchors: readonly Certificate[], now: Date): RotationStep {
  const { rotation } = input.secret;
  const incoming = anchorId(root.anchor);
  const isComing = rotation?.phase === 'Distributing' && rotation.new === incoming;
  const fresh = initialRotation(
    input,
    outgoingRoots(input, root),
    incoming,
    phaseOf({ ...input, trusted: anchors }, incoming, now),
    now,
  );
  const trusted = uniqueAnchors([...anchors, root.anchor]);
  const event = isComing
    ? {
        reason: 'RotationSwitching',
        message: 'the old root has expired, so the rotation does not wait; the new root signs',
      }
    : { reason: 'RotationStarted', message: 'the root has expired; the root in next.crt replaces it' };
  return {
    ...stepOf(input, event, trusted),
    move: { active: 'next', next: null, previous: 'active' },
    rotation: isComing
      ? { ...rotation, phase: fresh.phase, since: fresh.since, windowMs: reissueWindowMs(input) }
      : fresh,
  };
}

/** Generates another root from spec.root. */
function generateReplacement(input: Input, anchors: readonly Certificate[], now: Date): RotationStep | undefined {
  const { root } = input.authority.spec;
  const request = root === undefined ? undefined : rootRequest(root);
  if (request === undefined) return undefined;
  const event = {
    reason: 'RotationStarted',
    message: 'the root has expired; the operator generates a new root',
  };
  return {
    ...stepOf(input, event, anchors),
    generate: { slot: 'active', ...request },
    move: { next: null, previous: 'active' },
    rotation: initialRotation(
      input,
      outgoingRoots(input, undefined),
      '',
      phaseOf({ ...input, trusted: anchors }, '', now),
      now,
    ),
  };
}

function stepOf(input: Input, event: RotationStep['event'], trusted: readonly Certificate[]): RotationStep {
  const handledToken = unhandledRotateRoot(input);
  return { ...rotationStep(input, event), trusted, ...(handledToken === undefined ? {} : { handledToken }) };
}

/**
 * The phase in which the rotation starts. Before the incoming root signs, every peer that presents a live certificate of another
 * root must trust it, and status must name it: if the Secret is overwritten, only status remembers the root.
 */
function phaseOf(
  input: Input & Pick<RotationInput, 'trusted'>,
  incoming: string,
  now: Date,
): 'Distributing' | 'Switching' {
  const { authority } = input;
  const isKnown = rootsInStatus(authority.status).some((root) => anchorId(root) === incoming);
  return isKnown && !mayHaveLiveLeavesOfOtherRoots(input, incoming, now) ? 'Switching' : 'Distributing';
}

/**
 * The roots that are not trusted after the rotation: the expired root, and the roots of the rotation that it belonged
 * to.
 */
function outgoingRoots({ authority, secret }: Input, incoming: Issuer | undefined): string[] {
  const { rotation } = secret;
  const incomingId = incoming === undefined ? undefined : anchorId(incoming.anchor);
  const all = [
    activeRootInStatus(authority.status),
    ...(rotation === undefined ? [] : [rotation.new, ...rotation.old]),
  ];
  return [...new Set(all.flatMap((root) => (root === undefined || root === incomingId ? [] : root)))];
}

const usable = (slot: RootSecret['next']): Issuer | undefined =>
  slot !== undefined && 'issuer' in slot ? slot.issuer : undefined;

function trustedOnly(root: Issuer | undefined, anchors: readonly Certificate[]): Issuer | undefined {
  return root !== undefined && anchors.some((one) => anchorId(one) === anchorId(root.anchor)) ? root : undefined;
}
