import assert from 'node:assert/strict';
import { after, afterEach, before, describe, mock, test } from 'node:test';
import { rotationKeys, secretKeys } from '../../../../src/api/constants.ts';
import type { MtlsAuthority } from '../../../../src/api/types.ts';
import { anchorId, isSignedBy } from '../../../../src/pki/index.ts';
import { encodedRoot, intermediate, root } from '../../../support/fixtures/roots.ts';
import { days, hours, minutes } from '../../../support/fixtures/times.ts';
import * as fc from '../../../support/properties.ts';
import { historyRuns } from '../../../support/runs.ts';
import { passing, RotationWorld } from './rotation-world.ts';
import type { Interruption } from './world-process.ts';

type Act = (world: RotationWorld) => Promise<unknown> | void;
type Event = readonly [what: string, act: Act];

const years = (n: number): number => days(366) * n;
const suppliedRoots = ['A', 'B', 'C'].map((name) => root({ name }));
const [belowA, belowB] = suppliedRoots.map((above) =>
  ['1', '2'].map((name) => intermediate(above, { name, durationMs: days(3000) })),
);
const anySupplied = fc.constantFrom(...suppliedRoots, ...(belowA ?? []), ...(belowB ?? []));

/** Contents of the source of additional roots: two partners, one of which is a staged root too, and what cannot be used. */
const partner = encodedRoot(root({ name: 'Partner' })).crt;
const supplied = suppliedRoots.map((one) => encodedRoot(one).crt).join('');
const shortLived = encodedRoot(root({ name: 'Short', durationMs: days(365) + hours(1) })).crt;
const sources = {
  partner,
  supplied,
  'a root that expires soon': partner + shortLived,
  'no PEM': '-',
  missing: undefined,
};
const anySource = fc
  .constantFrom(...Object.entries(sources))
  .map(([what, text]): Event => [`the source of additional roots is: ${what}`, (world) => world.changeSource(text)]);

const kinds = fc.constantFrom(
  'secrets',
  'configmaps',
  'clustertrustbundles',
  'namespaces',
  'mtlsauthorities',
  'mtlscertificates',
);

/** An event without parameters, and its weight. */
const happens = (weight: number, ...event: Event) => ({ weight, arbitrary: fc.constant<Event>(event) });

/** The pods of each history that get certificates without a Secret. */
const withCertificates: Event = [
  'pods get certificates',
  async (world) => {
    await world.deploy('certificate', true);
    await world.deploy('certificates', false);
    await world.deploy('certificate by subPath', true);
    await world.settle();
  },
];

/** Content that a container reads once. */
const frozen = ['subPath', 'variables', 'copy', 'configMap', 'bundle'] as const;

/** The operator answers the requests of pods. The first one may need a longer record of the root Secret. */
async function getsCertificates(world: RotationWorld): Promise<void> {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    await world.reconcilePods();
    await world.reconcileAuthority();
  }
  await world.reconcilePods();
}

const abort = (world: RotationWorld): Promise<void> =>
  world.annotate('abortRotation', world.status.rotation?.id ?? 'none');

/** Damage that users do to Secrets. */
const damage = [
  {
    weight: 1,
    arbitrary: fc
      .tuple(anySupplied, fc.boolean())
      .map(
        ([over, whole]): Event => [
          `the root is overwritten (whole Secret: ${whole})`,
          (world) => world.overwrite(over, whole),
        ],
      ),
  },
  happens(1, 'the root Secret is deleted', (world) => world.deleteRootSecret()),
  happens(1, 'a Secret is deleted', (world) => world.deleteSecret('shop', 'c1-server-tls')),
];

/** Events that can happen in the middle of a reconcile. */
const inBetween = fc.oneof(
  happens(4, 'the process ends', (world) => world.crash()),
  happens(3, 'the standby takes over and works', async (world) => {
    await world.takeOver();
    await world.settle();
  }),
  happens(2, 'another process starts, takes over and works', async (world) => {
    await world.start();
    await world.settle();
  }),
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(-hours(2), hours(2))
      .map((ms): Event => [`the clock is set by ${ms} ms`, (world) => world.setClock(ms)]),
  },
  happens(2, 'the watches deliver', (world) => world.deliver()),
  {
    weight: 1,
    arbitrary: fc
      .nat({ max: 5 })
      .map((n): Event => [`rotate-root ${n}`, (world) => world.annotate('rotateRoot', `${n}`)]),
  },
  happens(1, 'rotate a certificate', (world) => world.rotateCertificate()),
  { weight: 1, arbitrary: anySource },
  happens(1, 'abort', abort),
  ...damage,
  {
    weight: 1,
    arbitrary: fc
      .nat()
      .map((n): Event => [`object ${n} is deleted and created again`, (world) => world.createAgain(world.mount(n))]),
  },
);

