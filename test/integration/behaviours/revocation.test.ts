import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { type ConfigMap, paths } from '../../support/api.ts';
import { broughtRoot, extensions } from '../../support/behaviours/brought-root.ts';
import { digestOf, fileOf, judge, openssl } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import {
  type Authority,
  type Certificate,
  conditionOf,
  installation,
  type Tenant,
} from '../../support/installation.ts';

const world = installation({ args: ['--workers=2'] });

/** Creates an authority that publishes a ConfigMap in namespaces labelled with its name. */
async function authority(spec?: object, files?: Readonly<Record<string, string>>): Promise<string> {
  const name = await world.ownAuthority(spec, files);
  await world.publishTrust(name);
  return name;
}

/** A new namespace with the ConfigMap of the authority and a Ready resource that has a server and a client. */
async function tenantOf(name: string, spec: object = {}): Promise<Tenant> {
  const tenant = await world.tenant('revoke');
  await tenant.trust(name);
  await tenant.issue('db', {
    authorityRef: { name },
    server: { service: 'db' },
    client: { serviceAccount: 'db' },
    ...spec,
  });
  return tenant;
}

/** A new authority, and a namespace with a Ready resource. */
async function revocable(spec?: object): Promise<{ name: string; tenant: Tenant }> {
  const name = await authority();
  return { name, tenant: await tenantOf(name, spec) };
}

const serialsOf = ({ status }: Certificate): string[] =>
  (status?.secrets ?? []).map(({ serialNumber }) => serialNumber);

interface List {
  readonly issuer: string;
  readonly number: number;
  readonly revoked: readonly string[];
  readonly text: string;
}

/** The CRLs in a PEM text, as openssl reads them. */
async function listsIn(pem: string): Promise<List[]> {
  const blocks = pem.match(/-----BEGIN X509 CRL-----[^]*?-----END X509 CRL-----\n/g) ?? [];
  return Promise.all(
    blocks.map(async (block) => {
      const text = await openssl(['crl', '-noout', '-text', '-nameopt', 'RFC2253'], block);
      return {
        issuer: /Issuer: (.*)/.exec(text)?.[1] ?? '',
        number: Number(/X509v3 CRL Number: \n\s*(\S+)/.exec(text)?.[1]),
        revoked: [...text.matchAll(/Serial Number: ([0-9A-F]+)/g)].map(([, serial = '']) => serial.toLowerCase()),
        text,
      };
    }),
  );
}

const configMapOf = (name: string, tenant: Tenant): Promise<ConfigMap> =>
  world.api.get<ConfigMap>(paths.configMaps(tenant.namespace, `trust-${name}`));

/** Waits until the CRLs in the ConfigMap list exactly these serial numbers, in any order. Returns the CRLs. */
const published = (name: string, tenant: Tenant, revoked: readonly string[]): Promise<List[]> =>
  eventually(async () => {
    const lists = await listsIn((await configMapOf(name, tenant)).data?.['ca.crl'] ?? '');
    assert.deepEqual(lists.flatMap((list) => list.revoked).toSorted(), revoked.toSorted());
    return lists;
  });

const firstNumber = (lists: readonly List[]): number => lists[0]?.number ?? Number.NaN;

