import assert from 'node:assert/strict';

import { describe, test } from 'node:test';

import { paths, type Stored } from '../../support/api.ts';
import { digestOf, judge } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { installation, type Tenant } from '../../support/installation.ts';

// The operator creates the default authority only in a cluster that has none.
const world = installation({ args: ['--workers=1'] }, () => world.authorityIs('default', 'True'));

/** Creates an authority for one test. */
async function authority(issuance: object): Promise<string> {
  const name = await world.ownAuthority({ issuance });
  await world.authorityIs(name, 'True');
  return name;
}

/** Replaces spec.issuance in one write. */
async function setIssuance(name: string, issuance: object): Promise<void> {
  const none = { maxDuration: null, namespaceSelector: null, allow: null };
  await world.patchAuthority(name, { spec: { issuance: { ...none, ...issuance } } });
}

async function tenantOf(team: string): Promise<Tenant> {
  const tenant = await world.tenant('permission');
  await tenant.label({ team });
  return tenant;
}

/** The OID of user principal names. */
const upn = '1.3.6.1.4.1.311.20.2.3';

const edge = { matchLabels: { team: 'edge' } };

describe("6. The authority grants names other than the namespace's own:", { concurrency: 3 }, () => {
  interface Kind {
    readonly grant: object;
    readonly spec: object;
    /** The name in the message of a denial. */
    readonly denied: string;
    /** The text that openssl prints for the name. For a common name it is the whole subject, for a usage all usages. */
    readonly printed: string;
    readonly role?: 'client' | 'peer' | 'server';
  }
  const kinds: Record<string, Kind> = {
    'a DNS name': {
      grant: { dnsNames: ['*.example.com'] },
      spec: { server: { dnsNames: ['WWW.Example.com.'] } },
      denied: 'DNS name "www.example.com"',
      printed: 'DNS:www.example.com',
    },
    'a wildcard': {
      grant: { dnsNames: ['*.example.com'] },
      spec: { server: { dnsNames: ['*.example.com'] } },
      denied: 'DNS name "*.example.com"',
      printed: 'DNS:*.example.com',
    },
    'an IPv4 address': {
      grant: { ipRanges: ['10.0.0.0/8'] },
      spec: { server: { ipAddresses: ['10.255.255.255'] } },
      denied: 'IP address "10.255.255.255"',
      printed: 'IP Address:10.255.255.255',
    },
    'an IPv6 address': {
      grant: { ipRanges: ['fd00::/8'] },
      spec: { server: { ipAddresses: ['FD00::1'] } },
      denied: 'IP address "fd00::1"',
      printed: 'IP Address:FD00:0:0:0:0:0:0:1',
    },
    'a SPIFFE ID': {
      grant: { uris: ['spiffe://example.org/edge/*'] },
      spec: { client: { uris: ['spiffe://Example.org/edge/gateway'] } },
      denied: 'URI "spiffe://example.org/edge/gateway"',
      printed: 'URI:spiffe://example.org/edge/gateway',
      role: 'client',
    },
    'an e-mail address': {
      grant: { emailAddresses: ['*@example.com'] },
      spec: { client: { emailAddresses: ['ops@example.com'] } },
      denied: 'e-mail address "ops@example.com"',
      printed: 'email:ops@example.com',
      role: 'client',
    },
    'a user principal name': {
      grant: { otherNames: [{ oid: upn, utf8Values: ['*@example.com'] }] },
      spec: {
        client: { serviceAccount: 'a', otherNames: [{ oid: upn, utf8Value: 'ops@example.com' }] },
      },
      denied: `otherName of type ${upn} "ops@example.com"`,
      printed: 'othername: UPN::ops@example.com',
      role: 'client',
    },
    'a usage': {
      grant: { usages: ['codeSigning', 'ipsecIKE'] },
      spec: { client: { serviceAccount: 'a', usages: ['ipsecIKE', 'codeSigning', 'keyAgreement'] } },
      denied: 'usage ipsecIKE',
      printed: 'TLS Web Client Authentication, Code Signing, ipsec Internet Key Exchange',
      role: 'client',
    },
    'the bare name of a peer': {
      grant: { dnsNames: ['postgres'] },
      spec: { peer: { dnsNames: ['postgres'] } },
      denied: 'DNS name "postgres"',
      printed: 'DNS:postgres',
      role: 'peer',
    },
    'the bare name of a client': {
      grant: { dnsNames: ['admin'] },
      spec: { client: { dnsNames: ['admin'] } },
      denied: 'DNS name "admin"',
      printed: 'DNS:admin',
      role: 'client',
    },
    'an organization': {
      grant: { subject: { organizations: ['*'] } },
      spec: { client: { serviceAccount: 'a' }, subject: { organizations: ['Example Org'] } },
      denied: 'subject.organizations "Example Org"',
      printed: 'O=Example Org',
      role: 'client',
    },
    'a group of Kubernetes': {
      grant: { subject: { organizations: ['system:*'] } },
      spec: { client: { serviceAccount: 'a' }, subject: { organizations: ['system:masters'] } },
      denied: 'subject.organizations "system:masters"',
      printed: 'O=system:masters',
      role: 'client',
    },
    'a common name': {
      grant: { commonNames: ['kafka-*'] },
      spec: { client: { serviceAccount: 'kafka', commonName: 'kafka-0' } },
      denied: 'common name "kafka-0"',
      printed: 'CN=kafka-0',
      role: 'client',
    },
  };
  for (const [what, { grant, spec, denied, printed, role = 'server' }] of Object.entries(kinds)) {
    test(`6. ${what}, to the selected namespaces and no others`, async () => {
      const name = await authority({ allow: [{ namespaceSelector: edge, ...grant }] });
      const [selected, other] = await Promise.all([tenantOf('edge'), tenantOf('core')]);
      const request = { authorityRef: { name }, ...spec };
      await other.create('a', request);
      const { message } = await other.notReady('a', 'Denied');
      assert.ok(message.includes(`${denied}: namespace ${other.namespace} may have `), message);
      assert.ok(message.includes(`issuance.allow of MtlsAuthority ${name}`), message);
      assert.deepEqual(await other.secretNames(), []);

      await selected.issue('a', request);
      const { names, subject, usage } = await judge(await selected.secret(`a-${role}-tls`));
      const all = [...names, subject, usage];
      assert.ok(all.includes(printed), `${printed} is not in ${all.join(', ')}`);
    });
  }

  const foreign: Record<string, object> = {
    'one label more than the pattern': { server: { dnsNames: ['a.www.example.com'] } },
    'the domain itself': { server: { dnsNames: ['example.com'] } },
    'an address outside the range': { server: { ipAddresses: ['11.0.0.0'] } },
    'one path segment more than the pattern': { client: { uris: ['spiffe://example.org/edge/a/b'] } },
    'a ServiceAccount of another namespace': { client: { uris: ['spiffe://cluster.local/ns/other/sa/a'] } },
    'a mailbox of a subdomain': { client: { emailAddresses: ['ops@mail.example.com'] } },
    'a common name with a dot': { client: { serviceAccount: 'a', commonName: 'kafka-0.other' } },
    'a usage that is not granted': {
      client: { serviceAccount: 'a', usages: ['codeSigning', 'emailProtection'] },
    },
    'a user principal name of another domain': {
      client: { otherNames: [{ oid: upn, utf8Value: 'ops@example.com.evil' }] },
    },
    'a user principal name with other capitals': {
      client: { otherNames: [{ oid: upn, utf8Value: 'ops@EXAMPLE.com' }] },
    },
    'a group of Kubernetes': { client: { serviceAccount: 'a' }, subject: { organizations: ['system:masters'] } },
    'another subject attribute': { client: { serviceAccount: 'a' }, subject: { organizationalUnits: ['Example Org'] } },
    'the bare name of a Service for a peer': { peer: { service: 'db', dnsNames: ['db'] } },
    'an otherName of another type': { client: { otherNames: [{ oid: `${upn}.1`, utf8Value: 'ops@example.com' }] } },
  };
  test('6. Names similar to granted ones are denied', async () => {
    const [dnsNames, ipRanges, emailAddresses] = [['*.example.com'], ['10.0.0.0/8'], ['*@example.com']];
    const uris = ['spiffe://example.org/edge/*', 'spiffe://cluster.local/**', 'spiffe://cluster.local/ns/*/sa/a'];
    const otherNames = [{ oid: upn, utf8Values: ['*@example.com'] }];
    const subject = { organizations: ['*', '*:masters'] };
    const names = { dnsNames, ipRanges, uris, emailAddresses, commonNames: ['kafka-*'], otherNames, subject };
    const grant = { namespaceSelector: {}, ...names, usages: ['codeSigning'] };
    const name = await authority({ allow: [grant] });
    const tenant = await world.tenant('permission');
    const all = Object.entries(foreign).map(([what, spec], i) => ({ what, spec, resource: `a-${i}` }));
    for (const { spec, resource } of all) await tenant.create(resource, { authorityRef: { name }, ...spec });
    for (const { resource } of all) await tenant.notReady(resource, 'Denied');
    assert.deepEqual(await tenant.secretNames(), []);
  });
});

