import { describe } from 'node:test';
import type { RotationNote, RotationStep } from '../../../src/plan/index.ts';
import { now } from '../../support/fixtures.ts';
import {
  distributing,
  draining,
  next,
  noteOf,
  old,
  overwritten,
  retiring,
  rotating,
  type Situation,
  secretsOf,
  switching,
} from './rotation-situation.ts';
import { type Case, check, rotate, verdicts, waiting } from './rotation-table.ts';

type Phase = RotationNote['phase'];
const since = now.toISOString();

/** Each phase when none of what it waits for is there. */
const unmet: Record<Phase, Situation> = {
  Distributing: { ...distributing, status: {}, secrets: secretsOf(old, old) },
  Switching: { ...switching, secrets: secretsOf(old, old, next) },
  Draining: { ...draining, status: {}, secrets: secretsOf(old, old, next) },
  Retiring: { ...retiring, secrets: secretsOf(next, next, old) },
};
const waits: Record<Phase, readonly string[]> = {
  Distributing: ['2 of 2 Secrets to carry the new root: shop/a, shop/b', 'status to name the new root'],
  Switching: ['2 of 2 Secrets to have a certificate of the new root: shop/a, shop/b'],
  Draining: ['2 of 2 Secrets to have a certificate of the new root: shop/a, shop/b', 'status to name the new root'],
  Retiring: ['2 of 2 Secrets to be without the old root: shop/a, shop/b'],
};
const phases = ['Distributing', 'Switching', 'Draining', 'Retiring'] as const;
const rootsOf = { Distributing: [old, next], Switching: [next, old], Draining: [next, old], Retiring: [next] };

/** The step that each phase ends with. */
const ends = (phase: Phase, note: RotationNote): RotationStep => {
  switch (phase) {
    case 'Distributing':
      return rotate(['RotationSwitching', 'the new root signs; certificates are issued anew'], [old, next], {
        move: { active: 'next', next: null, previous: 'active' },
        note: { ...note, since, phase: 'Switching' },
      });
    case 'Switching':
      return rotate(['RotationDraining', 'every certificate is of the new root; pods load them'], [next, old], {
        note: { ...note, since, phase: 'Draining' },
      });
    case 'Draining':
      return rotate(['RotationRetiring', 'the old root is taken out of every bundle'], [next], {
        note: { ...note, since, phase: 'Retiring' },
      });
    case 'Retiring':
      return rotate(
        ['RotationCompleted', 'only the new root is trusted; the key of the old one is destroyed'],
        [next],
        {
          move: { previous: null },
          ends: note.id,
        },
      );
  }
};

for (const phase of phases) {
  const given = unmet[phase];
  const verdict = verdicts[phase];
  const roots = rootsOf[phase];
  const asking = (approveToken: string, note: Partial<RotationNote> = {}): Situation => ({
    ...given,
    asked: { approveToken },
    note: noteOf(phase, note),
  });
  const stays = (situation: Situation): Case => ({
    given: situation,
    plan: { ...waiting(situation, [0, 2], waits[phase]), verdict },
  });
  const waives = (situation: Situation, approved: string): Case => ({
    given: situation,
    plan: {
      step: rotate(['RotationGateWaived', `what the phase ${phase} waits for is not waited for`], roots, {
        note: noteOf(phase, { approved, approves: phase }),
      }),
      verdict,
    },
  });
  const waived = noteOf(phase, { approved: 'r1', approves: phase });

  describe(`a gate of the phase ${phase} that is not met`, () => {
    check({
      'is waited for': stays(given),
      'is waived by the rotation’s id': waives(asking('r1'), 'r1'),
      'is then not waited for, and no evidence is read': {
        given: { ...given, asked: { approveToken: 'r1' }, note: waived },
        plan: { step: ends(phase, waived), verdict },
      },
      'stays waived when the annotation is taken off': {
        given: { ...given, note: waived },
        plan: { step: ends(phase, waived), verdict },
      },
      'is not waived again by a value that was acted on in another phase': stays(
        asking('r1', { approved: 'r1', approves: phase === 'Retiring' ? 'Draining' : 'Retiring' }),
      ),
      'is waived again by the id with something behind a slash': waives(asking('r1/2', { approved: 'r1' }), 'r1/2'),
      'is waived by the plain id after another value': waives(asking('r1', { approved: 'r1/2' }), 'r1'),
      'is not waived by the id of another rotation': stays(asking('r0')),
      'is not waived by an id that only begins alike': stays(asking('r12')),
      'is not waived by what is not behind a slash': stays(asking('r1-2')),
      'is not waived by a request for another rotation': stays({ ...given, asked: { rotateRootToken: 'r1' } }),
    });
  });
}

