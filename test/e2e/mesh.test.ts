import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import type { Phase, Rotation } from '../support/mesh/authority.ts';
import { issueOf, rootsIn } from '../support/mesh/issue.ts';
import type { Entry } from '../support/mesh/ledger.ts';
import { peersOfMesh, type Role } from '../support/mesh/mesh.ts';
import { type OperatedMesh, startOperatedMesh } from '../support/mesh/operated.ts';
import { describeFailures, describeTraffic } from '../support/mesh/report.ts';
import type { RoleSecret } from '../support/mesh/secrets.ts';
import { goPeer, mountSecret, type RunningServer, type SecretFiles, unlessInstalled } from '../support/peers/index.ts';
import { scratchFolder } from '../support/scratch.ts';

const phases: readonly Phase[] = ['Distributing', 'Switching', 'Draining', 'Retiring'];
const slowestLagMs = 4000;

/** For a machine that is not too busy; see delayForThisMachine. */
const leastDelayMs = 8000;

// 20 servers and 20 clients on openssl, nginx, Go, Java, Python, Node.js and curl. Each has its Secret as kubelet mounts it,
// by a lag of its own behind what is written. All the time every client connects to every server, and each of the two
// verifies the other.
describe('the mesh, while the root is rotated (40 s: programs load new files after seconds)', {
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
      rotation: { propagationDelay: `${delayMs}ms`, reissuesPerSecond: 8 },
    });
    secretsOfFirstRoot = await mesh.secrets();
    // The first connection takes a program longer than those that follow.
    await mesh.ledger.everyPairMeets();
    startedAt = Date.now();
    await rehearse();
  });
  after(() => mesh?.stop());

  test('not one handshake fails when the root is rotated', async (t) => {
    const before = activeRoot();
    const begin = mesh.ledger.entries.length;
    const rotation = await rotate();
    assert.deepEqual(await rotation.ends(), phases);
    await assertAllHaveMoved(before, begin);
    tell(t);
  });

  for (const phase of ['Distributing', 'Switching', 'Draining'] as const) {
    const title = phase === 'Draining' ? `${phase}, and the operator is killed as it goes back` : phase;
    test(`nor when a rotation is aborted in phase ${title}`, async (t) => {
      const root = activeRoot();
      const rotation = await rotate();
      await rotation.reaches(phase);
      if (phase === 'Switching') await someAreOfAnotherRootThan(root);
      await rotation.abort();
      if (phase === 'Draining') await mesh.restartOperator();
      await rotation.ends();

      assert.equal(activeRoot(), root);
      await assertAllAreOf(root);
      tell(t);
    });
  }

  test('nor when it is rotated again, the operator is killed in each phase, and somebody aborts too late', async (t) => {
    const before = activeRoot();
    const begin = mesh.ledger.entries.length;
    const rotation = await rotate();
    for (const phase of phases) {
      await rotation.reaches(phase);
      if (phase === 'Switching') await someAreOfAnotherRootThan(before);
      // Too late: bundles without the old root are out.
      if (phase === 'Retiring') await rotation.abort();
      await mesh.restartOperator();
    }
    assert.deepEqual(await rotation.ends(), phases);
    await assertAllHaveMoved(before, begin);
    tell(t);
  });

  test('after that, everybody refuses a certificate of a root that was retired', async (t) => {
    const base = await scratchFolder('retired');
    t.after(() => rm(base, { recursive: true }));
    const [server, client] = [mesh.servers[0], mesh.clients[0]];
    assert.ok(server !== undefined && client !== undefined);
    const retired = { server: join(base, 'server'), client: join(base, 'client') };
    // What they trust is up to date: it is their certificate that is refused.
    const roots = { 'ca.crt': await readFile(join(client.folder, 'ca.crt')) };
    await mountSecret(retired.server, { ...firstSecretOf(server.name, 'server'), ...roots });
    await mountSecret(retired.client, { ...firstSecretOf(client.name, 'client'), ...roots });

    for (const { name, port, serverName, peer } of mesh.servers) {
      const shows = (folder: string) =>
        goPeer.connect({ port: Number(port), serverName, caFolder: client.folder, folder });
      const who = `the server ${name} on ${peer.name}`;
      assert.partialDeepStrictEqual(await shows(client.folder), { ok: true }, who);
      assert.partialDeepStrictEqual(await shows(retired.client), { ok: false }, who);
    }

    const [up, old] = [await goPeer.start(server.folder), await goPeer.start(retired.server)];
    t.after(() => Promise.all([up.stop(), old.stop()]));
    for (const { name, peer, folder } of mesh.clients) {
      const goesTo = ({ port }: RunningServer) =>
        peer.connect({ port, serverName: server.serverName, caFolder: folder, folder });
      const who = `the client ${name} on ${peer.name}`;
      assert.partialDeepStrictEqual(await goesTo(up), { ok: true }, who);
      assert.partialDeepStrictEqual(await goesTo(old), { ok: false }, who);
    }
  });

  test('the mesh goes red when nobody waits for the pods', async (t) => {
    assertNoneFailed();
    // Whether two meet at the wrong moment is a matter of chance.
    for (let turn = 0; turn < 5 && mesh.ledger.failed.length === 0; turn++) {
      const rotation = await rotate({ propagationDelay: '0s', reissuesPerSecond: 1000 });
      await rotation.ends();
      await mesh.settled();
    }
    tell(t);
    assert.notEqual(mesh.ledger.failed.length, 0);
  });

  function firstSecretOf(name: string, role: Role): SecretFiles {
    const found = secretsOfFirstRoot.find((secret) => secret.certificate === name && secret.role === role);
    assert.ok(found !== undefined);
    return found.files;
  }

  /** Begins a rotation, with a delay that peers on this machine keep to unless something else is given. */
  async function rotate(how?: { propagationDelay: string; reissuesPerSecond: number }): Promise<Rotation> {
    delayMs = delayForThisMachine();
    startedAt = Date.now();
    await mesh.authority.patch({ spec: { rotation: how ?? { propagationDelay: `${delayMs}ms` } } });
    return mesh.authority.rotate();
  }

  /** Has every peer reload what it has, so that it is known how long that takes here. */
  async function rehearse(): Promise<void> {
    for (const { certificate, role, files } of secretsOfFirstRoot) {
      mesh.deliver(certificate, role, { files, writtenAt: Date.now() });
    }
    await mesh.settled();
  }

  /** As an administrator would set it who has seen how long peers take. */
  const delayForThisMachine = (): number => Math.max(leastDelayMs, Math.ceil(1.4 * mesh.slowestMs(startedAt)));

  const activeRoot = (): string => mesh.authority.status.activeRoot?.fingerprint ?? '';

  async function someAreOfAnotherRootThan(root: string): Promise<void> {
    await eventually(async () => {
      const secrets = await mesh.secrets();
      assert.ok(
        secrets.some(({ files }) => issueOf(files).root !== root),
        'all are of the same root',
      );
    });
  }

  /** Asserts that the Secrets know of no other root any more, nor does a peer, and that no handshake failed on the way there. */
  async function assertAllAreOf(root: string): Promise<void> {
    await eventually(async () => {
      for (const { certificate, role, files } of await mesh.secrets()) {
        assert.equal(issueOf(files).root, root, `the root of ${certificate}, ${role}`);
        assert.deepEqual(rootsIn(files), [root], `what ${certificate}, ${role}, trusts`);
      }
    });
    await mesh.settled();
    const settled = await mesh.ledger.everyPairMeets();
    assertNoneFailed();
    assert.deepEqual(rootsSeen(settled), [`${root} ${root}`]);
  }

  /** Asserts that another root has taken the place of this one, and that since `begin` everybody has met everybody of both. */
  async function assertAllHaveMoved(before: string, begin: number): Promise<void> {
    const root = activeRoot();
    assert.notEqual(root, before);
    await assertAllAreOf(root);
    const seen = rootsSeen(mesh.ledger.entries.slice(begin));
    assert.deepEqual(seen, allPairs(before, root), 'who has met whom, by their roots');
  }

  function assertNoneFailed(): void {
    const { failed } = mesh.ledger;
    if (failed.length === 0) return;
    const slowestMs = mesh.slowestMs(startedAt);
    const tooSlow = `This machine is too slow for a propagation delay of ${delayMs} ms: it took ${slowestMs} ms until a Secret was in use. That handshakes failed says nothing about the operator`;
    assert.ok(slowestMs < delayMs, tooSlow);
    assert.fail(describeFailures(mesh));
  }

  const tell = (t: TestContext): void =>
    t.diagnostic(
      `${describeTraffic(mesh)}; a Secret was in use after ${Math.round(mesh.slowestMs(startedAt))} ms at most`,
    );
});

/** Of the server and of the client, for those that met. */
function rootsSeen(entries: readonly Entry[]): string[] {
  const met = entries.filter(({ error }) => error === undefined);
  return [...new Set(met.map(({ serverRoot, clientRoot }) => `${serverRoot} ${clientRoot}`))].sort();
}

function allPairs(...roots: readonly string[]): string[] {
  return roots.flatMap((server) => roots.map((client) => `${server} ${client}`)).sort();
}
