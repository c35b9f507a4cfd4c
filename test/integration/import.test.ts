import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { convertCertManager, type ImportOptions, type Manifest } from '../../src/cli/index.ts';
import { operatorNamespace } from '../support/api.ts';
import { certManagerCrds } from '../support/cert-manager/crds.ts';
import { eventually } from '../support/eventually.ts';
import { installation } from '../support/installation.ts';
import { missing } from '../support/missing.ts';
import * as fc from '../support/properties.ts';
import { scratchFolder } from '../support/scratch.ts';

const skip = missing.go() ?? false;
const world = installation({ watched: false });
const dryRun = '?fieldValidation=Strict&dryRun=All';

const options: ImportOptions = {
  clusterResourceNamespace: operatorNamespace,
  operatorNamespace,
  trustDomain: 'cluster.local',
  clusterDomain: 'cluster.local',
  defaultRole: 'peer',
  acceptSubjectOrder: true,
};

/** How many random Certificates. */
const numRuns = Number(process.env['IMPORT_CASES'] ?? 150);
const seed = Number(process.env['IMPORT_SEED'] ?? 23);

const apiVersion = 'cert-manager.io/v1';
const issuer = (secretName: string) => ({
  apiVersion,
  kind: 'ClusterIssuer',
  metadata: { name: 'corp' },
  spec: { ca: { secretName } },
});

async function installCrds(): Promise<void> {
  const folder = await certManagerCrds();
  const files = ['certificates', 'clusterissuers'].flatMap((plural) => [
    '-f',
    join(folder, `cert-manager.io_${plural}.yaml`),
  ]);
  await world.cluster.kubectl(['apply', '--server-side', ...files]);
  await world.cluster.kubectl([
    'wait',
    '--for=condition=Established',
    '--timeout=120s',
    'crd/certificates.cert-manager.io',
    'crd/clusterissuers.cert-manager.io',
  ]);
  // The API server serves a kind a moment after its CRD is Established.
  await eventually(() => world.api.get(`/apis/${apiVersion}/certificates`), { timeoutMs: 120_000 });
}

const text = fc.oneof(
  fc.constantFrom(
    'web',
    'web.shop',
    'web.shop.svc',
    '*.example.com',
    'localhost',
    'Web.Example.com.',
    'system:masters',
    'a b',
    '',
    '-x',
    'ü',
    '10.0.0.1',
    'toString',
    '__proto__',
  ),
  fc.string({ maxLength: 80 }),
);
const texts = fc.array(text, { maxLength: 4 });
const name = fc.constantFrom('web', 'web.shop', 'db.other.svc', 'www.example.com', '*.example.com', 'API.example.com');
const mostly = <T>(good: fc.Arbitrary<T>, other: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 8, arbitrary: good }, { weight: 1, arbitrary: other });
const optional = <T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(fields, { requiredKeys: [] });
const usages = [
  'digital signature',
  'signing',
  'key encipherment',
  'server auth',
  'client auth',
  'content commitment',
  'data encipherment',
  'key agreement',
  'code signing',
  's/mime',
  'any',
  'timestamping',
  'cert sign',
];
const duration = fc.constantFrom('2160h', '1h', '90m', '720h0m0s', '1h1m1s1ms', '5us', '-1h', '1000000h', 'soon');
const map = fc.dictionary(
  mostly(fc.constantFrom('team', 'example.com/a', 'app.kubernetes.io/name'), text),
  mostly(fc.constantFrom('a', ''), text),
  { maxKeys: 3 },
);