const reconciles = {
  'the authority': (world, interruption) => world.reconcileAuthority(interruption),
  certificates: (world, interruption) => world.reconcileCertificates(interruption),
  bundles: (world, interruption) => world.reconcileTrust(interruption),
  pods: async (world, interruption) => {
    await world.refreshPod(interruption.at);
    await world.reconcilePods(interruption);
  },
} satisfies Record<string, (world: RotationWorld, interruption: Interruption) => Promise<void>>;

const interruptions: fc.Arbitrary<Event> = fc
  .tuple(
    fc.constantFrom(...(Object.keys(reconciles) as (keyof typeof reconciles)[])),
    fc.record({ at: fc.nat({ max: 4 }), countsWrites: fc.boolean(), isAfter: fc.boolean() }),
    inBetween,
  )
  .map(
    ([what, moment, [title, act]]): Event => [
      `${what}: in the middle of a reconcile (${JSON.stringify(moment)}), ${title}`,
      (world) => reconciles[what](world, { ...moment, act: async () => act(world) }),
    ],
  );

/** Events and their weights. The operator works most of the time: otherwise no rotation would make progress. */
const events: fc.Arbitrary<Event> = fc.oneof(
  happens(10, 'the operator works', (world) => world.settle()),
  {
    weight: 8,
    arbitrary: fc.constantFrom(minutes(1), minutes(3), minutes(4), minutes(7)).map(
      (ms): Event => [
        `the operator works before and after ${ms} ms pass`,
        async (world) => {
          await world.settle();
          world.tick(ms);
          await world.settle();
        },
      ],
    ),
  },
  {
    weight: 8,
    arbitrary: fc
      .constantFrom(1000, minutes(1), minutes(2), minutes(3), minutes(4), minutes(7), hours(1))
      .map((ms): Event => [`${ms} ms pass`, (world) => world.tick(ms)]),
  },
  { weight: 8, arbitrary: interruptions },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.nat(), fc.nat({ max: 3 }))
      .map(
        ([n, back]): Event => [
          `object ${n} is put back by ${back} contents`,
          (world) => world.putBack(world.mount(n), back),
        ],
      ),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(fc.nat(), fc.nat({ max: 3 })).map(
      ([n, back]): Event => [
        `8 minutes pass, object ${n} is put back by ${back} contents, and the authority is reconciled before a watch delivers`,
        async (world) => {
          await world.settle();
          world.tick(minutes(8));
          await world.putBack(world.mount(n), back);
          await world.reconcileAuthority();
        },
      ],
    ),
  },
  { weight: 5, arbitrary: anySource },
  {
    weight: 8,
    arbitrary: fc.nat().map(
      (n): Event => [
        `pod ${n} gets a certificate`,
        async (world) => {
          await world.refreshPod(n);
          await getsCertificates(world);
        },
      ],
    ),
  },
  {
    weight: 3,
    arbitrary: fc.nat().map((n): Event => [`pod ${n} requests a certificate`, (world) => world.refreshPod(n)]),
  },
  happens(3, 'the operator answers the requests of pods', (world) => world.reconcilePods()),
  happens(3, 'a leader that was paused answers the requests of pods', (world) => world.formerSigns()),
  {
    weight: 2,
    arbitrary: fc.nat().map((n): Event => [`pod ${n} is replaced`, (world) => world.restartPod(n)]),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom(...frozen), fc.boolean())
      .map(
        ([template, hasDeployment]): Event => [
          `a pod with frozen content is created: ${template} (Deployment: ${hasDeployment})`,
          (world) => world.deployFrozen(template, hasDeployment),
        ],
      ),
  },
  happens(2, 'the operator works, but the node does not', (world) => world.settle(true, false)),
  happens(1, 'the node works', (world) => world.nodeWorks()),
  happens(4, 'the operator works, but does not publish bundles', (world) => world.settle(false)),
  {
    weight: 1,
    arbitrary: fc
      .nat()
      .map((n): Event => [`object ${n} is deleted and created again`, (world) => world.createAgain(world.mount(n))]),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(...passing)
      .map(
        (name): Event => [
          `namespace ${name} is created, or is deleted step by step`,
          (world) => world.passNamespace(name),
        ],
      ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(kinds, fc.boolean())
      .map(
        ([plural, isForgotten]): Event => [
          `the watches of ${plural} end${isForgotten ? ', and cannot be resumed' : ''}`,
          (world) => world.cut(plural, isForgotten),
        ],
      ),
  },
  happens(2, 'rotate a certificate', (world) => world.rotateCertificate()),
  happens(2, 'only the authority is reconciled', (world) => world.reconcileAuthority()),
  happens(2, 'only certificates are reconciled', (world) => world.reconcileCertificates()),
  happens(1, 'only bundles are published', (world) => world.reconcileTrust()),
  happens(1, 'the watches deliver', (world) => world.deliver()),
  {
    weight: 2,
    arbitrary: kinds.map((plural): Event => [`the watches of ${plural} deliver`, (world) => world.deliver(plural)]),
  },
  happens(1, 'another replica leads', (world) => world.start()),
  happens(1, 'a standby starts', (world) => world.standBy()),
  {
    weight: 2,
    arbitrary: fc
      .boolean()
      .map(
        (isCutOff): Event => [
          `the standby takes over${isCutOff ? ', and cannot read the root' : ''}`,
          (world) => world.takeOver(isCutOff),
        ],
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom('over', 'next')
      .map((how): Event => [`the root is renewed with the same key (${how})`, (world) => world.renewRoot(how)]),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(-days(20), -hours(2), hours(2), days(20))
      .map((ms): Event => [`the clock is set by ${ms} ms`, (world) => world.setClock(ms)]),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(0, hours(25), -minutes(2), -hours(1))
      .map((ms): Event => [`the operator's clock is ${ms} ms ahead`, (world) => world.setOperatorClock(ms)]),
  },
  happens(1, 'every root expires while the operator is down', (world) => world.tick(years(11))),
  {
    weight: 4,
    arbitrary: fc
      .nat({ max: 5 })
      .map((n): Event => [`rotate-root ${n}`, (world) => world.annotate('rotateRoot', `${n}`)]),
  },
  happens(2, 'abort', abort),
  happens(12, 'abort after the switch', async (world) => {
    if (/Switching|Draining/.test(world.status.rotation?.phase ?? '')) await abort(world);
  }),
  happens(2, 'approve', async (world) => {
    // Without a need for approval, the annotation would have no effect.
    const isWaiting = world.status.rotation?.blockers?.some((blocker) => blocker.startsWith('approval'));
    if (isWaiting === true) await world.annotate('approveRotation', world.status.rotation?.id ?? 'none');
  }),
  { weight: 1, arbitrary: anySupplied.map((next): Event => ['a root is staged', (world) => world.stage(next)]) },
  ...damage,
  happens(1, 'a certificate is requested', (world) => world.addCertificate()),
);

const lags = fc.array(fc.nat({ max: minutes(3) - 1 }), { minLength: 1, maxLength: 4 });
const histories = fc.array(events, { minLength: 25, maxLength: 50, size: 'max' });
const approvals = fc.constantFrom('Automatic', 'Manual');
/** How a rotation handles pods that load nothing while they run. */
const evidence = [{}, { podEvidence: true }, { podEvidence: true, restartWorkloads: true }];
type RotationSpec = MtlsAuthority['spec']['rotation'];

const runs = historyRuns('ROTATION_RUNS', 26);

// A Reflector pauses after an error: the mocked clock of the world ends the pause.
before(() => mock.timers.enable({ apis: ['setTimeout'] }));
after(() => mock.timers.reset());

const onEnd: RotationWorld[] = [];
afterEach(async () => {
  for (const world of onEnd.splice(0)) await world.end();
});

async function play(spec: RotationSpec, podLags: readonly number[], history: readonly Event[]): Promise<RotationWorld> {
  const world = await RotationWorld.create(spec, podLags);
  onEnd.push(world);
  for (const [, act] of history) {
    await act(world);
    world.assertConnected();
  }
  return world;
}

/** A history that prints as the names of its events, for the report of a failure. */
const named = (history: readonly Event[]): readonly Event[] =>
  Object.assign([...history], { [fc.toStringMethod]: () => `\n  ${history.map(([what]) => what).join('\n  ')}\n` });

describe('7. A rotation of the root', () => {
  // Longer: ROTATION_RUNS=5000 npm test -- unit/controllers/rotation-safety
  test('breaks no connection and completes, whatever is requested, configured, lost or crashes', async (t) => {
    const seen = new Map<string, number>();
    let [ended, inPods, restarts] = [0, 0, 0];
    await fc.assert(
      fc.asyncProperty(
        lags,
        histories.map(named),
        approvals,
        fc.constantFrom(1, 100),
        fc.constantFrom(...evidence),
        async (podLags, history, approval, pace, forPods) => {
          const spec = {
            approval,
            propagationDelay: '3m',
            clusterTrustBundleDelay: '7m',
            reissuesPerSecond: pace,
            ...forPods,
          } as const;
          const world = await play(spec, podLags, [withCertificates, ...history]);
          await comesToAnEnd(world, forPods.restartWorkloads);
          await world.end();
          for (const phase of world.seen) seen.set(phase, (seen.get(phase) ?? 0) + 1);
          ended += world.rotationsEnded;
          inPods += world.podCertificates;
          restarts += world.restarts;
        },
      ),
      runs,
    );
    t.diagnostic(
      `${runs.numRuns} histories, ${ended} rotations ended, ${inPods} certificates of pods, ${restarts} restarts; histories with a phase: ${JSON.stringify([...seen])}`,
    );
    assert.ok(inPods > 0, 'no pod got a certificate');
    assert.ok(restarts > 0, 'no workload was restarted');
    for (const phase of [/^Distributing$/, /^Switching$/, /^Draining$/, /^Retiring$/, /aborting$/]) {
      assert.ok(
        [...seen.keys()].some((one) => phase.test(one)),
        `no history reached ${phase}: the property tests too little`,
      );
    }
  });

  const spec = {
    approval: 'Manual',
    propagationDelay: '3m',
    clusterTrustBundleDelay: '7m',
    reissuesPerSecond: 100,
  } as const;
  const expired: readonly [title: string, before: Event[]][] = [
    ['while the operator was down', []],
    [
      'while another root was distributed',
      [
        ['rotate-root', (world) => world.annotate('rotateRoot', 'now')],
        ['the operator works', (world) => world.settle()],
      ],
    ],
  ];
  for (const [title, history] of expired) {
    test(`completes without action of a user when the root has expired ${title}`, async () => {
      const world = await play(spec, [minutes(1)], history);
      world.tick(years(11));
      await world.start();
      for (let round = 0; round < 4; round += 1) {
        await world.settle();
        world.tick(minutes(4));
      }
      await world.settle();
      assert.deepEqual(world.status.rotation, undefined);
      assert.equal(world.status.conditions?.find(({ type }) => type === 'Ready')?.status, 'True');
      for (const secret of world.leafSecrets()) {
        const [trusted] = world.certificatesIn(secret, secretKeys.bundle);
        assert.equal(trusted?.fingerprint, world.status.activeRoot?.fingerprint);
        assert.equal(world.contentOf(secret).root, trusted && anchorId(trusted));
      }
      assert.ok(world.hasExpired('previous'), 'its key is gone');
    });
  }

  const phases: readonly [phase: string, mounts: readonly string[]][] = [
    [
      'Distributing',
      [
        'secrets shop/c1-server-tls',
        'configmaps shop/mtls-trust',
        'clustertrustbundles mtls-operator.io:default:roots',
      ],
    ],
    ['Draining', ['secrets shop/c1-server-tls']],
  ];
  for (const [phase, mounts] of phases) {
    for (const mount of mounts) {
      test(`stays in ${phase} when ${mount} was put back without the caches noticing, and continues when it is repaired`, async () => {
        const world = await RotationWorld.create({ ...spec, approval: 'Automatic' }, [0]);
        onEnd.push(world);
        await world.annotate('rotateRoot', 'now');
        for (let round = 0; round < 10 && world.status.rotation?.phase !== phase; round += 1) {
          await world.settle();
          if (world.status.rotation?.phase !== phase) world.tick(minutes(4));
        }
        // Two writes to one target are a second apart. After this, everything is in place, and the delay of the phase is over.
        world.tick(1000);
        await world.settle();
        world.tick(minutes(8));
        await world.putBack(mount, 1);
        await world.reconcileAuthority();
        assert.equal(world.status.rotation?.phase, phase);
        await world.settle();
        world.tick(minutes(3) - 1);
        await world.settle();
        assert.equal(world.status.rotation?.phase, phase, 'pods have had no time to load the repair');
        world.tick(minutes(4) + 1);
        await world.settle();
        assert.notEqual(world.status.rotation?.phase, phase);
      });
    }
  }

  test('takes as long as ever while a source of additional roots changes every minute', async () => {
    const phases: string[][] = [];
    for (const isChanging of [false, true]) {
      const world = await RotationWorld.create({ ...spec, approval: 'Automatic' }, [minutes(2)]);
      onEnd.push(world);
      await world.changeSource(partner);
      await world.settle();
      world.tick(minutes(8));
      await world.annotate('rotateRoot', 'now');
      const seen: string[] = [];
      for (let minute = 0; minute < 30; minute += 1) {
        if (isChanging) await world.changeSource(minute % 2 === 0 ? supplied : partner);
        await world.settle();
        seen.push(world.status.rotation?.phase ?? 'none');
        world.tick(minutes(1));
        world.assertConnected();
      }
      assert.equal(world.rotationsEnded, 1);
      phases.push(seen);
    }
    assert.deepEqual(phases[1], phases[0]);
  });

  const podGetsCertificate: Event = [
    'a pod gets a certificate',
    async (world) => {
      await world.deploy('certificate', true);
      await getsCertificates(world);
    },
  ];
  const untilDraining: readonly Event[] = [
    podGetsCertificate,
    ['rotate-root', (world) => world.annotate('rotateRoot', 'now')],
    ...Array.from({ length: 20 }, (): Event[] => [
      ['the operator works', (world) => world.settle()],
      ['a minute passes', (world) => world.tick(minutes(1))],
    ]).flat(),
  ];
  const inPods = { ...spec, approval: 'Automatic' } as const;

  test('keeps the old root until the certificates that it has issued to pods have expired', async () => {
    const world = await play(inPods, [0], untilDraining);
    assert.equal(world.status.rotation?.phase, 'Draining');
    world.tick(hours(23));
    await world.settle();
    assert.equal(world.status.rotation?.phase, 'Draining');
    world.tick(hours(2));
    await world.settle();
    assert.equal(world.status.rotation, undefined);
    world.assertConnected();
  });

  test('keeps the old root so long although the clock of the operator is more than a day ahead', async () => {
    const world = await play(inPods, [0], untilDraining);
    world.setOperatorClock(hours(30));
    for (let hour = 0; hour < 23; hour += 1) {
      await world.settle();
      assert.equal(world.status.rotation?.phase, 'Draining', `after ${hour} hours`);
      world.tick(hours(1));
      world.assertConnected();
    }
    world.tick(hours(2));
    await world.settle();
    assert.equal(world.status.rotation, undefined);
    world.assertConnected();
  });

  test('breaks the connections of pods if its wait for their certificates is skipped: the property detects it', async () => {
    const skip: Event = ['skip-gate', (world) => world.annotate('skipGate', `${world.status.rotation?.id}/Draining`)];
    const works: Event = ['the operator works', (world) => world.settle()];
    const aMinute: Event = ['a minute passes', (world) => world.tick(minutes(1))];
    await assert.rejects(
      play(inPods, [0], [...untilDraining, skip, works, aMinute]),
      /does not trust what the pod with podCertificate .* shows/,
    );
  });

  const works: Event = ['the operator works', (world) => world.settle()];
  const passes = (ms: number): Event => [`${ms} ms pass`, (world) => world.tick(ms)];
  const rotate: Event = ['rotate-root', (world) => world.annotate('rotateRoot', 'now')];
  const untilPhase = (phase: string): Event => [
    `until ${phase}`,
    async (world) => {
      for (let round = 0; round < 20 && world.status.rotation?.phase !== phase; round += 1) {
        await world.reconcileAuthority();
        if (world.status.rotation?.phase === phase) break;
        await world.settle();
        if (world.status.rotation?.phase !== phase) world.tick(minutes(1));
      }
    },
  ];
  const aWhile = Array.from({ length: 15 }, () => [works, passes(minutes(1))]).flat();

  test('does not release a pod with a certificate of the old root because the clock of the operator was behind', async () => {
    const history: readonly Event[] = [
      rotate,
      works,
      passes(hours(2)),
      ['a pod is created', (world) => world.deploy('certificate', true)],
      works,
      passes(minutes(6)),
      ['the clock is behind', (world) => world.setOperatorClock(-hours(1))],
      ['approve', (world) => world.annotate('approveRotation', world.status.rotation?.id ?? 'none')],
      untilPhase('Draining'),
      ['the clock is right', (world) => world.setOperatorClock(0)],
      ...aWhile,
    ];
    const world = await play({ ...inPods, approval: 'Manual', podEvidence: true }, [0], history);
    assert.equal(world.status.rotation?.phase, 'Draining');
  });

  test('does not release a pod that got its last certificate from a leader that was paused', async () => {
    const refresh: Event = ['kubelet restarts', (world) => world.refreshPod(0)];
    const history: readonly Event[] = [
      ['a pod is created', (world) => world.deploy('certificate', true)],
      works,
      rotate,
      works,
      passes(1000),
      works,
      passes(minutes(8)),
      works,
      passes(1000),
      refresh,
      works,
      passes(1000),
      ['another replica leads', (world) => world.start()],
      ['abort', abort],
      works,
      refresh,
      works,
      passes(1000),
      refresh,
      ['a leader that was paused answers', (world) => world.formerSigns()],
      ...aWhile,
    ];
    const world = await play({ ...inPods, podEvidence: true }, [0], history);
    assert.deepEqual([world.podCertificates, world.status.rotation?.phase], [4, 'Draining']);
  });

  test('does not release a pod that started when its node had the content of a deleted Secret', async () => {
    const history: readonly Event[] = [
      rotate,
      works,
      ['a Secret is deleted', (world) => world.deleteSecret('shop', 'c1-server-tls')],
      works,
      passes(2000),
      ['a pod is created', (world) => world.deploy('subPath', true)],
      ...aWhile,
    ];
    await play({ ...inPods, podEvidence: true }, [minutes(2)], history);
  });

  for (const [phase, template] of [
    ['Distributing', 'subPath'],
    ['Draining', 'variables'],
    ['Draining', 'certificate'],
  ] as const) {
    test(`breaks connections if pods (${template}) are released in ${phase} too early: the property detects it`, async () => {
      const release: Event = [
        'pods are released',
        async (world) => {
          if (world.status.rotation?.phase === phase) await world.releasePods();
        },
      ];
      const works: Event = ['the operator works', (world) => world.settle()];
      const aMinute: Event = ['a minute passes', (world) => world.tick(minutes(1))];
      const deploy: Event = ['a pod is created', (world) => world.deploy(template, true)];
      const rotate: Event = ['rotate-root', (world) => world.annotate('rotateRoot', 'now')];
      // Until Draining, a person restarts the pods that a phase waits for.
      const restart: Event = [
        'pods are restarted',
        async (world) => {
          const isFrozen = phase === 'Draining' && template !== 'certificate';
          if (isFrozen && world.status.rotation?.phase === 'Distributing') await world.restartByHand(true);
        },
      ];
      const rounds = (before: Event) => Array.from({ length: 30 }, () => [works, aMinute, before]).flat();
      const withEvidence = { ...inPods, podEvidence: true };
      await play(withEvidence, [0], [deploy, rotate, ...rounds(restart)]);
      const early = [
        deploy,
        rotate,
        ...rounds(restart).flatMap((event) => (event === aMinute ? [release, aMinute] : [event])),
      ];
      await assert.rejects(play(withEvidence, [0], early), /does not trust what/);
    });
  }

  test('breaks connections if it does not wait for the pods: the property detects it', async () => {
    const spec = {
      approval: 'Automatic',
      propagationDelay: '0s',
      clusterTrustBundleDelay: '7m',
      reissuesPerSecond: 100,
    } as const;
    const rotate: Event = ['rotate-root', (world) => world.annotate('rotateRoot', 'now')];
    const works: Event = ['the operator works', (world) => world.settle()];
    const aMinute: Event = ['a minute passes', (world) => world.tick(minutes(1))];
    const history = [rotate, ...Array.from({ length: 12 }, () => [works, aMinute]).flat()];
    await play({ ...spec, propagationDelay: '3m' }, [0, minutes(2)], history);
    await assert.rejects(play(spec, [0, minutes(2)], history), /does not trust what/);
  });
});

/** After all faults have ended: the operator works, time passes, and everything settles and stays unchanged. */
async function comesToAnEnd(world: RotationWorld, restartsWorkloads = false): Promise<void> {
  world.restoreClock();
  await world.changeSource(undefined);
  // The operator pauses for at most ten minutes after a failure, so it is idle after two rounds without a write.
  let quietRounds = 0;
  for (let round = 0; round < 60 && (quietRounds < 2 || world.status.rotation !== undefined); round += 1) {
    const writesBefore = world.writes;
    await world.settle();
    const { rotation } = world.status;
    if (rotation?.blockers?.some((blocker) => blocker.startsWith('approval')) === true) {
      await world.annotate('approveRotation', rotation.id);
    }
    // A rotation waits for a Secret that was lost while no root could sign, until its certificate has expired.
    quietRounds = world.writes === writesBefore ? quietRounds + 1 : 0;
    const waitsFor = (what: string) => rotation?.blockers?.some((blocker) => blocker.includes(what)) === true;
    const isForPods = waitsFor('has issued to pods');
    // The operator restarts the pods of Deployments itself.
    if (round >= 3 && waitsFor('pods to restart')) await world.restartByHand(!restartsWorkloads);
    world.tick(round >= 20 ? days(10) : isForPods ? hours(25) : minutes(quietRounds === 0 ? 4 : 11));
  }
  const { activeRoot, rotation, conditions, roots } = world.status;
  // A supplied root may start to be valid later than the time to which the clock was set.
  assert.equal(rotation, undefined, JSON.stringify(conditions));
  assert.equal(conditions?.find(({ type }) => type === 'Ready')?.status, 'True');
  for (const secret of world.leafSecrets()) {
    const { name } = secret.metadata;
    const trusted = world.certificatesIn(secret, secretKeys.bundle);
    assert.equal(trusted[0]?.fingerprint, activeRoot?.fingerprint, `${name} has another root first`);
    assert.equal(
      world.contentOf(secret).root,
      trusted[0] && anchorId(trusted[0]),
      `${name} was issued by another root`,
    );
    assert.deepEqual(
      trusted.map(({ fingerprint }) => fingerprint),
      roots?.map(({ fingerprint }) => fingerprint),
    );
    const ids = trusted.map(anchorId);
    assert.equal(new Set(ids).size, ids.length, `${name} trusts two certificates of one root`);
  }
  // A user who replaces the whole Secret by the root that signs leaves ca.crt empty. The signing root needs no entry there.
  const inSecret = world.certificatesIn(world.rootSecret(), secretKeys.bundle);
  const signing = world.certificatesIn(world.rootSecret(), secretKeys.certificate).slice(-1);
  const bundle = inSecret.length === 0 ? signing : inSecret;
  for (const object of world.published()) {
    const { trusted } = world.contentOf(object);
    assert.deepEqual([...trusted.keys()], bundle.map(anchorId), object.metadata.name);
  }
  const { data = {} } = world.rootSecret() ?? {};
  // A root that had expired when it was staged is never used.
  const isStaged = rotationKeys.next.privateKey in data;
  assert.ok(!isStaged || world.hasExpired('next'), 'the key of the next root is kept');
  // The Secret keeps the key of a replaced issuer while a certificate that the issuer signed is in use. It keeps the key of an
  // expired root too, because an administrator needs that key if the clock was wrong.
  const [kept] = world.certificatesIn(world.rootSecret(), rotationKeys.previous.certificate);
  const leaves = world.leafSecrets().flatMap((secret) => world.certificatesIn(secret, secretKeys.certificate)[0] ?? []);
  const isInUse = kept !== undefined && leaves.some((leaf) => isSignedBy(leaf, kept));
  const isAllowed = kept === undefined || isInUse || world.mayBeInPods() || world.hasExpired('previous');
  assert.ok(isAllowed, 'the key of a previous root or issuer is kept');
  // Days have passed, and a CRL may be due.
  await world.settle();
  const { writes } = world;
  await world.settle();
  assert.equal(world.writes, writes, 'it keeps writing');
}
