import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, describe, type TestContext, test } from 'node:test';

import type { Stored } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { installation } from '../../support/installation.ts';
import type { Phase, Rotation } from '../../support/mesh/authority.ts';
import { allPairs, rootsSeen } from '../../support/mesh/ledger.ts';
import { type ConnectedServer, connectFrom } from '../../support/mesh/pods/exec.ts';
import { authorityName, operatorFlags, type PodMesh, startPodMesh } from '../../support/mesh/pods/pod-mesh.ts';
import {
  type OldCertificates,
  podCertificateOf,
  secretsOf,
  startRetiredPods,
} from '../../support/mesh/pods/retired.ts';
import {
  isCertified,
  isMountedBySubPath,
  type PodWorkload,
  programsOfPods,
  workloads,
} from '../../support/mesh/pods/workloads.ts';
import { assertNoneFailed, describeRun, untilFastEnough } from '../../support/mesh/report.ts';
import { skipWithoutNode, startTestNode, type TestNode } from '../../support/node.ts';
import { unlessInstalled } from '../../support/peers/index.ts';

const phases: readonly Phase[] = ['Distributing', 'Switching', 'Draining', 'Retiring'];

/** The phases after which a program that never reads its files again would still trust or present the wrong thing. */
const restartPhases: readonly Phase[] = ['Distributing', 'Draining', 'Retiring'];

/** Longer: MESH_ROTATIONS=20 npm test -- node/mesh */
const rotations = Number(process.env['MESH_ROTATIONS'] ?? 1);

/** Enough unless the machine is busy; see delayForThisMachine. */
const leastDelayMs = 8000;

/** apps/v1 ReplicaSet. */
interface ReplicaSet extends Stored {
  readonly spec: {
    readonly template: { readonly metadata: { readonly annotations?: Readonly<Record<string, string>> } };
  };
}

// Eight Deployments in nginx, Go, Java, Node.js, Python and rustls, with certificates from Secrets, from Secrets by subPath and
// from pod certificates. Their clients connect to every server all the time, and both verify each other.
describe('a mesh of pods on a node (90 s: pods start and kubelet updates their files)', {
  skip: skipWithoutNode() || unlessInstalled(...programsOfPods),
}, () => {
  let node: TestNode;
  let mesh: PodMesh;
  /** Certificates of the first root: in the Secrets of a workload, and in a pod without Secrets. */
  let old: readonly OldCertificates[];
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
    old = await Promise.all([
      secretsOf(world, { name: 'go-secret', namespace: 'shop' }),
      podCertificateOf(world, node, { name: 'node-pod', namespace: 'shop' }),
    ]);
    const replaced = mesh.serials();
    startedAt = Date.now();
    for (const { name, namespace } of workloads.filter(isCertified))
      await world.tenantOf(namespace).rotate(name, 'once');
    await node.restartKubelet();
    await mesh.hasReplaced(replaced);
    noneFailed();
    report(t);
  });

  test('has no failed handshake when the root is rotated, the operator is killed in each phase and kubelet is restarted', async (t) => {
    for (let done = 0; done < rotations; done++) await untilFastEnough(mesh, assertRotates);
    report(t);
  });

  test('refuses certificates of the retired root, in every server and client', async (t) => {
    const retired = await startRetiredPods(world, node, mesh, old);
    t.after(() => retired.stop());
    for (const { client, server, error = 'no error' } of await retired.handshakes()) {
      assert.match(error, /^refused: |^no answer: |^the server answers 400/, `${client} and the server ${server}`);
    }
    // The servers answer all others meanwhile.
    await mesh.ledger.everyPairMeets();
    noneFailed();

    const [current] = mesh.servers;
    assert.ok(current !== undefined);
    const connecting = workloads.map(async ({ name, namespace, client }) => {
      if (client === undefined) return;
      const connectTo = (server: ConnectedServer) => connectFrom(node, { name, namespace, client }, server);
      assert.partialDeepStrictEqual(await connectTo(current), { ok: true }, `the client ${name}`);
      for (const server of retired.servers) {
        const outcome = await connectTo(server);
        assert.partialDeepStrictEqual(outcome, { ok: false }, `the client ${name} and ${server.serverName}`);
      }
    });
    await Promise.all(connecting);
    // They were refused because of their root, not because they had expired.
    for (const { of, data } of old) {
      const { validTo } = new X509Certificate(Buffer.from(data.server?.['tls.crt'] ?? '', 'base64'));
      assert.ok(Date.parse(validTo) > Date.now(), `the certificate of ${of.name} has expired`);
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
    for (const workload of workloads)
      assert.deepEqual(
        await restartsFor(rotation, workload),
        isMountedBySubPath(workload) ? restartPhases : [],
        `the restarts of ${workload.name}`,
      );
    const seen = rootsSeen(mesh.ledger.entries.slice(begin));
    assert.deepEqual(seen, allPairs(before, root), 'the roots of the peers that connected');
  }

  /** The phases of a rotation for which the operator changed the pod template of a workload. Each template has a ReplicaSet. */
  async function restartsFor({ id }: Rotation, { name, namespace }: PodWorkload): Promise<readonly string[]> {
    const key = `${authorityName}/${id}/`;
    const sets = await world.api.list<ReplicaSet>(`/apis/apps/v1/namespaces/${namespace}/replicasets`);
    return sets
      .filter(({ metadata }) => metadata.labels?.['app'] === name)
      .map(({ spec }) => spec.template.metadata.annotations?.['mtls-operator.io/restarted-for'] ?? '')
      .filter((phase) => phase.startsWith(key))
      .map((phase) => phase.slice(key.length))
      .sort();
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
