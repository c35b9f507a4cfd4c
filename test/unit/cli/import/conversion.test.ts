import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Conversion,
  convertCertManager,
  type ImportOptions,
  markdownReport,
  textReport,
} from '../../../../src/cli/index.ts';

const defaults: ImportOptions = {
  clusterResourceNamespace: 'cert-manager',
  operatorNamespace: 'mtls-operator',
  trustDomain: 'cluster.local',
  clusterDomain: 'cluster.local',
  defaultRole: 'peer',
  acceptSubjectOrder: false,
};

type Fields = Readonly<Record<string, unknown>>;

const apiVersion = 'cert-manager.io/v1';
const clusterIssuer = (name: string, spec: Fields = { ca: { secretName: name } }) => ({
  apiVersion,
  kind: 'ClusterIssuer',
  metadata: { name },
  spec,
});
const issuer = (namespace: string, name: string, spec: Fields = { ca: { secretName: name } }) => ({
  apiVersion,
  kind: 'Issuer',
  metadata: { name, namespace },
  spec,
});
const certificate = (spec: Fields, name = 'web', namespace = 'shop') => ({
  apiVersion,
  kind: 'Certificate',
  metadata: { name, namespace },
  spec: { secretName: `${name}-tls`, issuerRef: { name: 'corp', kind: 'ClusterIssuer' }, ...spec },
});

const convert = (objects: readonly unknown[], options: Partial<ImportOptions> = {}): Conversion =>
  convertCertManager([{ kind: 'List', items: objects }], { ...defaults, ...options });

const one = (spec: Fields, options: Partial<ImportOptions> = {}) =>
  convert([clusterIssuer('corp'), certificate(spec)], options);

const server = { usages: ['digital signature', 'server auth'], dnsNames: ['web.shop.svc'] };

/** Spec of a Certificate, and what the MtlsCertificate has. */
const converted: Readonly<
  Record<string, { readonly from: Fields; readonly to: Fields; readonly options?: Partial<ImportOptions> }>
