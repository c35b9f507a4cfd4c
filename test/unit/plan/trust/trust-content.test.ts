import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TrustConfigMap } from '../../../../src/api/types.ts';
import { inConfigMap } from '../../../../src/controllers/objects/trust-objects.ts';
import type { ConfigMap, KubeObject } from '../../../../src/kube/index.ts';
import { encodePublicTruststore } from '../../../../src/pki/index.ts';
import {
  configMapContent,
  ownerReference,
  planTrust,
  publicationsOf,
  type RootState,
  type TrustContent,
  type TrustRecord,
  trustCondition,
  trustTargets,
} from '../../../../src/plan/index.ts';
import { authority, notReady, ready } from '../../../support/fixtures/authority.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { mergedWith } from '../../../support/merge-patch.ts';

const publisher = (configMap: Partial<TrustConfigMap> = {}) =>
  authority({
    spec: {
      ...authority().spec,
      trustBundle: { configMap: { name: 'trust', ...configMap }, clusterTrustBundle: false },
    },
  });

const truststore = { key: 'truststore.p12', password: 'changeit' };
const state = ready(root());

/** A state with CRLs of this many octets. */
const withCrl = (octets: number): RootState => {
  const crl = { pem: `${'x'.repeat(octets - 1)}\n`, digest: `crl of ${octets}` };
  return {
    ...state,
    crl: { ...crl, revoked: new Set(), entries: {} as never, issuers: [], nextUpdate: new Date(0), unrenewable: [] },
  };
};

function contentOf(configMap: Partial<TrustConfigMap>, of: RootState = state): TrustContent {
  return configMapContent(publisher(configMap), of) ?? assert.fail('there is no content');
}

const metadata = {
  namespace: 'shop',
  name: 'trust',
  uid: 'object-uid',
  resourceVersion: '7',
  ownerReferences: [ownerReference('MtlsAuthority', authority())],
};

/** The ConfigMap as the operator creates it. */
const created = (configMap: Partial<TrustConfigMap> = {}): ConfigMap =>
  inConfigMap.create(metadata, contentOf(configMap));

/** The ConfigMap after the operator's next write for another spec. */
function rewritten(found: ConfigMap, configMap: Partial<TrustConfigMap>): ConfigMap {
  return mergedWith(found, inConfigMap.change(inConfigMap.toRecord(found), contentOf(configMap))) as ConfigMap;
}

const edited = (found: ConfigMap, change: object): ConfigMap => mergedWith(found, change) as ConfigMap;

const stepsFor = (found: ConfigMap, configMap: Partial<TrustConfigMap>): string[] =>
  planTrust({
    authority: authority(),
    content: contentOf(configMap),
    desiredName: 'trust',
    existing: [inConfigMap.toRecord(found)],
  }).map(({ step }) => step);

const labelled = { labels: { team: 'edge' }, annotations: { 'example.com/note': 'a' } };

describe('labels, annotations and the truststore of a published ConfigMap', () => {
  const whole = { ...labelled, truststore };
  const table: [title: string, found: ConfigMap, configMap: Partial<TrustConfigMap>, steps: string[]][] = [
    ['are kept when they are as requested', created(whole), whole, []],
    ['are added', created(), labelled, ['update']],
    ['are removed when they leave the spec', created(labelled), {}, ['update']],
    [
      'are restored after a change',
      edited(created(labelled), { metadata: { labels: { team: 'x' } } }),
      labelled,
      ['update'],
    ],
    [
      'are restored after a removal',
      edited(created(labelled), { metadata: { annotations: { 'example.com/note': null } } }),
      labelled,
      ['update'],
    ],
    [
      'of other clients cause no write',
      edited(created(labelled), { metadata: { labels: { app: 'theirs' } } }),
      labelled,
      [],
    ],
    [
      'are written when the record of their keys is gone',
      edited(created(labelled), { metadata: { annotations: { 'mtls-operator.io/template': null } } }),
      labelled,
      ['update'],
    ],
    ['get a truststore when spec requests it', created(), { truststore }, ['update']],
    ['lose the truststore when spec no longer requests it', created({ truststore }), {}, ['update']],
    [
      'get a truststore under another key',
      created({ truststore }),
      { truststore: { ...truststore, key: 'a.jks' } },
      ['update'],
    ],
    [
      'get a truststore with another password',
      created({ truststore }),
      { truststore: { ...truststore, password: 'b' } },
      ['update'],
    ],
    [
      'get the truststore again when it was changed',
      edited(created({ truststore }), { binaryData: { 'truststore.p12': 'AAAA' } }),
      { truststore },
      ['update'],
    ],
    [
      'get the truststore again when it was deleted',
      edited(created({ truststore }), { binaryData: null }),
      { truststore },
      ['update'],
    ],
  ];
  for (const [title, found, configMap, steps] of table) {
    test(title, () => {
      assert.deepEqual(stepsFor(found, configMap), steps);
      assert.deepEqual(stepsFor(rewritten(found, configMap), configMap), [], 'the next plan is not empty');
    });
  }

  test('leave without a trace, and what other clients added stays', () => {
    const theirs = {
      metadata: { labels: { app: 'theirs' }, annotations: { note: 'theirs' } },
      binaryData: { 'x.bin': 'AAAA' },
    };
    const found = rewritten(edited(created(whole), theirs), {});
    const { metadata: plain, data } = created();
    assert.deepEqual(found, {
      metadata: { ...plain, labels: { ...plain.labels, app: 'theirs' }, annotations: { note: 'theirs' } },
      data,
      binaryData: { 'x.bin': 'AAAA' },
    });
  });

  test('under a former key of the truststore leave with it', () => {
    const found = rewritten(created({ truststore }), { truststore: { ...truststore, key: 'roots.jks' } });
    assert.deepEqual(Object.keys(found.binaryData ?? {}), ['roots.jks']);
  });

  test('never remove a key that is not a truststore, whatever the record says', () => {
    const forged = { metadata: { annotations: { 'mtls-operator.io/outputs': '{"keys":["their.bin"],"digest":"x"}' } } };
    const found = rewritten(edited(created({ truststore }), { ...forged, binaryData: { 'their.bin': 'AAAA' } }), {
      truststore,
    });
    assert.equal(found.binaryData?.['their.bin'], 'AAAA');
  });

  test('do not change the bundle of the record, unless the truststore was tampered with', () => {
    const bundleIn = (object: ConfigMap) => inConfigMap.toRecord(object).bundle;
    for (const configMap of [{}, labelled, { truststore }, whole])
      assert.equal(bundleIn(created(configMap)), state.bundle.digest);
    assert.equal(bundleIn(edited(created(whole), { binaryData: { 'truststore.p12': 'AAAA' } })), undefined);
  });

  test('take no more than 4 KB of the cache, however large another client makes them', () => {
    const keys = Array.from({ length: 3000 }, (_, i) => `key-${i}`);
    const forged: KubeObject['metadata'] = {
      ...metadata,
      labels: Object.fromEntries(keys.map((key) => [key, 'x'])),
      annotations: {
        'mtls-operator.io/template': JSON.stringify({ labels: keys, annotations: [] }),
        'mtls-operator.io/outputs': JSON.stringify({ keys: [`${'k'.repeat(100_000)}.p12`], digest: 'x' }),
      },
    };
    assert.ok(JSON.stringify(inConfigMap.toRecord({ metadata: forged })).length < 4096);
  });
});