describe('a rotation that waits for approval', () => {
  const manual = rotating({ approval: 'Manual' });
  const met: Situation = { ...distributing, spec: manual };
  const notMet: Situation = { ...unmet.Distributing, spec: manual };
  const approved = { approved: 'r1', approves: 'Switch' } as const;
  const verdict = verdicts.Distributing;
  const approves = (given: Situation, token: string): Case => ({
    given: { ...given, asked: { approveToken: token } },
    plan: {
      step: rotate(['RotationApproved', 'certificates may switch to the new root'], [old, next], {
        note: noteOf('Distributing', { approved: token, approves: 'Switch' }),
      }),
      verdict,
    },
  });
  const waiver = { approved: 'r1/2', approves: 'Distributing' } as const;
  check({
    'is approved by its id': approves(met, 'r1'),
    'is approved by its id with something behind it': approves(met, 'r1/x'),
    'is approved ahead of time: the rest of the gate stays': approves(notMet, 'r1'),
    'waits for the rest of the gate after it was approved': {
      given: { ...notMet, asked: { approveToken: 'r1' }, note: noteOf('Distributing', approved) },
      plan: { ...waiting({ ...notMet, note: noteOf('Distributing', approved) }, [0, 2], waits.Distributing), verdict },
    },
    'is spared the rest of the gate by a second value': {
      given: { ...notMet, asked: { approveToken: 'r1/2' }, note: noteOf('Distributing', approved) },
      plan: {
        step: rotate(['RotationGateWaived', 'what the phase Distributing waits for is not waited for'], [old, next], {
          note: noteOf('Distributing', waiver),
        }),
        verdict,
      },
    },
    'switches then': {
      given: { ...notMet, asked: { approveToken: 'r1/2' }, note: noteOf('Distributing', waiver) },
      plan: { step: ends('Distributing', noteOf('Distributing', waiver)), verdict },
    },
    'switches on evidence when it was approved and the gate is met': {
      given: { ...met, asked: { approveToken: 'r1' }, note: noteOf('Distributing', approved) },
      plan: { step: { ...ends('Distributing', noteOf('Distributing', approved)), proof: true }, verdict },
    },
    'needs no approval in the phases after that': {
      given: { ...unmet.Switching, spec: manual, asked: { approveToken: 'r1/2' }, note: noteOf('Switching', approved) },
      plan: {
        step: rotate(['RotationGateWaived', 'what the phase Switching waits for is not waited for'], [next, old], {
          note: noteOf('Switching', { approved: 'r1/2', approves: 'Switching' }),
        }),
        verdict: verdicts.Switching,
      },
    },
  });
});

describe('a root that was written over and waits', () => {
  check({
    'signs without waiting once that is asked for': {
      given: {
        ...overwritten,
        secrets: secretsOf(old, old),
        note: noteOf('Distributing', { approved: 'r1', approves: 'Distributing' }),
      },
      plan: {
        step: rotate(['RotationSwitching', 'the new root signs; certificates are issued anew'], [next, old], {
          note: noteOf('Switching', { since, approved: 'r1', approves: 'Distributing' }),
        }),
        verdict: verdicts.overwritten,
      },
    },
  });
});