> = {
  'the defaults of cert-manager are written out: a peer with an RSA key of 2048 bits in PKCS1': {
    from: { dnsNames: ['web.shop.svc'] },
    to: {
      authorityRef: { name: 'corp' },
      peer: { secretName: 'web-tls', dnsNames: ['web.shop.svc'] },
      duration: '2160h',
      privateKey: { algorithm: 'RSA', size: 2048, encoding: 'PKCS1', rotationPolicy: 'Always' },
      deletionPolicy: 'Retain',
    },
  },
  'server auth makes a server': { from: server, to: { server: { secretName: 'web-tls', dnsNames: ['web.shop.svc'] } } },
  'client auth makes a client, and its SPIFFE ID a serviceAccount': {
    from: { usages: ['client auth'], uris: ['spiffe://cluster.local/ns/shop/sa/web'] },
    to: { client: { secretName: 'web-tls', serviceAccount: 'web' } },
  },
  'server auth and client auth make a peer': {
    from: { ...server, usages: ['server auth', 'client auth'] },
    to: { peer: { secretName: 'web-tls', dnsNames: ['web.shop.svc'] } },
  },
  '--default-role chooses the role of a certificate for any purpose': {
    from: { dnsNames: ['web'] },
    options: { defaultRole: 'server' },
    to: { server: { secretName: 'web-tls', dnsNames: ['web'] } },
  },
  'further usages stay': {
    from: {
      ...server,
      usages: ['server auth', 'content commitment', 'data encipherment', 's/mime', 'email protection'],
    },
    to: {
      server: {
        secretName: 'web-tls',
        dnsNames: ['web.shop.svc'],
        usages: ['contentCommitment', 'dataEncipherment', 'emailProtection'],
      },
    },
  },
  'the PEM of an ECDSA key in PKCS1 is SEC1': {
    from: { ...server, privateKey: { algorithm: 'ECDSA', encoding: 'PKCS1', rotationPolicy: 'Never' } },
    to: { privateKey: { algorithm: 'ECDSA', size: 256, encoding: 'SEC1', rotationPolicy: 'Never' } },
  },
  'an Ed25519 key has no size and is in PKCS8': {
    from: { ...server, privateKey: { algorithm: 'Ed25519', size: 17 } },
    to: { privateKey: { algorithm: 'Ed25519', encoding: 'PKCS8', rotationPolicy: 'Always' } },
  },
  'durations stay, in their short form': {
    from: { ...server, duration: '720h0m0s', renewBefore: '1h30m0s' },
    to: { duration: '720h', renewBefore: '1h30m' },
  },
  'renewBeforePercentage stays': { from: { ...server, renewBeforePercentage: 25 }, to: { renewBeforePercentage: 25 } },
  'a subject whose attributes have one order stays': {
    from: { ...server, subject: { countries: ['DE'], organizations: ['Corp'], organizationalUnits: ['Shop'] } },
    to: { subject: { countries: ['DE'], organizations: ['Corp'], organizationalUnits: ['Shop'] } },
  },
  'keystores, formats and the template of the Secret stay': {
    from: {
      ...server,
      keystores: { pkcs12: { create: true, passwordSecretRef: { name: 'pw', key: 'p' } }, jks: { create: false } },
      additionalOutputFormats: [{ type: 'DER' }, { type: 'CombinedPEM' }],
      secretTemplate: { labels: { team: 'shop' }, annotations: { 'example.com/a': 'b' } },
    },
    to: {
      outputs: { combinedPEM: true, der: true, pkcs12: { passwordSecretRef: { name: 'pw', key: 'p' } } },
      secretTemplate: { labels: { team: 'shop' }, annotations: { 'example.com/a': 'b' } },
    },
  },
  'null counts as absent': {
    from: { ...server, subject: null, isCA: null, duration: null },
    to: { duration: '2160h' },
  },
};

for (const [title, { from, to, options }] of Object.entries(converted)) {
  test(`converted: ${title}`, () => {
    const { certificates, refused } = one(from, options);
    assert.deepEqual(refused, []);
    const [{ manifest } = assert.fail()] = certificates;
    assert.deepEqual(manifest.metadata, { name: 'web', namespace: 'shop' });
    for (const [field, value] of Object.entries(to)) assert.deepEqual(manifest.spec[field], value, field);
    if ('authorityRef' in to) assert.deepEqual(manifest.spec, to);
  });
}

