import { anchorId } from '../../pki/index.ts';
import { hasExpired } from './observed-root.ts';
import { type AwaitedPod, restartKey } from './pod-evidence.ts';
import { planRotationAnnotations } from './rotation-annotations.ts';
import { phaseGate } from './rotation-gate.ts';
import { type RotationState, rootNames, skipsPhase } from './rotation-state.ts';
import {
  isInPlace,
  type RestartRequest,
  type RotationInput,
  type RotationNotice,
  type RotationPlan,
  type RotationStep,
  reissueWindowMs,
  rotationStep,
  withoutRoots,
} from './rotation-step.ts';

/** The plan for a rotation in progress. */
export function planRotation(input: RotationInput, rotation: RotationState, now: Date): RotationPlan {
  const { authority, secret } = input;
  const abort = authority.abortToken === rotation.id ? planAbort(input, rotation, now) : undefined;
  if (abort?.step !== undefined) return { step: abort.step };
  const controls = planRotationAnnotations(input, rotation);
  if (controls.step !== undefined) return { step: controls.step };
  const gate = phaseGate(input, rotation, now);
  const { blockers, opensInMs } = gate;
  if (blockers.length === 0)
    return { step: { ...advance(input, rotation, now), ...(skipsPhase(rotation) ? {} : { requiresLiveRead: true }) } };
  const isQueued = secret.next !== undefined && isInPlace(input, rotation);
  const notices = [
    ...(abort?.refused === undefined ? [] : [{ reason: 'AbortRefused', message: abort.refused }]),
    ...controls.notices,
    ...(isQueued ? [nextRootQueued] : []),
  ];
  return {
    report: {
      state: rotation,
      blockers,
      notices,
      done: gate.progress.done,
      total: gate.progress.total,
      ...(opensInMs === undefined ? {} : { opensInMs }),
      ...(gate.waitsForPods === undefined ? {} : { waitsForPods: gate.waitsForPods }),
      ...restartOf(input, rotation, gate.podsToRestart),
    },
  };
}

function restartOf(
  { authority }: RotationInput,
  rotation: RotationState,
  pods: readonly AwaitedPod[] = [],
): { readonly restart?: RestartRequest } {
  if (authority.spec.rotation.restartWorkloads !== true || pods.length === 0) return {};
  return { restart: { key: restartKey(authority, rotation), pods: pods.map(({ pod }) => pod) } };
}

const nextRootQueued: RotationNotice = {
  reason: 'NextRootWaits',
  message: 'the root in next.crt and next.key waits until this rotation ends',
  isExpected: true,
};

/**
 * The beginning of Draining, which is compared with the creation of pods. The API server has the time of their creation from its
 * own clock. So if the clock of the operator is behind, the time of the API server counts.
 */
const drainingSince = ({ podLeaves }: Pick<RotationInput, 'podLeaves'>, now: Date): string => {
  const serverTime = podLeaves?.serverTime ?? now;
  return (serverTime > now ? serverTime : now).toISOString();
};

function advance(input: RotationInput, rotation: RotationState, now: Date): RotationStep {
  const { trusted } = input;
  const at = { since: now.toISOString() };
  const { incoming, outgoing } = rootNames(rotation);
  switch (rotation.phase) {
    case 'Distributing': {
      const event = {
        reason: 'RotationSwitching',
        message: 'the new root signs; the operator issues every certificate again',
      };
      // A root that overwrote the old one is already in place.
      const move = isInPlace(input, rotation) ? {} : ({ active: 'next', next: null, previous: 'active' } as const);
      const switching = { ...rotation, ...at, phase: 'Switching', windowMs: reissueWindowMs(input) } as const;
      return { ...rotationStep(input, event), move, trusted, rotation: switching };
    }
    case 'Switching': {
      const event = {
        reason: 'RotationDraining',
        message: `every certificate is issued by ${incoming}; pods load the new certificates`,
      };
      const draining = { ...rotation, since: drainingSince(input, now), phase: 'Draining' } as const;
      return { ...rotationStep(input, event), trusted, rotation: draining };
    }
    case 'Draining': {
      const event = { reason: 'RotationRetiring', message: `the operator removes ${outgoing} from every bundle` };
      return {
        ...rotationStep(input, event),
        trusted: withoutRoots(trusted, rotation.old),
        rotation: { ...rotation, ...at, phase: 'Retiring' },
      };
    }
    case 'Retiring': {
      // If the clock is wrong, the key of a seemingly expired root is still needed.
      const isKept = hasExpired(input.secret.previous);
      const key = isKept
        ? `the operator keeps the key of ${outgoing}, which has expired, in previous.key`
        : `the operator destroys the key of ${outgoing}`;
      const event = rotation.aborting
        ? { reason: 'RotationAborted', message: `the rotation was aborted; ${key}` }
        : { reason: 'RotationCompleted', message: `only the new root is trusted; ${key}` };
      const move = isKept ? {} : ({ previous: null } as const);
      return {
        ...rotationStep(input, event),
        move,
        trusted: withoutRoots(trusted, rotation.old),
        endedRotation: rotation.id,
      };
    }
  }
}

/**
 * Plans the abort. Before certificates have switched, the rotation ends at once. After that, it goes back through the
 * same phases with the roots swapped.
 */
function planAbort(
  input: RotationInput,
  rotation: RotationState,
  now: Date,
): { step: RotationStep; refused?: undefined } | { refused: string; step?: undefined } | undefined {
  const { secret, active, trusted } = input;
  if (rotation.aborting) return undefined;
  const tooLate = 'the rotation cannot be aborted any more: bundles without the old root are already published';
  if (rotation.phase === 'Retiring') return { refused: tooLate };
  if (!isInPlace(input, rotation)) {
    const event = {
      reason: 'RotationAborted',
      message: 'the operator drops the new root, which issued no certificate',
    };
    const left = withoutRoots(trusted, [rotation.new]);
    return { step: { ...rotationStep(input, event), move: { next: null }, trusted: left, endedRotation: rotation.id } };
  }
  const { previous } = secret;
  if (previous === undefined) {
    const message = 'the root Secret has no key of the old root; put that root back into tls.crt and tls.key';
    return { refused: `the rotation cannot be aborted: ${message}` };
  }
  if ('reason' in previous)
    return { refused: `the rotation cannot be aborted: the old root may not sign (${previous.reason})` };
  // Bundles may lack the incoming root although it is in the Secret: an administrator removed it from ca.crt, or put another root
  // in its place.
  const incoming = anchorId(previous.issuer.anchor);
  if (!trusted.some((root) => anchorId(root) === incoming)) return { refused: tooLate };
  // Approvals and skips from before the abort do not apply to the phases of the abort.
  const { approved: _, skipped: __, ...kept } = rotation;
  const { skipToken } = input.authority;
  const isSpent = skipToken?.startsWith(`${rotation.id}/`) === true;
  const event = {
    reason: 'RotationAborting',
    message: 'the old root signs again; the operator issues every certificate again',
  };
  return {
    step: {
      ...rotationStep(input, event),
      move: { active: 'previous', previous: 'active' },
      trusted,
      rotation: {
        ...kept,
        phase: 'Switching',
        since: now.toISOString(),
        old: [anchorId(active.anchor)],
        new: incoming,
        windowMs: reissueWindowMs(input),
        aborting: true,
        ...(isSpent ? { spentSkip: skipToken } : {}),
      },
    },
  };
}
