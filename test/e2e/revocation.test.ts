import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { type ConfigMap, paths } from '../support/api.ts';
import { eventually } from '../support/eventually.ts';
import { installation, type Tenant } from '../support/installation.ts';
import {
  clients as allClients,
  servers as allServers,
  type ClientPeer,
  goPeer,
  mountSecret,
  nginxServer,
  nodePeer,
  type Outcome,
  opensslServer,
  type RunningServer,
  rustPeer,
  type ServerPeer,
  secretFiles,
  unlessInstalled,
} from '../support/peers/index.ts';
import { pemCertificates } from '../support/peers/peer.ts';
import { run } from '../support/peers/process.ts';
import { opensslRoot } from '../support/pki-fixture.ts';
import { scratchFolder } from '../support/scratch.ts';

/** All peers that can check CRLs: rustls is not configured for it. */
const servers = allServers.filter((peer) => peer !== rustPeer);
const clients = allClients.filter((peer) => peer !== rustPeer);

const isRevoked = /revoked/i;

/** The mounted folders. `old-…` holds a copy of a certificate from before its revocation. */
type Mount = 'db' | 'leaked' | 'alice' | 'bob' | 'old-leaked' | 'old-alice' | 'trust';

let tenant: Tenant;
let base: string;
let serverName: string;
const at = (mount: Mount): string => join(base, mount);

const world = installation({ operator: false }, async () => {
  base = await scratchFolder('revocation');
  // A rotation stays in each phase until the test skips the gate.
  const rotation = { propagationDelay: '1h' };
  const trustBundle = { configMap: { name: 'mtls-trust' } };
  await world.createAuthority('default', { secretName: 'mtls-root', root: {}, rotation, trustBundle });
  await world.start();
  tenant = await world.tenant('revocation');
  serverName = `db.${tenant.namespace}.svc`;
  const outputs = { crl: true };
  for (const name of ['db', 'leaked']) await tenant.create(name, { server: { service: 'db' }, outputs });
  for (const name of ['alice', 'bob']) await tenant.create(name, { client: { serviceAccount: name }, outputs });
  for (const name of ['db', 'leaked', 'alice', 'bob']) await tenant.ready(name);
  await mountAll();
});

after(() => rm(base, { recursive: true }));

async function mount(name: 'db' | 'leaked' | 'alice' | 'bob', as: Mount = name): Promise<void> {
  const role = name === 'alice' || name === 'bob' ? 'client' : 'server';
  await mountSecret(at(as), secretFiles(await tenant.secret(`${name}-${role}-tls`)));
}

/** Mounts everything as of one moment, like a kubelet without delay. */
async function mountAll(): Promise<void> {
  for (;;) {
    const before = await versions();
    for (const name of ['db', 'leaked', 'alice', 'bob'] as const) await mount(name);
    await mountConfigMap('mtls-trust');
    if ((await versions()) === before) return;
  }
}

async function mountConfigMap(name: string): Promise<void> {
  const { data = {} } = await world.api.get<ConfigMap>(paths.configMaps(tenant.namespace, name));
  const files = Object.entries(data).map(([file, text]): [string, Buffer] => [file, Buffer.from(text)]);
  await mountSecret(at('trust'), Object.fromEntries(files));
}

async function versions(): Promise<string> {
  const secrets = await tenant.secrets();
  const trust = await world.api.get(paths.configMaps(tenant.namespace, 'mtls-trust'));
  return [...secrets, trust].map(({ metadata }) => metadata.resourceVersion).join(' ');
}

/** Connects a client with the key pair in `folder`. It checks the CRLs in `from`. */
const connect = (client: ClientPeer, { port }: RunningServer, folder: Mount, from: Mount = folder): Promise<Outcome> =>
  client.connect({ port, serverName, caFolder: at(from), folder: at(folder), crlFolder: at(from) });

const accepted = { ok: true } as const;

/** Runs a server that checks the CRLs of the ConfigMap until `use` ends. */
async function serving(
  server: ServerPeer,
  folder: Mount,
  use: (running: RunningServer) => Promise<void>,
  options: { readonly crlFolder?: string } = { crlFolder: at('trust') },
): Promise<void> {
  const running = await server.start(at(folder), options);
  try {
    await use(running);
  } finally {
    await running.stop();
  }
}

/** Node.js closes the connection without a message, even in its log. */
const saysWhy = (server: ServerPeer): boolean => server !== nodePeer;

async function assertRefusesAlice(server: ServerPeer): Promise<void> {
  await serving(server, 'db', async (running) => {
    const refused = await connect(goPeer, running, 'old-alice', 'bob');
    assert.equal(refused.ok, false, 'the revoked certificate was accepted');
    if (saysWhy(server)) await eventually(() => assert.match(running.log(), isRevoked));
    assert.partialDeepStrictEqual(await connect(goPeer, running, 'bob'), accepted);
    assert.partialDeepStrictEqual(await connect(goPeer, running, 'alice'), accepted);
  });
}

