import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import type { Phase, Rotation } from '../support/mesh/authority.ts';
import { issueOf, rootsIn } from '../support/mesh/issue.ts';
import { allPairs, rootsSeen } from '../support/mesh/ledger.ts';
import { peersOfMesh, type Role } from '../support/mesh/mesh.ts';
import { type OperatedMesh, startOperatedMesh } from '../support/mesh/operated.ts';
import { assertNoneFailed, describeRun, untilFastEnough } from '../support/mesh/report.ts';
import type { RoleSecret } from '../support/mesh/secrets.ts';
import { goPeer, mountSecret, type RunningServer, type SecretFiles, unlessInstalled } from '../support/peers/index.ts';
import { scratchFolder } from '../support/scratch.ts';

const phases: readonly Phase[] = ['Distributing', 'Switching', 'Draining', 'Retiring'];
const slowestLagMs = 2000;
const reissuesPerSecond = 8;

/** Enough unless the machine is busy; see delayForThisMachine. */
const leastDelayMs = 6000;

// 20 servers and 20 clients in openssl, nginx, Go, Java, Python, Node.js and curl. Each has its Secret mounted as by
// kubelet, with its own lag after a write. Every client connects to every server all the time, and both verify each other.
describe('the mesh, during rotations of the root (40 s: programs load new files after seconds),', {
  skip: unlessInstalled(...peersOfMesh),
}, () => {
  let mesh: OperatedMesh;
  let secretsOfFirstRoot: readonly RoleSecret[];
  let startedAt = Date.now();
  let delayMs = leastDelayMs;

  before(async () => {
    mesh = await startOperatedMesh({
      workloads: 20,
      namespaces: 4,
      slowestLagMs,
      rotation: { propagationDelay: `${delayMs}ms`, reissuesPerSecond },
    });
    secretsOfFirstRoot = await mesh.secrets();
    // The first connection of a program takes longer than the later ones.
    await mesh.ledger.everyPairMeets();
    startedAt = Date.now();
    await rehearse();
  });
  after(() => mesh?.stop());

  test('has no failed handshake when the root is rotated', async (t) => {
    await untilFastEnough(mesh, async () => {
      const before = activeRoot();
      const begin = mesh.ledger.entries.length;
      const rotation = await rotate();
      assert.deepEqual(await rotation.ends(), phases);
      await assertAllHaveMoved(before, begin);
    });
    report(t);
  });

  for (const phase of ['Distributing', 'Switching', 'Draining'] as const) {
    const title = phase === 'Draining' ? `${phase} and the operator is killed during the abort` : phase;
    test(`has no failed handshake when a rotation is aborted in the phase ${title}`, async (t) => {
      await untilFastEnough(mesh, async () => {
        const root = activeRoot();
        // The phase waits for an hour, until the test has acted.
        const rotation = await rotate(
          phase === 'Distributing' ? { propagationDelay: '1h', reissuesPerSecond } : undefined,
        );
        if (phase === 'Draining') {
          await rotation.reaches('Switching');
          await delayIs('1h');
        }
        await rotation.reaches(phase);
        if (phase === 'Switching') await someHaveAnotherRootThan(root);
        await rotation.abort();
        await delayIs(`${delayMs}ms`);
        if (phase === 'Draining') await mesh.restartOperator();
        await rotation.ends();

        assert.equal(activeRoot(), root);
        await assertAllHaveRoot(root);
      });
      report(t);
    });
  }

  test('has no failed handshake when the operator is killed in each phase, and the rotation is aborted too late', async (t) => {
    await untilFastEnough(mesh, async () => {
      const before = activeRoot();
      const begin = mesh.ledger.entries.length;
      const rotation = await rotate();
      for (const phase of phases) {
        await rotation.reaches(phase);
        if (phase === 'Switching') await someHaveAnotherRootThan(before);
        // Too late: bundles without the old root exist already.
        if (phase === 'Retiring') await rotation.abort();
        await mesh.restartOperator();
      }
      assert.deepEqual(await rotation.ends(), phases);
      await assertAllHaveMoved(before, begin);
    });
    report(t);
  });

  test('refuses certificates of a retired root, in every server and client', async (t) => {
    const base = await scratchFolder('retired');
    t.after(() => rm(base, { recursive: true }));
    const [server, client] = [mesh.servers[0], mesh.clients[0]];
    assert.ok(server !== undefined && client !== undefined);
    const retired = { server: join(base, 'server'), client: join(base, 'client') };
    // The peers have the current bundle, so the reason of the refusal is the certificate.
    const roots = { 'ca.crt': await readFile(join(client.folder, 'ca.crt')) };
    await mountSecret(retired.server, { ...firstSecretOf(server.name, 'server'), ...roots });
    await mountSecret(retired.client, { ...firstSecretOf(client.name, 'client'), ...roots });

    for (const { name, port, serverName, peer } of mesh.servers) {
      const present = (folder: string) =>
        goPeer.connect({ port: Number(port), serverName, caFolder: client.folder, folder });
      const party = `the server ${name} on ${peer.name}`;
      assert.partialDeepStrictEqual(await present(client.folder), { ok: true }, party);
      assert.partialDeepStrictEqual(await present(retired.client), { ok: false }, party);
    }

    const [up, old] = [await goPeer.start(server.folder), await goPeer.start(retired.server)];
    t.after(() => Promise.all([up.stop(), old.stop()]));
    for (const { name, peer, folder } of mesh.clients) {
      const connectTo = ({ port }: RunningServer) =>
        peer.connect({ port, serverName: server.serverName, caFolder: folder, folder });
      const party = `the client ${name} on ${peer.name}`;
      assert.partialDeepStrictEqual(await connectTo(up), { ok: true }, party);
      assert.partialDeepStrictEqual(await connectTo(old), { ok: false }, party);
    }
  });

  test('has failed handshakes if the rotation does not wait for the pods', async (t) => {
    noneFailed();
    // It depends on chance whether a pair connects at the critical moment.
    for (let turn = 0; turn < 5 && mesh.ledger.failed.length === 0; turn++) {
      const rotation = await rotate({ propagationDelay: '0s', reissuesPerSecond: 1000 });
      await rotation.ends();
      await mesh.settled();
    }
    report(t);
    assert.notEqual(mesh.ledger.failed.length, 0);
  });

  function firstSecretOf(name: string, role: Role): SecretFiles {
    const found = secretsOfFirstRoot.find((secret) => secret.certificate === name && secret.role === role);
    assert.ok(found !== undefined);
    return found.files;
  }

  /** Starts a rotation with these settings; by default with a delay that is long enough for this machine. */
  async function rotate(how?: { propagationDelay: string; reissuesPerSecond: number }): Promise<Rotation> {
    delayMs = delayForThisMachine();
    startedAt = Date.now();
    await mesh.authority.patch({ spec: { rotation: how ?? { propagationDelay: `${delayMs}ms` } } });
    return mesh.authority.rotate();
  }

  const delayIs = (propagationDelay: string): Promise<void> =>
    mesh.authority.patch({ spec: { rotation: { propagationDelay } } });

  /** Makes every peer reload its current Secret, to measure how long that takes on this machine. */
  async function rehearse(): Promise<void> {
    for (const { certificate, role, files } of secretsOfFirstRoot) {
      mesh.deliver(certificate, role, { files, writtenAt: Date.now() });
    }
    await mesh.settled();
  }

  /** The delay that an administrator would set after measuring how long peers take. */
  const delayForThisMachine = (): number => Math.max(leastDelayMs, Math.ceil(1.4 * mesh.slowestMs(startedAt)));

  const activeRoot = (): string => mesh.authority.status.activeRoot?.fingerprint ?? '';

  async function someHaveAnotherRootThan(root: string): Promise<void> {
    await eventually(async () => {
      const secrets = await mesh.secrets();
      assert.ok(
        secrets.some(({ files }) => issueOf(files).root !== root),
        'every certificate has the same root',
      );
    });
  }

  /** Asserts that all Secrets and peers have only this root, and that no handshake failed. */
  async function assertAllHaveRoot(root: string): Promise<void> {
    await eventually(async () => {
      for (const { certificate, role, files } of await mesh.secrets()) {
        assert.equal(issueOf(files).root, root, `the root of ${certificate}, ${role}`);
        assert.deepEqual(rootsIn(files), [root], `the roots that ${certificate}, ${role}, trusts`);
      }
    });
    await mesh.settled();
    const settled = await mesh.ledger.everyPairMeets();
    noneFailed();
    assert.deepEqual(rootsSeen(settled), allPairs(root));
  }

  /**
   * Asserts that another root replaced this one, and that since `begin` peers of every combination of the two have
   * connected.
   */
  async function assertAllHaveMoved(before: string, begin: number): Promise<void> {
    const root = activeRoot();
    assert.notEqual(root, before);
    await assertAllHaveRoot(root);
    const seen = rootsSeen(mesh.ledger.entries.slice(begin));
    assert.deepEqual(seen, allPairs(before, root), 'the roots of the peers that connected');
  }

  const pace = () => ({ what: 'a Secret', delayMs, slowestMs: mesh.slowestMs(startedAt) });
  const noneFailed = (): void => assertNoneFailed(mesh, pace);
  const report = (t: TestContext): void => t.diagnostic(describeRun(mesh, pace()));
});
