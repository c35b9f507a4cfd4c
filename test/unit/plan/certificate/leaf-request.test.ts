import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MtlsCertificateSpec } from '../../../../src/api/types.ts';
import type { Role } from '../../../../src/pki/index.ts';
import { leafRequest } from '../../../../src/plan/certificate/leaf-request.ts';
import { issuancePolicy } from '../../../../src/plan/index.ts';
import { rolesOf, secretNameOf } from '../../../../src/plan/records/roles.ts';
import { rules } from '../../../support/fixtures/authority.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { altNames } from '../../../support/fixtures/names.ts';
import { hours } from '../../../support/fixtures/times.ts';

const domains = { trustDomain: 'example.org', clusterDomain: 'k8s.local' };
const scope = { namespace: 'shop', labels: {}, authority: 'default', ...rules, ...domains };
const none = altNames();
const { spec: plain } = certificate().record;
const privateKey = plain.privateKey;

const ask = (spec: Partial<MtlsCertificateSpec>, role: Role = 'server') =>
  leafRequest({ ...plain, ...spec }, role, scope);

describe('a role requests', () => {
  const serviceNames = ['db', 'db.shop', 'db.shop.svc', 'db.shop.svc.k8s.local'];

  test('every name of its Service, the duration of spec and an ECDSA key by default', () => {
    assert.deepEqual(ask({ server: { service: 'db' }, duration: '24h' }), {
      profile: { role: 'server', subject: {}, names: { ...none, dnsNames: serviceNames }, durationMs: hours(24) },
      key: { algorithm: 'ECDSA', size: 256 },
      keyEncoding: 'PKCS8',
      keepKey: false,
    });
  });

  test('the SPIFFE ID of its ServiceAccount', () => {
    const request = ask({ client: { serviceAccount: 'checkout' } }, 'client');
    assert.ok('profile' in request);
    assert.deepEqual(request.profile.names, { ...none, uris: ['spiffe://example.org/ns/shop/sa/checkout'] });
  });

  test('one SPIFFE ID, even if spec repeats it or writes it in another case', () => {
    const uris = ['SPIFFE://Example.ORG/ns/shop/sa/checkout', 'spiffe://example.org/ns/shop/sa/checkout'];
    const request = ask({ client: { serviceAccount: 'checkout', uris } }, 'client');
    assert.ok('profile' in request);
    assert.deepEqual(request.profile.names.uris, ['spiffe://example.org/ns/shop/sa/checkout']);
  });

  test('both for a peer, without the bare name, which programs read as a user name', () => {
    const request = ask({ peer: { service: 'db', serviceAccount: 'db' } }, 'peer');
    assert.ok('profile' in request);
    const uris = ['spiffe://example.org/ns/shop/sa/db'];
    assert.deepEqual(request.profile.names, { ...none, dnsNames: serviceNames.slice(1), uris });
  });

  test('the bare name of a Service for a peer if it is granted', () => {
    const allow = [{ namespaceSelector: {}, dnsNames: ['db'] }];
    const granting = { ...scope, issuance: issuancePolicy({ allow }) };
    for (const [service, names] of [
      ['db', serviceNames],
      ['web', serviceNames.slice(1).map((name) => name.replace('db', 'web'))],
    ] as const) {
      const request = leafRequest({ ...plain, peer: { service } }, 'peer', granting);
      assert.ok('profile' in request);
      assert.deepEqual(request.profile.names.dnsNames, names);
    }
  });

  test('names in normal form, each once, the names of its Service first', () => {
    const dnsNames = ['DB.shop.svc.', 'db-0.DB.shop.svc', 'db-0.db.shop.svc.', 'db'];
    const request = ask({ server: { service: 'db', dnsNames } });
    assert.ok('profile' in request);
    assert.deepEqual(request.profile.names.dnsNames, [...serviceNames, 'db-0.db.shop.svc']);
  });

  test('its own common name in the subject of the resource', () => {
    const subject = { organizations: ['Org'], countries: ['DE'] };
    const allow = [{ namespaceSelector: {}, subject }];
    const server = { service: 'db', commonName: 'db.shop.svc' };
    const granting = { ...scope, issuance: issuancePolicy({ allow }) };
    const request = leafRequest({ ...plain, subject, server }, 'server', granting);
    assert.ok('profile' in request);
    assert.deepEqual(request.profile.subject, { ...subject, commonName: 'db.shop.svc' });
  });

  const keys: [asked: Partial<typeof privateKey>, key: unknown][] = [
    [
      { algorithm: 'ECDSA', size: 384 },
      { algorithm: 'ECDSA', size: 384 },
    ],
    [
      { algorithm: 'ECDSA', encoding: 'SEC1' },
      { algorithm: 'ECDSA', size: 256 },
    ],
    [{ algorithm: 'RSA' }, { algorithm: 'RSA', size: 2048 }],
    [
      { algorithm: 'RSA', size: 8192, encoding: 'PKCS1' },
      { algorithm: 'RSA', size: 8192 },
    ],
    [{ algorithm: 'Ed25519' }, { algorithm: 'Ed25519' }],
  ];
  for (const [asked, key] of keys) {
    test(`the key ${JSON.stringify(asked)}`, () => {
      const request = ask({ privateKey: { ...privateKey, ...asked } });
      assert.ok('key' in request);
      assert.deepEqual([request.key, request.keyEncoding], [key, asked.encoding ?? 'PKCS8']);
    });
  }

  test('additional usages, each once', () => {
    const usages = ['keyAgreement', 'contentCommitment', 'keyAgreement'] as const;
    const request = ask({ server: { service: 'db', usages } });
    assert.ok('profile' in request);
    assert.deepEqual(request.profile.usages, ['keyAgreement', 'contentCommitment']);
    const none = ask({ server: { service: 'db', usages: [] } });
    assert.ok('profile' in none && !('usages' in none.profile));
  });

  test('to keep the key with rotationPolicy Never', () => {
    const request = ask({ privateKey: { ...privateKey, rotationPolicy: 'Never' } });
    assert.ok('keepKey' in request && request.keepKey);
  });
});