describe('before any revocation', () => {
  for (const server of servers) {
    test(`a server on ${server.name} that checks CRLs accepts every client`, {
      skip: unlessInstalled(server, goPeer),
    }, async () => {
      await serving(server, 'db', async (running) => {
        for (const client of ['alice', 'bob'] as const) {
          assert.partialDeepStrictEqual(await connect(goPeer, running, client), accepted, client);
        }
      });
    });
  }

  for (const client of clients) {
    test(`${client.name} with CRL checks accepts every server`, { skip: unlessInstalled(client, goPeer) }, async () => {
      for (const server of ['db', 'leaked'] as const) {
        await serving(goPeer, server, async (running) => {
          assert.partialDeepStrictEqual(await connect(client, running, 'bob'), accepted, server);
        });
      }
    });
  }
});

describe('a revoked certificate', () => {
  before(async () => {
    await mount('alice', 'old-alice');
    await mount('leaked', 'old-leaked');
    await Promise.all([tenant.revoke('alice', 'incident-1'), tenant.revoke('leaked', 'incident-1')]);
    // The token is handled when the new certificate exists. The bundles are updated later.
    await eventually(async () => {
      await mountAll();
      const [published, inSecret] = await Promise.all(
        (['trust', 'bob'] as const).map((mount) => readFile(join(at(mount), 'ca.crl'), 'utf8')),
      );
      assert.equal(published, inSecret);
      for (const old of ['old-alice', 'old-leaked'] as const) assert.match(await verdict(old), isRevoked);
    });
  });

  test('is refused by openssl verify, and other certificates are not', {
    skip: unlessInstalled(opensslServer),
  }, async () => {
    for (const mount of ['old-alice', 'old-leaked'] as const) assert.match(await verdict(mount), isRevoked, mount);
    for (const mount of ['db', 'leaked', 'alice', 'bob'] as const) assert.equal(await verdict(mount), '', mount);
  });

  for (const server of servers) {
    test(
      `is refused by a server on ${server.name}, and neither its replacement nor another certificate is`,
      {
        skip: unlessInstalled(server, goPeer),
      },
      () => assertRefusesAlice(server),
    );
  }

  for (const client of clients) {
    test(`is refused by ${client.name} when a server presents it, and its replacement is not`, {
      skip: unlessInstalled(client, goPeer),
    }, async () => {
      await serving(
        goPeer,
        'old-leaked',
        async (running) => {
          const refused = await connect(client, running, 'bob');
          assert.ok(!refused.ok, 'the revoked certificate was accepted');
          assert.match(refused.error, isRevoked);
        },
        {},
      );
      await serving(goPeer, 'leaked', async (running) => {
        assert.partialDeepStrictEqual(await connect(client, running, 'bob'), accepted);
      });
    });
  }

  test('is accepted by a server that does not check CRLs', { skip: unlessInstalled(goPeer) }, async () => {
    await serving(
      goPeer,
      'db',
      async (running) => {
        assert.partialDeepStrictEqual(await connect(goPeer, running, 'old-alice', 'bob'), accepted);
      },
      {},
    );
  });

  // A failure means: the CRL of the new root is published later than the root, or the CRL of the old root disappears with
  // its key.
  test('stays refused during a root rotation until its root is no longer trusted; other certificates are accepted', {
    skip: unlessInstalled(...servers),
  }, async () => {
    await patchAuthority({ metadata: { annotations: { 'mtls-operator.io/rotate-root': 'rotation-1' } } });
    const { id } = await rotationIs('Distributing');
    await eventually(async () => {
      await mountAll();
      for (const mount of ['trust', 'db', 'alice', 'bob'] as const)
        assert.equal((await rootsIn(mount)).length, 2, mount);
    });
    for (const server of servers) await assertRefusesAlice(server);

    await skip(`${id}/Distributing`);
    await rotationIs('Draining');
    await mountAll();
    assert.equal((await rootsIn('trust')).length, 2);
    for (const server of servers) await assertRefusesAlice(server);

    await skip(`${id}/Draining`);
    await eventually(
      async () => {
        assert.equal((await world.authority('default')).status?.rotation, undefined);
        await mountAll();
        for (const mount of ['trust', 'db', 'alice', 'bob'] as const)
          assert.equal((await rootsIn(mount)).length, 1, mount);
      },
      { timeoutMs: 60_000, message: 'the rotation does not end' },
    );
    for (const server of servers) {
      await serving(server, 'db', async (running) => {
        for (const client of ['alice', 'bob'] as const) {
          assert.partialDeepStrictEqual(await connect(goPeer, running, client), accepted, client);
        }
        assert.equal((await connect(goPeer, running, 'old-alice', 'bob')).ok, false);
      });
    }
  });
});

