import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { planAuthorityStatus } from '../../../../src/plan/index.ts';
import { rootIdOf } from '../../../support/fixtures/roots.ts';
import { earlier, hours, later, minutes, now } from '../../../support/fixtures/times.ts';
import { distributing, draining, overwritten, quiet, retiring, switching } from './rotation-phases.ts';
import { bundleOf, fingerprintOf, next, old, other } from './rotation-roots.ts';
import { knows, observedIn, rotationIn, rotationOf, type Situation, secretsOf } from './rotation-situation.ts';
import { brought, making, rotating } from './rotation-specs.ts';
import { assertHoldsNoKey, planIn, toSkip, unapproved } from './rotation-table.ts';

const statusIn = (situation: Situation, at = now) => {
  const planned = planAuthorityStatus(observedIn(situation, at), planIn(situation, at), at);
  assertHoldsNoKey(planned, situation);
  return planned;
};
const signs = (root: typeof old) => ({
  type: 'Ready',
  status: 'True',
  reason: 'Ready',
  message: `signs with root ${fingerprintOf(root).slice(0, 16)}, valid until ${root.certificate.notAfter.toISOString().replace('.000', '')}`,
});
const rotates = (reason: string, message: string) => ({ type: 'Rotating', status: 'True', reason, message });

/** The status in a phase: the conditions, the rotation, and the requeue time. */
interface Saying {
  readonly given: Situation;
  readonly root: typeof old;
  readonly words: string;
  readonly blockers: readonly string[];
  readonly progress: string;
  readonly more?: object;
  readonly revisitInMs?: number;
}
const carry = `2 of 2 Secrets to hold the new root: shop/a, shop/b${toSkip('r1/Distributing/shop')}`;
const leaves = `2 of 2 Secrets to hold a certificate issued by the new root: shop/a, shop/b${toSkip('r1/Switching/shop')}`;
const withOld = `2 of 2 Secrets to drop the old root: shop/a, shop/b${toSkip('r1/Retiring/shop')}`;
const delay = 'pods to load the last change: until 2026-03-01T12:00:00Z (propagationDelay 3m)';
const tooLate = 'the rotation cannot be aborted any more: bundles without the old root are already published';
const back = { old: [rootIdOf(next)], new: rootIdOf(old), aborting: true } as const;
const directions = { oldRoot: fingerprintOf(next), newRoot: fingerprintOf(old), aborting: true };
const backwards = { ...switching, signs: old, trusted: [old, next], previous: next };

const sayings: Record<string, Saying> = {
  'bundles without the new root': {
    given: { ...distributing, secrets: secretsOf(old, old) },
    root: old,
    words: `the operator adds the new root to every bundle; the old root signs; waiting for ${carry}`,
    blockers: [carry],
    progress: '0 of 2',
  },
  'every blocker, including the approval': {
    given: {
      ...distributing,
      status: {},
      spec: rotating({ approval: 'Manual' }),
      secrets: secretsOf(old, old),
    },
    root: old,
    words:
      `the operator adds the new root to every bundle; the old root signs; waiting for ${carry}, and status to name the new root, ` +
      `and ${unapproved}`,
    blockers: [carry, 'status to name the new root', unapproved],
    progress: '0 of 2',
  },
  'a delay, and is planned again at its end': {
    given: { ...distributing, monotonicMs: minutes(3) - 400 },
    root: old,
    words: `the operator adds the new root to every bundle; the old root signs; waiting for ${delay}`,
    blockers: [delay],
    progress: '0 of 2',
    revisitInMs: 401,
  },
  'certificates of the old root': {
    given: { ...switching, secrets: secretsOf(old, old, next) },
    root: next,
    words: `the new root signs; the operator issues every certificate again; waiting for ${leaves}`,
    blockers: [leaves],
    progress: '0 of 2',
  },
  'pods that still load their certificate': {
    given: { ...draining, monotonicMs: minutes(3) - 10 },
    root: next,
    words: `every certificate is issued by the new root; pods load the new certificates; waiting for ${delay}`,
    blockers: [delay],
    progress: '0 of 2',
    revisitInMs: 11,
  },
  'bundles with the old root, and a refused abort': {
    given: { ...retiring, tokens: { abortToken: 'r1' }, secrets: secretsOf(next, next, old) },
    root: next,
    words: `the operator removes the old root from every bundle; waiting for ${withOld}; ${tooLate}`,
    blockers: [withOld, tooLate],
    progress: '0 of 2',
  },
  'the approval and the skips': {
    given: {
      ...draining,
      rotation: rotationIn('Draining', { approved: 'r1', skipped: ['Switching', 'Draining/web'] }),
      monotonicMs: minutes(3) - 10,
    },
    root: next,
    words: `every certificate is issued by the new root; pods load the new certificates; waiting for ${delay}`,
    blockers: [delay],
    progress: '0 of 2',
    more: { approved: 'r1', skipped: ['Switching', 'Draining/web'] },
    revisitInMs: 11,
  },
};