/** Spec of a Certificate, and the field and the words of the report. */
const refused: Readonly<Record<string, { readonly from: Fields; readonly field: string; readonly says: RegExp }>> = {
  'a Secret whose name Kubernetes refuses': {
    from: { ...server, secretName: 'web_tls' },
    field: 'spec.secretName',
    says: /"web_tls" is not the name of a Secret/,
  },
  'a CA': { from: { ...server, isCA: true }, field: 'spec.isCA', says: /no CA certificates/ },
  'a usage of another kind': {
    from: { ...server, usages: ['server auth', 'timestamping'] },
    field: 'spec.usages',
    says: /"timestamping"/,
  },
  'a certificate for mail alone': { from: { ...server, usages: ['s/mime'] }, field: 'spec.usages', says: /no role/ },
  'key agreement of an RSA key': {
    from: { ...server, usages: ['server auth', 'key agreement'] },
    field: 'spec.usages',
    says: /ECDSA/,
  },
  'a key of 2049 bits': {
    from: { ...server, privateKey: { size: 2049 } },
    field: 'spec.privateKey.size',
    says: /not 2049/,
  },
  'a common name alone': { from: { commonName: 'web' }, field: 'spec.commonName', says: /add dnsNames/ },
  'a literal subject': { from: { ...server, literalSubject: 'CN=web' }, field: 'spec.literalSubject', says: /order/ },
  'a subject in another order': {
    from: { ...server, subject: { organizations: ['Corp'], localities: ['Berlin'] } },
    field: 'spec.subject',
    says: /organizations, localities in this order, the operator localities, organizations/,
  },
  'two organizations': {
    from: { ...server, subject: { organizations: ['A', 'B'] } },
    field: 'spec.subject',
    says: /one RDN/,
  },
  'a JKS keystore': {
    from: { ...server, keystores: { jks: { create: true } } },
    field: 'spec.keystores.jks',
    says: /PKCS#12/,
  },
  'a password in the manifest': {
    from: { ...server, keystores: { pkcs12: { create: true, password: 'hunter2' } } },
    field: 'spec.keystores.pkcs12.password',
    says: /into a Secret/,
  },
  'an old PKCS#12 profile': {
    from: {
      ...server,
      keystores: { pkcs12: { create: true, profile: 'LegacyDES', passwordSecretRef: { name: 'p', key: 'k' } } },
    },
    field: 'spec.keystores.pkcs12.profile',
    says: /AES-256/,
  },
  'renewal windows': {
    from: { ...server, renewal: { windows: [{ cron: '0 2 * * *', windowDuration: '1h' }] } },
    field: 'spec.renewal.windows',
    says: /any time/,
  },
  'no renewal': {
    from: { ...server, renewal: { policy: 'Disabled' } },
    field: 'spec.renewal.policy',
    says: /renews every/,
  },
  'a reserved label': {
    from: { ...server, secretTemplate: { labels: { 'kubernetes.io/x': 'y' } } },
    field: 'spec.secretTemplate.labels',
    says: /reserved/,
  },
  'a name that the operator refuses': {
    from: { ...server, dnsNames: ['web_1.example.com'] },
    field: 'spec',
    says: /web_1\.example\.com/,
  },
  'a SPIFFE ID and a second URI': {
    from: { ...server, uris: ['spiffe://a/b', 'urn:x:y'] },
    field: 'spec',
    says: /no other URI/,
  },
  'an external issuer': {
    from: { ...server, issuerRef: { name: 'x', group: 'example.com' } },
    field: 'spec.issuerRef',
    says: /"example\.com"/,
  },
  'an issuer that is not in the input': {
    from: { ...server, issuerRef: { name: 'x' } },
    field: 'spec.issuerRef',
    says: /read issuers/,
  },
  'an unknown field': { from: { ...server, colour: 'red' }, field: 'spec.colour', says: /does not know/ },
  'an own key __proto__': { from: JSON.parse('{"__proto__": {"isCA": false}}') as Fields, field: 'spec', says: /./ },
  'a wrong type': {
    from: { ...server, dnsNames: 'web' },
    field: 'spec.dnsNames',
    says: /"web" is not a list of strings/,
  },
  'a duration in microseconds': {
    from: { ...server, duration: '9000000000us' },
    field: 'spec.duration',
    says: /not a duration/,
  },
};

for (const [title, { from, field, says }] of Object.entries(refused)) {
  test(`refused, and not written: ${title}`, () => {
    const result = one(from);
    assert.deepEqual(result.certificates, []);
    if (title.includes('__proto__')) return;
    const problems = result.refused.flatMap((entry) => entry.problems);
    assert.ok(
      problems.some((problem) => problem.field === field && says.test(problem.text)),
      JSON.stringify(problems),
    );
  });
}

test('a field that changes nothing is dropped with a remark', () => {
  const { notes, certificates } = one({
    ...server,
    revisionHistoryLimit: 3,
    encodeUsagesInRequest: false,
    signatureAlgorithm: 'SHA512WithRSA',
  });
  assert.equal(certificates.length, 1);
  assert.deepEqual(
    notes.map(({ field }) => field),
    ['spec.encodeUsagesInRequest', 'spec.revisionHistoryLimit', 'spec.signatureAlgorithm'],
  );
});

