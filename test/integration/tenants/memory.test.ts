import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { after, describe, type TestContext, test } from 'node:test';

import { paths } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { type HostileKind, hostileObject, largeContainers } from '../../support/hostile.ts';
import { conditionOf, installation, type Tenant } from '../../support/installation.ts';
import { inParallel } from '../../support/parallel.ts';
import { grantPodCertificates } from '../../support/pods/grant.ts';
import { issuedTo, openPods, type PodCertificateRequest, type PodWorld } from '../../support/pods/pods.ts';

const megabyte = 1_000_000;
const limitBytes = 512 * 1024 * 1024;
/** The heap size that Node.js chooses in a container of 512 MiB, see docs/reference/performance.md. */
const heapLimit = { NODE_OPTIONS: '--max-old-space-size=256' };

let attacker: Tenant;
let victim: Tenant;
let pods: PodWorld;
const args = ['--pod-certificates', '--pod-evidence'];
// The Secrets are too large to keep every state of them in this process.
const world = installation({ operator: false, watched: false, args }, async () => {
  await grantPodCertificates(world.cluster, { podEvidence: true });
  pods = await openPods(world.cluster);
  [attacker, victim] = [await world.tenant('attacker'), await world.tenant('victim')];
  await world.api.create(paths.configMaps(victim.namespace), { metadata: { name: 'there' } });
  await world.start({ env: heapLimit });
  const rotation = { propagationDelay: '0s', reissuesPerSecond: 1000, podEvidence: true };
  await eventually(() => world.patchAuthority('default', { spec: { rotation, podCertificates: {} } }));
});
after(() => pods?.close());

/** The objects of one tenant: 280, most of them of 1 MB. */
const attack: readonly (readonly [HostileKind, number])[] = [
  ['forged Secret', 110],
  ['forged ConfigMap', 110],
  ['Secret with 8,000 labels', 40],
  ['largest MtlsCertificate', 20],
];

async function create(kind: HostileKind, count: number): Promise<void> {
  const path = { secrets: paths.secrets, configmaps: paths.configMaps, mtlscertificates: paths.certificates };
  const createOne = async (index: number): Promise<void> => {
    const { collection, object } = hostileObject(kind, attacker.namespace, index, megabyte);
    await world.api.create(path[collection](attacker.namespace), object);
  };
  await inParallel(Array(count).keys(), createOne, 6);
}

/** Pods that read as many objects by subPath as a record of a pod may name: 1,000 small ones, and 20 of almost 1 MB. */
async function createPods(): Promise<void> {
  const reads = (index: number) => {
    const names = Array.from({ length: 32 }, (_, i) => `v${i}`);
    const volumes = names.map((name) => ({ name, secret: { secretName: `${name}-of-${index}-${'x'.repeat(30)}` } }));
    const volumeMounts = names.map((name) => ({ name, mountPath: `/${name}`, subPath: 'ca.crt' }));
    return { volumes, volumeMounts };
  };
  const create = async (index: number): Promise<void> => {
    const { volumes, volumeMounts } = reads(index);
    const containers = index % 50 === 0 ? largeContainers(0.9 * megabyte) : smallContainers;
    const pod = { certificates: [], volumes, containers: containers.map((one) => ({ ...one, volumeMounts })) };
    await pods.create(attacker.namespace, pod);
  };
  await inParallel(Array(1000).keys(), create, 6);
}
const smallContainers = [{ name: 'main', image: 'localhost/none:1' }];

/** Creates a resource in the other namespace and waits until it is Ready. Reports how long that took. */
async function victimIsServed(t: TestContext, name: string): Promise<void> {
  const started = performance.now();
  await victim.create(name, { server: { service: name } });
  await eventually(
    async () => {
      assertLives();
      assert.equal(conditionOf(await victim.get(name), 'Ready')?.status, 'True');
    },
    { timeoutMs: 180_000, message: 'the resource of the other namespace is not Ready' },
  );
  t.diagnostic(`another tenant: Ready after ${((performance.now() - started) / 1000).toFixed(1)} s; ${memory()}`);
  assertLives();
}

function assertLives(): void {
  const { operator } = world;
  const hasEnded = operator.logs.some(({ message }) => /heap out of memory/.test(String(message)));
  assert.ok(!hasEnded, `the operator ran out of memory:\n${operator.logTail(5)}`);
  // Throws if the process has exited.
  process.kill(operator.pid, 0);
  const peak = peakBytes();
  assert.ok(peak === undefined || peak <= limitBytes, `the operator has used ${memory()}`);
}

/** The peak memory of the operator. Undefined if the system does not report it. */
function peakBytes(): number | undefined {
  if (process.platform !== 'linux') return undefined;
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${world.operator.pid}/status`, 'utf8')) ?? [];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

const memory = (): string => `${Math.round((peakBytes() ?? Number.NaN) / 1024 / 1024)} MiB at its peak`;

describe('With 280 objects of up to 1 MB and 1,000 pods of one tenant and the memory limit of the Deployment (1 min: to write the objects)', () => {
  // A failure means: a user who may edit one namespace can end the operator for all namespaces.
  test('a running operator serves another tenant', async (t) => {
    await victimIsServed(t, 'before');
    for (const [kind, count] of attack) await create(kind, count);
    await createPods();
    await victimIsServed(t, 'while-running');
  });

  test('a root rotation ends', async (t) => {
    const started = performance.now();
    await world.rotateRoot('default', 'now');
    // The certificates of the attacker are denied, so they have no Secrets that the rotation could wait for.
    await eventually(
      async () => {
        assertLives();
        const { status } = await world.authority('default');
        assert.equal(status?.lastHandledRotateRoot, 'now');
        assert.equal(status?.rotation, undefined, JSON.stringify(status?.rotation));
      },
      { timeoutMs: 180_000, message: 'the rotation has not ended' },
    );
    t.diagnostic(`rotated in ${((performance.now() - started) / 1000).toFixed(1)} s; ${memory()}`);
    await victimIsServed(t, 'after-rotation');
  });

  // A failure means: the operator reads too many of these pods at the same time. A later rotation would wait for their certificates.
  test('a running operator answers the requests for pods of 1 MB, and serves another tenant meanwhile', async (t) => {
    const requests: PodCertificateRequest[] = [];
    for (const prefix of ['a', 'b', 'c', 'd', 'e']) {
      const { namespace } = await world.tenant(`large-pods-${prefix}`);
      const pod = await pods.create(namespace, { containers: largeContainers(megabyte) });
      await inParallel(Array(16).keys(), async () => requests.push(await pods.request(pod)));
    }
    await victimIsServed(t, 'beside-large-pods');
    for (const request of requests) issuedTo(await pods.answered(request));
    assertLives();
  });

  test('an operator that starts serves another tenant', async (t) => {
    await world.operator.stop();
    const started = performance.now();
    await world.start({ env: heapLimit });
    t.diagnostic(`ready after ${((performance.now() - started) / 1000).toFixed(1)} s; ${memory()}`);
    await victimIsServed(t, 'after-start');
  });
});
