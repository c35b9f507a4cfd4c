import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { annotations } from '../../../../src/api/constants.ts';
import { WorkloadRestarts } from '../../../../src/controllers/pods/workload-restarts.ts';
import {
  daemonSets,
  deployments,
  type EventDetails,
  KubeError,
  type KubeObject,
  type Resource,
  replicaSets,
  silentLog,
  statefulSets,
  type Workload,
} from '../../../../src/kube/index.ts';
import type { PodRecord } from '../../../../src/plan/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { pod } from '../../../support/fixtures/pod.ts';
import { minutes, now } from '../../../support/fixtures/times.ts';
import { MemoryApi } from '../world/memory-api.ts';

const never = new AbortController().signal;
const key = 'default/r1/Distributing';
/** The annotations of a restarted pod template. */
const restart = { 'kubectl.kubernetes.io/restartedAt': '2026-03-01T12:00:00Z', [annotations.restartedFor]: key };
const rolledOut = { observedGeneration: 2, replicas: 1, updatedReplicas: 1, availableReplicas: 1 };

/** A cluster with workloads, and the leader that restarts them. */
class World {
  readonly api = new MemoryApi();
  readonly events: EventDetails[] = [];
  nowMs = 0;
  /** The name of a workload that the operator may not read. */
  unreadable: string | undefined;
  /** The errors of the next patches. */
  readonly refusals: KubeError[] = [];
  restarts = this.newTerm();

  newTerm(isOn = true): WorkloadRestarts {
    const { api } = this;
    const { client } = api;
    this.restarts = new WorkloadRestarts({
      client: {
        find: async (...args: Parameters<typeof client.find>) => {
          if (args[1].name === this.unreadable) throw new KubeError('Forbidden', 'no');
          return client.find(...args);
        },
        mergePatch: async (...args: Parameters<typeof client.mergePatch>) => {
          const refusal = this.refusals.shift();
          if (refusal !== undefined) throw refusal;
          return client.mergePatch(...args);
        },
      } as ConstructorParameters<typeof WorkloadRestarts>[0]['client'],
      isOn,
      recorder: { record: (event) => this.events.push(event) },
      log: silentLog,
      now: () => now,
      monotonicMs: () => this.nowMs,
    });
    return this.restarts;
  }

  async add<T extends KubeObject>(
    resource: Resource<T>,
    ref: { namespace: string; name: string; owner?: { kind: string; name: string; uid: string } },
    content: object = {},
  ): Promise<string> {
    const { owner, ...metadata } = ref;
    const ownerReferences = owner === undefined ? [] : [{ apiVersion: 'apps/v1', controller: true, ...owner }];
    const object = { metadata: { ...metadata, ownerReferences }, ...content } as unknown as T;
    return (await this.api.byHand(() => this.api.create(resource, object))).metadata.uid;
  }

  /** A Deployment with a ReplicaSet, and a pod of it. */
  async deployment(name: string, spec: object = {}, namespace = 'shop'): Promise<PodRecord> {
    const uid = await this.add(deployments, { namespace, name }, { spec });
    const owner = { kind: 'Deployment', name, uid };
    const set = await this.add(replicaSets, { namespace, name: `${name}-1`, owner });
    return podOf(namespace, { kind: 'ReplicaSet', name: `${name}-1`, uid: set });
  }

  advance = (...pods: readonly PodRecord[]): Promise<void> =>
    this.restarts.advance(authority(), { restart: { key, pods } }, never);

  /** The pods of a workload are replaced. */
  rollOut = (resource: Resource<Workload>, name: string, namespace = 'shop', status: object = rolledOut) =>
    this.api.patchStatus(resource, { namespace, name }, status);

  /** How often the pod template of each workload has changed. */
  get restarted(): string[] {
    return this.events.flatMap(({ regarding: { kind, namespace, name } }) =>
      kind === 'MtlsAuthority' ? [] : `${kind} ${namespace}/${name}`,
    );
  }

  outcomes = (): string[] => [...this.restarts.of('default').values()];

  template = (resource: Resource<Workload>, name: string) =>
    this.api.find(resource, { namespace: 'shop', name })?.spec?.template?.metadata?.annotations;
}

const podOf = (namespace: string, owner: { kind: string; name: string; uid: string }): PodRecord =>
  pod({ namespace, name: `${owner.name}-x`, uid: `${owner.name}-x`, owner: { apiVersion: 'apps/v1', ...owner } });