describe('a changed policy applies to existing certificates:', { concurrency: 3 }, () => {
  const granting = { allow: [{ namespaceSelector: edge, dnsNames: ['*.example.com'] }] };
  const spec = (name: string) => ({ authorityRef: { name }, server: { service: 'db', dnsNames: ['db.example.com'] } });

  /** Waits for Denied. Asserts that the Secret stays unchanged, even after a request to rotate. */
  async function assertLeftAlone(tenant: Tenant, digest: string, rule: RegExp): Promise<void> {
    const { message } = await tenant.notReady('db', 'Denied');
    assert.match(message, rule);
    const { status: before } = await tenant.get('db');
    const end = `the certificate in Secret db-server-tls stays valid until ${before?.notAfter} but is not renewed`;
    assert.ok(message.endsWith(end), message);
    await tenant.rotate('db', 'while-denied');
    await tenant.reconcileAgain('db');
    assert.match((await tenant.notReady('db', 'Denied')).message, rule);
    assert.equal(digestOf(await tenant.secret('db-server-tls')), digest, 'the Secret changed');
    const { status } = await tenant.get('db');
    assert.equal(status?.lastHandledRotate, undefined);
    assert.equal(status?.secrets?.[0]?.revision, 1, 'status lost the existing certificate');
  }

  /** Waits for Ready. Asserts that the rotate token that was set while denied is handled exactly once. */
  async function assertRecovers(tenant: Tenant): Promise<void> {
    const { status } = await tenant.ready('db');
    assert.equal(status?.lastHandledRotate, 'while-denied');
    await tenant.reconcileAgain('db');
    const secret = await tenant.secret('db-server-tls');
    await judge(secret);
    assert.equal(new Set((await world.watched.upTo(secret)).map(({ data }) => data?.['tls.key'])).size, 2);
    assert.equal((await tenant.get('db')).status?.secrets?.[0]?.revision, 2);
  }

  const changes: Record<string, { withdraw: (name: string, tenant: Tenant) => Promise<unknown>; rule: RegExp }> = {
    'a grant is withdrawn': {
      withdraw: (name) => setIssuance(name, {}),
      rule: /DNS name "db\.example\.com": namespace \S+ may have only .* issuance\.allow of MtlsAuthority authority-/,
    },
    'a pattern is narrowed': {
      withdraw: (name) => setIssuance(name, { allow: [{ namespaceSelector: edge, dnsNames: ['*.a.example.com'] }] }),
      rule: /DNS name "db\.example\.com"/,
    },
    'the namespace loses its label': {
      withdraw: (_, tenant) => tenant.label({ team: null }),
      rule: /DNS name "db\.example\.com"/,
    },
    'the namespace gets the label of another team': {
      withdraw: (_, tenant) => tenant.label({ team: 'core' }),
      rule: /DNS name "db\.example\.com"/,
    },
    'maxDuration is shorter than the duration': {
      withdraw: (name) => setIssuance(name, { ...granting, maxDuration: '24h' }),
      rule: /spec\.duration: MtlsAuthority authority-\d+ allows at most 24h \(issuance\.maxDuration\)/,
    },
    'the authority no longer selects the namespace': {
      withdraw: (name) => setIssuance(name, { ...granting, namespaceSelector: { matchLabels: { team: 'core' } } }),
      rule: /namespace \S+ may not use MtlsAuthority authority-\d+: issuance.namespaceSelector requires the labels team=core;/,
    },
  };
  for (const [what, { withdraw, rule }] of Object.entries(changes)) {
    test(`6. ${what}: Denied, the Secret stays unchanged, and the resource recovers when the change is reverted`, async () => {
      const name = await authority(granting);
      const tenant = await tenantOf('edge');
      await tenant.issue('db', spec(name));
      const digest = digestOf(await tenant.secret('db-server-tls'));

      await withdraw(name, tenant);
      await assertLeftAlone(tenant, digest, rule);

      await Promise.all([setIssuance(name, granting), tenant.label({ team: 'edge' })]);
      await assertRecovers(tenant);
    });
  }
});

