import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import type { Phase, Rotation } from '../support/mesh/authority.ts';
import { issueOf, rootsIn } from '../support/mesh/issue.ts';
import type { Entry } from '../support/mesh/ledger.ts';
import { peersOfMesh, type Role } from '../support/mesh/mesh.ts';
import { type OperatedMesh, startOperatedMesh } from '../support/mesh/operated.ts';
import type { RoleSecret } from '../support/mesh/secrets.ts';
import { goPeer, mountSecret, unlessInstalled } from '../support/peers/index.ts';
import { scratchFolder } from '../support/scratch.ts';

const phases: readonly Phase[] = ['Distributing', 'Switching', 'Draining', 'Retiring'];
const slowestLagMs = 4000;

/** For a machine that is not too busy; see delayForThisMachine. */
const leastDelayMs = 8000;

// 20 servers and 20 clients on openssl, nginx, Go, Java, Python, Node.js and curl. Each has its Secret as kubelet mounts it,
// by a lag of its own behind what is written. All the time every client connects to every server, and each of the two
// verifies the other.
describe('the mesh, while the root is rotated', { skip: unlessInstalled(...peersOfMesh) }, () => {
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
  });
  after(() => mesh?.stop());

  test('not one handshake fails when the root is rotated, and rotated again', async (t) => {
    for (const turn of ['first', 'second']) {
      const before = activeRoot();
      const begin = mesh.ledger.entries.length;
      const rotation = await rotate();
      assert.deepEqual(await rotation.ends(), phases);

      const root = activeRoot();
      assert.notEqual(root, before);
      await assertAllAreOf(root);
      const seen = rootsSeen(mesh.ledger.entries.slice(begin));
      assert.deepEqual(seen, allPairs(before, root), `the ${turn} rotation: who has met whom, by their roots`);
    }
    tell(t);
  });

  for (const phase of ['Distributing', 'Switching', 'Draining'] as const) {
    test(`nor when a rotation is aborted in phase ${phase}`, async (t) => {
      const root = activeRoot();
      const rotation = await rotate();
      await rotation.reaches(phase);
      if (phase === 'Switching') await someAreOfAnotherRootThan(root);
      await rotation.abort();
      await rotation.ends();

      assert.equal(activeRoot(), root);
      await assertAllAreOf(root);
      tell(t);
    });
  }

  test('nor when the operator is killed in each phase', async (t) => {
    const before = activeRoot();
    const rotation = await rotate();
    for (const phase of phases) {
      await rotation.reaches(phase);
      if (phase === 'Switching') await someAreOfAnotherRootThan(before);
      await mesh.restartOperator();
    }
    assert.deepEqual(await rotation.ends(), phases);

    assert.notEqual(activeRoot(), before);
    await assertAllAreOf(activeRoot());
    tell(t);
  });

  test('after that, everybody refuses a certificate of a root that was retired', async () => {
    const base = await scratchFolder('retired');
    try {
      const retired = {
        server: secretOf(secretsOfFirstRoot, 'server'),
        client: secretOf(secretsOfFirstRoot, 'client'),
      };
      const { 'ca.crt': roots = Buffer.of() } = secretOf(await mesh.secrets(), 'client').files;
      const at = { server: join(base, 'server'), client: join(base, 'client') };
      // What they trust is up to date: it is their certificate that is refused.
      await mountSecret(at.server, { ...retired.server.files, 'ca.crt': roots });
      await mountSecret(at.client, { ...retired.client.files, 'ca.crt': roots });

      for (const { name, port, serverName, peer } of mesh.servers) {
        const request = { port: Number(port), serverName, caFolder: at.client };
        const [known] = mesh.clients;
        const who = `the server ${name} on ${peer.name}`;
        assert.partialDeepStrictEqual(
          await goPeer.connect({ ...request, folder: known?.folder ?? '' }),
          { ok: true },
          who,
        );
        assert.partialDeepStrictEqual(await goPeer.connect({ ...request, folder: at.client }), { ok: false }, who);
      }

      const server = await goPeer.start(at.server);
      try {
        const serverName = `${retired.server.certificate}.${retired.server.namespace}.svc`;
        for (const { name, peer, folder } of mesh.clients) {
          const outcome = await peer.connect({ port: server.port, serverName, caFolder: folder, folder });
          assert.partialDeepStrictEqual(outcome, { ok: false }, `the client ${name} on ${peer.name}`);
        }
      } finally {
        await server.stop();
      }
    } finally {
      await rm(base, { recursive: true });
    }
  });

  test('the mesh goes red when nobody waits for the pods', async (t) => {
    assertNoneFailed();
    const rotation = await rotate({ propagationDelay: '0s', reissuesPerSecond: 1000 });
    await rotation.ends();
    await mesh.settled();
    await mesh.ledger.everyPairMeets();
    tell(t);
    assert.notEqual(mesh.ledger.failed.length, 0);
  });

  /** Begins a rotation, with a delay that peers on this machine keep to unless something else is given. */
  async function rotate(how?: { propagationDelay: string; reissuesPerSecond: number }): Promise<Rotation> {
    delayMs = delayForThisMachine();
    startedAt = Date.now();
    await mesh.authority.patch({ spec: { rotation: how ?? { propagationDelay: `${delayMs}ms` } } });
    return mesh.authority.rotate();
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

  function assertNoneFailed(): void {
    const { failed } = mesh.ledger;
    if (failed.length === 0) return;
    const slowestMs = mesh.slowestMs(startedAt);
    const tooSlow = `This machine is too slow for a propagation delay of ${delayMs} ms: it took ${slowestMs} ms until a Secret was in use. That handshakes failed says nothing about the operator`;
    assert.ok(slowestMs < delayMs, tooSlow);
    const lines = failed.slice(0, 10).map(describeFailure);
    assert.fail(`${failed.length} of ${mesh.ledger.entries.length} handshakes failed:\n${lines.join('\n')}`);
  }

  function describeFailure({ at, client, server, error }: Entry): string {
    const kindOf = (
      ends: readonly { readonly name: string; readonly peer: { readonly name: string } }[],
      name: string,
    ) => `${name} on ${ends.find((end) => end.name === name)?.peer.name}`;
    const who = `client ${kindOf(mesh.clients, client)}, server ${kindOf(mesh.servers, server)}`;
    return `${new Date(at).toISOString()}, ${mesh.authority.phaseAt(at)}: ${who}: ${error}`;
  }

  /** Reports how many handshakes there were until now, by what was going on. */
  function tell(t: TestContext): void {
    const made = new Map<string, { made: number; failed: number }>();
    for (const { at, error } of mesh.ledger.entries) {
      const phase = mesh.authority.phaseAt(at);
      const count = made.get(phase) ?? { made: 0, failed: 0 };
      made.set(phase, { made: count.made + 1, failed: count.failed + (error === undefined ? 0 : 1) });
    }
    const parts = [...made].map(([phase, count]) => `${phase}: ${count.made} handshakes, ${count.failed} failed`);
    t.diagnostic(`${parts.join('; ')}; the slowest use of a Secret took ${Math.round(mesh.slowestMs(startedAt))} ms`);
  }
});

function secretOf(secrets: readonly RoleSecret[], role: Role): RoleSecret {
  const found = secrets.find((secret) => secret.role === role);
  assert.ok(found !== undefined);
  return found;
}

/** Of the server and of the client, for those that met. */
function rootsSeen(entries: readonly Entry[]): string[] {
  const met = entries.filter(({ error }) => error === undefined);
  return [...new Set(met.map(({ serverRoot, clientRoot }) => `${serverRoot} ${clientRoot}`))].sort();
}

function allPairs(...roots: readonly string[]): string[] {
  return roots.flatMap((server) => roots.map((client) => `${server} ${client}`)).sort();
}