describe('a ConfigMap that would be too large', () => {
  const kib = 1024;
  const keysOf = (content: TrustContent) => [
    ...(content.crl === undefined ? [] : ['ca.crl']),
    ...(content.truststore === undefined ? [] : ['truststore.p12']),
  ];
  const table: [title: string, octets: number, kept: string[], omitted: string[]][] = [
    ['has everything that fits', 900 * kib, ['ca.crl', 'truststore.p12'], []],
    ['loses the truststore first', 959 * kib, ['ca.crl'], ['truststore.p12']],
    ['loses the CRLs then, and never the roots', 960 * kib, [], ['truststore.p12', 'ca.crl']],
  ];
  for (const [title, octets, kept, omitted] of table) {
    test(title, () => {
      const content = contentOf({ truststore }, withCrl(octets));
      assert.equal(content.bundle.digest, state.bundle.digest);
      assert.deepEqual([keysOf(content), content.omitted], [kept, omitted]);
    });
  }

  const large = withCrl(959 * kib);
  const found = inConfigMap.toRecord(inConfigMap.create(metadata, contentOf({ truststore }, large)));
  const targets = (records: readonly TrustRecord[]) =>
    trustTargets(publisher({ truststore }), {
      namespaces: [{ name: 'shop', labels: {}, terminating: false }],
      servesClusterTrustBundles: true,
      existing: () => records,
      wasDeleted: () => false,
      outcome: () => ({ state: 'settled' }),
    });

  test('is reported, with the keys that are left out', () => {
    const condition = trustCondition(publisher({ truststore }), large, targets([found]), {
      servesClusterTrustBundles: true,
    });
    assert.deepEqual([condition?.status, condition?.reason], ['False', 'BundleTooLarge']);
    assert.match(
      condition?.message ?? '',
      /^ConfigMap trust is published in 1 namespace; ConfigMap trust is published without truststore\.p12: with it the data would have more than 960 KiB/,
    );
  });

  test('holds up a rotation, because programs with the earlier truststore would not trust the next root', () => {
    const [publication] = publicationsOf(targets([found]));
    assert.equal(publication?.bundle, undefined);
    assert.equal(publication?.detail, 'it has no truststore.p12; see the condition TrustPublished');
    const [complete] = publicationsOf(targets([inConfigMap.toRecord(created({ truststore }))]));
    assert.equal(complete?.bundle, state.bundle.digest);
  });
});

test('a truststore is encoded once for each bundle and password, not for each namespace', () => {
  const configMap = { truststore };
  const first = contentOf(configMap);
  // Each watch event of the authority has a new object for the same spec.
  for (let i = 0; i < 1000; i += 1)
    assert.equal(contentOf(structuredClone(configMap)).truststore?.base64, first.truststore?.base64);
  const roots = state.bundle.roots;
  const cpuOf = (work: () => void): number => {
    const before = process.cpuUsage();
    for (let i = 0; i < 200; i += 1) work();
    const { user, system } = process.cpuUsage(before);
    return user + system;
  };
  const [content, encoding] = [() => contentOf(structuredClone(configMap)), () => encodePublicTruststore(roots, 'x')];
  assert.ok(cpuOf(content) < cpuOf(encoding) / 2, 'the content of a namespace costs as much as an encoding');
});

test('a ConfigMap has no content while the root may not sign', () =>
  assert.equal(configMapContent(publisher(), notReady('BadRoot', 'bad')), undefined));
