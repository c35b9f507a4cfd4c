import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { manifestsProblem } from '../../../src/api/manifest.ts';

const repository = join(import.meta.dirname, '../../..');

const manifest = {
  apiVersion: 'mtls-operator.io/v1alpha1',
  kind: 'MtlsAuthority',
  metadata: { name: 'default' },
  spec: { secretName: 'mtls-root' },
};

const withSpec = (spec: object) => [{ ...manifest, spec: { ...manifest.spec, ...spec } }];
const withMetadata = (metadata: object) => [{ ...manifest, metadata: { ...manifest.metadata, ...metadata } }];

/** The MtlsAuthorities in the files of a pattern, as kubectl reads them. */
const authoritiesIn = (pattern: string) =>
  globSync(pattern, { cwd: repository })
    .sort()
    .flatMap((file) => {
      const text = readFileSync(join(repository, file), 'utf8').replaceAll('$(NAMESPACE)', 'tenant');
      const found = parseAllDocuments(text)
        .map((document) => document.toJS() as { kind?: string } | null)
        .filter((object) => object?.kind === 'MtlsAuthority');
      return found.map((object) => ({
        name: basename(file, '.yaml'),
        object,
        isRefused: text.startsWith('# refused'),
      }));
    });

describe('a list of manifests is accepted', () => {
  for (const [title, list] of [
    ['if it is empty', []],
    [
      'with every part of metadata that a user sets',
      withMetadata({ labels: { 'a.b/c': 'D_e.f', g: '' }, annotations: { h: 'i j' } }),
    ],
    ['with several authorities', [manifest, ...withMetadata({ name: 'a.b' })]],
    [
      'with characters outside the Basic Multilingual Plane, which count once',
      withSpec({ root: { commonName: '𝒳'.repeat(64) } }),
    ],
    // The pattern has \s, which in Go is ASCII.
    ['with a no-break space at an end', withSpec({ root: { commonName: '\u00a0Root' } })],
  ] as const) {
    test(title, () => assert.equal(manifestsProblem(list), undefined));
  }

  for (const { name, object, isRefused } of [
    ...authoritiesIn('test/integration/manifests/valid/*.yaml'),
    ...authoritiesIn('deploy/examples/*.yaml'),
    ...authoritiesIn('test/integration/manifests/invalid/*.yaml').filter((one) => !one.isRefused),
  ]) {
    test(`that the API server accepts: ${name}`, () => {
      assert.ok(!isRefused);
      assert.equal(manifestsProblem([object]), undefined);
    });
  }
});

describe('a list of manifests is refused, with the path', () => {
  const refused: [list: unknown, problem: string][] = [
    [manifest, 'the file must hold a JSON list of MtlsAuthority manifests'],
    [null, 'the file must hold a JSON list of MtlsAuthority manifests'],
    [[manifest, null], '[1] must be an object'],
    [[{ ...manifest, kind: 'MtlsCertificate' }], '[0].kind must be MtlsAuthority'],
    [[{ ...manifest, apiVersion: 'v1' }], '[0].apiVersion must be mtls-operator.io/v1alpha1'],
    [[{ ...manifest, status: {} }], '[0].status is not a field of an MtlsAuthority manifest'],
    [[{ ...manifest, spec: undefined }], '[0].spec must be an object'],
    [[{ ...manifest, spec: {} }], '[0].spec.secretName is missing'],
    [[manifest, manifest], '[1].metadata.name "default" occurs twice'],
    [withMetadata({ name: 'A' }), /^\[0\]\.metadata\.name "A" does not match the pattern \^\[a-z0-9\]/],
    [withMetadata({ name: '' }), '[0].metadata.name must not be empty'],
    [withMetadata({ name: 'a'.repeat(254) }), '[0].metadata.name must have at most 253 characters'],
    [withMetadata({ namespace: 'shop' }), '[0].metadata.namespace is not a field of an MtlsAuthority manifest'],
    [withMetadata({ labels: { a: 1 } }), '[0].metadata.labels.a must be a string'],
    [withMetadata({ labels: { 'a b': '' } }), '[0].metadata.labels["a b"] is not a valid key'],
    [withMetadata({ labels: { a: 'b c' } }), /^\[0\]\.metadata\.labels\.a "b c" does not match/],
    [withSpec({ rooot: {} }), '[0].spec.rooot is not a field of an MtlsAuthority manifest'],
    [withSpec({ constructor: {} }), '[0].spec.constructor is not a field of an MtlsAuthority manifest'],
    [withSpec({ root: null }), '[0].spec.root must be an object'],
    [withSpec({ root: { organizations: 'a' } }), '[0].spec.root.organizations must be a list'],
    [withSpec({ root: { organizations: ['a', ''] } }), '[0].spec.root.organizations[1] must not be empty'],
    [
      withSpec({ root: { organizations: Array(9).fill('a') } }),
      '[0].spec.root.organizations must have at most 8 entries',
    ],
    [
      withSpec({ root: { privateKey: { algorithm: 'DSA' } } }),
      '[0].spec.root.privateKey.algorithm must be ECDSA or RSA or Ed25519',
    ],
    [withSpec({ root: { privateKey: { size: '256' } } }), '[0].spec.root.privateKey.size must be a whole number'],
    [withSpec({ root: { privateKey: { size: 255 } } }), '[0].spec.root.privateKey.size must be at least 256'],
    [withSpec({ root: { privateKey: { size: 9000 } } }), '[0].spec.root.privateKey.size must be at most 8192'],
    [withSpec({ root: { duration: 'h' } }), '[0].spec.root.duration must have at least 2 characters'],
    [
      withSpec({ trustBundle: { clusterTrustBundle: 'yes' } }),
      '[0].spec.trustBundle.clusterTrustBundle must be a boolean',
    ],
  ] as never;
  for (const [list, problem] of refused) {
    test(JSON.stringify(list).slice(0, 160), () => {
      const found = manifestsProblem(list) ?? '';
      if (typeof problem === 'string') assert.equal(found, problem);
      else assert.match(found, problem);
    });
  }

  test('except for the manifests that only CEL rules of the API server refuse', () => {
    const missed = authoritiesIn('test/integration/manifests/invalid/*.yaml').filter(
      ({ object, isRefused }) => isRefused && manifestsProblem([object]) === undefined,
    );
    assert.deepEqual(
      missed.map(({ name }) => name),
      [
        'authority-additional-both-kinds',
        'authority-additional-duplicate',
        'authority-additional-no-kind',
        'authority-additional-own-root-secret',
        'authority-additional-private-key',
        'authority-cluster-domain-that-ends-in-a-number',
        'authority-issuance-dns-pattern-of-wildcards',
        'authority-issuance-ip-range-mapped',
        'authority-issuance-ip-range-with-host-bits',
        'authority-issuance-ip-range-without-prefix',
        'authority-issuance-max-duration-in-days',
        'authority-issuance-max-duration-too-short',
        'authority-issuance-selector-exists-with-values',
        'authority-issuance-selector-in-without-values',
        'authority-root-duration-too-short',
        'authority-root-key-size-invalid',
        'authority-rotation-cluster-trust-bundle-delay-in-days',
        'authority-trust-annotation-of-kubernetes',
        'authority-trust-config-map-of-kubernetes',
        'authority-trust-label-keys-too-long',
        'authority-trust-label-of-the-operator',
        'authority-trust-selector-without-values',
        'authority-trust-truststore-key-with-two-dots',
      ],
    );
  });
});
