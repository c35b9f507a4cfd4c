/** Every kind of key below every kind of root, every subject attribute and every kind of name, checked by openssl. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';

import { base64 } from '../../support/api.ts';
import { fileOf, judge, openssl } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { type Certificate, installation, type Tenant } from '../../support/installation.ts';

const world = installation();

/** Root keys, and openssl's names for their signature algorithms. */
const roots = [
  { root: 'ecdsa-256', key: { algorithm: 'ECDSA', size: 256 }, signature: 'ecdsa-with-SHA256' },
  { root: 'ecdsa-384', key: { algorithm: 'ECDSA', size: 384 }, signature: 'ecdsa-with-SHA384' },
  { root: 'ecdsa-521', key: { algorithm: 'ECDSA', size: 521 }, signature: 'ecdsa-with-SHA512' },
  { root: 'rsa-2048', key: { algorithm: 'RSA', size: 2048 }, signature: 'sha256WithRSAEncryption' },
  { root: 'rsa-4096', key: { algorithm: 'RSA', size: 4096 }, signature: 'sha384WithRSAEncryption' },
  { root: 'ed25519', key: { algorithm: 'Ed25519' }, signature: 'ED25519' },
] as const;

/** Keys of certificates, openssl's descriptions of them, their PEM labels, and the roots below which they are tested. */
const labels = { PKCS8: 'PRIVATE KEY', PKCS1: 'RSA PRIVATE KEY', SEC1: 'EC PRIVATE KEY' } as const;
const any = /^/;
const kinds: {
  key: { algorithm: string; size?: number; encoding: keyof typeof labels };
  kind: RegExp;
  under: RegExp;
}[] = [
  ...([256, 384, 521] as const).flatMap((size) =>
    (['PKCS8', 'SEC1'] as const).map((encoding) => ({
      key: { algorithm: 'ECDSA', size, encoding },
      kind: new RegExp(`^Public-Key: \\(${size} bit\\)`),
      under: encoding === 'PKCS8' ? any : /rsa-2048|ed25519/,
    })),
  ),
  { key: { algorithm: 'Ed25519', encoding: 'PKCS8' }, kind: /^ED25519/, under: any },
  ...([2048, 3072, 4096] as const).flatMap((size) =>
    (['PKCS8', 'PKCS1'] as const).map((encoding) => ({
      key: { algorithm: 'RSA', size, encoding },
      kind: new RegExp(`\\(${size} bit\\)`),
      // Few combinations: these keys take long to generate.
      under: { 2048: encoding === 'PKCS8' ? any : /ecdsa-256|ed25519/, 3072: /ecdsa-384/, 4096: /ecdsa-521/ }[size],
    })),
  ),
];

const roles = ['server', 'client', 'peer'] as const;
const usages = {
  server: 'TLS Web Server Authentication',
  client: 'TLS Web Client Authentication',
  peer: 'TLS Web Server Authentication, TLS Web Client Authentication',
};
const namesOf = { server: { service: 'db' }, client: { serviceAccount: 'db' }, peer: { service: 'db' } };

/** The signature algorithm, which a certificate contains twice. */
async function signatureOf(certificate: string): Promise<string> {
  const text = await openssl(['x509', '-noout', '-text'], certificate);
  const named: string[] = text.match(/(?<=Signature Algorithm: )\S+/g) ?? [];
  assert.equal(new Set(named).size, 1, named.join(' and '));
  return named[0] ?? '';
}

