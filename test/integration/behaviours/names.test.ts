import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { digestOf, judge } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { installation } from '../../support/installation.ts';

const world = installation();

/** Replaces $(NS) in a spec by the namespace. */
function within<T extends object>(namespace: string, spec: T): T {
  return JSON.parse(JSON.stringify(spec).replaceAll('$(NS)', namespace)) as T;
}

describe('6. Names are authorised where they are signed:', { concurrency: 4 }, () => {
  const ownServices = 'only names of its own Services';
  const ownAccounts = 'only SPIFFE IDs of its own ServiceAccounts';
  const dns = (name: string) => ({ spec: { server: { service: 'db', dnsNames: [name] } }, name, rule: ownServices });
  const uri = (name: string) => ({ spec: { client: { uris: [name] } }, name, rule: ownAccounts });
  const denied: Record<string, { spec: object; name: string; rule: string }> = {
    'the Service of another namespace': dns('payments.other.svc'),
    'the Service of another namespace in its short form': dns('payments.other'),
    'the Service of another namespace in its long form': dns('payments.other.svc.cluster.local'),
    'the Service of another namespace in capitals and with a trailing dot': {
      ...dns('PAYMENTS.Other.svc.Cluster.Local.'),
      name: 'payments.other.svc.cluster.local',
    },
    'a public DNS name': dns('example.com'),
    'a Service of its own namespace in another cluster domain': dns('db.$(NS).svc.example.com'),
    'its own namespace followed by svc and a public domain': dns('$(NS).svc.example.com'),
    'a wildcard for all namespaces': dns('*.svc.cluster.local'),
    'a wildcard for another namespace': dns('*.other.svc'),
    'a wildcard for the short form of its own Services': dns('*.$(NS)'),
    localhost: dns('localhost'),
    'the SPIFFE ID of another namespace': uri('spiffe://cluster.local/ns/other/sa/checkout'),
    'a SPIFFE ID of another trust domain': uri('spiffe://example.org/ns/$(NS)/sa/checkout'),
    'a SPIFFE ID with a longer path than its own': uri('spiffe://cluster.local/ns/$(NS)/sa/checkout/more'),
    'the SPIFFE ID of the namespace itself': uri('spiffe://cluster.local/ns/$(NS)'),
    'an HTTPS URL': uri('https://db.$(NS).svc/'),
    'an IPv4 address': { spec: { server: { ipAddresses: ['10.0.0.1'] } }, name: '10.0.0.1', rule: 'only IP addresses' },
    'an IPv6 address': { spec: { peer: { ipAddresses: ['::1'] } }, name: '::1', rule: 'only IP addresses' },
    'an e-mail address': {
      spec: { client: { emailAddresses: ['root@$(NS).svc'] } },
      name: 'root@$(NS).svc',
      rule: 'only e-mail addresses',
    },
    'an otherName': {
      spec: { client: { otherNames: [{ oid: '1.3.6.1.4.1.311.20.2.3', utf8Value: 'admin@example.com' }] } },
      name: 'admin@example.com',
      rule: 'only otherNames',
    },
    'the bare name of a user for a client': {
      spec: { client: { dnsNames: ['admin'] } },
      name: 'admin',
      rule: ownServices,
    },
    'the bare name of a user for a peer': {
      spec: { peer: { service: 'db', dnsNames: ['postgres'] } },
      name: 'postgres',
      rule: ownServices,
    },
    'the administrator group of Kubernetes': {
      spec: { client: { serviceAccount: 'db' }, subject: { organizations: ['system:masters'] } },
      name: 'system:masters',
      rule: 'only values',
    },
    'an organizational unit': {
      spec: { server: { service: 'db' }, subject: { organizationalUnits: ['Payments'] } },
      name: 'Payments',
      rule: 'only values',
    },
    'the common name of a database user': {
      spec: { client: { serviceAccount: 'db', commonName: 'postgres' } },
      name: 'postgres',
      rule: ownServices,
    },
    'the common name of another Service': {
      spec: { server: { service: 'db', commonName: 'db.other.svc' } },
      name: 'db.other.svc',
      rule: ownServices,
    },
  };
  for (const [what, { spec, name, rule }] of Object.entries(denied)) {
    test(`6. Denied: ${what}; the message has the name and the rule, and no Secret is written`, async () => {
      const tenant = await world.tenant('names');
      await tenant.create('db', within(tenant.namespace, spec));
      const { message } = await tenant.notReady('db', 'Denied');
      const shown = name.replaceAll('$(NS)', tenant.namespace);
      assert.ok(message.includes(`"${shown}"`), `the message does not name ${shown}: ${message}`);
      assert.ok(message.includes(`namespace ${tenant.namespace} may have ${rule}`), message);
      assert.deepEqual(await tenant.secretNames(), []);
    });
  }

  const nearMisses: [spec: object, suggested: string][] = [
    [{ server: { dnsNames: ['web-0.web.$(NS)'] } }, 'web-0.web.$(NS).svc'],
    [{ server: { dnsNames: ['web.other.svc'] } }, 'web.$(NS).svc'],
    [{ server: { dnsNames: ['web.$(NS).svc.example.com'] } }, 'web.$(NS).svc.cluster.local'],
    [{ peer: { dnsNames: ['web'] } }, 'web.$(NS).svc'],
    [{ client: { uris: ['spiffe://example.org/ns/$(NS)/sa/web'] } }, 'spiffe://cluster.local/ns/$(NS)/sa/web'],
    [{ client: { uris: ['spiffe://cluster.local/ns/other/sa/web'] } }, 'spiffe://cluster.local/ns/$(NS)/sa/web'],
  ];
  test('6. Denied: for a similar name, the message suggests the allowed name', async () => {
    const tenant = await world.tenant('names');
    for (const [i, [spec]] of nearMisses.entries()) await tenant.create(`db-${i}`, within(tenant.namespace, spec));
    for (const [i, [, suggested]] of nearMisses.entries()) {
      const { message } = await tenant.notReady(`db-${i}`, 'Denied');
      assert.ok(message.includes(`(did you mean "${suggested.replaceAll('$(NS)', tenant.namespace)}"?)`), message);
    }
  });

  test('6. Denied: one denied name among allowed ones denies the role, and other roles are issued', async () => {
    const tenant = await world.tenant('names');
    const client = { serviceAccount: 'db' };
    await tenant.create('db', { client, server: { service: 'db', dnsNames: ['db.other.svc'] } });
    await tenant.notReady('db', 'Denied');
    await eventually(async () => {
      assert.deepEqual(await tenant.secretNames(), ['db-client-tls']);
      await judge(await tenant.secret('db-client-tls'));
    });
  });

  test('6. Denied after a change of spec: the Secret stays byte-identical, and is updated when the spec has only allowed names again', async () => {
    const tenant = await world.tenantWith('names');
    const digest = digestOf(await tenant.secret('db-server-tls'));
    await tenant.patch('db', { spec: { server: { dnsNames: ['db.other.svc'] } } });
    await tenant.notReady('db', 'Denied');
    assert.equal(digestOf(await tenant.secret('db-server-tls')), digest);
    const mine = `mine.${tenant.namespace}.svc`;
    await tenant.patch('db', { spec: { server: { dnsNames: [mine] } } });
    await tenant.ready('db');
    assert.ok((await judge(await tenant.secret('db-server-tls'))).names.includes(`DNS:${mine}`));
  });

  test('6. Allowed: every form of its own Services, wildcards for them, and its own SPIFFE IDs', async () => {
    const tenant = await world.tenant('names');
    const { namespace } = tenant;
    const long = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(60)}.${namespace}.svc`;
    const dnsNames = [`*.${namespace}.svc`, `*.db.${namespace}.svc.cluster.local`, `pod-0.db.${namespace}.svc`, long];
    const uris = [`spiffe://cluster.local/ns/${namespace}/sa/other`];
    await tenant.issue('db', { peer: { service: 'db', serviceAccount: 'db', dnsNames }, client: { uris } });
    const service = [`db.${namespace}`, `db.${namespace}.svc`, `db.${namespace}.svc.cluster.local`];
    assert.deepEqual(
      (await judge(await tenant.secret('db-peer-tls'))).names,
      [
        ...[...service, ...dnsNames].map((name) => `DNS:${name}`),
        `URI:spiffe://cluster.local/ns/${namespace}/sa/db`,
      ].sort(),
    );
    assert.deepEqual((await judge(await tenant.secret('db-client-tls'))).names, [`URI:${uris[0]}`]);
  });

  test('6. Allowed: names in the domains of the authority, and certificates are issued again when the domains change', async () => {
    await world.createAuthority('domains', {
      secretName: 'domains',
      root: {},
      trustDomain: 'example.org',
      clusterDomain: 'k8s.example.org',
    });
    const tenant = await world.tenant('names');
    const { namespace } = tenant;
    const both = { service: 'db', serviceAccount: 'db' };
    await tenant.issue('db', { authorityRef: { name: 'domains' }, peer: both });
    const { names } = await judge(await tenant.secret('db-peer-tls'));
    assert.ok(names.includes(`DNS:db.${namespace}.svc.k8s.example.org`));
    assert.ok(names.includes(`URI:spiffe://example.org/ns/${namespace}/sa/db`));
    await world.api.patch('/apis/mtls-operator.io/v1alpha1/mtlsauthorities/domains', {
      spec: { trustDomain: 'b.org' },
    });
    await eventually(async () => {
      const { names: changed } = await judge(await tenant.secret('db-peer-tls'));
      assert.ok(changed.includes(`URI:spiffe://b.org/ns/${namespace}/sa/db`));
    });
  });
});