const spec = fc
  .tuple(
    fc.record({
      secretName: mostly(fc.constant('web-tls'), text),
      dnsNames: fc.array(mostly(name, text), { maxLength: 4 }),
    }),
    fc.oneof(
      { weight: 2, arbitrary: fc.constant({}) },
      {
        weight: 5,
        arbitrary: optional<Record<string, unknown>>({
          usages: fc.array(fc.constantFrom(...usages), { maxLength: 3 }),
          privateKey: optional<Record<string, unknown>>({
            algorithm: fc.constantFrom('RSA', 'ECDSA', 'Ed25519'),
            encoding: fc.constantFrom('PKCS1', 'PKCS8'),
            size: fc.constantFrom(0, 256, 384, 521, 2048, 3072, 4096, 2049, 8192),
            rotationPolicy: fc.constantFrom('Never', 'Always'),
          }),
          duration,
          renewBefore: duration,
          commonName: mostly(name, text),
        }),
      },
      {
        weight: 3,
        arbitrary: optional<Record<string, unknown>>({
          ipAddresses: fc.array(mostly(fc.constantFrom('10.0.0.1', 'fd00::1', '::ffff:1.2.3.4'), text), {
            maxLength: 2,
          }),
          uris: fc.array(
            mostly(fc.constantFrom('spiffe://cluster.local/ns/shop/sa/web', 'https://example.com/*', 'urn:a:b'), text),
            { maxLength: 2 },
          ),
          emailAddresses: fc.array(mostly(fc.constantFrom('a@example.com', '*@example.com'), text), { maxLength: 2 }),
          otherNames: fc.array(
            fc.record({
              oid: mostly(fc.constant('1.3.6.1.4.1.311.20.2.3'), text),
              utf8Value: mostly(fc.constant('a@b'), text),
            }),
            { maxLength: 2 },
          ),
          subject: optional<Record<string, unknown>>({
            organizations: texts,
            countries: fc.array(fc.constantFrom('DE', 'de', 'x')),
            localities: texts,
            postalCodes: texts,
            serialNumber: text,
          }),
          secretTemplate: optional<Record<string, unknown>>({ labels: map, annotations: map }),
          keystores: fc.record({
            pkcs12: fc.record({ create: fc.boolean(), passwordSecretRef: fc.record({ name: text, key: text }) }),
          }),
          additionalOutputFormats: fc.array(fc.record({ type: fc.constantFrom('DER', 'CombinedPEM') }), {
            maxLength: 2,
          }),
          renewBeforePercentage: fc.integer({ min: -1, max: 101 }),
          revisionHistoryLimit: fc.integer({ min: 1, max: 9 }),
          isCA: fc.boolean(),
          literalSubject: mostly(fc.constant(''), text),
        }),
      },
    ),
  )
  .map(([names, more]) => ({ ...names, ...more, issuerRef: { name: 'corp', kind: 'ClusterIssuer' } }));