describe('a rotation that needs restarts', () => {
  test('restarts a Deployment as kubectl does, and says so on the Deployment and on the authority', async () => {
    const world = new World();
    await world.advance(await world.deployment('payments'));
    assert.deepEqual(world.template(deployments, 'payments'), restart);
    assert.deepEqual(
      world.events.map(({ reason, type, regarding: { kind, name } }) => [reason, type, kind, name]),
      [
        ['WorkloadRestarted', 'Normal', 'Deployment', 'payments'],
        ['WorkloadRestarted', 'Normal', 'MtlsAuthority', 'default'],
      ],
    );
    assert.deepEqual(world.outcomes(), ['Deployment shop/payments is being restarted']);
  });

  for (const [kind, resource] of [['StatefulSet', statefulSets] as const, ['DaemonSet', daemonSets] as const]) {
    test(`restarts a ${kind}`, async () => {
      const world = new World();
      const uid = await world.add(resource, { namespace: 'shop', name: 'db' });
      await world.advance(podOf('shop', { kind, name: 'db', uid }));
      assert.equal(world.template(resource, 'db')?.[annotations.restartedFor], key);
    });
  }

  test('keeps what the pod template has', async () => {
    const world = new World();
    const template = { metadata: { annotations: { a: 'b' } }, spec: { containers: [{ name: 'app' }] } };
    await world.advance(await world.deployment('payments', { template }));
    const live = world.api.find(deployments, { namespace: 'shop', name: 'payments' });
    assert.deepEqual(live?.spec?.template, {
      ...template,
      metadata: { annotations: { a: 'b', ...restart } },
    });
  });

  test('restarts one workload after the other, in the order of their names', async () => {
    const world = new World();
    const pods = [await world.deployment('b'), await world.deployment('a'), await world.deployment('c')];
    await world.advance(...pods);
    await world.advance(...pods);
    assert.deepEqual(world.restarted, ['Deployment shop/a']);
    await world.rollOut(deployments, 'a', 'shop', { ...rolledOut, availableReplicas: 0 });
    await world.advance(...pods);
    assert.deepEqual(world.restarted, ['Deployment shop/a'], 'a new pod is not available yet');
    await world.rollOut(deployments, 'a');
    await world.advance(...pods);
    assert.deepEqual(world.restarted, ['Deployment shop/a', 'Deployment shop/b']);
  });

  test('never restarts a workload twice for one phase, although its pods seem old', async () => {
    const world = new World();
    const one = await world.deployment('payments');
    await world.advance(one);
    await world.rollOut(deployments, 'payments');
    for (let i = 0; i < 3; i += 1) await world.advance(one);
    assert.deepEqual(world.restarted, ['Deployment shop/payments']);
    assert.deepEqual(world.outcomes(), ['Deployment shop/payments has restarted']);
  });

  test('never restarts it twice when another client has removed the annotations', async () => {
    const world = new World();
    const one = await world.deployment('payments');
    await world.advance(one);
    await world.api.patchByHand(
      deployments,
      { namespace: 'shop', name: 'payments' },
      {
        spec: { template: { metadata: { annotations: null } } },
      },
    );
    await world.rollOut(deployments, 'payments');
    for (let i = 0; i < 3; i += 1) await world.advance(one);
    assert.deepEqual(world.restarted, ['Deployment shop/payments']);
  });

  test('restarts it again for the next phase', async () => {
    const world = new World();
    const one = await world.deployment('payments');
    await world.advance(one);
    await world.rollOut(deployments, 'payments');
    await world.restarts.advance(authority(), { restart: { key: 'default/r1/Draining', pods: [one] } }, never);
    assert.equal(world.restarted.length, 2);
  });

  test('continues after a take-over: it waits for the rollout in progress, and repeats none', async () => {
    const world = new World();
    const pods = [await world.deployment('a'), await world.deployment('b')];
    await world.advance(...pods);
    world.newTerm();
    await world.advance(...pods);
    assert.deepEqual(world.restarted, ['Deployment shop/a']);
    await world.rollOut(deployments, 'a');
    await world.advance(...pods);
    assert.deepEqual(world.restarted, ['Deployment shop/a', 'Deployment shop/b']);
  });

  test('restarts the next workload after ten minutes when a rollout is stuck', async () => {
    const world = new World();
    const pods = [await world.deployment('a'), await world.deployment('b')];
    await world.advance(...pods);
    world.nowMs = minutes(10) - 1;
    await world.advance(...pods);
    assert.equal(world.restarted.length, 1);
    world.nowMs = minutes(10);
    await world.advance(...pods);
    assert.deepEqual(world.restarted, ['Deployment shop/a', 'Deployment shop/b']);
    assert.match(
      world.outcomes().join(),
      /Deployment shop\/a was restarted 10 minutes ago, and its new pods are not all/,
    );
  });

  test('a namespace with stuck rollouts delays the other namespaces once', async () => {
    const world = new World();
    const pods = [
      await world.deployment('a', {}, 'aaa'),
      await world.deployment('b', {}, 'aaa'),
      await world.deployment('c', {}, 'shop'),
    ];
    await world.advance(...pods);
    world.nowMs = minutes(10);
    await world.advance(...pods);
    assert.deepEqual(world.restarted, ['Deployment aaa/a', 'Deployment shop/c']);
    await world.rollOut(deployments, 'c');
    await world.advance(...pods);
    assert.deepEqual(world.restarted.slice(2), ['Deployment aaa/b']);
  });

  const obstacles: Record<string, [resource: Resource<Workload>, spec: object, text: RegExp]> = {
    'a paused Deployment': [deployments, { paused: true }, /^Deployment shop\/x is paused$/],
    'a StatefulSet that replaces no pods': [
      statefulSets,
      { updateStrategy: { type: 'OnDelete' } },
      /OnDelete: delete its/,
    ],
    'a StatefulSet with a partition': [
      statefulSets,
      { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 1 } } },
      /has a partition/,
    ],
    'a DaemonSet that replaces no pods': [daemonSets, { updateStrategy: { type: 'OnDelete' } }, /OnDelete: delete its/],
  };
  for (const [title, [resource, spec, text]] of Object.entries(obstacles)) {
    test(`names ${title}, does not wait for it, and tries it again later`, async () => {
      const world = new World();
      const { kind } = resource;
      const uid = await world.add(resource, { namespace: 'shop', name: 'x' }, { spec });
      const owner =
        kind === 'Deployment'
          ? {
              kind: 'ReplicaSet',
              name: 'x-1',
              uid: await world.add(replicaSets, { namespace: 'shop', name: 'x-1', owner: { kind, name: 'x', uid } }),
            }
          : { kind, name: 'x', uid };
      const pods = [podOf('shop', owner), await world.deployment('y')];
      await world.advance(...pods);
      assert.deepEqual(world.restarted, ['Deployment shop/y']);
      assert.match(world.outcomes()[0] ?? '', text);
      await world.rollOut(deployments, 'y');
      await world.api.patchByHand(resource, { namespace: 'shop', name: 'x' }, { spec: null });
      await world.advance(...pods);
      world.nowMs = 30_000;
      await world.advance(...pods);
      assert.deepEqual(world.restarted.slice(1), [`${kind} shop/x`]);
    });
  }

  test('only names pods without such a controller', async () => {
    const world = new World();
    const set = await world.add(replicaSets, { namespace: 'shop', name: 'alone' });
    const rollout = { kind: 'Rollout', name: 'r', uid: 'r' };
    const custom = await world.add(replicaSets, { namespace: 'shop', name: 'custom', owner: rollout });
    await world.advance(
      podOf('shop', { kind: 'ReplicaSet', name: 'alone', uid: set }),
      podOf('shop', { kind: 'ReplicaSet', name: 'custom', uid: custom }),
      { ...podOf('shop', { kind: 'Job', name: 'job', uid: 'job' }), name: 'job' },
      pod({ owner: { apiVersion: 'batch/v1', kind: 'Job', name: 'j', uid: 'j' } }),
    );
    assert.deepEqual(world.restarted, []);
    assert.deepEqual(new Set(world.outcomes()), new Set(['no Deployment, StatefulSet or DaemonSet owns it']));
  });

  test('does not believe an owner reference with the name of a workload and another UID', async () => {
    const world = new World();
    await world.deployment('payments');
    await world.add(statefulSets, { namespace: 'shop', name: 'db' });
    await world.advance(
      podOf('shop', { kind: 'ReplicaSet', name: 'payments-1', uid: 'forged' }),
      podOf('shop', { kind: 'StatefulSet', name: 'db', uid: 'forged-too' }),
    );
    assert.deepEqual(world.restarted, []);
  });

  test('names a refusal, restarts the next workload, and tries again later', async () => {
    const world = new World();
    const pods = [await world.deployment('a'), await world.deployment('b')];
    world.refusals.push(new KubeError('Forbidden', 'a policy denies it'));
    await world.advance(...pods);
    assert.deepEqual(world.restarted, ['Deployment shop/b']);
    assert.match(world.outcomes()[0] ?? '', /^the API server refuses to restart it: a policy denies it/);
    await world.rollOut(deployments, 'b');
    world.nowMs = 30_000;
    await world.advance(...pods);
    assert.deepEqual(world.restarted.slice(1), ['Deployment shop/a']);
  });

  for (const code of ['BadRequest', 'ServerError', 'Timeout', 'Malformed'] as const) {
    test(`a workload that cannot be restarted because of an error (${code}) does not hold up the others`, async () => {
      const world = new World();
      const pods = [await world.deployment('a', {}, 'aaa'), await world.deployment('b')];
      world.refusals.push(new KubeError(code, 'too large'));
      await world.advance(...pods);
      assert.deepEqual(world.restarted, ['Deployment shop/b']);
    });
  }

  test('a workload that cannot be read any more counts as stuck, and does not hold up the others for ever', async () => {
    const world = new World();
    const pods = [await world.deployment('a'), await world.deployment('b')];
    await world.advance(...pods);
    world.unreadable = 'a';
    await world.advance(...pods);
    world.nowMs = minutes(10);
    await world.advance(...pods);
    assert.deepEqual(world.restarted, ['Deployment shop/a', 'Deployment shop/b']);
  });

  test('many workloads that cannot be restarted delay the others once', async () => {
    const world = new World();
    const paused = await Promise.all(
      Array.from({ length: 20 }, (_, i) => world.deployment(`p${i}`, { paused: true }, 'aaa')),
    );
    const pods = [...paused, await world.deployment('b')];
    await world.advance(...pods);
    assert.deepEqual(world.restarted, []);
    world.nowMs = minutes(1);
    await world.advance(...pods);
    assert.deepEqual(world.restarted, ['Deployment shop/b']);
  });

  test('forgets controllers whose pods are gone', async () => {
    const world = new World();
    for (let i = 0; i < 1100; i += 1) {
      const job = { apiVersion: 'batch/v1', kind: 'Job', name: 'j', uid: `j${i}` };
      await world.advance(pod({ owner: job }));
    }
    assert.ok(world.outcomes().length <= 1002, `${world.outcomes().length}`);
  });

  test('a restart whose answer was lost is read again before the next, and holds up the others only once', async () => {
    const lost = () => new KubeError('ServerError', 'lost', { outcomeUnknown: true });
    const written = new World();
    const pods = [await written.deployment('a'), await written.deployment('b')];
    written.refusals.push(lost());
    await written.advance(...pods);
    const template = { metadata: { annotations: restart } };
    await written.api.patchByHand(deployments, { namespace: 'shop', name: 'a' }, { spec: { template } });
    await written.advance(...pods);
    await written.advance(...pods);
    assert.deepEqual(written.restarted, [], 'the rollout of a is in progress');
    const failing = new World();
    const others = [await failing.deployment('a'), await failing.deployment('b')];
    failing.refusals.push(lost(), lost());
    await failing.advance(...others);
    await failing.advance(...others);
    assert.deepEqual(failing.restarted, ['Deployment shop/b']);
  });

  test('a workload that changes all the time does not hold up the others', async () => {
    const world = new World();
    const pods = [await world.deployment('a'), await world.deployment('b')];
    world.refusals.push(new KubeError('Conflict', 'changed'));
    await world.advance(...pods);
    assert.deepEqual(world.restarted, ['Deployment shop/b']);
    await world.rollOut(deployments, 'b');
    await world.advance(...pods);
    assert.deepEqual(world.restarted, ['Deployment shop/b', 'Deployment shop/a']);
  });

  test('tries again when the workload has changed meanwhile', async () => {
    const world = new World();
    const one = await world.deployment('a');
    world.refusals.push(new KubeError('Conflict', 'changed'));
    await world.advance(one);
    assert.deepEqual(world.restarted, []);
    await world.advance(one);
    assert.deepEqual(world.restarted, ['Deployment shop/a']);
  });

  test('reports an error of the connection to the caller', async () => {
    const world = new World();
    const one = await world.deployment('a');
    world.refusals.push(new KubeError('Network', 'reset'));
    await assert.rejects(world.advance(one), { code: 'Network' });
  });

  test('looks up a few controllers at a time', async () => {
    const world = new World();
    const jobs = Array.from({ length: 50 }, (_, i) =>
      pod({ name: `j${i}`, owner: { apiVersion: 'batch/v1', kind: 'Job', name: `j${i}`, uid: `j${i}` } }),
    );
    await world.advance(...jobs);
    assert.equal(world.outcomes().length, 20);
    await world.advance(...jobs);
    assert.equal(world.outcomes().length, 40);
  });

  test('without --restart-workloads names the flag, and restarts nothing', async () => {
    const world = new World();
    world.newTerm(false);
    await world.advance(await world.deployment('a'));
    assert.deepEqual(world.restarted, []);
    assert.match(world.outcomes().join(), /--restart-workloads \(chart: podEvidence.restartWorkloads\)/);
  });

  test('forgets everything when the rotation ends, and keeps it while the phase waits for something else', async () => {
    const world = new World();
    await world.advance(await world.deployment('a'));
    await world.restarts.advance(authority(), {}, never);
    assert.equal(world.outcomes().length, 1);
    await world.restarts.advance(authority(), undefined, never);
    assert.equal(world.outcomes().length, 0);
  });
});
