import { describe } from 'node:test';
import type { IssuedSecret, RotationStep } from '../../../../src/plan/index.ts';
import { rootIdOf } from '../../../support/fixtures/roots.ts';
import { days, earlier, later, minutes, now } from '../../../support/fixtures/times.ts';
import { distributing, draining, overwritten, quiet, retiring, switching } from './rotation-phases.ts';
import { next, old, other } from './rotation-roots.ts';
import { knows, rotationIn, type Situation, secretsOf } from './rotation-situation.ts';
import { rotating } from './rotation-specs.ts';
import { type Case, check, ready, rotationStep, verdicts } from './rotation-table.ts';

const since = now.toISOString();
type Phase = 'Distributing' | 'Switching' | 'Draining' | 'Retiring';
/** A phase that ends after a live read. */
const goesOn = (given: Situation, step: RotationStep, verdict = verdicts[given.rotation?.phase as Phase]): Case => ({
  given,
  plan: { step: { ...step, requiresLiveRead: true }, verdict },
});

describe('a phase whose gate is met ends:', () => {
  const switches = rotationStep(
    ['RotationSwitching', 'the new root signs; the operator issues every certificate again'],
    [old, next],
    {
      move: { active: 'next', next: null, previous: 'active' },
      rotation: rotationIn('Switching', { since }),
    },
  );
  const drains = rotationStep(
    ['RotationDraining', 'every certificate is issued by the new root; pods load the new certificates'],
    [next, old],
    {
      rotation: rotationIn('Draining', { since }),
    },
  );
  const retires = rotationStep(['RotationRetiring', 'the operator removes the old root from every bundle'], [next], {
    rotation: rotationIn('Retiring', { since }),
  });
  const completes = rotationStep(
    ['RotationCompleted', 'only the new root is trusted; the operator destroys the key of the old root'],
    [next],
    { move: { previous: null }, endedRotation: 'r1' },
  );
  const approval = { approved: 'r1' } as const;
  const many = Array.from({ length: 250 }, (_, i) => ({
    ...(distributing.secrets[0] as IssuedSecret),
    displayName: `${i}`,
  }));
  check({
    'Distributing with the switch of the keys, both of which stay': goesOn(distributing, switches),
    'Distributing after approval': goesOn(
      {
        ...distributing,
        spec: rotating({ approval: 'Manual' }),
        rotation: rotationIn('Distributing', approval),
      },
      { ...switches, rotation: rotationIn('Switching', { since, ...approval }) },
    ),
    'Distributing at once if no certificate was issued': goesOn(
      { ...distributing, secrets: [], monotonicMs: 0 },
      { ...switches, rotation: rotationIn('Switching', { since, windowMs: 0 }) },
    ),
    'Distributing with a window for the configured pace': goesOn(
      { ...distributing, secrets: many, spec: rotating({ reissuesPerSecond: 10 }) },
      { ...switches, rotation: rotationIn('Switching', { since, windowMs: 25_000 }) },
    ),
    'Distributing without a move if the new root is already in place': goesOn(
      overwritten,
      {
        ...rotationStep(
          ['RotationSwitching', 'the new root signs; the operator issues every certificate again'],
          [next, old],
        ),
        rotation: rotationIn('Switching', { since }),
      },
      verdicts.overwritten,
    ),
    'Distributing without a wait if the delay is zero': goesOn(
      { ...distributing, monotonicMs: 0, spec: rotating({ propagationDelay: '0s' }) },
      switches,
    ),
    'Switching once the new root has issued every certificate, without a delay': goesOn(
      { ...switching, monotonicMs: 0 },
      drains,
    ),
    // Pods that were created before must not look as if they were created in Draining.
    'Switching, and Draining begins at the time of the API server if that is later': goesOn(
      { ...switching, serverTime: later(minutes(5)) },
      { ...drains, rotation: rotationIn('Draining', { since: later(minutes(5)).toISOString() }) },
    ),
    'Switching, and Draining begins at the time of the operator if that is later': goesOn(
      { ...switching, serverTime: earlier(minutes(5)) },
      drains,
    ),
    'Distributing at the time of the operator, which the schedule of the certificates is compared with': goesOn(
      { ...distributing, serverTime: later(minutes(5)) },
      switches,
    ),
    'Draining, and the old root is not trusted any more': goesOn(draining, retires),
    'Draining as soon as the certificates of pods that the old root has issued have expired': goesOn(
      { ...draining, inPods: [[old, now]] },
      retires,
    ),
    'Draining while pods hold certificates of the new root and of a root that is not trusted': goesOn(
      {
        ...draining,
        inPods: [
          [next, later(days(1))],
          [other, later(days(1))],
        ],
      },
      retires,
    ),
    'Draining while pods hold certificates of the old root if its gate is skipped': {
      given: {
        ...draining,
        rotation: rotationIn('Draining', { skipped: ['Draining'] }),
        inPods: [[old, later(days(1))]],
      },
      plan: {
        step: { ...retires, rotation: rotationIn('Retiring', { since, skipped: ['Draining'] }) },
        verdict: verdicts.Draining,
      },
    },
    'Draining, and a root outside this rotation stays trusted': goesOn(
      { ...draining, trusted: [next, old, other] },
      rotationStep(['RotationRetiring', 'the operator removes the old root from every bundle'], [next, other], {
        rotation: rotationIn('Retiring', { since }),
      }),
      ready([next, old, other], {
        acceptedBundleDigests: [ready([old, next, other])].map((verdict) =>
          'bundle' in verdict ? verdict.bundle.digest : '',
        ),
        ...('reissue' in verdicts.Draining ? { reissue: verdicts.Draining.reissue } : {}),
      }),
    ),
    'Draining, and no root from before an overwrite is trusted any more': goesOn(
      {
        ...draining,
        trusted: [next, old],
        rotation: rotationIn('Draining', { old: [rootIdOf(old), rootIdOf(other)] }),
      },
      { ...retires, rotation: rotationIn('Retiring', { since, old: [rootIdOf(old), rootIdOf(other)] }) },
    ),
    'Retiring, and the key of the old root is destroyed': goesOn(retiring, completes),
    'Retiring without a delay, because an additional trusted root breaks no connection': goesOn(
      { ...retiring, monotonicMs: 0 },
      completes,
    ),
    'Retiring of an aborted rotation, and the key of the new root is destroyed': goesOn(
      { ...retiring, rotation: rotationIn('Retiring', { aborting: true }) },
      {
        ...completes,
        event: {
          reason: 'RotationAborted',
          message: 'the rotation was aborted; the operator destroys the key of the new root',
        },
      },
    ),
    'Retiring even if a root was staged, whose rotation starts afterwards': goesOn(
      { ...retiring, next: other },
      completes,
    ),
  });
});