test('an authority grants each namespace exactly the names that are not its own', () => {
  const { authorities, refused: none } = convert([
    clusterIssuer('corp'),
    certificate({
      usages: ['server auth'],
      dnsNames: ['web', 'web.shop', 'web.shop.svc.cluster.local', '*.Example.com.', 'db.other.svc'],
    }),
    certificate(
      { usages: ['client auth'], dnsNames: ['kafka-0'], ipAddresses: ['10.0.0.1', 'FD00::1'], commonName: 'kafka 0' },
      'k',
      'kafka',
    ),
    certificate(
      {
        usages: ['server auth', 'code signing'],
        uris: ['spiffe://cluster.local/ns/kafka/sa/x'],
        emailAddresses: ['a@b.example'],
      },
      'own',
      'kafka',
    ),
    certificate({ ...server, dnsNames: ['x.own.svc'] }, 'own', 'own'),
  ]);
  assert.deepEqual(none, []);
  const selector = (namespace: string) => ({ matchLabels: { 'kubernetes.io/metadata.name': namespace } });
  assert.deepEqual(authorities[0]?.manifest.spec, {
    secretName: 'corp',
    trustDomain: 'cluster.local',
    clusterDomain: 'cluster.local',
    issuance: {
      allow: [
        {
          namespaceSelector: selector('kafka'),
          dnsNames: ['kafka-0'],
          ipRanges: ['10.0.0.1/32', 'fd00::1/128'],
          emailAddresses: ['a@b.example'],
          commonNames: ['kafka 0'],
          usages: ['codeSigning'],
        },
        { namespaceSelector: selector('shop'), dnsNames: ['*.example.com', 'db.other.svc'] },
      ],
    },
  });
});

test('an Issuer becomes an authority for its namespace; a ClusterIssuer keeps its name', () => {
  const { authorities } = convert([
    issuer('shop', 'ca'),
    issuer('a', 'ca', { ca: { secretName: 'key' } }),
    clusterIssuer('shop-ca'),
    clusterIssuer('again', { ca: { secretName: 'shop-ca' } }),
  ]);
  assert.deepEqual(
    authorities.map(({ source, manifest, secret }) => [
      source.kind,
      manifest.metadata.name,
      secret.namespace,
      secret.name,
      secret.copy,
    ]),
    [
      ['ClusterIssuer', 'shop-ca', 'cert-manager', 'shop-ca', 'shop-ca'],
      ['ClusterIssuer', 'again', 'cert-manager', 'shop-ca', 'shop-ca'],
      ['Issuer', 'shop-ca-2', 'shop', 'ca', 'shop-ca-2'],
      ['Issuer', 'a-ca', 'a', 'key', 'a-key'],
    ],
  );
  assert.deepEqual(authorities[3]?.manifest.spec['issuance'], {
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'a' } },
  });
});

test('issuers of other types are refused with their certificates; a self-signed issuer and the certificate of a CA need no successor', () => {
  const result = convert([
    clusterIssuer('corp'),
    clusterIssuer('self', { selfSigned: {} }),
    clusterIssuer('acme', { acme: { server: 'x' } }),
    clusterIssuer('aia', { ca: { secretName: 'x', ocspServers: ['http://x'] } }),
    certificate(
      { isCA: true, commonName: 'Root', secretName: 'corp', issuerRef: { name: 'self', kind: 'ClusterIssuer' } },
      'root',
      'cert-manager',
    ),
    certificate({ ...server, issuerRef: { name: 'self', kind: 'ClusterIssuer' } }, 'self-signed'),
    certificate({ ...server, issuerRef: { name: 'acme', kind: 'ClusterIssuer' } }, 'public'),
    { apiVersion: 'trust.cert-manager.io/v1alpha1', kind: 'Bundle', metadata: { name: 'roots' }, spec: {} },
    { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'corp' }, data: { 'tls.key': 'S0VZ' } },
  ]);
  assert.deepEqual(
    result.replaced.map(({ source }) => source.name),
    ['self', 'root'],
  );
  assert.deepEqual(
    result.refused.map(({ source }) => source.name),
    ['roots', 'acme', 'aia', 'self-signed', 'public'],
  );
  assert.deepEqual(
    result.authorities.map(({ manifest }) => manifest.metadata.name),
    ['corp'],
  );
  assert.ok(!JSON.stringify(result).includes('S0VZ'));
});