describe('revocation', { concurrency: 4 }, () => {
  test('an empty CRL is published before any revocation: version 2, with CRL number, authority key identifier and nextUpdate', async () => {
    const { name, tenant } = await revocable();
    const [list, ...others] = await published(name, tenant, []);
    assert.deepEqual(others, []);
    assert.match(list?.text ?? '', /Version 2 \(0x1\)[^]*No Revoked Certificates/);
    assert.match(list?.text ?? '', /X509v3 Authority Key Identifier: \n\s*[0-9A-F:]+\n[^]*X509v3 CRL Number/);
    const { status } = await world.authority(name);
    assert.equal(status?.crl?.revoked, 0);
    assert.ok(new Date(status?.crl?.nextUpdate ?? 0).getTime() > Date.now() + 29 * 24 * 3_600_000);
  });

  test('a token puts the certificates of all Secrets of the resource on the CRL, and issues new ones with new keys', async () => {
    const { name, tenant } = await revocable();
    const bystander = await tenantOf(name);
    const [first] = await published(name, tenant, []);
    const before = await tenant.get('db');
    const key = (await judge(await tenant.secret('db-server-tls'))).publicKey;
    await tenant.askToRevoke('db', 'leaked-1');
    const after = await tenant.revocationIsHandled('db', 'leaked-1');
    const lists = await published(name, tenant, serialsOf(before));
    await published(name, bystander, serialsOf(before));
    assert.ok(firstNumber(lists) > (first?.number ?? Number.NaN));
    assert.deepEqual(
      after.status?.secrets?.map(({ revision }) => revision),
      [2, 2],
    );
    for (const serial of serialsOf(after)) assert.ok(!serialsOf(before).includes(serial));
    assert.notEqual((await judge(await tenant.secret('db-server-tls'))).publicKey, key);
    assert.equal((await world.authority(name)).status?.crl?.revoked, 2);
    // The operator does not remove the user's annotation.
    assert.equal(after.metadata.annotations?.['mtls-operator.io/revoke'], 'leaked-1');
  });

  test('a certificate is on the CRL before it is replaced', async () => {
    const { name, tenant } = await revocable();
    const before = serialsOf(await tenant.get('db'));
    await tenant.askToRevoke('db', 'leaked-1');
    await tenant.revocationIsHandled('db', 'leaked-1');
    const replaced = (await world.watched.upTo(await tenant.secret('db-server-tls'))).at(-1);
    const listed = (await world.watched.upTo(await world.rootSecret(name))).at(-1);
    assert.ok(Number(listed?.metadata.resourceVersion) < Number(replaced?.metadata.resourceVersion));
    const lists = await listsIn(fileOf(listed ?? (await world.rootSecret(name)), 'ca.crl'));
    assert.deepEqual(lists.flatMap(({ revoked }) => revoked).toSorted(), before.toSorted());
  });

  test('the handled token does nothing, and every other token revokes, an earlier one included', async () => {
    const { name, tenant } = await revocable();
    const first = serialsOf(await tenant.get('db'));
    const second = serialsOf(await tenant.revoke('db', 'a'));
    await tenant.patch('db', { metadata: { annotations: { 'example.com/touched': 'yes' } } });
    await tenant.patch('db', { spec: { secretTemplate: { labels: { 'example.com/seen': 'yes' } } } });
    await tenant.ready('db');
    assert.deepEqual(serialsOf(await tenant.get('db')), second);
    const third = serialsOf(await tenant.revoke('db', 'b'));
    await published(name, tenant, [...first, ...second]);
    await tenant.revoke('db', 'a');
    await published(name, tenant, [...first, ...second, ...third]);
  });

  test('certificates that were replaced by earlier rotations are revoked, too', async () => {
    const { name, tenant } = await revocable();
    const first = serialsOf(await tenant.get('db'));
    await tenant.rotate('db', 'in a hurry');
    await tenant.ready('db');
    const second = serialsOf(await tenant.get('db'));
    await tenant.revoke('db', 'leaked');
    await published(name, tenant, [...first, ...second]);
  });

  test('a resource that is created with a token revokes nothing', async () => {
    const { name, tenant } = await revocable();
    await tenant.create(
      'new',
      { authorityRef: { name }, server: { service: 'new' } },
      { 'mtls-operator.io/revoke': 'x' },
    );
    const created = await tenant.revocationIsHandled('new', 'x');
    assert.equal(created.status?.secrets?.[0]?.revision, 1);
    await published(name, tenant, []);
  });

  test('the certificate of a deleted Secret can still be revoked', async () => {
    const { name, tenant } = await revocable();
    const before = serialsOf(await tenant.get('db'));
    // While the spec is denied, the operator does not create the Secret again before it handles the token.
    await tenant.patch('db', { spec: { server: { service: 'db', dnsNames: ['not.ours.example.org'] } } });
    await tenant.notReady('db', 'Denied');
    await world.api.delete(paths.secrets(tenant.namespace, 'db-server-tls'));
    await tenant.askToRevoke('db', 'lost');
    await published(name, tenant, before);
    await tenant.patch('db', { spec: { server: { service: 'db', dnsNames: null } } });
    await tenant.revocationIsHandled('db', 'lost');
  });

  test('outputs.crl adds the CRL to the Secret, updates it after a revocation, and changes nothing else', async () => {
    const { name, tenant } = await revocable({ outputs: { crl: true } });
    const other = await tenantOf(name);
    const before = await tenant.secret('db-server-tls');
    assert.deepEqual(
      (await listsIn(fileOf(before, 'ca.crl'))).map(({ revoked }) => revoked),
      [[]],
    );
    const revoked = serialsOf(await other.get('db'));
    await other.askToRevoke('db', 'leaked');
    const after = await eventually(async () => {
      const secret = await tenant.secret('db-server-tls');
      const [list] = await listsIn(fileOf(secret, 'ca.crl'));
      assert.deepEqual(list?.revoked.toSorted(), revoked.toSorted());
      return secret;
    });
    assert.ok(
      before.data?.['tls.crt'] === after.data?.['tls.crt'] && before.data?.['tls.key'] === after.data?.['tls.key'],
    );
    // It is repaired like every other output.
    await tenant.patchSecret('db-server-tls', { data: { 'ca.crl': null } });
    await eventually(async () => {
      assert.equal((await tenant.secret('db-server-tls')).data?.['ca.crl'], after.data?.['ca.crl']);
    });
    await tenant.patch('db', { spec: { outputs: null } });
    await eventually(async () => assert.equal((await tenant.secret('db-server-tls')).data?.['ca.crl'], undefined));
  });

  test('a ca.crl that another client changed is repaired, in the ConfigMap and in the root Secret', async () => {
    const { name, tenant } = await revocable();
    const revoked = serialsOf(await tenant.get('db'));
    await tenant.revoke('db', 'leaked');
    const before = await published(name, tenant, revoked);
    const path = paths.configMaps(tenant.namespace, `trust-${name}`);
    for (const value of ['tampered', null]) {
      await world.api.patch(path, { data: { 'ca.crl': value } });
      await published(name, tenant, revoked);
    }
    // The new CRL has all revoked serial numbers, and a CRL number that is not lower.
    await world.api.patch(paths.rootSecret(name), { data: { 'ca.crl': 'eA==' } });
    await eventually(async () => {
      const lists = await published(name, tenant, revoked);
      assert.ok(firstNumber(lists) >= firstNumber(before));
    });
    // Without revoked.json, the operator reads the serial numbers from the CRL.
    await world.api.patch(paths.rootSecret(name), { data: { 'revoked.json': null } });
    await eventually(async () => assert.notEqual((await world.rootSecret(name)).data?.['revoked.json'], undefined));
    await published(name, tenant, revoked);
  });

  test('an authority without cRLSign issues certificates without a CRL; a revoke token is not handled and blocks nothing else', async () => {
    const [isCa, , keyId] = extensions.root;
    const root = await broughtRoot({ extensions: [isCa ?? '', 'keyUsage = critical, keyCertSign', keyId ?? ''] });
    const name = await authority({}, root);
    const tenant = await tenantOf(name);
    assert.equal((await configMapOf(name, tenant)).data?.['ca.crl'], undefined);
    const before = serialsOf(await tenant.get('db'));
    await tenant.askToRevoke('db', 'leaked');
    await eventually(async () => {
      const certificate = await tenant.get('db');
      assert.equal(conditionOf(certificate, 'Issuing')?.reason, 'CrlUnavailable');
      assert.equal(conditionOf(certificate, 'Ready')?.status, 'True');
    });
    await tenant.rotate('db', 'instead');
    await tenant.ready('db');
    const after = await tenant.get('db');
    assert.ok(serialsOf(after).every((serial) => !before.includes(serial)));
    assert.equal(after.status?.lastHandledRevoke, undefined);
    await tenant.create('crl', { authorityRef: { name }, server: { service: 'crl' }, outputs: { crl: true } });
    assert.match((await tenant.notReady('crl', 'CrlUnavailable')).message, /lacks cRLSign/);
  });

  test('a new root has a CRL before it signs certificates, and revoked certificates stay revoked', async () => {
    const name = await authority({ root: {}, rotation: { propagationDelay: '1s' } });
    const tenant = await tenantOf(name, { outputs: { crl: true } });
    const revoked = serialsOf(await tenant.get('db'));
    await tenant.revoke('db', 'leaked');
    await published(name, tenant, revoked);
    await world.rotateRoot(name, 'r1');
    await eventually(
      async () => {
        const { status }: Authority = await world.authority(name);
        assert.equal(status?.lastHandledRotateRoot, 'r1');
        assert.equal(status?.rotation, undefined);
        assert.equal(status?.roots?.length, 1);
      },
      { timeoutMs: 90_000 },
    );
    // A pod may mount any revision: each revision of each Secret must have a CRL for every root.
    const secret = await tenant.secret('db-server-tls');
    const phases = new Set<number>();
    for (const { data } of await world.watched.upTo(secret)) {
      const count = (key: string, label: string) =>
        Buffer.from(data?.[key] ?? '', 'base64')
          .toString()
          .split(`BEGIN ${label}`).length - 1;
      const [roots, lists] = [count('ca.crt', 'CERTIFICATE'), count('ca.crl', 'X509 CRL')];
      assert.ok(lists >= roots, `${roots} roots and ${lists} CRLs`);
      phases.add(roots);
    }
    assert.deepEqual(phases, new Set([1, 2]));
  });

  test('further reconciles write nothing', async () => {
    const { name, tenant } = await revocable({ outputs: { crl: true } });
    await tenant.revoke('db', 'leaked');
    await published(
      name,
      tenant,
      (await listsIn(fileOf(await world.rootSecret(name), 'ca.crl'))).flatMap((list) => list.revoked),
    );
    const state = async () =>
      Promise.all(
        [world.rootSecret(name), tenant.secret('db-server-tls'), configMapOf(name, tenant)].map(async (object) =>
          digestOf(await object),
        ),
      );
    const before = await eventually(async () => {
      const first = await state();
      assert.deepEqual(first, await state());
      return first;
    });
    await world.patchAuthority(name, { metadata: { annotations: { 'example.com/look': '1' } } });
    await tenant.patch('db', { metadata: { annotations: { 'example.com/look': '1' } } });
    await tenant.issue('other', { authorityRef: { name }, server: { service: 'other' } });
    assert.deepEqual(await state(), before);
  });
});

test('a restart revokes nothing again and writes nothing', async () => {
  const name = await authority();
  const tenant = await tenantOf(name, { outputs: { crl: true } });
  const revoked = serialsOf(await tenant.get('db'));
  await tenant.revoke('db', 'leaked');
  await published(name, tenant, revoked);
  await tenant.ready('db');
  const state = async () =>
    Promise.all(
      [
        world.rootSecret(name),
        tenant.secret('db-server-tls'),
        configMapOf(name, tenant),
        tenant.get('db'),
        world.authority(name),
      ].map(async (object) => digestOf(await object)),
    );
  await world.restart();
  const before = await state();
  await tenant.issue('other', { authorityRef: { name: await authority() }, server: { service: 'other' } });
  assert.deepEqual(await state(), before);
});