describe('status while the root is rotated', () => {
  for (const [title, { given, root, words, blockers, progress, more = {}, revisitInMs = 1000 }] of Object.entries(
    sayings,
  )) {
    test(`names ${title}`, () => {
      const { status, requeueAt } = statusIn(given);
      const phase = given.rotation?.phase ?? '';
      assert.deepEqual(status.conditions, [signs(root), rotates(phase, words)]);
      const roots = { oldRoot: fingerprintOf(old), newRoot: fingerprintOf(next) };
      const startedAt = '2026-03-01T11:00:00Z';
      assert.deepEqual(status.rotation, {
        id: 'r1',
        phase,
        startedAt,
        ...roots,
        ...more,
        progress,
        done: 0,
        total: 2,
        blockers,
      });
      assert.equal(status.activeRoot?.fingerprint, fingerprintOf(root));
      assert.deepEqual(requeueAt, later(revisitInMs));
    });
  }

  test('is planned less often with many Secrets of any authority, but not later than its gate can open', () => {
    const secrets = secretsOf(old, old, next);
    const lookedAt = (examinedSecrets: number, opensInMs: number) =>
      statusIn({ ...distributing, secrets, examinedSecrets, monotonicMs: minutes(3) - opensInMs }).requeueAt;
    assert.deepEqual(lookedAt(20_000, 5000), later(1000));
    assert.deepEqual(lookedAt(60_000, 5000), later(3000));
    assert.deepEqual(lookedAt(60_000, 2000), later(2001));
    assert.deepEqual(lookedAt(60_000, 400), later(401));
  });

  test('names the direction of an aborted rotation', () => {
    const cases = [
      ['Switching', secretsOf(next, next, old), 'the old root signs; the operator issues every certificate again; '],
      [
        'Draining',
        secretsOf(next, next, old),
        'every certificate is issued by the old root; pods load the new certificates; ',
      ],
      ['Retiring', secretsOf(old, next, old), 'the operator removes the new root from every bundle; '],
    ] as const;
    for (const [phase, secrets, words] of cases) {
      const trusted = phase === 'Retiring' ? [old] : [old, next];
      const { status } = statusIn({ ...backwards, trusted, secrets, rotation: rotationIn(phase, back) });
      const message = status.conditions[1]?.message ?? '';
      assert.ok(message.startsWith(words), message);
      assert.deepEqual({ ...status.rotation, ...directions }, status.rotation);
    }
  });

  test('names every trusted root, the signing one first', () => {
    const { status } = statusIn({ ...switching, secrets: secretsOf(old, old, next) });
    assert.deepEqual(
      status.roots?.map(({ fingerprint }) => fingerprint),
      [next, old].map(fingerprintOf),
    );
    assert.equal(status.trustBundle, bundleOf(next, old).pem);
  });

  test('is not ready while an overwriting root waits, and still names the old root first', () => {
    const { status } = statusIn({ ...overwritten, secrets: secretsOf(old, old) });
    const [isReady, isRotating] = status.conditions;
    assert.deepEqual([isReady?.status, isReady?.reason], ['False', 'RootDistributing']);
    assert.match(
      isReady?.message ?? '',
      /to skip the wait: kubectl annotate mtlsauthority default --overwrite mtls-operator.io\/skip-gate=r1\/Distributing$/,
    );
    assert.deepEqual([isRotating?.status, isRotating?.reason], ['True', 'Distributing']);
    assert.equal(status.activeRoot?.fingerprint, fingerprintOf(old));
  });

  test('names no old root when none is known', () => {
    const { status } = statusIn({
      ...switching,
      rotation: rotationIn('Switching', { old: [] }),
      secrets: secretsOf(old, old, next),
    });
    assert.equal('oldRoot' in (status.rotation ?? {}), false);
  });
});

