import assert from 'node:assert/strict';
import { after, describe, type TestContext, test } from 'node:test';

import { paths, type Secret } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { installation } from '../../support/installation.ts';
import type { Phase, Rotation } from '../../support/mesh/authority.ts';
import { allPairs, rootsSeen } from '../../support/mesh/ledger.ts';
import { type ConnectedServer, connectFrom } from '../../support/mesh/pods/exec.ts';
import { operatorFlags, type PodMesh, startPodMesh } from '../../support/mesh/pods/pod-mesh.ts';
import { startRetiredPods } from '../../support/mesh/pods/retired.ts';
import { isCertified, programsOfPods, workloads } from '../../support/mesh/pods/workloads.ts';
import { assertNoneFailed, describeRun } from '../../support/mesh/report.ts';
import { skipWithoutNode, startTestNode, type TestNode } from '../../support/node.ts';
import { unlessInstalled } from '../../support/peers/index.ts';

const phases: readonly Phase[] = ['Distributing', 'Switching', 'Draining', 'Retiring'];

/** Longer: MESH_ROTATIONS=20 npm test -- node/mesh */
const rotations = Number(process.env['MESH_ROTATIONS'] ?? 1);

/** Enough unless the machine is busy; see delayForThisMachine. */
const leastDelayMs = 8000;

// Eight Deployments in nginx, Go, Java, Node.js, Python and rustls, with certificates from Secrets, from Secrets by subPath and
// from pod certificates. Their clients connect to every server all the time, and both verify each other.
describe('a mesh of pods on a node (90 s: pods start and kubelet updates their files)', {
  skip: skipWithoutNode() || unlessInstalled(...programsOfPods),
}, () => {
  let node: TestNode;
  let mesh: PodMesh;
  let firstSecrets: Readonly<Record<'server' | 'client', Secret>>;
  let delayMs = leastDelayMs;
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
    noneFailed();
    assert.deepEqual(rootsSeen(met), allPairs(activeRoot()));
    for (const { name, client, clockBehindMs = 0 } of workloads) {
      if (client === undefined) continue;
      const clocks = mesh.clocksBehindMs(name);
      assert.ok(Math.min(...clocks) >= clockBehindMs, `the clock of ${name} is behind by ${clocks[0]} ms`);
    }
    report(t);
  });

  test('has no failed handshake when every certificate is rotated and kubelet is restarted', async (t) => {
    const [server, client] = await Promise.all(
      (['server', 'client'] as const).map((role) =>
        world.api.get<Secret>(paths.secrets('shop', `go-secret-${role}-tls`)),
      ),
    );
    assert.ok(server !== undefined && client !== undefined);
    firstSecrets = { server, client };
    const old = mesh.serials();
    startedAt = Date.now();
    for (const { name, namespace } of workloads.filter(isCertified))
      await world.tenantOf(namespace).rotate(name, 'once');
    await node.restartKubelet();
    await mesh.hasReplaced(old);
    noneFailed();
    report(t);
  });

  test('has no failed handshake when the root is rotated, the operator is killed in each phase and kubelet is restarted', async (t) => {
    for (let done = 0; done < rotations; done++) await assertRotates();
    report(t);
  });

  test('refuses certificates of the retired root, in every server and client', async (t) => {
    const retired = await startRetiredPods(world, node, mesh, firstSecrets);
    t.after(() => retired.stop());
    for (const { server, error = 'no error' } of await retired.handshakes()) {
      assert.match(error, /^refused: |^no answer: |^the server answers 400/, `the server ${server}`);
    }
    // The servers answer all others meanwhile.
    await mesh.ledger.everyPairMeets();
    noneFailed();

    const [current] = mesh.servers;
    assert.ok(current !== undefined);
    for (const { name, namespace, client } of workloads) {
      if (client === undefined) continue;
      const connectTo = (server: ConnectedServer) => connectFrom(node, { name, namespace, client }, server);
      assert.partialDeepStrictEqual(await connectTo(current), { ok: true }, `the client ${name}`);
      assert.partialDeepStrictEqual(await connectTo(retired.server), { ok: false }, `the client ${name}`);
    }
  });

  test('has failed handshakes if the phase Distributing is skipped', async (t) => {
    noneFailed();
    const rotation = await rotate();
    await annotate('skip-gate', `${rotation.id}/Distributing`);
    await eventually(() => assert.notEqual(mesh.ledger.failed.length, 0), { timeoutMs: 120_000 });
    report(t);
  });

  /** Rotates the root, and asserts that all have moved to the new root without a failed handshake. */
  async function assertRotates(): Promise<void> {
    const before = activeRoot();
    const begin = mesh.ledger.entries.length;
    const rotation = await rotate();
    for (const phase of phases) {
      await rotation.reaches(phase);
      await mesh.restartOperator();
      // The pods ask for other certificates at once. Without a restart, they do so after half of the lifetime.
      if (phase === 'Distributing' || phase === 'Draining') await node.restartKubelet();
    }
    assert.deepEqual(await rotation.ends(), phases);

    const root = activeRoot();
    assert.notEqual(root, before);
    await onlyHaveRoot(root);
    noneFailed();
    const seen = rootsSeen(mesh.ledger.entries.slice(begin));
    assert.deepEqual(seen, allPairs(before, root), 'the roots of the peers that connected');
  }

  /** Starts a rotation with delays that are long enough for this machine. */
  async function rotate(): Promise<Rotation> {
    delayMs = Math.max(leastDelayMs, Math.ceil(1.4 * mesh.slowestMs(startedAt)));
    startedAt = Date.now();
    await mesh.authority.patch({ spec: { rotation: delays() } });
    return mesh.authority.rotate();
  }

  function delays() {
    // The pods mount the bundle by the name of its signer, so that a change is in their files as soon as that of a Secret.
    return { propagationDelay: `${delayMs}ms`, clusterTrustBundleDelay: `${delayMs}ms` };
  }

  const annotate = (verb: string, value: string): Promise<void> =>
    mesh.authority.patch({ metadata: { annotations: { [`mtls-operator.io/${verb}`]: value } } });

  /** Waits until servers and clients present only certificates of this root. */
  async function onlyHaveRoot(root: string): Promise<void> {
    await eventually(async () => assert.deepEqual(rootsSeen(await mesh.ledger.everyPairMeets()), allPairs(root)), {
      timeoutMs: 120_000,
      message: 'servers or clients present certificates of another root',
    });
  }

  const activeRoot = (): string => mesh.authority.status.activeRoot?.fingerprint ?? '';

  const pace = () => ({ what: 'a certificate', delayMs, slowestMs: mesh.slowestMs(startedAt) });
  const noneFailed = (): void => assertNoneFailed(mesh, pace);
  const report = (t: TestContext): void => t.diagnostic(describeRun(mesh, pace()));
});
