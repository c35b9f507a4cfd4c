import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { after, describe, test } from 'node:test';

import { installation } from '../support/installation.ts';
import {
  assertMutualTls,
  clients,
  mountSecret,
  type Parties,
  secretFiles,
  servers,
  unlessInstalled,
} from '../support/peers/index.ts';
import { filesOf } from '../support/roots/corpus.ts';
import { makeCa } from '../support/roots/make.ts';
import { scratchFolder } from '../support/scratch.ts';

// Pairs each server with the client at the same position in the list, so that each program verifies such a chain in both roles.
describe('mutual TLS below two intermediates, with only the root in ca.crt', () => {
  let base: string;
  let parties: Parties;

  const world = installation({}, async () => {
    base = await scratchFolder('intermediate');
    // The operator creates the default authority only in a cluster that has none.
    await world.authorityIs('default', 'True');
    const root = makeCa({ name: 'Brought Root' });
    const upper = makeCa({ name: 'Policy CA', by: root });
    await world.bringRoot('brought', { ...filesOf(makeCa({ name: 'Issuing CA', by: upper }), [upper], [root]) });
    await world.createAuthority('brought', { secretName: 'brought' });
    const tenant = await world.tenant('intermediate');
    const mounted = async (name: string, role: 'server' | 'client', spec: object): Promise<string> => {
      const folder = join(base, name);
      await tenant.issue(name, spec);
      await mountSecret(folder, secretFiles(await tenant.secret(`${name}-${role}-tls`)));
      return folder;
    };
    const authorityRef = { name: 'brought' };
    const serverName = `db.${tenant.namespace}.svc`;
    const account = { serviceAccount: 'checkout' };
    parties = {
      serverName,
      server: {
        folder: await mounted('server', 'server', { authorityRef, server: { dnsNames: [serverName] } }),
        identity: `DNS:${serverName}`,
      },
      client: {
        folder: await mounted('client', 'client', { authorityRef, client: account }),
        identity: `spiffe://cluster.local/ns/${tenant.namespace}/sa/checkout`,
      },
      stranger: { folder: await mounted('stranger', 'client', { client: account }) },
    };
  });

  after(() => rm(base, { recursive: true }));

  for (const [index, server] of servers.entries()) {
    for (const client of clients.slice(index, index + 1)) {
      const skip = unlessInstalled(server, client);
      test(`works between a server on ${server.name} and ${client.name}`, { skip }, async (t) => {
        const running = await server.start(parties.server.folder);
        t.after(() => running.stop());
        await assertMutualTls(client, running.port, parties);
      });
    }
  }
});
