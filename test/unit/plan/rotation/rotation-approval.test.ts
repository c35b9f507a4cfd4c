import { describe } from 'node:test';
import { distributing } from './rotation-phases.ts';
import { next, old } from './rotation-roots.ts';
import { rotationIn, type Situation } from './rotation-situation.ts';
import { rotating } from './rotation-specs.ts';
import { type Case, check, ignored, rotationStep, unapproved, verdicts, waiting } from './rotation-table.ts';
import { blockers, endOf, phases, unmet } from './rotation-unmet.ts';

const manual = rotating({ approval: 'Manual' });
const met: Situation = { ...distributing, spec: manual };
const notMet: Situation = { ...unmet.Distributing, spec: manual };
const approved = { approved: 'r1' } as const;
const verdict = verdicts.Distributing;

describe('a rotation that waits for approval', () => {
  const approves = (given: Situation, already: Partial<Situation['rotation']> = {}): Case => ({
    given: { ...given, rotation: rotationIn('Distributing', already), tokens: { approveToken: 'r1' } },
    plan: {
      step: rotationStep(['RotationApproved', 'certificates may switch to the new root'], [old, next], {
        rotation: rotationIn('Distributing', { ...already, approved: 'r1' }),
      }),
      verdict,
    },
  });
  const stays = (approveToken: string, why: string, isExpected?: true): Case => ({
    given: { ...met, tokens: { approveToken } },
    plan: {
      ...waiting(met, [2, 2], [unapproved], {
        notices: [ignored(`approve-rotation=${approveToken}`, why, isExpected)],
      }),
      verdict,
    },
  });
  const idAlone = 'use the id alone, r1; to skip the gate of a phase, use mtls-operator.io/skip-gate';
  const another = 'it does not name this rotation, r1';
  check({
    'is approved by its id': approves(met),
    'is approved early, and the rest of the gate stays': approves(notMet),
    'is approved by its id after its gate was skipped': approves(notMet, { skipped: ['Distributing'] }),
    'waits for the rest of the gate after it was approved': {
      given: { ...notMet, tokens: { approveToken: 'r1' }, rotation: rotationIn('Distributing', approved) },
      plan: {
        ...waiting({ ...notMet, rotation: rotationIn('Distributing', approved) }, [0, 2], blockers.Distributing),
        verdict,
      },
    },
    'switches after a live read when it was approved and the gate is met': {
      given: { ...met, tokens: { approveToken: 'r1' }, rotation: rotationIn('Distributing', approved) },
      plan: {
        step: { ...endOf('Distributing', rotationIn('Distributing', approved)), requiresLiveRead: true },
        verdict,
      },
    },
    'stays approved when the annotation is removed': {
      given: { ...met, rotation: rotationIn('Distributing', approved) },
      plan: {
        step: { ...endOf('Distributing', rotationIn('Distributing', approved)), requiresLiveRead: true },
        verdict,
      },
    },
    'is not approved by the id of another rotation': stays('r0', another, true),
    'is not approved by an id with the same prefix': stays('r12', another, true),
    'is not approved by the former notation of a skip': stays('r1/draining', idAlone),
    'is not approved by the skip of its gate': {
      given: { ...met, rotation: rotationIn('Distributing', { skipped: ['Distributing'] }) },
      plan: {
        ...waiting(
          { ...met, rotation: rotationIn('Distributing', { skipped: ['Distributing'] }) },
          [2, 2],
          [unapproved],
        ),
        verdict,
      },
    },
    'shortens a very long value in the message': {
      given: { ...met, tokens: { approveToken: 'x'.repeat(1000) } },
      plan: {
        ...waiting(met, [2, 2], [unapproved], {
          notices: [ignored(`approve-rotation=${'x'.repeat(150)}…`, another, true)],
        }),
        verdict,
      },
    },
  });
});

describe('an approval', () => {
  for (const phase of phases) {
    const given: Situation = { ...unmet[phase], tokens: { approveToken: 'r1' } };
    check({
      [`does not skip the gate of ${phase} when none is needed`]: {
        given,
        plan: { ...waiting(given, [0, 2], blockers[phase]), verdict: verdicts[phase] },
      },
    });
  }
  for (const phase of ['Switching', 'Draining', 'Retiring'] as const) {
    const given: Situation = {
      ...unmet[phase],
      spec: manual,
      tokens: { approveToken: 'r1' },
      rotation: rotationIn(phase, approved),
    };
    check({
      [`does not skip the gate of ${phase} after it let certificates switch`]: {
        given,
        plan: { ...waiting(given, [0, 2], blockers[phase]), verdict: verdicts[phase] },
      },
      [`is not recorded in ${phase}, which needs none`]: {
        given: { ...given, rotation: rotationIn(phase) },
        plan: {
          ...waiting({ ...given, rotation: rotationIn(phase) }, [0, 2], blockers[phase]),
          verdict: verdicts[phase],
        },
      },
    });
  }
});
