import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import type { IssuedSecret } from '../../src/api/types.ts';
import { installation, type Tenant } from '../support/installation.ts';
import {
  assertMutualTls,
  clients,
  identityOf,
  mountSecret,
  type RunningServer,
  secretFiles,
  servers,
  unlessInstalled,
} from '../support/peers/index.ts';
import { scratchFolder } from '../support/scratch.ts';

type Role = IssuedSecret['role'];

const roles = { server: { service: 'payments' }, client: { serviceAccount: 'checkout' } };
const both = { service: 'payments', serviceAccount: 'payments' };

/** One resource for each kind of key, one with the role peer, and one of another authority. */
const certificates = {
  ecdsa: { ...roles },
  rsa: { ...roles, privateKey: { algorithm: 'RSA', size: 2048 } },
  ed25519: { ...roles, privateKey: { algorithm: 'Ed25519' } },
  peer: { peer: both },
  stranger: { authorityRef: { name: 'stranger' }, client: roles.client },
};
type Name = keyof typeof certificates;

/** The Secrets that the two ends of each connection mount. */
const connections = [
  { name: 'ecdsa', server: 'server', client: 'client', keyType: 'ec' },
  { name: 'rsa', server: 'server', client: 'client', keyType: 'rsa' },
  { name: 'ed25519', server: 'server', client: 'client', keyType: 'ed25519' },
  { name: 'peer', server: 'peer', client: 'peer', keyType: 'ec' },
] as const;

describe('mutual TLS from the Secrets that the operator writes', () => {
  let tenant: Tenant;
  let serverName: string;
  let base: string;
  const at = (name: Name, role: Role): string => join(base, `${name}-${role}`);

  const world = installation({}, async () => {
    base = await scratchFolder('secrets');
    tenant = await world.tenant('mtls');
    serverName = `payments.${tenant.namespace}.svc`;
    await world.createAuthority('stranger', { secretName: 'stranger-root', root: { commonName: 'Stranger Root' } });
    for (const [name, spec] of Object.entries(certificates)) await tenant.create(name, spec);
    for (const name of Object.keys(certificates)) await tenant.ready(name);
    for (const { name, server, client } of connections) {
      await mount(name, server, at(name, server));
      await mount(name, client, at(name, client));
    }
    await mount('stranger', 'client', at('stranger', 'client'));
  });

  after(() => rm(base, { recursive: true }));

  async function mount(name: Name, role: Role, folder: string): Promise<void> {
    await mountSecret(folder, secretFiles(await tenant.secret(`${name}-${role}-tls`)));
  }

  async function certificateIn(folder: string): Promise<X509Certificate> {
    return new X509Certificate(await readFile(join(folder, 'tls.crt')));
  }

  test('each certificate has the requested kind of key, and the names of its Service or ServiceAccount', async () => {
    const service = ['payments', `payments.${tenant.namespace}`, serverName, `${serverName}.cluster.local`];
    const spiffeId = (account: string): string => `URI:spiffe://cluster.local/ns/${tenant.namespace}/sa/${account}`;
    const names: Record<Role, string[]> = {
      server: service.map((name) => `DNS:${name}`),
      client: [spiffeId('checkout')],
      // Only servers get the bare name of the Service; a peer needs a grant for it.
      peer: [...service.slice(1).map((name) => `DNS:${name}`), spiffeId('payments')],
    };
    for (const { name, server, client, keyType } of connections) {
      for (const role of new Set([server, client])) {
        const { publicKey, subjectAltName } = await certificateIn(at(name, role));
        assert.equal(publicKey.asymmetricKeyType, keyType, name);
        assert.deepEqual(subjectAltName?.split(', ').sort(), names[role].sort(), `${name} ${role}`);
      }
    }
  });

  for (const server of servers) {
    describe(`a server on ${server.name}`, { skip: unlessInstalled(server) }, () => {
      const running = new Map<Name, RunningServer>();
      before(async () => {
        for (const { name, server: role } of connections) running.set(name, await server.start(at(name, role)));
      });
      after(async () => {
        for (const { stop } of running.values()) await stop();
      });

      for (const client of clients) {
        const skip = unlessInstalled(client);
        test(`and ${client.name} see each other's identity and refuse every other, with every kind of key`, {
          skip,
        }, async () => {
          for (const { name, ...role } of connections) {
            const ends = { server: at(name, role.server), client: at(name, role.client) };
            const identities = {
              server: identityOf(await certificateIn(ends.server)),
              client: identityOf(await certificateIn(ends.client)),
            };
            const { port } = running.get(name)!;
            if (name === 'ecdsa') {
              await assertMutualTls(client, port, {
                serverName,
                server: { folder: ends.server, identity: identities.server },
                client: { folder: ends.client, identity: identities.client },
                stranger: { folder: at('stranger', 'client') },
              });
            } else {
              assert.partialDeepStrictEqual(
                await client.connect({ port, serverName, caFolder: ends.client, folder: ends.client }),
                { ok: true, peerIdentity: identities.server, serverSawClient: identities.client },
                name,
              );
            }
          }
        });
      }
    });
  }
});
