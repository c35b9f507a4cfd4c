import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { openHelm } from '../../support/chart/helm.ts';
import { eventually } from '../../support/eventually.ts';
import { conditionOf, installation } from '../../support/installation.ts';
import { reading, Workloads } from '../../support/pods/workloads.ts';

const evidence = { enabled: true, restartWorkloads: true };
const args = ['--pod-evidence', '--restart-workloads'];
const world = installation({ operator: false, watched: false, args }, async () => {
  const rendered = await (await openHelm('helm')).render({ podEvidence: evidence });
  const isNeeded = ({ kind }: { kind: string }) =>
    /^((Cluster)?Role(Binding)?|ValidatingAdmissionPolicy(Binding)?)$/.test(kind);
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: rendered.filter(isNeeded) });
  await world.cluster.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], { input });
  await world.start();
});

/** What an authority waits for, once it matches. */
const waitsFor = (authority: string, pattern: RegExp): Promise<string> =>
  eventually(
    async () => {
      const { status } = await world.authority(authority);
      const blockers = status?.rotation?.blockers?.join('\n') ?? '';
      assert.match(blockers, pattern, JSON.stringify(status?.rotation));
      return blockers;
    },
    { timeoutMs: 60_000, message: `${authority} does not wait for ${pattern}` },
  );

const ends = (authority: string): Promise<void> =>
  eventually(
    async () => {
      const { status } = await world.authority(authority);
      assert.equal(status?.rotation, undefined, JSON.stringify(status?.rotation));
    },
    { timeoutMs: 60_000, message: `the rotation of ${authority} does not end` },
  );

/** An authority whose certificate is in the Secret `db-server-tls` of a new namespace, and the workloads of that namespace. */
async function issuing(rotation: object): Promise<{ authority: string; namespace: string; workloads: Workloads }> {
  const authority = await world.ownAuthority({ rotation: { propagationDelay: '1s', podEvidence: true, ...rotation } });
  const tenant = await world.tenantWith('shop', { authorityRef: { name: authority }, server: { service: 'db' } });
  const workloads = new Workloads(world.api, tenant.namespace);
  await workloads.begin();
  return { authority, namespace: tenant.namespace, workloads };
}

describe('a rotation of a root with podEvidence', () => {
  test('waits for pods that never read a change, and names them, until each has restarted', async () => {
    const { authority, namespace, workloads } = await issuing({});
    await workloads.createPod('variable', reading.asVariable('db-server-tls', 'ca.crt'));
    await workloads.createPod('certificate', reading.bySubPath('db-server-tls', 'tls.crt'));
    await workloads.createPod('other', reading.asVariable('other', 'ca.crt'));
    await world.rotateRoot(authority, 'one');
    const named = (pod: string, how: string) =>
      new RegExp(`^1 of 1 pods to restart, because .*: ${namespace}/${pod} \\(reads ${namespace}/db-server-tls ${how}`);
    await waitsFor(authority, named('variable', 'in an environment variable; no controller creates it again'));
    await workloads.deletePod('variable');
    await workloads.createPod('variable', reading.asVariable('db-server-tls', 'ca.crt'));
    const drains = await waitsFor(authority, named('certificate', 'by subPath'));
    const [command] = /kubectl annotate mtlsauthority \S+ --overwrite [^\s)]+/.exec(drains) ?? [];
    assert.ok(command !== undefined, drains);
    await world.cluster.kubectl(command.split(' ').slice(1));
    const trusts = await waitsFor(authority, named('variable', 'in an environment variable'));
    assert.match(trusts, /because they still trust the old root/);
    await workloads.deletePod('variable');
    await workloads.createPod('variable', reading.asVariable('db-server-tls', 'ca.crt'));
    await ends(authority);
  });

  test('restarts a Deployment once for each phase that needs it, also when the operator is killed (25 s: the next operator waits for the Lease)', async () => {
    const { authority, workloads } = await issuing({ restartWorkloads: true });
    await workloads.createDeployment('reader', reading.bySubPath('db-server-tls', 'everything'));
    await workloads.createDeployment('mounter', reading.asVariable('other', 'x'));
    await Promise.all(['reader', 'mounter'].map(workloads.isAvailable));
    workloads.starts = false;
    await world.rotateRoot(authority, 'one');
    await waitsFor(authority, /Deployment \S+\/reader is being restarted/);
    await world.killOperators();
    await world.start();
    await waitsFor(authority, /Deployment \S+\/reader is being restarted/);
    assert.equal(await workloads.templates('reader'), 2);
    await workloads.startAll();
    await ends(authority);
    const restarts = world.logs().filter(({ message }) => message === 'restarted a workload');
    assert.deepEqual(
      restarts.map(({ rotation }) => String(rotation).split('/')[2]),
      ['Distributing', 'Draining', 'Retiring'],
    );
    assert.deepEqual([await workloads.templates('reader'), await workloads.templates('mounter')], [4, 1]);
    const { reason } = conditionOf(await world.authority(authority), 'Rotating') ?? {};
    assert.equal(reason, 'RotationCompleted');
  });
});

test('restartWorkloads needs podEvidence', async () => {
  const rotation = { restartWorkloads: true };
  await assert.rejects(world.ownAuthority({ rotation }), /restartWorkloads needs podEvidence: true/);
});
