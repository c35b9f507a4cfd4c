import assert from 'node:assert/strict';
import { after, before, describe, mock, test } from 'node:test';
import { secretKeys } from '../../../../src/api/constants.ts';
import type { MtlsCertificate } from '../../../../src/api/types.ts';
import { authorities, certificates } from '../../../../src/controllers/objects/resources.ts';
import { configMaps, namespaces, secrets } from '../../../../src/kube/index.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { minutes } from '../../../support/fixtures/times.ts';
import * as fc from '../../../support/properties.ts';
import { historyRuns } from '../../../support/runs.ts';
import {
  authorityNames,
  EventWorld,
  forPods,
  grant,
  names,
  podKeyTypes,
  podNames,
  sourceRef,
  tenants,
} from './event-world.ts';

// Timers are mocked: WorldProcess ends the pauses of Reflectors.
before(() => mock.timers.enable({ apis: ['setTimeout'] }));
after(() => mock.timers.reset());

type Event = readonly [what: string, act: (world: EventWorld) => unknown];
type Spec = Partial<MtlsCertificate['spec']>;

const refs = fc.record({ namespace: fc.constantFrom(...tenants), name: fc.constantFrom(...names) });
const podRefs = fc.record({ namespace: fc.constantFrom(...tenants), name: fc.constantFrom(...podNames) });
const tokens = fc.nat({ max: 1000 }).map((n) => `t${n}`);

const specs = fc.constantFrom<Spec>(
  { server: { service: 'a' } },
  { server: { service: 'a' }, outputs: { crl: true } },
  { server: { service: 'a' }, client: { serviceAccount: 'a' } },
  { server: { service: 'a', secretName: 'shared' } },
  { server: { service: 'a', secretName: 'shared' }, outputs: { crl: true } },
  { server: { service: 'a', dnsNames: ['a.example.com'] } },
  { authorityRef: { name: 'other' } },
);
const nameOf = (spec: Spec): string => JSON.stringify(spec);

const partners = ['First', 'Second'].map((name) => root({ name }));

const secretNames = ['a-server-tls', 'b-server-tls', 'a-client-tls', 'shared'];
const secretRefs = fc.record({ namespace: fc.constantFrom(...tenants), name: fc.constantFrom(...secretNames) });

/** An event of a published ConfigMap, or of one that another authority might publish. */
const configMap = (
  verb: string,
  act: (world: EventWorld, ref: { namespace: string; name: string }) => Promise<void>,
) => ({
  weight: 1,
  arbitrary: fc
    .tuple(fc.constantFrom(...tenants), fc.constantFrom('trust-default', 'renamed'))
    .map(
      ([namespace, name]): Event => [
        `${verb} ConfigMap ${namespace}/${name}`,
        (world) => act(world, { namespace, name }),
      ],
    ),
});

