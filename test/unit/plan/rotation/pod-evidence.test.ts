import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import {
  anyObject,
  bundlesOf,
  type FrozenContent,
  type IssuedSecret,
  type ObservedPods,
  type PodRecord,
  type Publication,
  planRoot,
  podCertificatesOf,
} from '../../../../src/plan/index.ts';
import { podLeafHolders } from '../../../../src/plan/rotation/pod-evidence.ts';
import { pod } from '../../../support/fixtures/pod.ts';
import { root, rootIdOf } from '../../../support/fixtures/roots.ts';
import { days, earlier, hours, later, minutes, now } from '../../../support/fixtures/times.ts';
import { distributing, draining, retiring, switching } from './rotation-phases.ts';
import { bundleOf, next, old } from './rotation-roots.ts';
import { observedIn, rotationIn, type Situation, secretsOf } from './rotation-situation.ts';
import { rotating } from './rotation-specs.ts';
import { toSkip, unapproved } from './rotation-table.ts';

const evidence = rotating({ podEvidence: true });
const written = { atMs: earlier(minutes(10)).getTime(), isFirst: false };
/** A container that started so many minutes ago. The Secrets were written ten minutes ago, and nodes take three to load them. */
const started = (minutesAgo: number): Pick<PodRecord, 'startedAtMs'> => ({
  startedAtMs: earlier(minutes(minutesAgo)).getTime(),
});
const reads = (object: string, ...parts: FrozenContent['parts']): FrozenContent => ({
  object,
  parts: parts.length === 0 ? ['roots', 'certificate'] : parts,
  by: 'subPath',
});
const bySubPath = pod({ frozen: [reads('shop/a')], ...started(60) });
const { owner: _, ...orphan } = bySubPath;
const inCluster: Publication = {
  namespace: '',
  displayName: 'ClusterTrustBundle mtls-operator.io:default:roots',
  bundle: bundleOf(old, next).digest,
  changedAtMs: -minutes(10),
  written,
  isClusterTrustBundle: true,
};

const observed = (pods: readonly PodRecord[], more: Partial<ObservedPods> = {}): ObservedPods => ({
  unknown: [],
  all: () => pods,
  issuances: new Map(),
  restarts: new Map(),
  ...more,
});

/** The observation of a situation in which Secrets were written ten minutes ago, with these pods. */
function observe(
  situation: Situation,
  pods: readonly PodRecord[],
  more: Partial<ObservedPods> & { readonly secret?: Partial<IssuedSecret>; readonly at?: Date } = {},
) {
  const { secret, at, ...known } = more;
  const secrets = situation.secrets.map((one) => ({ ...one, written, ...secret }));
  const seen = observedIn({ spec: evidence, ...situation, secrets }, at);
  return { ...seen, rollout: { ...seen.rollout, pods: observed(pods, known) } };
}

const planOf = (...given: Parameters<typeof observe>) => planRoot(observe(...given), now);
/** What the phase waits for; none when it ends. */
const blockersOf = (...given: Parameters<typeof observe>): readonly string[] =>
  planOf(...given).rotation?.blockers ?? [];

const toRestart = (count: string, what: string, names: string, phase: 'Distributing' | 'Draining' | 'Retiring') => [
  `${count} pods to restart, because they ${what}: ${names}${toSkip(`r1/${phase}/shop`)}`,
];
const waitsFor = (names: string) => toRestart('1 of 1', 'do not load the new root otherwise', names, 'Distributing');
const drainsFor = (names: string) =>
  toRestart('1 of 1', 'do not load their new certificates otherwise', names, 'Draining');
const oldContainer = (how: string) => `shop/payments-1 (${how})`;