describe('12. Bad input', () => {
  interface CustomResourceDefinition {
    readonly spec: { readonly versions: readonly { readonly schema: object }[] };
  }
  const definition = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/mtlscertificates.mtls-operator.io';
  const checks = new Set([
    'x-kubernetes-validations',
    'pattern',
    'enum',
    'minLength',
    'maxLength',
    'minimum',
    'maximum',
  ]);

  /** Applies a function to every field of the schema in the CRD. */
  async function changeSchema(change: (key: string, value: unknown) => unknown): Promise<void> {
    const { spec } = await world.api.get<CustomResourceDefinition>(definition);
    const versions = JSON.parse(JSON.stringify(spec.versions), change) as unknown;
    await world.api.patch(definition, { spec: { versions } });
  }

  /** Removes all validation from the CRD, as if resources had been stored before it was added. */
  const forgetChecks = () => changeSchema((key, value) => (checks.has(key) ? undefined : value));

  const server = { service: 'db' };
  const bad: Record<string, object> = {
    'an invalid duration': { server, duration: 'banana' },
    'a country of three letters': { server, subject: { countries: ['DEU'] } },
    'a negative duration': { server, duration: '-5m' },
    'a duration of a second': { server, duration: '1s' },
    'no role at all': {},
    'a role without names': { server: {} },
    'a weak key': { server, privateKey: { algorithm: 'RSA', size: 512 } },
    'an unknown algorithm': { server, privateKey: { algorithm: 'DSA' } },
    'an encoding of another algorithm': { server, privateKey: { algorithm: 'ECDSA', encoding: 'PKCS1' } },
    'an unknown encoding': { server, privateKey: { encoding: 'DER' } },
    'a Service that is not a DNS label': { server: { service: 'a b' } },
    'a Service with dots': { server: { service: 'db.other.svc' } },
    'an empty DNS name': { server: { dnsNames: [''] } },
    'a DNS name with a NUL': { server: { dnsNames: ['db\u0000.$(NS).svc'] } },
    'a DNS name with a line break': { server: { dnsNames: ['db.$(NS).svc\nDNS:evil'] } },
    'a DNS name with a Kelvin sign': { server: { dnsNames: ['\u212A8s.$(NS).svc'] } },
    'an invalid IP address': { server: { ipAddresses: ['999.1.1.1'] } },
    'a ServiceAccount with path traversal': { client: { serviceAccount: '../../other/sa/admin' } },
    'a SPIFFE ID and another URI': { client: { serviceAccount: 'a', uris: ['urn:uuid:1'] } },
    'a URI with a NUL': { client: { uris: ['spiffe://cluster.local/ns/$(NS)/sa/a\u0000b'] } },
    'a common name of a thousand characters': { server: { ...server, commonName: 'x'.repeat(1000) } },
    'a Secret with a slash in its name': { server: { ...server, secretName: '../kube-system/stolen' } },
    'a Secret without a name': { server: { ...server, secretName: '' } },
    'two roles for one Secret': {
      server: { ...server, secretName: 'one' },
      client: { serviceAccount: 'a', secretName: 'one' },
    },
  };
  /** Unusual specs that can be issued: the duration is limited by the usual bounds and the root's expiry. */
  const harmless: Record<string, object> = {
    'an endless duration': { server, duration: '999999999999h' },
    'a renewBeforePercentage above 100': { server, renewBeforePercentage: 100_000 },
    'an invalid renewBefore': { server, renewBefore: 'soon' },
  };

  test('12. Bad input that was stored before the schema forbade it gets a condition, and neither crashes the operator nor delays other resources', async () => {
    await forgetChecks();
    const tenant = await world.tenant('bad');
    await eventually(async () => {
      // The API server needs a moment to use the changed schema.
      await world.api.create(
        `${paths(tenant.namespace)}?dryRun=All`,
        resource('probe', { server, duration: 'banana' }),
      );
    });
    const create = async (specs: Record<string, object>, prefix: string): Promise<Map<string, string>> => {
      const names = new Map(Object.keys(specs).map((what, i) => [what, `${prefix}-${i}`]));
      for (const [what, name] of names) await tenant.create(name, within(tenant.namespace, specs[what] ?? {}));
      return names;
    };
    const [badNames, harmlessNames] = [await create(bad, 'bad'), await create(harmless, 'harmless')];
    await tenant.issue('good', { server });
    for (const name of harmlessNames.values()) {
      await tenant.ready(name);
      await judge(await tenant.secret(`${name}-server-tls`));
    }
    await eventually(async () => {
      const open: Record<string, string> = {};
      for (const [what, name] of badNames) {
        const { status, metadata } = await tenant.get(name);
        const ready = status?.conditions?.find(({ type }) => type === 'Ready');
        const isRefused = ready?.status === 'False' && /\w/.test(ready.message);
        if (isRefused && ready.observedGeneration === metadata.generation) continue;
        open[what] = ready === undefined ? 'no condition' : `${ready.status} ${ready.reason}`;
      }
      assert.deepEqual(open, {}, 'bad input without a condition');
    });
    const written = await tenant.secretNames();
    assert.deepEqual(
      written.filter((name) => name.startsWith('bad-') || name === 'one'),
      [],
    );
    assert.equal((await fetch(`${world.operator.url}/healthz`)).status, 200);
  });

  test('12. Bad input: a spec that the operator cannot read makes the resource InvalidSpec, and its Secrets stay byte-identical', async () => {
    const tenant = await world.tenant('unreadable');
    const names = ['db-client-tls', 'db-server-tls'];
    const { status: before } = await tenant.issue('db', { server, client: { serviceAccount: 'a' } });
    const digests = () => Promise.all(names.map(async (name) => digestOf(await tenant.secret(name))));
    const written = await digests();
    // Like a CRD of a later version.
    await forgetChecks();
    await changeSchema((key, value) => (key === 'duration' ? { 'x-kubernetes-int-or-string': true } : value));
    // The API server needs a moment to use the changed schema.
    await eventually(() => tenant.patch('db', { spec: { duration: 7 } }));
    const { message } = await tenant.notReady('db', 'InvalidSpec');
    assert.match(message, /^spec\.duration does not match the schema of the CRD; correct it/);
    assert.deepEqual(await tenant.secretNames(), names);
    assert.deepEqual(await digests(), written);
    const { status: meanwhile } = await tenant.get('db');
    assert.deepEqual(meanwhile?.secrets, before?.secrets);
    await tenant.patch('db', { spec: { duration: '2160h' } });
    const { status: after } = await tenant.ready('db');
    assert.deepEqual(after?.secrets, before?.secrets);
    assert.deepEqual(await digests(), written);
  });

  const paths = (namespace: string): string =>
    `/apis/mtls-operator.io/v1alpha1/namespaces/${namespace}/mtlscertificates`;
  const resource = (name: string, spec: object): object => ({
    apiVersion: 'mtls-operator.io/v1alpha1',
    kind: 'MtlsCertificate',
    metadata: { name },
    spec,
  });
});