/** A dry run. Undefined when the API server accepts the object. */
async function refusal(object: object, path: string): Promise<string | undefined> {
  try {
    await world.api.create(path + dryRun, object);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

const pathOf = ({ kind }: Manifest) =>
  `/apis/mtls-operator.io/v1alpha1/${kind === 'MtlsAuthority' ? 'mtlsauthorities' : 'namespaces/default/mtlscertificates'}`;

test('of random Certificates that the API server has, each is written or refused, and what is written is accepted', {
  skip,
}, async () => {
  await installCrds();
  const specs = fc.sample(spec, { seed, numRuns });
  let written = 0;
  const check = async (from: object, i: number) => {
    const source = {
      apiVersion,
      kind: 'Certificate',
      metadata: { name: `web-${i}`, namespace: 'default' },
      spec: from,
    };
    const stored = await refusal(source, `/apis/${apiVersion}/namespaces/default/certificates`);
    assert.equal(stored, undefined, JSON.stringify(from));
    const result = convertCertManager([issuer('corp'), source], options);
    assert.equal(result.certificates.length + result.refused.length, 1);
    for (const { manifest } of [...result.authorities, ...result.certificates])
      assert.equal(await refusal(manifest, pathOf(manifest)), undefined, JSON.stringify({ from, manifest }));
    written += result.certificates.length;
  };
  await Promise.all(
    Array.from({ length: 8 }, async (_, worker) => {
      for (let i = worker; i < specs.length; i += 8) await check(specs[i] ?? assert.fail(), i);
    }),
  );
  assert.ok(written > numRuns / 8 && written < (numRuns * 7) / 8, `${written} of ${numRuns} were written`);
});

/** A Certificate, and what cert-manager's certificate has: names, extended usages, subject and key. */
const samples = {
  server: {
    spec: {
      usages: ['digital signature', 'server auth'],
      dnsNames: ['web', 'www.example.com'],
      ipAddresses: ['10.0.0.1'],
      privateKey: { algorithm: 'ECDSA' },
      duration: '48h',
    },
    names: 'DNS:web, DNS:www.example.com, IP Address:10.0.0.1',
    usages: ['1.3.6.1.5.5.7.3.1'],
    subject: undefined,
    key: 'EC PRIVATE KEY',
  },
  client: {
    spec: {
      usages: ['client auth'],
      uris: ['spiffe://cluster.local/ns/default/sa/web'],
      commonName: 'kafka 0',
      subject: { countries: ['DE'], organizations: ['Corp'] },
      privateKey: { algorithm: 'Ed25519' },
    },
    names: 'URI:spiffe://cluster.local/ns/default/sa/web',
    usages: ['1.3.6.1.5.5.7.3.2'],
    subject: 'C=DE\nO=Corp\nCN=kafka 0',
    key: 'PRIVATE KEY',
  },
  peer: {
    spec: {
      usages: ['server auth', 'client auth'],
      dnsNames: ['*.web.default.svc'],
      emailAddresses: ['a@example.com'],
      privateKey: { encoding: 'PKCS8', algorithm: 'ECDSA', size: 384 },
    },
    names: 'DNS:*.web.default.svc, email:a@example.com',
    usages: ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'],
    subject: undefined,
    key: 'PRIVATE KEY',
  },
  defaults: {
    spec: { dnsNames: ['web.default.svc'] },
    names: 'DNS:web.default.svc',
    usages: ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'],
    subject: undefined,
    key: 'RSA PRIVATE KEY',
  },
} as const;

test('the command writes manifests from what kubectl prints, and the operator issues the certificates that the Certificates ask for', {
  skip,
}, async () => {
  const { kubectl } = world.cluster;
  // The CA of the default authority plays the CA of cert-manager.
  await world.api.create(`/apis/${apiVersion}/clusterissuers`, issuer('mtls-root'));
  for (const [role, sample] of Object.entries(samples)) {
    await world.api.create(`/apis/${apiVersion}/namespaces/default/certificates`, {
      apiVersion,
      kind: 'Certificate',
      metadata: { name: role, namespace: 'default' },
      spec: { ...sample.spec, secretName: `import-${role}`, issuerRef: { name: 'corp', kind: 'ClusterIssuer' } },
    });
  }
  const input = await kubectl(['get', 'certificates,clusterissuers', '-A', '-o', 'yaml']);
  const folder = await scratchFolder('import');
  const run = await runImport(
    ['cert-manager', '-', '--output', folder, '--cluster-resource-namespace', operatorNamespace],
    input,
  );
  assert.equal(run.status, 0, run.stderr);
  assert.deepEqual(readdirSync(folder).sort(), [
    'authority_corp.yaml',
    ...Object.keys(samples)
      .sort()
      .map((role) => `certificate_default_${role}.yaml`),
    'report.md',
  ]);
  await kubectl(['apply', '-f', folder]);
  const now = Date.now();
  for (const [role, sample] of Object.entries(samples)) {
    await kubectl(['wait', '-n', 'default', '--for=condition=Ready', '--timeout=60s', `mtlscertificate/${role}`]);
    const { data = {} } = await world.api.get<{ data?: Record<string, string> }>(
      `/api/v1/namespaces/default/secrets/import-${role}`,
    );
    const file = (key: string) => Buffer.from(data[key] ?? '', 'base64').toString();
    const certificate = new X509Certificate(file('tls.crt'));
    assert.equal(certificate.subjectAltName, sample.names);
    assert.deepEqual(certificate.keyUsage, sample.usages);
    assert.equal(certificate.subject || undefined, sample.subject);
    assert.match(file('tls.key'), new RegExp(`^-----BEGIN ${sample.key}-----`));
    const hours = 'duration' in sample.spec ? 48 : 2160;
    assert.ok(Math.abs(certificate.validToDate.getTime() - now - hours * 3_600_000) < 600_000, certificate.validTo);
  }
});

async function runImport(args: readonly string[], input: string | Buffer = '') {
  const tool = join(import.meta.dirname, '../../tools/import.ts');
  const child = spawn(process.execPath, [tool, ...args]);
  // A program that reads no standard input may end first.
  child.stdin.on('error', () => {}).end(input);
  const [[status], stdout, stderr] = await Promise.all([
    once(child, 'close') as Promise<[number]>,
    readText(child.stdout),
    readText(child.stderr),
  ]);
  return { status, stdout, stderr };
}

test('without --output, the manifests are one stream on standard output, and something without an equal ends in exit code 2', async () => {
  const objects = [
    issuer('corp'),
    ...[{ usages: ['server auth'] }, { isCA: true }].map((more, i) => ({
      apiVersion,
      kind: 'Certificate',
      metadata: { name: `c${i}` },
      spec: { secretName: `c${i}`, dnsNames: ['web'], issuerRef: { name: 'corp', kind: 'ClusterIssuer' }, ...more },
    })),
  ];
  const { status, stdout, stderr } = await runImport(
    ['cert-manager', '--namespace', 'shop'],
    objects.map((object) => JSON.stringify(object)).join('\n---\n'),
  );
  assert.equal(status, 2);
  assert.deepEqual(
    stdout
      .split('---\n')
      .slice(1)
      .map((text) => (parse(text) as Manifest).kind),
    ['MtlsAuthority', 'MtlsCertificate'],
  );
  assert.match(stderr, /spec\.isCA: the operator issues no CA certificates\n {4}Certificate shop\/c1\n/);
});

const bomb = [
  'a: &a [x, x, x, x, x, x, x, x, x]',
  ...'bcdefghi'.split('').map((key, i) => `${key}: &${key} [${Array(9).fill(`*${'abcdefgh'[i]}`).join(', ')}]`),
].join('\n');

const badInput: Readonly<Record<string, readonly [readonly string[], string | Buffer]>> = {
  'text that is not YAML': [['cert-manager'], 'a: [1'],
  'a bomb of aliases': [['cert-manager'], bomb],
  'deep nesting': [['cert-manager'], '['.repeat(50_000)],
  'binary data': [['cert-manager'], Buffer.from([0, 255, 254, 7])],
  'nothing of cert-manager': [['cert-manager'], 'kind: Pod'],
  'no input': [['cert-manager'], ''],
  'a file that does not exist': [['cert-manager', '/nowhere/x.yaml'], ''],
  'a folder': [['cert-manager', '/'], ''],
  'an unknown flag': [['cert-manager', '--colour'], ''],
  'a flag without its value': [['cert-manager', '--output'], ''],
  'an output folder that holds files': [
    ['cert-manager', '--output', import.meta.dirname],
    JSON.stringify(issuer('corp')),
  ],
  'a wrong role': [['cert-manager', '--default-role=ca'], ''],
  'another source': [['vault'], ''],
  'no source': [[], ''],
};

describe('bad input is answered with one sentence and exit code 1:', { concurrency: 4 }, () => {
  for (const [title, [args, input]] of Object.entries(badInput)) {
    test(title, async () => {
      const { status, stdout, stderr } = await runImport(args, input);
      assert.deepEqual([status, stdout], [1, '']);
      assert.match(stderr, /^[^\n]{10,200}\n$/);
    });
  }
});

test('--help names every flag and every exit code', async () => {
  const { status, stdout } = await runImport(['--help']);
  assert.equal(status, 0);
  const source = readFileSync(join(import.meta.dirname, '../../tools/import.ts'), 'utf8');
  for (const [, flag] of source.matchAll(/^ {8}'?([a-z-]+)'?: \{ type:/gm))
    assert.match(stdout, new RegExp(`^ +--${flag}\\b`, 'm'));
  assert.match(stdout, /Exit code: 0 .* 2 .* 1 /);
});