describe('with podEvidence, the phase Distributing', () => {
  const cases: Record<string, { given: Parameters<typeof observe>; blockers: readonly string[] }> = {
    'waits for a pod that reads a Secret by subPath and has not restarted since the write': {
      given: [distributing, [bySubPath]],
      blockers: waitsFor(oldContainer('reads shop/a by subPath')),
    },
    'waits for a pod with an environment variable': {
      given: [distributing, [{ ...bySubPath, frozen: [{ ...reads('shop/a'), by: 'variable' }] }]],
      blockers: waitsFor(oldContainer('reads shop/a in an environment variable')),
    },
    'waits for a pod with a copy that an init container made': {
      given: [distributing, [{ ...bySubPath, frozen: [{ ...reads('shop/a'), by: 'copy' }] }]],
      blockers: waitsFor(oldContainer('reads a copy of shop/a that an init container made')),
    },
    'does not wait for a pod that started after nodes had loaded the write': {
      given: [distributing, [{ ...bySubPath, ...started(7) }]],
      blockers: [],
    },
    'waits for a pod that started while its node may have had the old content': {
      given: [distributing, [{ ...bySubPath, startedAtMs: earlier(minutes(7)).getTime() - 1 }]],
      blockers: waitsFor(oldContainer('reads shop/a by subPath')),
    },
    'does not wait for a reader of a Secret that never had other content': {
      given: [
        distributing,
        [{ ...bySubPath, startedAtMs: written.atMs + 1000 }],
        { secret: { written: { ...written, isFirst: true }, changedAtMs: Number.NEGATIVE_INFINITY } },
      ],
      blockers: [],
    },
    'waits for a pod whose node may have had the content of a Secret that was deleted and created again': {
      given: [
        distributing,
        [{ ...bySubPath, startedAtMs: written.atMs + 1000 }],
        { secret: { written: { ...written, isFirst: true } } },
      ],
      blockers: waitsFor(oldContainer('reads shop/a by subPath')),
    },
    'waits for a pod that started in the second in which the Secret was created: it may have been changed in that second':
      {
        given: [
          distributing,
          [{ ...bySubPath, startedAtMs: written.atMs }],
          { secret: { written: { ...written, isFirst: true }, changedAtMs: Number.NEGATIVE_INFINITY } },
        ],
        blockers: waitsFor(oldContainer('reads shop/a by subPath')),
      },
    'waits for a reader of an earlier Secret of that name': {
      given: [distributing, [bySubPath], { secret: { written: { ...written, isFirst: true } } }],
      blockers: waitsFor(oldContainer('reads shop/a by subPath')),
    },
    'does not wait for a pod that the operator restarted for this phase, whatever the clock of its node says': {
      given: [distributing, [{ ...bySubPath, restartedFor: 'default/r1/Distributing' }]],
      blockers: [],
    },
    'waits for a pod that was restarted for another phase': {
      given: [distributing, [{ ...bySubPath, restartedFor: 'default/r0/Distributing' }]],
      blockers: waitsFor(oldContainer('reads shop/a by subPath')),
    },
    'does not wait for a pod that reads only the certificate': {
      given: [distributing, [{ ...bySubPath, frozen: [reads('shop/a', 'certificate')] }]],
      blockers: [],
    },
    'does not wait for a pod that reads objects of others': {
      given: [distributing, [{ ...bySubPath, frozen: [reads('shop/database'), reads('web/a')] }]],
      blockers: [],
    },
    'waits for a pod with more objects than its record holds': {
      given: [distributing, [{ ...bySubPath, frozen: [reads(anyObject)] }]],
      blockers: waitsFor(oldContainer(`reads ${anyObject} by subPath`)),
    },
    'does not wait for such a pod in a namespace without objects of the authority': {
      given: [distributing, [{ ...bySubPath, namespace: 'web', frozen: [reads(anyObject)] }]],
      blockers: [],
    },
    'waits for a reader of a ClusterTrustBundle, for as long as nodes cache it': {
      given: [
        { ...distributing, publications: [inCluster] },
        [
          pod({ name: 'by-name', frozen: [reads(inCluster.displayName, 'roots')], ...started(4) }),
          pod({ name: 'by-signer', frozen: [reads(bundlesOf('default'), 'roots')], ...started(4) }),
          pod({ name: 'later', frozen: [reads(bundlesOf('default'), 'roots')], ...started(3) }),
          pod({ name: 'of-another', frozen: [reads(bundlesOf('other'), 'roots')], ...started(60) }),
        ],
      ],
      blockers: toRestart(
        '2 of 3',
        'do not load the new root otherwise',
        `shop/by-name (reads ${inCluster.displayName} by subPath), shop/by-signer (reads the ClusterTrustBundles of default by subPath)`,
        'Distributing',
      ),
    },
    'waits when managedFields do not show the time of the write': {
      given: [distributing, [{ ...bySubPath, ...started(0) }], { secret: { written: undefined as never } }],
      blockers: waitsFor(oldContainer('reads shop/a by subPath')),
    },
    'says what the operator did to restart a pod': {
      given: [
        distributing,
        [bySubPath],
        { restarts: new Map([['payments-uid', 'Deployment shop/payments is paused']]) },
      ],
      blockers: waitsFor(oldContainer('reads shop/a by subPath; Deployment shop/payments is paused')),
    },
    'says that no controller creates a pod again': {
      given: [distributing, [orphan]],
      blockers: waitsFor(oldContainer('reads shop/a by subPath; no controller creates it again')),
    },
    'names no pod before every object has the new root, because a restart would be too early': {
      given: [
        { ...distributing, secrets: distributing.secrets.map((one) => ({ ...one, changedAtMs: 1 })) },
        [bySubPath],
      ],
      blockers: ['pods to load the last change: until 2026-03-01T12:00:00Z (propagationDelay 3m)'],
    },
    'waits for pods and for approval': {
      given: [{ ...distributing, spec: rotating({ podEvidence: true, approval: 'Manual' }) }, [bySubPath]],
      blockers: [...waitsFor(oldContainer('reads shop/a by subPath')), unapproved],
    },
    'does not wait for pods of a namespace that is skipped': {
      given: [
        { ...distributing, rotation: rotationIn('Distributing', { skipped: ['Distributing/shop'] }) },
        [bySubPath],
      ],
      blockers: [],
    },
    'does not wait for any pod when the phase is skipped': {
      given: [{ ...distributing, rotation: rotationIn('Distributing', { skipped: ['Distributing'] }) }, [bySubPath]],
      blockers: [],
    },
    'waits until pods are known': {
      given: [distributing, [], { unknown: [{ namespace: '', why: 'the operator has not listed them yet' }] }],
      blockers: [
        `the pods: the operator has not listed them yet${toSkip('r1/Distributing', 'the phase Distributing')}`,
      ],
    },
    'waits until the pods of each namespace are known': {
      given: [distributing, [], { unknown: [{ namespace: 'shop', why: 'they may not be read' }] }],
      blockers: [`the pods of namespace shop: they may not be read${toSkip('r1/Distributing/shop')}`],
    },
  };
  for (const [title, { given, blockers }] of Object.entries(cases)) {
    test(title, () => assert.deepEqual(blockersOf(...given), blockers));
  }

  test('counts the pods in its progress', () => {
    const fresh = pod({ name: 'fresh', frozen: [reads('shop/b')], ...started(1) });
    const { done, total } = planOf(distributing, [bySubPath, fresh]).rotation ?? {};
    assert.deepEqual([done, total], [3, 4]);
  });

  test('ends after a live read, when every pod has restarted', () => {
    const { step } = planOf(distributing, [{ ...bySubPath, ...started(1) }]);
    assert.ok(step.step === 'rotate' && step.requiresLiveRead === true && step.rotation?.phase === 'Switching');
  });
});

