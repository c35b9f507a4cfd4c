import assert from 'node:assert/strict';
import { after, describe, type TestContext, test } from 'node:test';

import { installation } from '../../support/installation.ts';
import { allPairs, rootsSeen } from '../../support/mesh/ledger.ts';
import { operatorFlags, type PodMesh, startPodMesh } from '../../support/mesh/pods/pod-mesh.ts';
import { isCertified, programsOfPods, workloads } from '../../support/mesh/pods/workloads.ts';
import { describeFailures, describeTraffic } from '../../support/mesh/report.ts';
import { skipWithoutNode, startTestNode, type TestNode } from '../../support/node.ts';
import { unlessInstalled } from '../../support/peers/index.ts';

/** Enough unless the machine is busy; see delayForThisMachine. */
const leastDelayMs = 8000;

// Eight Deployments in nginx, Go, Java, Node.js, Python and rustls, with certificates from Secrets, from Secrets by subPath and
// from pod certificates. Their clients connect to every server all the time, and both verify each other.
describe('a mesh of pods on a node (60 s: pods start and kubelet updates their files)', {
  skip: skipWithoutNode() || unlessInstalled(...programsOfPods),
}, () => {
  let node: TestNode;
  let mesh: PodMesh;
  const delayMs = leastDelayMs;
  let startedAt = Date.now();

  const world = installation(
    {
      args: operatorFlags,
      operator: false,
      watched: false,
      startCluster: async () => {
        node = await startTestNode();
        return node;
      },
    },
    async () => {
      mesh = await startPodMesh(world, node, delays());
    },
  );
  after(() => mesh?.stop());

  test('has no failed handshake between pods with Secrets and pods with pod certificates, and one with a late clock', async (t) => {
    const met = await mesh.ledger.everyPairMeets();
    assertNoneFailed();
    assert.deepEqual(rootsSeen(met), allPairs(activeRoot()));
    for (const { name, client, clockBehindMs = 0 } of workloads) {
      if (client === undefined) continue;
      const clocks = mesh.clocksBehindMs(name);
      assert.ok(Math.min(...clocks) >= clockBehindMs, `the clock of ${name} is behind by ${clocks[0]} ms`);
    }
    report(t);
  });

  test('has no failed handshake when every certificate is rotated and kubelet is restarted', async (t) => {
    const old = mesh.serials();
    startedAt = Date.now();
    for (const { name, namespace } of workloads.filter(isCertified))
      await world.tenantOf(namespace).rotate(name, 'once');
    await node.restartKubelet();
    await mesh.hasReplaced(old);
    assertNoneFailed();
    report(t);
  });

  function delays() {
    // The pods mount the bundle by the name of its signer, so that a change is in their files as soon as that of a Secret.
    return { propagationDelay: `${delayMs}ms`, clusterTrustBundleDelay: `${delayMs}ms` };
  }

  const activeRoot = (): string => mesh.authority.status.activeRoot?.fingerprint ?? '';

  function assertNoneFailed(): void {
    if (mesh.ledger.failed.length === 0) return;
    const slowestMs = mesh.slowestMs(startedAt);
    const tooSlow = `This machine is too slow for a propagation delay of ${delayMs} ms: it took ${slowestMs} ms until a certificate was in use. The failed handshakes are not the operator's fault`;
    assert.ok(slowestMs < delayMs, tooSlow);
    assert.fail(describeFailures(mesh));
  }

  const report = (t: TestContext): void =>
    t.diagnostic(
      `${describeTraffic(mesh)}; a certificate was in use after ${Math.round(mesh.slowestMs(startedAt))} ms at most`,
    );
});