/**
 * Usages that are not valid for the kind of key or for any leaf. A resource that is older than its schema may have
 * them.
 */
const unfitUsages: [usage: string, algorithm: 'ECDSA' | 'RSA' | 'Ed25519'][] = [
  ['dataEncipherment', 'ECDSA'],
  ['dataEncipherment', 'Ed25519'],
  ['keyAgreement', 'RSA'],
  ['keyAgreement', 'Ed25519'],
  ...['keyCertSign', 'cRLSign', 'OCSPSigning', 'anyExtendedKeyUsage', 'timeStamping', 'serverAuth', ''].map(
    (usage): [string, 'ECDSA'] => [usage, 'ECDSA'],
  ),
  ['keyCertSign', 'RSA'],
];

describe('a request is not valid', () => {
  const server = (more: MtlsCertificateSpec['server']): Partial<MtlsCertificateSpec> => ({ server: { ...more } });
  const invalid: [title: string, spec: Partial<MtlsCertificateSpec>, message: RegExp][] = [
    ['for less than five minutes', { duration: '299999ms' }, /^duration: use at least 5m$/],
    ['for a duration that is not valid', { duration: 'long' }, /^duration/],
    ['without alternative names', server({}), /^no subject alternative name is requested; add at least one$/],
    [
      'with empty lists of names',
      server({ dnsNames: [], uris: [] }),
      /^no subject alternative name is requested; add at least one$/,
    ],
    [
      'with a common name alone',
      server({ commonName: 'db' }),
      /^no subject alternative name is requested; add at least one$/,
    ],
    [
      'with a common name of 65 characters',
      server({ service: 'db', commonName: `${'a'.repeat(60)}.shop` }),
      /commonName/,
    ],
    ['with a DNS name that is not valid', server({ dnsNames: ['a..b'] }), /not valid: a\.\.b$/],
    ['with an IP address that is not valid', server({ ipAddresses: ['10.0.0'] }), /not valid: 10\.0\.0$/],
    ['with a URI that is not valid', server({ uris: ['x'] }), /not valid: x$/],
    [
      'with a SPIFFE ID next to another URI',
      server({ uris: ['spiffe://example.org/ns/shop/sa/a', 'https://example.org/'] }),
      /^uris: a certificate with a SPIFFE ID may have no other URI \(SPIFFE X509-SVID 2\), and this one requests .*; request the others in another role or resource$/,
    ],
    ['with two SPIFFE IDs', server({ uris: ['spiffe://example.org/a', 'spiffe://example.org/b'] }), /SPIFFE ID/],
    [
      'with the SPIFFE IDs of two ServiceAccounts',
      server({ uris: ['spiffe://example.org/ns/shop/sa/a', 'SPIFFE://example.org/ns/shop/sa/A'] }),
      /SPIFFE ID/,
    ],
    ['with an e-mail address that is not valid', server({ emailAddresses: ['x'] }), /not valid: x$/],
    [
      'with an otherName whose type is not an object identifier',
      server({ otherNames: [{ oid: '1', utf8Value: 'a' }] }),
      /not valid: "1:a"$/,
    ],
    [
      'with an otherName whose type has an arc that other parsers truncate',
      server({ otherNames: [{ oid: '1.2.4294967299', utf8Value: 'a' }] }),
      /not valid: "1\.2\.4294967299:a"$/,
    ],
    ...['', 'a\0', 'a\n', ' a', 'a\u00a0', 'a\u0085b', '\ud800', 'a'.repeat(1025)].map(
      (utf8Value): [string, Partial<MtlsCertificateSpec>, RegExp] => [
        `with an otherName whose value is ${JSON.stringify(utf8Value.slice(0, 8))}`,
        server({ service: 'db', otherNames: [{ oid: '1.2.3', utf8Value }] }),
        /^these names are not valid: "1\.2\.3:/,
      ],
    ),
    ...unfitUsages.map(([usage, algorithm]): [string, Partial<MtlsCertificateSpec>, RegExp] => [
      `with the usage ${usage} of an ${algorithm} key`,
      {
        server: { service: 'db', usages: ['contentCommitment', usage as never] },
        privateKey: { ...privateKey, algorithm },
      },
      new RegExp(`^usages: a certificate with a key of type ${algorithm}(-\\d+)? cannot have ${usage}$`),
    ]),
    ...(
      [
        ...[
          'organizations',
          'organizationalUnits',
          'localities',
          'provinces',
          'streetAddresses',
          'postalCodes',
        ].flatMap((field) =>
          ['', 'a\0', ' a', 'a '.repeat(65)].map((value): [string, object] => [field, { [field]: ['a', value] }]),
        ),
        ['organizations', { organizations: ['\u00e9'.repeat(65)] }],
        ['localities', { localities: ['a'.repeat(129)] }],
        ['postalCodes', { postalCodes: ['a'.repeat(41)] }],
        ...['de', 'DEU', ''].map((country): [string, object] => ['countries', { countries: [country] }]),
        ...['', 'a_b', '\u00e9', ' a', 'a'.repeat(65)].map((serialNumber): [string, object] => [
          'serialNumber',
          { serialNumber },
        ]),
      ] as [string, object][]
    ).map(([field, subject]): [string, Partial<MtlsCertificateSpec>, RegExp] => [
      `with the subject ${JSON.stringify(subject).slice(0, 60)}`,
      { subject },
      new RegExp(`^subject\\.${field}: use `),
    ]),
    ...['a\0', ' a', '', '\ud800'].map((commonName): [string, Partial<MtlsCertificateSpec>, RegExp] => [
      `with the common name ${JSON.stringify(commonName)}`,
      server({ service: 'db', commonName }),
      /^commonName: use 1 to 64 characters/,
    ]),
    ['with a Service name that is not valid', server({ service: 'A B' }), /not valid/],
    ['with a size that ECDSA does not have', { privateKey: { ...privateKey, size: 2048 } }, /size/],
    ['with a size that RSA does not have', { privateKey: { ...privateKey, algorithm: 'RSA', size: 1024 } }, /size/],
    ['with a size for Ed25519', { privateKey: { ...privateKey, algorithm: 'Ed25519', size: 256 } }, /size/],
    ['with PKCS#1 for ECDSA', { privateKey: { ...privateKey, encoding: 'PKCS1' } }, /encoding/],
    ['with SEC1 for RSA', { privateKey: { ...privateKey, algorithm: 'RSA', encoding: 'SEC1' } }, /encoding/],
    ['with SEC1 for Ed25519', { privateKey: { ...privateKey, algorithm: 'Ed25519', encoding: 'SEC1' } }, /encoding/],
  ];
  for (const [title, spec, message] of invalid) {
    test(title, () => {
      const refusal = ask(spec);
      assert.ok('reason' in refusal);
      assert.equal(refusal.reason, 'InvalidSpec');
      assert.match(refusal.message, message);
    });
  }

  test('with many names that are not valid: it names five and counts the rest', () => {
    const refusal = ask(server({ dnsNames: ['a..1', 'a..2', 'a..3', 'a..4', 'a..5', 'a..6', 'a..7'] }));
    assert.ok('reason' in refusal);
    assert.equal(refusal.message, 'these names are not valid: a..1, a..2, a..3, a..4, a..5 and 2 more');
  });
});