describe('with podEvidence, the phase Draining', () => {
  test('waits for a pod that reads its certificate by subPath', () => {
    const reader = { ...bySubPath, frozen: [reads('shop/a', 'certificate')] };
    assert.deepEqual(blockersOf(draining, [reader]), drainsFor(oldContainer('reads shop/a by subPath')));
  });

  test('does not wait for a pod that reads only roots', () => {
    assert.deepEqual(blockersOf(draining, [{ ...bySubPath, frozen: [reads('shop/a', 'roots')] }]), []);
  });

  describe('while certificates that the old root issued to pods are valid', () => {
    const until = later(hours(1));
    const outstanding: Situation = { ...draining, inPods: [[old, until]] };
    const holder = pod({ name: 'holder', signers: ['default'] });
    const fresh = pod({ name: 'fresh', signers: ['default'], createdAtMs: now.getTime() });
    const expiry = 'the certificates that the old root has issued to pods to expire: until 2026-03-01T13:00:00Z';

    test('waits until they expire, or until the pods that may hold them have others', () => {
      assert.deepEqual(blockersOf(outstanding, [holder, fresh]), [
        `${expiry}, or 1 pods to get new ones: shop/holder${toSkip('r1/Draining/shop')}`,
      ]);
      assert.equal(planOf(outstanding, [holder]).rotation?.waitsForPods, true);
    });

    test('ends earlier when no pod can hold one', () => {
      assert.deepEqual(blockersOf(outstanding, [fresh]), []);
      const { step } = planOf(outstanding, [fresh]);
      assert.ok(step.step === 'rotate' && step.requiresLiveRead === true && step.rotation?.phase === 'Retiring');
    });

    test('waits until they expire when not all pods are known', () => {
      const unknown = [{ namespace: 'web', why: 'unknown' }];
      assert.match(
        blockersOf(outstanding, [fresh], { unknown }).join(),
        /to expire: until 2026-03-01T13:00:00Z \(to skip/,
      );
    });

    test('waits for no pod any more when they have expired', () => {
      assert.deepEqual(blockersOf({ ...draining, inPods: [[old, now]] }, [holder]), []);
    });

    test('asks for a restart of a pod that reads its podCertificate by subPath, and is checked often', () => {
      const spec = rotating({ podEvidence: true, restartWorkloads: true });
      const frozen = { ...holder, frozen: [reads(podCertificatesOf('default'), 'certificate')] };
      const { rotation } = planOf({ ...outstanding, spec }, [frozen, holder]);
      assert.deepEqual([rotation?.restart?.pods, rotation?.waitsForPods], [[frozen], undefined]);
      const secrets = draining.secrets.map((one) => ({ ...one, changedAtMs: 1 }));
      assert.equal(planOf({ ...outstanding, spec, secrets }, [frozen]).rotation?.restart, undefined);
    });
  });

  test('of an abort needs a restart of its own', () => {
    const situation = { ...draining, rotation: rotationIn('Draining', { aborting: true }) };
    const before = { ...bySubPath, restartedFor: 'default/r1/Draining' };
    assert.match(blockersOf(situation, [before]).join(), /^1 of 1 pods to restart/);
    assert.deepEqual(blockersOf(situation, [{ ...before, restartedFor: 'default/r1/Draining/aborting' }]), []);
  });
});

test('the phase Switching waits for no pod, because no pod needs a change in it', () => {
  const unknown = [{ namespace: '', why: 'unknown' }];
  assert.deepEqual(blockersOf(switching, [bySubPath], { unknown }), []);
});

describe('with podEvidence, the phase Retiring', () => {
  const trusting = { ...bySubPath, frozen: [reads('shop/a', 'roots')] };

  test('waits for a pod that trusts the old root until it restarts', () => {
    const blockers = toRestart(
      '1 of 1',
      'still trust the old root',
      oldContainer('reads shop/a by subPath'),
      'Retiring',
    );
    assert.deepEqual(blockersOf(retiring, [trusting]), blockers);
    assert.deepEqual(blockersOf(retiring, [{ ...trusting, restartedFor: 'default/r1/Retiring' }]), []);
    assert.deepEqual(blockersOf(retiring, [{ ...trusting, ...started(1) }]), []);
  });

  test('waits for no pod that reads only its certificate by subPath', () => {
    assert.deepEqual(blockersOf(retiring, [{ ...bySubPath, frozen: [reads('shop/a', 'certificate')] }]), []);
  });

  test('asks for restarts only when nodes have had time to load the bundles without the old root', () => {
    const spec = rotating({ podEvidence: true, restartWorkloads: true });
    const justWritten = retiring.secrets.map((one) => ({ ...one, changedAtMs: 1 }));
    const early = planOf({ ...retiring, spec, secrets: justWritten }, [trusting]).rotation;
    assert.deepEqual([early?.restart, early?.blockers.length], [undefined, 1]);
    assert.deepEqual(planOf({ ...retiring, spec }, [trusting]).rotation?.restart, {
      key: 'default/r1/Retiring',
      pods: [trusting],
    });
  });

  test('waits for no pod when the old root has expired', () => {
    const at = later(days(3650));
    const young = root({ name: 'Young', at: later(days(3600)) });
    const rotation = rotationIn('Retiring', { new: rootIdOf(young) });
    const situation = { ...retiring, signs: young, trusted: [young], secrets: secretsOf(young, young), rotation };
    const valid = root({ name: 'Valid', at: later(days(3600)) });
    const secret = { leaf: { root: rootIdOf(young), notAfter: later(days(3660)) } };
    const step = (previous: Situation['signs']) =>
      planRoot(observe({ ...situation, previous }, [trusting], { at, secret }), at).step.step;
    assert.deepEqual([step(old), step(valid)], ['rotate', 'keep']);
  });

  test('waits for no delay when no pod has to restart', () => {
    const justWritten = retiring.secrets.map((one) => ({ ...one, changedAtMs: 1 }));
    assert.deepEqual(blockersOf({ ...retiring, secrets: justWritten }, []), []);
  });
});

describe('with restartWorkloads', () => {
  const restarting = rotating({ podEvidence: true, restartWorkloads: true });

  test('a phase asks for the restart of the pods that it waits for', () => {
    const fresh = pod({ name: 'fresh', frozen: [reads('shop/a')], ...started(1) });
    const { rotation } = planOf({ ...distributing, spec: restarting }, [bySubPath, fresh]);
    assert.deepEqual(rotation?.restart, { key: 'default/r1/Distributing', pods: [bySubPath] });
  });

  test('nothing restarts before every object has its new content, nor without the setting', () => {
    const secrets = distributing.secrets.map((one) => ({ ...one, changedAtMs: 1 }));
    assert.equal(planOf({ ...distributing, spec: restarting, secrets }, [bySubPath]).rotation?.restart, undefined);
    assert.equal(planOf(distributing, [bySubPath]).rotation?.restart, undefined);
  });

  test('the missing approval delays no restart', () => {
    const spec = rotating({ podEvidence: true, restartWorkloads: true, approval: 'Manual' });
    assert.deepEqual(planOf({ ...distributing, spec }, [bySubPath]).rotation?.restart?.pods, [bySubPath]);
  });
});

describe('the pods that may present a podCertificate of the old root', () => {
  const withCertificate = pod({ signers: ['default'] });
  const issued = (atMs: number, root = rootIdOf(next)) => new Map([[withCertificate.uid, { root, atMs }]]);
  /** Draining began ten minutes ago, and the monotonic clock is at three minutes. */
  const holders = (pods: readonly PodRecord[], more: Partial<ObservedPods> = {}) => {
    const { rotation } = draining;
    assert.ok(rotation !== undefined);
    return podLeafHolders(observe(draining, pods, more), rotation)?.map(({ displayName }) => displayName);
  };
  const cases: Record<string, { pods: readonly PodRecord[]; more?: Partial<ObservedPods>; held: boolean }> = {
    'a pod that was created before the phase': { pods: [withCertificate], held: true },
    'a pod whose container has restarted: kubelet keeps its certificate': {
      pods: [{ ...withCertificate, ...started(1) }],
      held: true,
    },
    'not a pod that was created in the phase': {
      pods: [{ ...withCertificate, createdAtMs: now.getTime() }],
      held: false,
    },
    'a pod that was created just after the beginning, since the two clocks may differ': {
      pods: [{ ...withCertificate, createdAtMs: earlier(minutes(8)).getTime() }],
      held: true,
    },
    'not a pod of another authority': { pods: [pod({ signers: ['other'] })], held: false },
    'a pod that was too large to read': { pods: [pod({ signers: ['*'] })], held: true },
    'not a pod without a podCertificate': { pods: [bySubPath], held: false },
    'not a pod that has had a new certificate for propagationDelay': {
      pods: [withCertificate],
      more: { issuances: issued(0) },
      held: false,
    },
    'a pod that got a new certificate just now': {
      pods: [withCertificate],
      more: { issuances: issued(1) },
      held: true,
    },
    'a pod that got another certificate of the old root': {
      pods: [withCertificate],
      more: { issuances: issued(0, rootIdOf(old)) },
      held: true,
    },
    'a pod with two podCertificates of which one is new': {
      pods: [{ ...withCertificate, signers: ['default', 'default'] }],
      more: { issuances: issued(0) },
      held: true,
    },
    'not a pod with a podCertificate of another authority besides its new one': {
      pods: [{ ...withCertificate, signers: ['default', 'other'] }],
      more: { issuances: issued(0) },
      held: false,
    },
    'a pod that reads its podCertificate by subPath, and so never reads the new one': {
      pods: [{ ...withCertificate, frozen: [reads(podCertificatesOf('default'), 'certificate')] }],
      more: { issuances: issued(0) },
      held: true,
    },
    'a pod that reads more by subPath than a record holds, perhaps its podCertificate': {
      pods: [{ ...withCertificate, frozen: [reads(anyObject)] }],
      more: { issuances: issued(0) },
      held: true,
    },
    'not a pod that the operator restarted for this phase': {
      pods: [{ ...withCertificate, restartedFor: 'default/r1/Draining' }],
      held: false,
    },
  };
  for (const [title, { pods, more, held }] of Object.entries(cases)) {
    test(`include ${title}`, () => assert.deepEqual(holders(pods, more), held ? ['shop/payments-1'] : []));
  }

  test('are unknown while the operator does not know all pods, and without podEvidence', () => {
    assert.equal(holders([], { unknown: [{ namespace: 'web', why: 'unknown' }] }), undefined);
    const { rotation } = draining;
    assert.ok(rotation !== undefined);
    assert.equal(podLeafHolders(observedIn(draining), rotation), undefined);
  });
});