/** Actions of users, each with a description for the report of a failure. */
const acts: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(refs, specs)
      .map(
        ([ref, spec]): Event => [
          `create ${ref.namespace}/${ref.name} ${nameOf(spec)}`,
          (world) => world.createCertificate(ref, spec),
        ],
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(refs, specs)
      .map(
        ([ref, spec]): Event => [
          `change ${ref.namespace}/${ref.name} to ${nameOf(spec)}`,
          (world) => world.patch(certificates, ref, { spec }),
        ],
      ),
  },
  {
    weight: 2,
    arbitrary: refs.map(
      (ref): Event => [`delete ${ref.namespace}/${ref.name}`, (world) => world.delete(certificates, ref)],
    ),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(refs, fc.constantFrom('rotate' as const, 'revoke' as const), tokens)
      .map(
        ([ref, verb, token]): Event => [
          `${verb} ${ref.namespace}/${ref.name} (${token})`,
          (world) => world.annotate(certificates, ref, verb, token),
        ],
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(secretRefs, fc.constantFrom(...Object.values(secretKeys)))
      .map(
        ([ref, key]): Event => [
          `damage ${key} of Secret ${ref.namespace}/${ref.name}`,
          (world) => world.patch(secrets, ref, { data: { [key]: 'eA==' } }),
        ],
      ),
  },
  {
    weight: 2,
    arbitrary: secretRefs.map(
      (ref): Event => [`delete Secret ${ref.namespace}/${ref.name}`, (world) => world.delete(secrets, ref)],
    ),
  },
  {
    weight: 1,
    arbitrary: secretRefs.map(
      (ref): Event => [`create foreign Secret ${ref.namespace}/${ref.name}`, (world) => world.createForeignSecret(ref)],
    ),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom(...authorityNames), tokens)
      .map(
        ([name, token]): Event => [
          `rotate-root of ${name} (${token})`,
          (world) => world.annotate(authorities, { name }, 'rotateRoot', token),
        ],
      ),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(...authorityNames)
      .map((name): Event => [`abort the rotation of ${name}`, (world) => world.abort(name)]),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom<object>(
        { issuance: grant },
        { issuance: null },
        { trustDomain: 'x' },
        { podCertificates: null },
        { podCertificates: { ...forPods, keyTypes: [...podKeyTypes] } },
        { podCertificates: { ...forPods, namespaceSelector: { matchLabels: { team: 'edge' } } } },
        { podCertificates: { ...forPods, namespaceSelector: null } },
      )
      .map(
        (spec): Event => [
          `change authority default: ${JSON.stringify(spec)}`,
          (world) => world.patch(authorities, { name: 'default' }, { spec }),
        ],
      ),
  },
  {
    weight: 9,
    arbitrary: fc
      .tuple(podRefs, fc.constantFrom('default', ...authorityNames), fc.constantFrom('ECDSAP256', ...podKeyTypes))
      .map(
        ([ref, name, keyType]): Event => [
          `pod ${ref.namespace}/${ref.name} requests a certificate of ${name} (${keyType})`,
          (world) => world.requestPodCertificate(ref, name, keyType),
        ],
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom(...tenants), fc.boolean())
      .map(
        ([namespace, isSelecting]): Event => [
          `Service ${namespace}/a selects pods: ${isSelecting}`,
          (world) => world.changeService(namespace, isSelecting),
        ],
      ),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom<object>(
        { configMap: { name: 'renamed', namespaceSelector: {} } },
        { configMap: { namespaceSelector: { matchLabels: { team: 'edge' } } } },
        { clusterTrustBundle: false },
        { configMap: null },
      )
      .map(
        (trustBundle): Event => [
          `publish elsewhere: ${JSON.stringify(trustBundle)}`,
          (world) => world.patch(authorities, { name: 'default' }, { spec: { trustBundle } }),
        ],
      ),
  },
  { weight: 1, arbitrary: fc.constant<Event>(['create authority other', (world) => world.createAuthority('other')]) },
  {
    weight: 1,
    arbitrary: fc.constant<Event>(['delete authority other', (world) => world.delete(authorities, { name: 'other' })]),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(...authorityNames)
      .map(
        (name): Event => [
          `delete the root Secret of ${name}`,
          (world) => world.delete(secrets, { namespace: 'mtls-operator', name: `root-${name}` }),
        ],
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom(...tenants), fc.constantFrom('edge', null))
      .map(
        ([name, team]): Event => [
          `label namespace ${name}: ${team}`,
          (world) => world.patch(namespaces, { name }, { metadata: { labels: { team } } }),
        ],
      ),
  },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom(...partners)
      .map(
        (partner): Event => [
          `the source has root ${partner.certificate.fingerprint}`,
          (world) => world.changeSource(partner),
        ],
      ),
  },
  {
    weight: 1,
    arbitrary: fc.constant<Event>(['delete the source', (world) => world.delete(configMaps, sourceRef)]),
  },
  configMap('damage', (world, ref) => world.patch(configMaps, ref, { data: { 'ca.crt': 'x' } })),
  configMap('delete', (world, ref) => world.delete(configMaps, ref)),
);

const events: fc.Arbitrary<Event> = fc.oneof(
  { weight: 12, arbitrary: acts },
  { weight: 6, arbitrary: fc.constant<Event>(['one step', (world) => world.step()]) },
  {
    weight: 6,
    arbitrary: fc
      .constantFrom(0, 300, 1000, 4000, 6000, minutes(1), minutes(6))
      .map((ms): Event => [`${ms} ms pass`, (world) => world.pass(ms)]),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(
        fc.constantFrom('secrets', 'mtlscertificates', 'mtlsauthorities', 'configmaps', 'podcertificaterequests'),
        fc.boolean(),
      )
      .map(
        ([plural, isGone]): Event => [
          `the watch of ${plural} is cut${isGone ? ', and cannot be resumed' : ''}`,
          (world) => world.cut(plural, isGone),
        ],
      ),
  },
  { weight: 1, arbitrary: fc.constant<Event>(['the operator is restarted', (world) => world.restart()]) },
  {
    weight: 1,
    // Certificates are valid five minutes before they are issued.
    arbitrary: fc
      .constantFrom(-200_000, 0, 90_000)
      .map((ms): Event => [`the clock is wrong by ${ms} ms`, (world) => world.setClockWrongBy(ms)]),
  },
);

const named = (history: readonly Event[]): readonly Event[] =>
  Object.assign([...history], { [fc.toStringMethod]: () => `\n  ${history.map(([what]) => what).join('\n  ')}\n` });

const runs = historyRuns('EVENT_RUNS', 60);

/**
 * The answers that no event or timer has led to. The operator does not watch Services: a request that waits for one is planned
 * again after two minutes at most.
 */
async function lateAnswers(world: EventWorld): Promise<string[]> {
  const written = (await world.reconcilePods()).filter((one) => !one.includes('/serving-'));
  await world.pass(minutes(2) + 1000);
  return [...written, ...(await world.reconcilePods())];
}