describe('status without a rotation', () => {
  test('says why a rotation cannot start', () => {
    const { status } = statusIn({ ...quiet, tokens: { rotateRootToken: 'a' }, spec: brought });
    const [first, problem] = status.conditions;
    assert.deepEqual(first, signs(old));
    assert.deepEqual([problem?.type, problem?.status, problem?.reason], ['Rotating', 'False', 'NextRootMissing']);
    assert.equal(status.rotation, undefined);
    assert.equal(status.lastHandledRotateRoot, undefined);
  });

  test('drops a rotation that has ended', () => {
    const { status } = statusIn({ ...quiet, endedRotation: 'r1', status: distributing.status });
    assert.deepEqual([status.rotation, status.conditions], [undefined, [signs(old)]]);
  });

  test('is planned again when the root is due', () => {
    const { requeueAt } = statusIn({ ...quiet, spec: making({ renewBefore: '8760h' }) });
    assert.deepEqual(requeueAt, new Date(old.certificate.notAfter.getTime() - hours(8760)));
    assert.deepEqual(statusIn({ ...quiet, spec: brought }).requeueAt, old.certificate.notAfter);
  });
});

describe('the condition Rotating, once it was set,', () => {
  const said = (status: 'True' | 'False', reason: string, message = 'm') =>
    ({ type: 'Rotating', status, reason, message, lastTransitionTime: '2026-01-01T00:00:00Z' }) as const;
  const rotatingIn = (given: Situation, before = said('True', 'Draining')) =>
    statusIn({ ...given, status: { ...given.status, conditions: [before] } })
      .status.conditions.filter(({ type }) => type === 'Rotating')
      .map(({ status, reason, message }) => [status, reason, message]);
  const ended = { ended: 'r1' };
  const none = ['False', 'NoRotation', 'no rotation is in progress'];
  const completed = ['False', 'RotationCompleted', 'rotation r1 is complete: the new root signs'];
  const aborted = ['False', 'RotationAborted', 'rotation r1 was aborted: the old root signs'];
  const table: [title: string, given: Situation, before: ReturnType<typeof said>, rotating: string[]][] = [
    [
      'is False after the last phase',
      { ...quiet, ...ended, signs: next, trusted: [next], status: knows([next], rotationOf('Retiring')) },
      said('True', 'Retiring'),
      completed,
    ],
    [
      'is False after an abort before the switch',
      { ...quiet, ...ended, status: knows([old, next], rotationOf('Distributing')) },
      said('True', 'Distributing'),
      aborted,
    ],
    [
      'is False after an abort has gone back',
      { ...quiet, ...ended, status: knows([old], { ...rotationOf('Retiring'), ...directions }) },
      said('True', 'Retiring'),
      aborted,
    ],
    [
      'keeps the reason of the end of the last rotation',
      quiet,
      said('False', 'RotationAborted', 'how'),
      ['False', 'RotationAborted', 'how'],
    ],
    ['is False when status has no rotation', quiet, said('True', 'Draining'), none],
    ['is False when a problem is solved', quiet, said('False', 'NextRootMissing'), none],
    ['has a reason of this version after an upgrade', quiet, said('False', 'Idle'), none],
  ];
  for (const [title, given, before, rotating] of table) {
    test(title, () => assert.deepEqual(rotatingIn(given, before), [rotating]));
  }

  test('is absent before that', () => assert.deepEqual(statusIn(quiet).status.conditions, [signs(old)]));

  test('stays unchanged while the root may not sign', () => {
    assert.deepEqual(rotatingIn({ ...switching, signs: { crt: '', key: '' } }), [['True', 'Draining', 'm']]);
  });
});

