import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TrustBundle } from '../../../../src/api/types.ts';
import {
  authorityLabel,
  clusterTrustBundleOf,
  configMapIn,
  type NamespaceRecord,
  type ObservedTrust,
  planTrust,
  signerNameOf,
  type TrustContent,
  type TrustRecord,
  type TrustStep,
} from '../../../../src/plan/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';

const { name, uid } = authority();

/** A ConfigMap as the operator wrote it. */
const written = (changes: Partial<TrustRecord> = {}): TrustRecord => ({
  namespace: 'shop',
  name: 'mtls-trust',
  uid: 'object-uid',
  resourceVersion: '7',
  owner: uid,
  ownerName: name,
  metadata: 'metadata',
  bundle: 'digest',
  immutable: false,
  deleting: false,
  changedAtMs: 0,
  ...changes,
});

/** The same ConfigMap without one field. */
function without(...keys: (keyof TrustRecord)[]): TrustRecord {
  const entries = Object.entries(written()).filter(([key]) => !keys.some((gone) => gone === key));
  return Object.fromEntries(entries) as unknown as TrustRecord;
}

/** What the ConfigMap should hold. */
const content = (changes: Partial<TrustContent> = {}): TrustContent => ({
  authority: name,
  bundle: { pem: 'pem', digest: 'digest' },
  metadata: 'metadata',
  omitted: [],
  ...changes,
});

const observe = (found: readonly TrustRecord[], changes: Partial<ObservedTrust> = {}): ObservedTrust => ({
  authority: authority(),
  content: content(),
  desiredName: 'mtls-trust',
  existing: found,
  ...changes,
});

/** The steps in short: the kind and the name. */
const stepsOf = (observed: ObservedTrust): string[] =>
  planTrust(observed).map((step: TrustStep) => {
    if (step.step === 'keep') return 'keep';
    return `${step.step} ${step.step === 'create' ? step.name : step.record.name}`;
  });

describe('the CRLs next to the bundle', () => {
  const table: [title: string, found: TrustRecord, crl: string | undefined, steps: string[]][] = [
    ['are kept', written({ crl: 'lists' }), 'lists', []],
    ['are added', written(), 'lists', ['update mtls-trust']],
    ['are updated when a certificate is revoked', written({ crl: 'old' }), 'lists', ['update mtls-trust']],
    ['are removed when there are none any more', written({ crl: 'old' }), undefined, ['update mtls-trust']],
  ];
  for (const [title, found, crl, steps] of table) {
    test(title, () =>
      assert.deepEqual(
        stepsOf(observe([found], crl === undefined ? {} : { content: content({ crl: { pem: '', digest: crl } }) })),
        steps,
      ),
    );
  }
});

describe('an object that should hold the bundle', () => {
  const foreign = written({ owner: 'another-uid', ownerName: 'another' });
  const table: [title: string, found: TrustRecord[], steps: string[]][] = [
    ['is kept when it is up to date', [written()], []],
    ['is created when there is none', [], ['create mtls-trust']],
    ['is updated when it holds another bundle', [written({ bundle: 'other' })], ['update mtls-trust']],
    ['is updated when it holds no bundle', [without('bundle')], ['update mtls-trust']],
    ['is updated when its labels or annotations differ', [written({ metadata: 'other' })], ['update mtls-trust']],
    [
      'is replaced when it is immutable, because kubelet no longer reads its changes',
      [written({ immutable: true })],
      ['replace mtls-trust'],
    ],
    [
      'is kept up to date while a finalizer holds it, because pods read it',
      [written({ deleting: true, bundle: 'other' })],
      ['update mtls-trust'],
    ],
    ['is kept while a finalizer holds it', [written({ deleting: true })], []],
    [
      'stays unchanged while a finalizer holds it and it is immutable',
      [written({ deleting: true, immutable: true, bundle: 'other' })],
      [],
    ],
    ['stays when another authority controls it', [foreign], ['conflict mtls-trust']],
    ['stays when it has no owner', [without('owner', 'ownerName')], ['conflict mtls-trust']],
    [
      'stays when it has no owner and is being deleted',
      [{ ...without('owner'), deleting: true }],
      ['conflict mtls-trust'],
    ],
    [
      'stays when it is immutable and another authority controls it',
      [{ ...foreign, immutable: true }],
      ['conflict mtls-trust'],
    ],
  ];
  for (const [title, found, steps] of table) {
    test(title, () => assert.deepEqual(stepsOf(observe(found)), steps));
  }

  test('is passed to the step unchanged, for the precondition', () => {
    const record = written({ bundle: 'other' });
    assert.deepEqual(planTrust(observe([record])), [{ step: 'update', record }]);
  });
});

