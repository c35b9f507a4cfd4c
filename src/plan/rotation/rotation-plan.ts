import { anchorId } from '../../pki/index.ts';
import { planControls } from './rotation-controls.ts';
import { gateOf } from './rotation-gate.ts';
import { type RotationState, rootsInWords, skipsPhase } from './rotation-state.ts';
import {
  isInPlace,
  type Remark,
  type RotationInput,
  type RotationPlan,
  type RotationStep,
  rotate,
  windowMs,
  without,
} from './rotation-step.ts';

/** The decision about a rotation that is under way. */
export function planRotation(input: RotationInput, note: RotationState, now: Date): RotationPlan {
  const { authority, secret } = input;
  const abort = authority.abortToken === note.id ? planAbort(input, note, now) : undefined;
  if (abort?.step !== undefined) return { step: abort.step };
  const controls = planControls(input, note);
  if (controls.step !== undefined) return { step: controls.step };
  const gate = gateOf(input, note, now);
  const { waits, opensInMs } = gate;
  if (waits.length === 0)
    return { step: { ...advance(input, note, now), ...(skipsPhase(note) ? {} : { proof: true }) } };
  const isQueued = secret.next !== undefined && isInPlace(input, note);
  const remarks = [
    ...(abort?.refused === undefined ? [] : [{ reason: 'AbortRefused', message: abort.refused }]),
    ...controls.remarks,
    ...(isQueued ? [nextRootWaits] : []),
  ];
  return {
    report: {
      note,
      waits,
      remarks,
      done: gate.progress.done,
      total: gate.progress.total,
      ...(opensInMs === undefined ? {} : { opensInMs }),
    },
  };
}

const nextRootWaits: Remark = {
  reason: 'NextRootWaits',
  message: 'next.crt and next.key wait for the end of this rotation',
  isExpected: true,
};

/** The step that ends a phase. */
function advance(input: RotationInput, note: RotationState, now: Date): RotationStep {
  const { trusted } = input;
  const at = { since: now.toISOString() };
  const { comes, goes } = rootsInWords(note);
  switch (note.phase) {
    case 'Distributing': {
      const event = { reason: 'RotationSwitching', message: 'the new root signs; certificates are issued anew' };
      // A root that was written over the old one is in its place already.
      const move = isInPlace(input, note) ? {} : ({ active: 'next', next: null, previous: 'active' } as const);
      const switching = { ...note, ...at, phase: 'Switching', windowMs: windowMs(input) } as const;
      return { ...rotate(input, event), move, trusted, note: switching };
    }
    case 'Switching': {
      const event = { reason: 'RotationDraining', message: `every certificate is of ${comes}; pods load them` };
      return { ...rotate(input, event), trusted, note: { ...note, ...at, phase: 'Draining' } };
    }
    case 'Draining': {
      const event = { reason: 'RotationRetiring', message: `${goes} is taken out of every bundle` };
      return {
        ...rotate(input, event),
        trusted: without(trusted, note.old),
        note: { ...note, ...at, phase: 'Retiring' },
      };
    }
    case 'Retiring': {
      const event = note.aborting
        ? { reason: 'RotationAborted', message: 'the rotation was taken back; the key of the other root is destroyed' }
        : { reason: 'RotationCompleted', message: 'only the new root is trusted; the key of the old one is destroyed' };
      // The clock may be wrong: then the key of a root that has expired by it is still needed.
      const { previous } = input.secret;
      const isKept = previous !== undefined && 'reason' in previous && previous.reason === 'RootExpired';
      const move = isKept ? {} : ({ previous: null } as const);
      return { ...rotate(input, event), move, trusted: without(trusted, note.old), ends: note.id };
    }
  }
}

/** Goes back: at once before certificates have switched, by the same stages in the other direction after that. */
function planAbort(
  input: RotationInput,
  note: RotationState,
  now: Date,
): { step: RotationStep; refused?: undefined } | { refused: string; step?: undefined } | undefined {
  const { secret, active, trusted } = input;
  if (note.aborting) return undefined;
  const tooLate = 'it cannot be aborted any more: bundles without the old root are out';
  if (note.phase === 'Retiring') return { refused: tooLate };
  if (!isInPlace(input, note)) {
    const event = { reason: 'RotationAborted', message: 'the new root is dropped; no certificate was of it' };
    const left = without(trusted, [note.new]);
    return { step: { ...rotate(input, event), move: { next: null }, trusted: left, ends: note.id } };
  }
  const { previous } = secret;
  if (previous === undefined) {
    const message = 'the key of the old root is not there; put that root back into tls.crt and tls.key';
    return { refused: `it cannot be aborted: ${message}` };
  }
  if ('reason' in previous) return { refused: `it cannot be aborted: the old root may not sign (${previous.reason})` };
  // Or nobody trusts that root any more: a person has taken it out of ca.crt, or put another one in its place.
  const comes = anchorId(previous.root.anchor);
  if (!trusted.some((root) => anchorId(root) === comes)) return { refused: tooLate };
  // What was approved and skipped on the way there was not said of the way back.
  const { approved: _, skipped: __, ...kept } = note;
  const { skipToken } = input.authority;
  const isSpent = skipToken?.startsWith(`${note.id}/`) === true;
  const event = { reason: 'RotationAborting', message: 'the old root signs again; certificates are issued anew' };
  return {
    step: {
      ...rotate(input, event),
      move: { active: 'previous', previous: 'active' },
      trusted,
      note: {
        ...kept,
        phase: 'Switching',
        since: now.toISOString(),
        old: [anchorId(active.anchor)],
        new: comes,
        windowMs: windowMs(input),
        aborting: true,
        ...(isSpent ? { spentSkip: skipToken } : {}),
      },
    },
  };
}