describe('below an intermediate, with a CRL of the root that a user put into the root Secret,', {
  skip: unlessInstalled(nginxServer, opensslServer, goPeer),
}, () => {
  // A failure means: the operator removes a CRL that it did not sign, or does not publish it.
  test('nginx, which requires a CRL of every CA in the chain, accepts valid certificates and refuses revoked ones', async () => {
    const root = await opensslRoot('Brought Root');
    try {
      const authorityRef = { name: 'brought' };
      await world.bringRoot('brought', await root.signer('Issuing CA'));
      const { namespace } = tenant;
      const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': namespace } };
      const trustBundle = { configMap: { name: 'brought-trust', namespaceSelector } };
      await world.createAuthority('brought', { secretName: 'brought', trustBundle });
      const outputs = { crl: true };
      await tenant.create('inner-db', { authorityRef, server: { service: 'db' }, outputs });
      await tenant.create('inner-alice', { authorityRef, client: { serviceAccount: 'alice' }, outputs });
      for (const name of ['inner-db', 'inner-alice']) await tenant.ready(name);
      const mountInner = async (): Promise<void> => {
        await mountSecret(at('db'), secretFiles(await tenant.secret('inner-db-server-tls')));
        await mountSecret(at('alice'), secretFiles(await tenant.secret('inner-alice-client-tls')));
        await mountConfigMap('brought-trust');
      };
      await mountInner();
      await serving(nginxServer, 'db', async (running) => {
        assert.equal((await connect(goPeer, running, 'alice')).ok, false);
        await eventually(() => assert.match(running.log(), /unable to get certificate CRL/));
      });
      await serving(opensslServer, 'db', async (running) => {
        assert.partialDeepStrictEqual(await connect(goPeer, running, 'alice'), accepted);
      });

      const { data } = await world.rootSecret('brought');
      const present = Buffer.from(data?.['ca.crl'] ?? '', 'base64').toString('latin1');
      const rootCrl = await root.crl();
      await world.bringRoot('brought', { 'ca.crl': `${rootCrl}${present}` });
      await eventually(async () => {
        await mountInner();
        for (const mount of ['trust', 'db', 'alice'] as const) {
          assert.ok((await readFile(join(at(mount), 'ca.crl'), 'latin1')).includes(rootCrl.trim()), mount);
        }
      });
      await mountSecret(at('old-alice'), secretFiles(await tenant.secret('inner-alice-client-tls')));
      await serving(nginxServer, 'db', async (running) => {
        assert.partialDeepStrictEqual(await connect(goPeer, running, 'alice'), accepted);
      });
      await tenant.revoke('inner-alice', 'incident-2');
      await eventually(async () => {
        await mountInner();
        assert.match(await verdict('old-alice'), isRevoked);
      });
      await serving(nginxServer, 'db', async (running) => {
        assert.equal((await connect(goPeer, running, 'old-alice', 'db')).ok, false);
        await eventually(() => assert.match(running.log(), isRevoked));
        assert.partialDeepStrictEqual(await connect(goPeer, running, 'alice'), accepted);
      });
    } finally {
      await root.remove();
    }
  });
});

const patchAuthority = (patch: object): Promise<unknown> => world.patchAuthority('default', patch);

const skip = (gate: string): Promise<unknown> =>
  patchAuthority({ metadata: { annotations: { 'mtls-operator.io/skip-gate': gate } } });

const rotationIs = (phase: string) =>
  eventually(
    async () => {
      const { rotation } = (await world.authority('default')).status ?? {};
      assert.ok(rotation !== undefined, 'there is no rotation');
      assert.equal(rotation.phase, phase, JSON.stringify(rotation));
      return rotation;
    },
    { timeoutMs: 60_000, message: `the rotation does not reach ${phase}` },
  );

const rootsIn = async (mount: Mount): Promise<readonly string[]> =>
  pemCertificates(await readFile(join(at(mount), 'ca.crt'), 'utf8'));

/**
 * The verdict of openssl verify on the certificate in a folder, with the roots and CRLs of the ConfigMap. Empty if it is
 * valid.
 */
async function verdict(folder: Mount): Promise<string> {
  const [roots, crls] = [join(at('trust'), 'ca.crt'), join(at('trust'), 'ca.crl')];
  const how = ['-x509_strict', '-no-CApath', '-no-CAstore', '-crl_check_all', '-CAfile', roots, '-CRLfile', crls];
  const certificate = join(at(folder), 'tls.crt');
  const { code, stdout, stderr } = await run(['openssl', 'verify', ...how, '-untrusted', certificate, certificate]);
  return code === 0 ? '' : stdout + stderr;
}