test('6. The certificate of a peer has the bare name of its Service while it is granted, and is issued again once for each change', async () => {
  const name = await authority({});
  const tenant = await tenantOf('edge');
  const named = async (): Promise<readonly string[]> => (await judge(await tenant.secret('db-peer-tls'))).names;
  const qualified = ['db.$', 'db.$.svc', 'db.$.svc.cluster.local'].map(
    (form) => `DNS:${form.replace('$', tenant.namespace)}`,
  );
  await tenant.issue('db', { authorityRef: { name }, peer: { service: 'db' } });
  assert.deepEqual(await named(), qualified);

  await setIssuance(name, { allow: [{ namespaceSelector: edge, dnsNames: ['db'] }] });
  await eventually(async () => assert.deepEqual(await named(), ['DNS:db', ...qualified]));
  await tenant.label({ team: 'core' });
  await eventually(async () => assert.deepEqual(await named(), qualified));
  const { status } = await tenant.ready('db');
  assert.equal(status?.secrets?.[0]?.revision, 3);
  await tenant.reconcileAgain('db');
  assert.equal((await tenant.get('db')).status?.secrets?.[0]?.revision, 3);
});

test('6. A resource that became Denied stays Denied after a restart, and its Secret stays byte-identical', async () => {
  const name = await authority({ allow: [{ namespaceSelector: {}, dnsNames: ['*.example.com'] }] });
  const tenant = await world.tenantWith('permission', {
    authorityRef: { name },
    server: { dnsNames: ['db.example.com'] },
  });
  const digest = digestOf(await tenant.secret('db-server-tls'));
  await setIssuance(name, {});
  await tenant.notReady('db', 'Denied');
  await world.restart();
  await tenant.reconcileAgain('db');
  await tenant.notReady('db', 'Denied');
  assert.equal(digestOf(await tenant.secret('db-server-tls')), digest);
});