test('objects that share a Secret, and different objects of one name, are refused; a copy counts once', () => {
  const result = convert([
    clusterIssuer('corp'),
    clusterIssuer('corp'),
    certificate({ ...server, secretName: 's' }, 'a'),
    certificate({ ...server, secretName: 's' }, 'b'),
    certificate(server, 'c'),
    certificate({ ...server, duration: '1h' }, 'c'),
    certificate(server, 'd'),
    certificate(server, 'd'),
  ]);
  assert.deepEqual(
    result.certificates.map(({ source }) => source.name),
    ['d'],
  );
  assert.deepEqual(
    result.refused.map(({ source }) => source.name),
    ['c', 'a', 'b'],
  );
});

test('an authority with more than 64 namespaces to grant names to: the further namespaces are refused', () => {
  const many = Array.from({ length: 70 }, (_, i) =>
    certificate({ ...server, dnsNames: ['a.example.com'] }, 'web', `n${i}`),
  );
  const result = convert([clusterIssuer('corp'), ...many]);
  assert.deepEqual([result.certificates.length, result.refused.length], [64, 6]);
  assert.match(result.refused[0]?.problems[0]?.text ?? '', /more than 64 grants/);
});

test('the report fits into 80 columns, names every object, and ends in what differs', () => {
  const many = Array.from({ length: 40 }, (_, i) =>
    certificate(
      { dnsNames: ['web.shop.svc'], ...(i % 8 === 0 ? { isCA: true, literalSubject: 'CN=x' } : {}) },
      `prometheus-operator-admission-${i}`,
    ),
  );
  const result = convert([clusterIssuer('corp'), ...many]);
  const report = textReport(result, 'mtls-operator', 80);
  assert.deepEqual(
    report.split('\n').filter((line) => line.length > 80),
    [],
  );
  const markdown = markdownReport(result, 'mtls-operator');
  for (const { metadata } of many) {
    assert.ok(report.includes(`${metadata.name}\n`) || report.includes(`${metadata.name} `), metadata.name);
    assert.ok(markdown.includes(metadata.name));
  }
  assert.match(
    report,
    /^Converted: 1 MtlsAuthority and 35 MtlsCertificates\. Not converted: 5 objects\.\n\nNOT CONVERTED/,
  );
});

test('a report holds no control character of the input, and no password', () => {
  const escape = '\u001b[31m\u009b';
  const conversion = convert([
    issuer('shop', 'corp'),
    certificate(server, `web${escape}`),
    certificate(server, 'web', `shop${escape}`),
    ...['dnsNames', 'uris', 'emailAddresses', 'ipAddresses', 'usages'].map((field, i) =>
      certificate({ ...server, issuerRef: { name: 'corp' }, [field]: [escape] }, `of-${i}`),
    ),
    certificate({ ...server, issuerRef: { name: escape, kind: escape }, secretName: escape }, 'ref'),
    certificate({ ...server, keystores: { pkcs12: { create: true, password: 12_345_678 } } }, 'keystore'),
    certificate({ ...server, [escape]: 1 }, 'unknown'),
  ]);
  assert.equal(conversion.refused.length, 10);
  for (const report of [textReport(conversion, 'mtls-operator', 80), markdownReport(conversion, 'mtls-operator')]) {
    assert.doesNotMatch(report, /[^\P{Cc}\n]/u);
    assert.doesNotMatch(report, /12345678/);
  }
});
