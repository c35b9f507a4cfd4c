import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';

import { issueOf } from '../support/mesh/issue.ts';
import { type Mesh, peersOfMesh, type Role, startMesh } from '../support/mesh/mesh.ts';
import { type SecretFiles, unlessInstalled } from '../support/peers/index.ts';
import { type FixtureRoot, opensslRoot } from '../support/pki-fixture.ts';
import { scratchFolder } from '../support/scratch.ts';

const names = Array.from({ length: 6 }, (_, number) => `app-${number}`);
const roles = ['server', 'client'] as const;

/** The Secrets of all workloads, issued by one root. */
type Secrets = Readonly<Record<string, Readonly<Record<Role, SecretFiles>>>>;

// The mesh of mesh.test.ts with certificates that are not issued by the operator: shows that the mesh detects errors.
describe('the mesh, with roots that the test rotates,', { skip: unlessInstalled(...peersOfMesh) }, () => {
  let base: string;
  let mesh: Mesh;
  let old: Secrets;
  let next: Secrets;

  before(async () => {
    base = await scratchFolder('mesh');
    // The same name, like the roots of one authority.
    const roots = [await opensslRoot('Mesh Root'), await opensslRoot('Mesh Root')] as const;
    [old, next] = await Promise.all([issueAll(roots[0]), issueAll(roots[1])]);
    await Promise.all(roots.map((root) => root.remove()));
    const workloads = names.map((name) => ({ name, serverName: `${name}.shop.svc`, secrets: at(old, name) }));
    mesh = await startMesh(workloads, { base, slowestLagMs: 1000 });
  });

  after(async () => {
    await mesh?.stop();
    await rm(base, { recursive: true });
  });

  test('has no failed handshake if every peer trusts the next root before any peer uses it', async (t) => {
    const before = await mesh.ledger.everyPairMeets();
    const meanwhile = [
      ...(await everyPeerGets((name, role) => trusting(at(old, name)[role], at(next, name)[role]))),
      ...(await everyPeerGets((name, role) => trusting(at(next, name)[role], at(old, name)[role]))),
      ...(await everyPeerGets((name, role) => at(next, name)[role])),
    ];
    t.diagnostic(`${before.length + meanwhile.length} handshakes`);

    assert.deepEqual(mesh.ledger.failed, []);
    const [oldRoot, nextRoot] = [old, next].map((secrets) => issueOf(at(secrets, 'app-0').server).root);
    const seen = new Set(meanwhile.map(({ serverRoot, clientRoot }) => `${serverRoot} ${clientRoot}`));
    const mixed = [oldRoot, nextRoot].flatMap((server) => [oldRoot, nextRoot].map((client) => `${server} ${client}`));
    assert.deepEqual([...seen].sort(), mixed.sort());
  });

  test('has failed handshakes if the rotation does not wait for the slower peers', async (t) => {
    await everyPeerGets((name, role) => at(old, name)[role]);
    t.diagnostic(`${mesh.ledger.failed.length} failed`);
    assert.notEqual(mesh.ledger.failed.length, 0);
  });

  /** Writes all Secrets. Waits until every peer has loaded them and has connected with them. */
  async function everyPeerGets(
    secret: (name: string, role: Role) => SecretFiles,
  ): ReturnType<Mesh['ledger']['everyPairMeets']> {
    const begin = mesh.ledger.entries.length;
    for (const name of names) {
      for (const role of roles) mesh.deliver(name, role, { files: secret(name, role), writtenAt: Date.now() });
    }
    await mesh.settled();
    await mesh.ledger.everyPairMeets();
    return mesh.ledger.entries.slice(begin);
  }
});

async function issueAll(root: FixtureRoot): Promise<Secrets> {
  const secrets: Record<string, Record<Role, SecretFiles>> = {};
  for (const name of names) {
    secrets[name] = {
      server: await root.issue('server', `DNS:${name}.shop.svc`),
      client: await root.issue('client', `URI:spiffe://cluster.local/ns/shop/sa/${name}`),
    };
  }
  return secrets;
}

function at(secrets: Secrets, name: string): Secrets[string] {
  const found = secrets[name];
  assert.ok(found !== undefined);
  return found;
}

/** A Secret that also trusts the root of another one. */
function trusting(secret: SecretFiles, other: SecretFiles): SecretFiles {
  const bundle = Buffer.concat([secret, other].map(({ 'ca.crt': roots }) => Buffer.from(roots ?? [])));
  return { ...secret, 'ca.crt': bundle };
}