describe('an object under a former name', () => {
  const old = written({ name: 'old' });
  const outdated = written({ name: 'old', bundle: 'other' });
  const foreign = written({ owner: 'another-uid' });
  const table: [title: string, found: TrustRecord[], steps: string[]][] = [
    ['is deleted once the bundle is published under the new name', [old, written()], ['delete old']],
    ['is deleted then even if it is outdated', [outdated, written()], ['delete old']],
    ['stays before that', [old], ['create mtls-trust']],
    ['stays while the new one is outdated', [old, written({ bundle: 'other' })], ['update mtls-trust']],
    ['stays while the new one is being deleted', [old, written({ deleting: true })], []],
    ['stays while another owner has the new name', [old, foreign], ['conflict mtls-trust']],
    ['is kept up to date while it stays', [outdated, foreign], ['conflict mtls-trust', 'update old']],
    ['stays when another authority controls it', [written({ name: 'old', owner: 'another-uid' }), written()], []],
    ['is not deleted twice', [written({ name: 'old', deleting: true }), written()], []],
  ];
  for (const [title, found, steps] of table) {
    test(title, () => assert.deepEqual(stepsOf(observe(found)), steps));
  }
});

describe('a target for which spec requests no bundle', () => {
  const nothingWanted = (found: TrustRecord[], changes: Partial<ObservedTrust> = {}) => {
    const { desiredName: _, ...observed } = observe(found, changes);
    return stepsOf(observed);
  };

  test('loses all objects of the authority', () =>
    assert.deepEqual(nothingWanted([written(), written({ name: 'old' })]), ['delete mtls-trust', 'delete old']));

  test('loses them while the root may not sign too, because only spec decides', () => {
    const { content: _, desiredName: __, ...observed } = observe([written()]);
    assert.deepEqual(stepsOf(observed), ['delete mtls-trust']);
  });

  test('keeps objects of other owners', () => {
    assert.deepEqual(nothingWanted([written({ owner: 'another-uid' }), without('owner')]), []);
  });
});

describe('no object is changed', () => {
  const found = [written({ bundle: 'other' }), written({ name: 'old', immutable: true })];

  test('while the root may not sign or has not been read', () => {
    const { content: _, ...observed } = observe(found);
    assert.deepEqual(stepsOf(observed), []);
    assert.deepEqual(stepsOf({ ...observed, existing: [] }), []);
  });

  test('for an authority that is being deleted', () => {
    assert.deepEqual(stepsOf(observe(found, { authority: authority({ deleting: true }) })), []);
    assert.deepEqual(stepsOf(observe([], { authority: authority({ deleting: true }) })), []);
  });
});

test('carrying out plans converges with the bundle only under the desired name', () => {
  const states: TrustRecord[] = [
    written(),
    written({ bundle: 'other' }),
    written({ immutable: true }),
    written({ owner: 'another-uid' }),
    without('owner', 'bundle', 'metadata'),
  ];
  const others = states.map((record) => ({ ...record, name: 'old' }));
  for (const first of [undefined, ...states]) {
    for (const second of [undefined, ...others]) {
      const found = new Map([first, second].flatMap((record) => (record === undefined ? [] : [[record.name, record]])));
      let rounds = 0;
      for (let steps = plan(found); steps.length > 0; steps = plan(found)) {
        for (const step of steps) {
          if (step.step === 'delete') found.delete(step.record.name);
          else found.set(nameOf(step), written({ name: nameOf(step) }));
        }
        rounds += 1;
        assert.ok(rounds <= 2, 'the plans do not converge');
      }
      const own = [...found.values()].filter(({ owner }) => owner === uid).map((record) => record.name);
      const isForeign = first !== undefined && first.owner !== uid;
      assert.deepEqual(own, isForeign ? (second?.owner === uid ? ['old'] : []) : ['mtls-trust']);
    }
  }

  function plan(found: ReadonlyMap<string, TrustRecord>) {
    return planTrust(observe([...found.values()])).filter((step) => step.step !== 'conflict');
  }
  function nameOf(step: Exclude<ReturnType<typeof plan>[number], never>): string {
    return step.step === 'create' ? step.name : step.record.name;
  }
});

