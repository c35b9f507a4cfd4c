import assert from 'node:assert/strict';
import { readdir, readFile, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import {
  assertMutualTls,
  clients,
  mountSecret,
  opensslClient,
  type Parties,
  type RunningServer,
  servers,
  unlessInstalled,
} from '../support/peers/index.ts';
import { opensslRoot } from '../support/pki-fixture.ts';
import { scratchFolder } from '../support/scratch.ts';

// Tests the peers themselves, with certificates that are not issued by the operator: detects a peer that accepts everything.
describe('peers with certificates from the openssl command line', { skip: unlessInstalled(opensslClient) }, () => {
  let base: string;
  let parties: Parties;

  before(async () => {
    base = await scratchFolder('peers');
    const serverName = 'payments.shop.svc';
    const spiffeId = 'spiffe://cluster.local/ns/shop/sa/checkout';
    parties = {
      serverName,
      server: { folder: join(base, 'server'), identity: `DNS:payments, DNS:${serverName}` },
      client: { folder: join(base, 'client'), identity: spiffeId },
      stranger: { folder: join(base, 'stranger') },
    };
    const [root, otherRoot] = [await opensslRoot('Fixture Root'), await opensslRoot('Other Root')];
    const intermediate = await root.intermediate('Fixture Intermediate');
    const { server, client, stranger } = parties;
    await mountSecret(server.folder, await intermediate.issue('server', `DNS:payments,DNS:${serverName}`));
    await mountSecret(client.folder, await intermediate.issue('client', `URI:${spiffeId}`));
    await mountSecret(stranger.folder, await otherRoot.issue('client', `URI:${spiffeId}`));
    await Promise.all([root.remove(), otherRoot.remove()]);
  });

  after(async () => rm(base, { recursive: true }));

  for (const server of servers) {
    describe(`a server on ${server.name}`, { skip: unlessInstalled(server) }, () => {
      let running: RunningServer;
      before(async () => {
        running = await server.start(parties.server.folder);
      });
      after(async () => running.stop());

      for (const client of clients) {
        const skip = unlessInstalled(client);
        test(`and ${client.name} see each other's identity and refuse every other`, { skip }, async () => {
          await assertMutualTls(client, running.port, parties);
        });
      }
    });
  }
});

test('a mounted Secret changes atomically, and loses the files that its new content does not have', async (t) => {
  const mounted = await scratchFolder('mount');
  t.after(async () => rm(mounted, { recursive: true }));
  await mountSecret(mounted, { 'tls.crt': Buffer.from('old'), stale: Buffer.from('old') });
  const before = await readlink(join(mounted, '..data'));
  await mountSecret(mounted, { 'tls.crt': Buffer.from('new'), 'tls.key': Buffer.from('new') });

  assert.equal(await readFile(join(mounted, 'tls.crt'), 'utf8'), 'new');
  assert.equal(await readlink(join(mounted, 'tls.key')), '..data/tls.key');
  const now = await readlink(join(mounted, '..data'));
  assert.notEqual(now, before);
  assert.deepEqual((await readdir(mounted)).sort(), [now, '..data', 'tls.crt', 'tls.key'].sort());
});