describe('the value of rotate-root in status', () => {
  const known = { ...quiet.status, lastHandledRotateRoot: 'b' };
  const values: [title: string, given: Situation, value: string | undefined][] = [
    ['is the value in the Secret', { ...quiet, handledToken: 'a', status: known }, 'a'],
    ['stays when the Secret has lost it', { ...quiet, status: known }, 'b'],
    ['is absent at first', quiet, undefined],
    ['is not a requested value that was not handled yet', { ...quiet, tokens: { rotateRootToken: 'c' } }, undefined],
  ];
  for (const [title, given, value] of values) {
    test(title, () => assert.equal(statusIn(given).status.lastHandledRotateRoot, value));
  }
});

describe('status while the root may not sign', () => {
  test('keeps the rotation and all trusted roots', () => {
    const { status, requeueAt } = statusIn({ ...switching, signs: { crt: '', key: '' } });
    const { rotation, roots, activeRoot, trustBundle } = switching.status;
    assert.deepEqual(
      [status.rotation, status.roots, status.activeRoot, status.trustBundle, requeueAt],
      [rotation, roots, activeRoot, trustBundle, later(600_000)],
    );
    assert.deepEqual(
      status.conditions.map(({ type, status: holds, reason }) => [type, holds, reason]),
      [['Ready', 'False', 'RootMalformed']],
    );
  });

  test('has no rotation when there was none', () => {
    const { status } = statusIn({ ...quiet, signs: { crt: '', key: '' }, status: knows([old, other]) });
    assert.equal('rotation' in status, false);
  });
});

describe('a clock that was set back', () => {
  const reissueIn = (situation: Situation) => {
    const { verdict } = planIn(situation);
    assert.ok(verdict.state === 'ready');
    return verdict.reissue;
  };
  const past = new Date(0);

  test('does not stop certificates from switching: a start in the future counts as long ago', () => {
    const ahead = { ...switching, rotation: rotationIn('Switching', { since: later(hours(5)).toISOString() }) };
    const resumedAt = earlier(minutes(30));
    const waits = { ...ahead, secrets: secretsOf(old, old, next) };
    assert.deepEqual(reissueIn(waits), { id: 'r1', since: past, windowMs: 20, resumedAt });
  });

  test('does not stop certificates from switching under a leader whose start is in the future', () => {
    const reissue = reissueIn({ ...switching, leadingSince: later(1) });
    assert.deepEqual(reissue, { id: 'r1', since: earlier(minutes(10)), windowMs: 20, resumedAt: past });
  });

  test('counts the current moment as passed', () => {
    const reissue = reissueIn({
      ...switching,
      rotation: rotationIn('Switching', { since: now.toISOString() }),
      leadingSince: now,
    });
    assert.deepEqual(reissue, { id: 'r1', since: now, windowMs: 20, resumedAt: now });
  });

  test('does not affect how long pods have had a bundle', () => {
    const ahead = { ...distributing, rotation: rotationIn('Distributing', { since: later(hours(5)).toISOString() }) };
    assert.equal(planIn(ahead).step.step, 'rotate');
  });
});