describe('on a real API server:', { concurrency: 3 }, () => {
  describe('keys of every kind', { concurrency: 3 }, () => {
    // Requested first and checked last: finding primes of this size takes seconds to minutes.
    let large: { tenant: Tenant; name: string };
    before(async () => {
      large = { tenant: await world.tenant('large'), name: 'large' };
      const privateKey = { algorithm: 'RSA', size: 8192, encoding: 'PKCS1' };
      await large.tenant.create(large.name, { server: { service: 'db' }, privateKey });
    });

    for (const { root, key: rootKey, signature } of roots) {
      test(`below a root with ${Object.values(rootKey).join(' ')}, whose key determines the signature algorithm`, async () => {
        const authority = `root-${root}`;
        await world.createAuthority(authority, { secretName: authority, root: { privateKey: rootKey } });
        await world.authorityIs(authority, 'True');
        const tenant = await world.tenant('keys');
        const tried = kinds
          .filter(({ under }) => under.test(root))
          .map((kind, i) => ({ ...kind, role: roles[i % roles.length] ?? 'peer', name: `c-${i}` }));
        const checks = tried.map(async ({ key, kind, role, name }) => {
          await tenant.issue(name, { authorityRef: { name: authority }, [role]: namesOf[role], privateKey: key });
          const secret = await tenant.secret(`${name}-${role}-tls`);
          const [judged, signed] = await Promise.all([judge(secret), signatureOf(fileOf(secret, 'tls.crt'))]);
          const what = `${Object.values(key).join(' ')} of a ${role}`;
          assert.match(judged.keyKind, kind, what);
          assert.equal(judged.keyLabel, labels[key.encoding], what);
          assert.equal(judged.usage, usages[role], what);
          assert.equal(signed, signature, what);
        });
        await Promise.all(checks);
      });
    }

    test('with 8192 bits in one namespace delay a key of 2048 bits in another by one key at most (20 s to 5 min: finding the primes of a key of 8192 bits takes that long)', {
      timeout: 700_000,
    }, async () => {
      const greedy = Array.from({ length: 5 }, (_, i) => `greedy-${i}`);
      const privateKey = { algorithm: 'RSA', size: 8192 };
      for (const name of greedy) await large.tenant.create(name, { server: { service: 'db' }, privateKey });
      const victim = await world.tenant('victim');
      await victim.create('small', { server: { service: 'db' }, privateKey: { algorithm: 'RSA', size: 2048 } });
      await eventually(async () => {
        const ready = (await victim.get('small')).status?.conditions?.find(({ type }) => type === 'Ready');
        assert.notEqual(ready?.status, 'Unknown', 'the operator has not seen the request');
      });
      const earlier = await large.tenant.secretNames();
      await eventually(
        async () => {
          const ready = (await victim.get('small')).status?.conditions?.find(({ type }) => type === 'Ready');
          assert.equal(ready?.status, 'True', ready?.message ?? 'there is no condition Ready');
        },
        { timeoutMs: 600_000, message: 'the key of 2048 bits was not generated' },
      );
      // The key that was being generated, and one more whose Secret was not written yet.
      const later = (await large.tenant.secretNames()).filter((name) => !earlier.includes(name));
      assert.ok(later.length <= 2, `these keys were generated first: ${later.join()}`);
      for (const name of greedy) await large.tenant.delete(name);
    });

    test('with 8192 bits (20 s to 5 min: finding the primes takes that long)', { timeout: 700_000 }, async () => {
      const { tenant, name } = large;
      await eventually(
        async () => {
          const ready = (await tenant.get(name)).status?.conditions?.find(({ type }) => type === 'Ready');
          assert.equal(ready?.status, 'True', ready?.message ?? 'there is no condition Ready');
        },
        { timeoutMs: 600_000, message: 'the key of 8192 bits was not generated' },
      );
      const judged = await judge(await tenant.secret(`${name}-server-tls`));
      assert.match(judged.keyKind, /\(8192 bit\)/);
      assert.equal(judged.keyLabel, 'RSA PRIVATE KEY');
    });
  });

  describe('the content of a certificate', { concurrency: 3 }, () => {
    const upn = '1.3.6.1.4.1.311.20.2.3';
    const longest = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(49)}.example.com`;
    const longUri = `https://example.org/${'a'.repeat(2028)}`;
    // The otherNames of a role may have 1152 characters in total, including their types.
    const principals = ['ops@example.com', 'börse@example.com', '日'.repeat(990)];
    const commonName = `${'日'.repeat(30)} ${'ü'.repeat(33)}`;
    const authority = 'granting';
    before(async () => {
      const grant = {
        namespaceSelector: {},
        dnsNames: ['*.example.com', longest],
        ipRanges: ['0.0.0.0/0', '::/0'],
        uris: ['https://example.org/*', 'urn:uuid:1'],
        emailAddresses: ['*@example.com'],
        commonNames: [commonName],
        otherNames: [
          { oid: upn, utf8Values: ['*@example.com', ...principals] },
          { oid: '2.999.123456789', utf8Values: ['*'] },
        ],
        subject: {
          organizations: ['*'],
          organizationalUnits: ['#unit', 'Ωμέγα, Δ=1', 'a\\b;c<d>'],
          countries: ['*'],
          localities: ['*'],
          provinces: ['*'],
          streetAddresses: ['*', 'ул. Ленина + 1'],
          postalCodes: ['80331', '〒100-0001'],
          serialNumbers: ["A-1 (b)'+,./:=?"],
        },
      };
      await world.createAuthority(authority, { secretName: authority, root: {}, issuance: { allow: [grant] } });
      await world.authorityIs(authority, 'True');
    });

    test('has every subject attribute, in every script, unchanged', async () => {
      const tenant = await world.tenant('subject');
      const subject = {
        countries: ['DE', 'JP'],
        provinces: ['Baden-Württemberg', '東京都'],
        localities: ['Zürich', 'Łódź', '𝄞'.repeat(128)],
        streetAddresses: ['Straße des 17. Juni 135, 2. Stock', 'ул. Ленина + 1'],
        postalCodes: ['80331', '〒100-0001'],
        organizations: ['Bücher & Söhne "GmbH"', '株式会社例', 'ä'.repeat(64)],
        organizationalUnits: ['Ωμέγα, Δ=1', '#unit', 'a\\b;c<d>'],
        serialNumber: "A-1 (b)'+,./:=?",
      };
      const spec = { authorityRef: { name: authority }, client: { serviceAccount: 'db', commonName }, subject };
      await tenant.issue('db', spec);
      const secret = await tenant.secret('db-client-tls');
      await judge(secret);
      // One attribute a line, and no escapes other than UTF-8.
      const nameopt = 'sep_multiline,sname,utf8,space_eq';
      const text = await openssl(['x509', '-noout', '-subject', '-nameopt', nameopt], fileOf(secret, 'tls.crt'));
      const lines = text.trimEnd().split('\n').slice(1);
      const all = (short: string, values: readonly string[]) => values.map((value) => `    ${short} = ${value}`);
      assert.deepEqual(lines, [
        ...all('C', subject.countries),
        ...all('ST', subject.provinces),
        ...all('L', subject.localities),
        ...all('street', subject.streetAddresses),
        ...all('postalCode', subject.postalCodes),
        ...all('O', subject.organizations),
        ...all('OU', subject.organizationalUnits),
        ...all('CN', [commonName]),
        ...all('serialNumber', [subject.serialNumber]),
      ]);
    });

    test('has every kind of name (DNS, IPv4, IPv6, URI, e-mail, otherName), including the longest ones', async () => {
      const tenant = await world.tenant('names');
      const otherNames = [
        ...principals.map((utf8Value) => ({ oid: upn, utf8Value })),
        { oid: '2.999.123456789', utf8Value: 'a_b' },
        { oid: upn, utf8Value: 'ops@example.com' },
      ];
      await tenant.issue('db', {
        authorityRef: { name: authority },
        peer: {
          dnsNames: ['*.example.com', longest],
          ipAddresses: ['192.0.2.7', '2001:DB8::7', '::ffff:0:0:1'],
          uris: [longUri, 'urn:uuid:1'],
          emailAddresses: ["o.p+s'@Example.com"],
          otherNames,
        },
      });
      const secret = await tenant.secret('db-peer-tls');
      const { names, subject } = await judge(secret);
      assert.equal(subject, '');
      assert.deepEqual(
        names.filter((name) => !name.startsWith('othername')),
        [
          'DNS:*.example.com',
          `DNS:${longest}`,
          'IP Address:0:0:0:0:FFFF:0:0:1',
          'IP Address:192.0.2.7',
          'IP Address:2001:DB8:0:0:0:0:0:7',
          `URI:${longUri}`,
          'URI:urn:uuid:1',
          "email:o.p+s'@example.com",
        ],
      );
      assert.deepEqual(await otherNamesOf(fileOf(secret, 'tls.crt')), [
        ...principals.map((value) => [upn, value]),
        ['2.999.123456789', 'a_b'],
      ]);
    });

    /** Types and values of otherNames, from openssl's parse of the extension: openssl has no text for unknown types. */
    async function otherNamesOf(certificate: string): Promise<string[][]> {
      const whole = await openssl(['asn1parse'], certificate);
      const [, offset = ''] = /Subject Alternative Name\n(?:.*BOOLEAN.*\n)? *(\d+):.*OCTET STRING/.exec(whole) ?? [];
      const parts = await openssl(['asn1parse', '-strparse', offset], certificate);
      const known: Record<string, string> = { 'Microsoft User Principal Name': upn };
      return [...parts.matchAll(/OBJECT +:(.*)\n.*\n.*UTF8STRING +:(.*)\n/g)].map(([, type = '', value = '']) => [
        known[type] ?? type,
        value,
      ]);
    }
  });

  describe('a private key with one flipped bit', { concurrency: 3 }, () => {
    for (const privateKey of [
      { algorithm: 'ECDSA', size: 384 },
      { algorithm: 'ECDSA', size: 521, encoding: 'SEC1' },
      { algorithm: 'RSA', size: 2048 },
      { algorithm: 'ECDSA', size: 256, rotationPolicy: 'Never' },
    ]) {
      test(`is replaced: ${Object.values(privateKey).join(' ')}`, async () => {
        const tenant = await world.tenantWith('damaged', { server: { service: 'db' }, privateKey });
        const [label = '', body = ''] = fileOf(await tenant.secret('db-server-tls'), 'tls.key').split(/\n(.*)\n/s);
        const der = Buffer.from(body, 'base64');
        // In the middle of the private number, or of the first prime. The public key is elsewhere.
        const at =
          privateKey.algorithm === 'RSA'
            ? Math.floor(der.length / 2)
            : der.indexOf(Buffer.of(4, privateKey.size === 521 ? 66 : privateKey.size / 8)) + 20;
        der.writeUInt8(der.readUInt8(at) ^ 1, at);
        const pem = `${label}\n${der.toString('base64').replace(/.{64}(?=.)/g, '$&\n')}\n${label.replace('BEGIN', 'END')}\n`;
        await tenant.patchSecret('db-server-tls', { data: { 'tls.key': base64(pem) } });
        await eventually(async () => assert.equal((await tenant.ready('db')).status?.secrets?.[0]?.revision, 2));
        await judge(await tenant.secret('db-server-tls'));
        const checked = await openssl(
          ['pkey', '-check', '-noout'],
          fileOf(await tenant.secret('db-server-tls'), 'tls.key'),
        );
        assert.match(checked, /Key is valid/);
      });
    }
  });

  describe('a key with rotationPolicy Never (30 s: the test waits for a renewal)', { concurrency: 2 }, () => {
    const soon = { duration: '5m', renewBefore: '4m45s' };

    async function issuedAgain(tenant: Tenant, certificate: Certificate): Promise<Awaited<ReturnType<typeof judge>>> {
      const before = certificate.status?.secrets?.[0];
      return eventually(
        async () => {
          const judged = await judge(await tenant.secret('db-server-tls'));
          assert.notEqual(judged.serialNumber, before?.serialNumber, 'it is still the previous certificate');
          return judged;
        },
        { timeoutMs: 60_000, message: 'no other certificate was issued' },
      );
    }

    const notes = async (tenant: Tenant): Promise<string[]> => {
      const path = `/apis/events.k8s.io/v1/namespaces/${tenant.namespace}/events`;
      const events = await world.api.list<{ reason: string; note: string }>(path);
      return events.map(({ reason, note }) => `${reason}: ${note}`);
    };
    const saysOf = (tenant: Tenant, serialNumber: string, pattern: RegExp): Promise<void> =>
      eventually(async () => {
        const note = (await notes(tenant)).find((text) => text.includes(serialNumber));
        assert.match(note ?? '', pattern);
        const line = world.logs().find((entry) => entry['serialNumber'] === serialNumber);
        assert.equal(line?.['keptKey'], pattern.source.includes('kept'), JSON.stringify(line));
      });

    for (const privateKey of [
      { rotationPolicy: 'Never' },
      { rotationPolicy: 'Never', algorithm: 'RSA', size: 2048, encoding: 'PKCS1' },
    ]) {
      test(`is kept by a renewal, which reports it, and replaced by a rotation: ${Object.values(privateKey).join(' ')}`, async () => {
        const tenant = await world.tenant('kept');
        const created = await tenant.issue('db', { server: { service: 'db' }, ...soon, privateKey });
        const first = await judge(await tenant.secret('db-server-tls'));
        await saysOf(tenant, first.serialNumber, /^Issued: .*\(new serial [0-9a-f]+\)$/);

        const second = await issuedAgain(tenant, created);
        assert.equal(second.publicKey, first.publicKey);
        await saysOf(tenant, second.serialNumber, /^Renewed: .*\(new serial [0-9a-f]+, private key kept\)$/);

        // No more renewals, which could happen between the rotations.
        await tenant.patch('db', {
          spec: { duration: '2160h', renewBefore: null },
          metadata: { annotations: { 'mtls-operator.io/rotate': 'suspicion' } },
        });
        await tenant.ready('db');
        await tenant.rotate('db', 'again');
        await tenant.ready('db');
        const last = await judge(await tenant.secret('db-server-tls'));
        assert.notEqual(last.publicKey, first.publicKey);
        await saysOf(tenant, last.serialNumber, /^Rotated: .*\(new serial [0-9a-f]+\)$/);
      });
    }
  });
});
