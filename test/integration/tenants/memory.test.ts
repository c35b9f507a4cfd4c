import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, type TestContext, test } from 'node:test';

import { type Api, openApi, paths } from '../../support/behaviours/api.ts';
import type { Authority, Certificate } from '../../support/behaviours/installation.ts';
import { startTestCluster, type TestCluster } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { type HostileKind, hostileObject } from '../../support/hostile.ts';
import { type Operator, startOperator } from '../../support/operator.ts';

const megabyte = 1_000_000;
const limitBytes = 512 * 1024 * 1024;
/** What Node.js takes in a container of 512 MiB, see docs/performance.md. */
const heapLimit = { NODE_OPTIONS: '--max-old-space-size=256' };

let cluster: TestCluster;
let api: Api;
let operator: Operator;
let attacker: string;
let victim: string;

const start = async (): Promise<void> => {
  operator = await startOperator(cluster, { env: heapLimit });
};

before(async () => {
  cluster = await startTestCluster();
  api = openApi(cluster);
  attacker = await cluster.namespace('attacker');
  victim = await cluster.namespace('victim');
  await api.create(paths.configMaps(victim), { metadata: { name: 'there' } });
  await start();
  const rotation = { propagationDelay: '0s', reissuesPerSecond: 1000 };
  await eventually(() => api.patch(paths.authorities('default'), { spec: { rotation } }));
});
after(async () => {
  await operator.kill();
  await api.close();
  await cluster.stop();
});

/** What one tenant creates: 280 objects, most of them of a megabyte. */
const attack: readonly (readonly [HostileKind, number])[] = [
  ['forged Secret', 110],
  ['forged ConfigMap', 110],
  ['Secret with 8,000 labels', 40],
  ['largest MtlsCertificate', 20],
];

async function create(kind: HostileKind, count: number): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) {
      const { collection, object } = hostileObject(kind, attacker, i, megabyte);
      const path = { secrets: paths.secrets, configmaps: paths.configMaps, mtlscertificates: paths.certificates };
      await api.create(path[collection](attacker), object);
    }
  };
  await Promise.all(Array.from({ length: 6 }, worker));
}

/** Creates a resource in the other namespace, waits until it is Ready, and tells how long that took. */
async function victimIsServed(t: TestContext, name: string): Promise<void> {
  const started = performance.now();
  const metadata = { namespace: victim, name };
  const resource = { apiVersion: 'mtls-operator.io/v1alpha1', kind: 'MtlsCertificate', metadata };
  await api.create(paths.certificates(victim), { ...resource, spec: { server: { service: name } } });
  await eventually(
    async () => {
      assertLives();
      const { status } = await api.get<Certificate>(paths.certificates(victim, name));
      assert.equal(status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'True');
    },
    { timeoutMs: 40_000, message: 'the resource of the other namespace is not Ready' },
  );
  t.diagnostic(`another tenant: Ready after ${((performance.now() - started) / 1000).toFixed(1)} s; ${memory()}`);
  assertLives();
}

function assertLives(): void {
  const hasEnded = operator.logs.some(({ message }) => /heap out of memory/.test(String(message)));
  assert.ok(!hasEnded, `the operator has run out of memory:\n${operator.logTail(5)}`);
  // Throws when the process is gone.
  process.kill(operator.pid, 0);
  const peak = peakBytes();
  assert.ok(peak === undefined || peak <= limitBytes, `the operator has used ${memory()}`);
}

/** The most memory that the operator has had; undefined where the system does not say. */
function peakBytes(): number | undefined {
  if (process.platform !== 'linux') return undefined;
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${operator.pid}/status`, 'utf8')) ?? [];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

const memory = (): string => `${Math.round((peakBytes() ?? Number.NaN) / 1024 / 1024)} MiB at its highest`;

describe('280 objects of up to a megabyte of one tenant, under the memory limit of the Deployment (1 min: they have to be written)', () => {
  // Broken if it fails: whoever may edit one namespace ends the operator for all of them.
  test('the running operator serves another tenant', async (t) => {
    await victimIsServed(t, 'before');
    for (const [kind, count] of attack) await create(kind, count);
    await victimIsServed(t, 'while-running');
  });

  test('the root is rotated', async (t) => {
    const started = performance.now();
    const annotations = { 'mtls-operator.io/rotate-root': 'now' };
    await api.patch(paths.authorities('default'), { metadata: { annotations } });
    // The certificates of the attacker are denied: they have nothing that a rotation waits for.
    await eventually(
      async () => {
        assertLives();
        const { status } = await api.get<Authority>(paths.authorities('default'));
        assert.equal(status?.lastHandledRotateRoot, 'now');
        assert.equal(status?.rotation, undefined, JSON.stringify(status?.rotation));
      },
      { timeoutMs: 60_000, message: 'the rotation has not ended' },
    );
    t.diagnostic(`rotated in ${((performance.now() - started) / 1000).toFixed(1)} s; ${memory()}`);
    await victimIsServed(t, 'after-rotation');
  });

  test('an operator that is started finds its way through them', async (t) => {
    await operator.stop();
    const started = performance.now();
    await start();
    t.diagnostic(`ready after ${((performance.now() - started) / 1000).toFixed(1)} s; ${memory()}`);
    await victimIsServed(t, 'after-start');
  });
});