describe('a namespace', () => {
  const trusting = (trustBundle?: Partial<TrustBundle>) => {
    const { spec } = authority();
    const bundle = trustBundle === undefined ? {} : { trustBundle: { clusterTrustBundle: false, ...trustBundle } };
    return authority({ spec: { ...spec, ...bundle } });
  };
  const namespace = (changes: Partial<NamespaceRecord> = {}): NamespaceRecord => ({
    name: 'shop',
    resourceVersion: '1',
    labels: { team: 'a' },
    terminating: false,
    ...changes,
  });
  const inTeam = (team: string) => ({ name: 'trust', namespaceSelector: { matchLabels: { team } } });

  const table: [title: string, wanted: string | undefined, trustBundle?: Partial<TrustBundle>, is?: NamespaceRecord][] =
    [
      ['gets no ConfigMap without spec.trustBundle', undefined],
      ['gets no ConfigMap without spec.trustBundle.configMap', undefined, { clusterTrustBundle: true }],
      ['gets a ConfigMap without a selector', 'trust', { configMap: { name: 'trust' } }],
      ['gets a ConfigMap with an empty selector', 'trust', { configMap: { name: 'trust', namespaceSelector: {} } }],
      ['gets a ConfigMap when it is selected', 'trust', { configMap: inTeam('a') }],
      ['gets no ConfigMap when it is not selected', undefined, { configMap: inTeam('b') }],
      [
        'gets no ConfigMap while it is being deleted',
        undefined,
        { configMap: inTeam('a') },
        namespace({ terminating: true }),
      ],
    ];
  for (const [title, wanted, trustBundle, is = namespace()] of table) {
    test(title, () => assert.equal(configMapIn(trusting(trustBundle), is), wanted));
  }

  test('gets no ConfigMap when it is no longer selected, although it holds one', () =>
    assert.equal(configMapIn(trusting({ configMap: inTeam('b') }), namespace(), true), undefined));

  describe('whose labels the operator may not read', () => {
    const unread = { name: 'shop', terminating: false };
    const cases: [title: string, wanted: string | undefined, selector: object | undefined, isPublished: boolean][] = [
      ['gets a ConfigMap without a selector', 'trust', undefined, false],
      ['gets a ConfigMap with an empty selector', 'trust', {}, false],
      ['gets no ConfigMap with a selector of labels', undefined, { matchLabels: { team: 'a' } }, false],
      [
        'gets no ConfigMap with a selector of absent labels',
        undefined,
        { matchExpressions: [{ key: 'a', operator: 'DoesNotExist' }] },
        false,
      ],
      ['keeps the ConfigMap that it has', 'trust', { matchLabels: { team: 'a' } }, true],
    ];
    for (const [title, wanted, namespaceSelector, isPublished] of cases) {
      test(title, () => {
        const configMap = { name: 'trust', ...(namespaceSelector && { namespaceSelector }) };
        assert.equal(configMapIn(trusting({ configMap }), unread, isPublished), wanted);
      });
    }
  });
});

describe('names', () => {
  test('of ClusterTrustBundles start with the signer name', () => {
    assert.equal(signerNameOf('my.org'), 'mtls-operator.io/my.org');
    assert.equal(clusterTrustBundleOf('my.org'), 'mtls-operator.io:my.org:roots');
  });

  test('of authorities are the label if they fit, otherwise their start and a digest', () => {
    assert.equal(authorityLabel('a'.repeat(63)), 'a'.repeat(63));
    const [long, other] = [authorityLabel('a'.repeat(253)), authorityLabel(`${'a'.repeat(252)}b`)];
    assert.match(long, /^a{46}-[0-9a-f]{16}$/);
    assert.equal(long.length, 63);
    assert.notEqual(long, other);
  });
});