describe('6. The authority limits', { concurrency: 3 }, () => {
  test('the duration of its certificates, with the limit in the message', async () => {
    const name = await authority({ maxDuration: '24h' });
    const tenant = await world.tenant('permission');
    await tenant.create('db', { authorityRef: { name }, server: { service: 'db' } });
    const { message } = await tenant.notReady('db', 'Denied');
    assert.equal(message, `server: spec.duration: MtlsAuthority ${name} allows at most 24h (issuance.maxDuration)`);
    assert.deepEqual(await tenant.secretNames(), []);
    await tenant.patch('db', { spec: { duration: '24h' } });
    await tenant.ready('db');
    const { notBefore, notAfter } = await judge(await tenant.secret('db-server-tls'));
    // Includes the backdating of notBefore.
    assert.ok(notAfter.getTime() - notBefore.getTime() <= 24 * 3_600_000 + 5 * 60_000 + 1000);
  });

  test('the namespaces that may use it, with their labels in the message', async () => {
    const name = await authority({ namespaceSelector: edge });
    const [selected, other] = await Promise.all([tenantOf('edge'), world.tenant('permission')]);
    const spec = { authorityRef: { name }, server: { service: 'db' } };
    await Promise.all([selected.create('db', spec), other.create('db', spec)]);
    await selected.ready('db');
    const { message } = await other.notReady('db', 'Denied');
    assert.ok(
      message.includes(`may not use MtlsAuthority ${name}: issuance.namespaceSelector requires the labels team=edge`),
      message,
    );
    assert.deepEqual(await other.secretNames(), []);
    await other.label({ team: 'edge' });
    await other.ready('db');
  });

  test('the names of a new namespace from its creation on', async () => {
    const name = await authority({ allow: [{ namespaceSelector: edge, dnsNames: ['*.example.com'] }] });
    const events = async (namespace: string): Promise<string[]> =>
      (await world.api.list<Stored & { reason: string; regarding: { namespace?: string } }>(paths.events))
        .filter(({ regarding }) => regarding.namespace === namespace)
        .map(({ reason }) => reason);
    for (let i = 0; i < 10; i += 1) {
      const namespace = `${name}-${i}`;
      const create = (path: string, object: object): Promise<Stored> => world.api.create(path, object);
      await create('/api/v1/namespaces', { metadata: { name: namespace, labels: { team: 'edge' } } });
      const spec = { authorityRef: { name }, server: { dnsNames: ['db.example.com'] } };
      const type = { apiVersion: 'mtls-operator.io/v1alpha1', kind: 'MtlsCertificate' };
      await create(paths.certificates(namespace), { ...type, metadata: { name: 'db' }, spec });
      await eventually(async () => {
        assert.ok((await events(namespace)).includes('Issued'), 'not issued yet');
      });
      assert.deepEqual(
        (await events(namespace)).filter((reason) => reason === 'Denied'),
        [],
      );
    }
  });
});