describe('no object waits for an event that never comes', () => {
  // Longer: EVENT_RUNS=2000 npm test -- unit event-world
  test('after every event is handled, a reconcile of every object writes nothing', async (t) => {
    let [reconciles, answers] = [0, 0];
    await fc.assert(
      fc.asyncProperty(
        fc.array(events, { minLength: 5, maxLength: 30 }).map(named),
        fc.array(fc.nat({ max: 30 }), { maxLength: 60 }),
        async (history, choices) => {
          const world = await EventWorld.create(choices);
          try {
            for (const [, act] of history) await act(world);
            // Longer than any delay of the operator, and shorter than the intervals after which it reads blocked objects again
            // anyway.
            await world.pass(12_000);
            for (let i = 0; i < 10 && world.isRotating; i += 1) await world.pass(8000);
            // The next step of a rotation may be due within a second. It reads its objects again after that.
            const isExpected = world.isRotating ? /^(secrets mtls-operator\/|mtlsauthorities )/ : /^$/;
            const written = (await world.reconcileAll()).filter((one) => !isExpected.test(one));
            assert.deepEqual(written, [], world.errors.slice(-5).join('\n'));
            assert.deepEqual(await lateAnswers(world), [], world.errors.slice(-5).join('\n'));
            answers += world.answers;
            reconciles += world.reconciles;
          } finally {
            await world.end();
          }
        },
      ),
      runs,
    );
    t.diagnostic(`${runs.numRuns} histories, ${reconciles} reconciles, ${answers} answers to pods`);
  });

  test('a rotation ends as soon as usual if the clock was set back while it ran', async () => {
    for (const ms of [0, 100, 4000]) {
      const world = await EventWorld.create([]);
      try {
        await world.annotate(authorities, { name: 'default' }, 'rotateRoot', 'a');
        await world.pass(ms);
        world.setClockWrongBy(-200_000);
        await world.pass(30_000);
        assert.equal(world.isRotating, false, `set back after ${ms} ms: ${world.errors.join('; ')}`);
      } finally {
        await world.end();
      }
    }
  });

  const namedPod = { namespace: 'shop', name: 'named' };
  const plainPod = { namespace: 'shop', name: 'plain' };
  const isNext = { podCertificates: { ...forPods, namespaceSelector: { matchLabels: { team: 'edge' } } } };
  const changeSpec = (spec: object) => (world: EventWorld) => world.patch(authorities, { name: 'default' }, { spec });
  const label = (world: EventWorld) =>
    world.patch(namespaces, { name: 'shop' }, { metadata: { labels: { team: 'edge' } } });
  /** What a request waits for, what ends the wait, and after which time it has its answer. */
  const waits: Readonly<
    Record<string, readonly [ref: typeof plainPod, before: Event[1], event: Event[1], withinMs?: number]>
  > = {
    'the signer': [plainPod, changeSpec({ podCertificates: null }), changeSpec({ podCertificates: forPods })],
    'its type of key': [
      plainPod,
      changeSpec({ podCertificates: { ...forPods, keyTypes: ['ED25519'] } }),
      changeSpec({ podCertificates: forPods }),
    ],
    'labels of its namespace that select it': [plainPod, changeSpec(isNext), label],
    'labels of its namespace that select a grant': [namedPod, () => Promise.resolve(), label],
    'a grant': [
      namedPod,
      () => Promise.resolve(),
      changeSpec({ issuance: { allow: [{ namespaceSelector: {}, dnsNames: ['*.example.com'] }] } }),
    ],
    'a root': [
      plainPod,
      (world) => world.damageRoot(),
      (world) => world.delete(secrets, { namespace: 'mtls-operator', name: 'root-default' }),
      15_000,
    ],
    'a Service': [
      { namespace: 'shop', name: 'serving' },
      () => Promise.resolve(),
      (world) => world.changeService('shop', true),
      minutes(2) + 1000,
    ],
  };
  for (const [title, [ref, before, event, withinMs = 3000]] of Object.entries(waits)) {
    // After ten minutes, the signer plans the request again only every two minutes.
    test(`a request of a pod that has waited long for ${title} has its answer soon`, async () => {
      const world = await EventWorld.create([]);
      try {
        await before(world);
        await world.pass(1000);
        await world.requestPodCertificate(ref, 'default', 'ECDSAP256');
        await world.pass(minutes(10) + 40_000);
        assert.equal(world.answers, 0);
        await event(world);
        await world.pass(withinMs);
        assert.equal(world.answers, 1, world.errors.join('\n'));
      } finally {
        await world.end();
      }
    });
  }

  // The wait for the second change ends at a fraction of a millisecond, and a timer may come before it.
  test('a source that changes twice within its wait is used when the wait ends', async () => {
    const [first, second] = partners;
    if (first === undefined || second === undefined) throw new Error('two roots are needed');
    for (let ms = 0; ms < 8; ms += 1) {
      const world = await EventWorld.create([]);
      try {
        await world.changeSource(first);
        await world.pass(20_000 + ms);
        await world.changeSource(second);
        await world.pass(500 + 7 * ms);
        await world.changeSource(first);
        await world.pass(12_000);
        assert.deepEqual(await world.reconcileAll(), [], `${ms} ms`);
      } finally {
        await world.end();
      }
    }
  });
});