describe('a Secret that no pod can have loaded', () => {
  const [a] = switching.secrets as [IssuedSecret];
  const gone = { ...a, leaf: { root: rootIdOf(old), notAfter: earlier(days(1)) } };
  check({
    'does not delay the switch': goesOn(
      { ...switching, secrets: [gone] },
      rotationStep(
        ['RotationDraining', 'every certificate is issued by the new root; pods load the new certificates'],
        [next, old],
        {
          rotation: rotationIn('Draining', { since }),
        },
      ),
    ),
  });
});

describe('a rotation whose end is recorded', () => {
  const over: Situation = {
    ...quiet,
    signs: next,
    trusted: [next],
    secrets: secretsOf(next, next),
    endedRotation: 'r1',
  };
  const verdict = ready([next]);
  const keep = { step: 'keep' } as const;
  check({
    'is over even if status is outdated': {
      given: { ...over, status: retiring.status },
      plan: { step: keep, verdict },
    },
    'is over once status is updated': { given: { ...over, status: knows([next]) }, plan: { step: keep, verdict } },
    'is over after an abort that status does not show': {
      given: { ...quiet, endedRotation: 'r1', status: distributing.status, monotonicMs: minutes(3) },
      plan: { step: keep, verdict: ready([old]) },
    },
  });
});