test('a request for the SPIFFE ID of a ServiceAccount and another URI is not valid', () => {
  for (const role of ['client', 'peer'] as const) {
    const refusal = ask({ [role]: { serviceAccount: 'a', uris: ['urn:uuid:1'] } }, role);
    assert.ok('reason' in refusal);
    assert.equal(refusal.reason, 'InvalidSpec');
    assert.match(refusal.message, /and this one requests spiffe:\/\/example\.org\/ns\/shop\/sa\/a, urn:uuid:1;/);
  }
});

describe('a request is denied', () => {
  const denied: [title: string, spec: Partial<MtlsCertificateSpec>, role: Role][] = [
    ['for another namespace’s Service', { server: { dnsNames: ['db.other.svc'] } }, 'server'],
    ['for a good and a bad name', { server: { service: 'db', dnsNames: ['www.example.com'] } }, 'server'],
    ['for an IP address', { server: { service: 'db', ipAddresses: ['10.0.0.1'] } }, 'server'],
    ['for a foreign common name', { client: { serviceAccount: 'a', commonName: 'system:masters' } }, 'client'],
    ['for the bare name of a peer', { peer: { service: 'db', dnsNames: ['db'] } }, 'peer'],
    ['for the bare name of a client', { client: { dnsNames: ['admin'] } }, 'client'],
    ['for the bare common name of a peer', { peer: { service: 'db', commonName: 'db' } }, 'peer'],
    ['for a group of Kubernetes', { subject: { organizations: ['system:masters'] } }, 'server'],
    ['for a serial number', { subject: { serialNumber: '1' } }, 'server'],
    ['for another trust domain', { client: { uris: ['spiffe://cluster.local/ns/shop/sa/a'] } }, 'client'],
  ];
  for (const [title, spec, role] of denied) {
    test(title, () => {
      const refusal = ask(spec, role);
      assert.equal('reason' in refusal && refusal.reason, 'Denied');
    });
  }
});

test('the roles of a spec have a fixed order, and each has its own Secret', () => {
  const spec = { ...plain, peer: {}, client: { secretName: 'own' }, server: {} };
  const names = rolesOf(spec).map((role) => [role, secretNameOf('db', spec, role)]);
  assert.deepEqual(names, [
    ['server', 'db-server-tls'],
    ['client', 'own'],
    ['peer', 'db-peer-tls'],
  ]);
});
