import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TrustBundle } from '../../../../src/api/types.ts';
import {
  type AuthorityRecord,
  type KnownNamespace,
  publicationsOf,
  type RootState,
  type TrustOutcome,
  type TrustRecord,
  type TrustSources,
  trustCondition,
  trustTargets,
  unreadableNamespaces,
} from '../../../../src/plan/index.ts';
import { authority, notReady, ready } from '../../../support/fixtures/authority.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { trustContent } from '../../../support/fixtures/trust.ts';

const view = ready(root());
const { digest } = view.bundle;
const bundleName = 'mtls-operator.io:default:roots';

const publisher = (trustBundle: Partial<TrustBundle>, changes: Partial<AuthorityRecord> = {}): AuthorityRecord =>
  authority({ spec: { ...authority().spec, trustBundle: { clusterTrustBundle: false, ...trustBundle } }, ...changes });

const inConfigMaps = publisher({ configMap: { name: 'trust' } });
const inBoth = publisher({ configMap: { name: 'trust' }, clusterTrustBundle: true });
const inClusterTrustBundle = publisher({ clusterTrustBundle: true });

/** The objects in the cluster, by namespace. */
interface Scene {
  /** Namespaces: 'own' holds the current bundle, 'old' another one. A missing object has only an outcome. */
  readonly namespaces?: Readonly<Record<string, 'own' | 'old' | 'theirs' | 'absent'>>;
  readonly cluster?: 'own' | 'old' | 'theirs' | 'absent';
  readonly outcomes?: Readonly<Record<string, Partial<TrustOutcome> & { readonly state: TrustOutcome['state'] }>>;
  readonly isServed?: boolean | undefined;
  readonly terminating?: readonly string[];
  /** The namespaces that the operator watches; absent: all. */
  readonly watched?: readonly string[];
  /** Namespaces whose labels the operator may not read. */
  readonly unlabelled?: readonly string[];
  /** Namespaces whose ConfigMaps the operator may not read. */
  readonly closed?: readonly string[];
  /** Namespaces in which an object was deleted. */
  readonly lost?: readonly string[];
  /** Further objects of the authority. */
  readonly more?: readonly TrustRecord[];
}

const record = (namespace: string, name: string, state: string): TrustRecord => ({
  namespace,
  name,
  uid: 'u',
  resourceVersion: '1',
  owner: state === 'theirs' ? 'another-uid' : 'authority-uid',
  metadata: trustContent('').metadata,
  bundle: state === 'old' ? 'old' : digest,
  immutable: false,
  deleting: false,
  changedAtMs: 7,
});

function worldOf({
  namespaces = {},
  cluster = 'absent',
  outcomes = {},
  terminating = [],
  unlabelled = [],
  closed = [],
  lost = [],
  more = [],
  ...rest
}: Scene): TrustSources {
  const all = Object.keys(namespaces).map(
    (name): KnownNamespace => ({
      name,
      ...(unlabelled.includes(name) ? {} : { labels: {} }),
      terminating: terminating.includes(name),
      ...(closed.includes(name) ? { configMapsForbidden: true } : {}),
    }),
  );
  return {
    namespaces: all,
    servesClusterTrustBundles: 'isServed' in rest ? rest.isServed : true,
    existing(_, namespace, wanted) {
      const state = namespace === '' ? cluster : (namespaces[namespace] ?? 'absent');
      const named = state === 'absent' ? [] : [record(namespace, wanted, state)];
      return [...named, ...more.filter((other) => other.namespace === namespace)];
    },
    wasDeleted: (_, namespace) => lost.includes(namespace),
    outcome: (_, namespace) => outcomes[namespace] as TrustOutcome | undefined,
  };
}

function say(of: AuthorityRecord, scene: Scene, as: RootState = view): string | undefined {
  const world = worldOf(scene);
  const { watched } = scene;
  const scope = watched === undefined ? world : { ...world, watched, unreadable: unreadableNamespaces(of, world) };
  const condition = trustCondition(of, as, trustTargets(of, world), scope);
  if (condition === undefined) return undefined;
  assert.equal(condition.type, 'TrustPublished');
  return `${condition.status} ${condition.reason}: ${condition.message}`;
}

const settled = { state: 'settled' } as const;
const foreign = { state: 'foreign' } as const;
const failed = { state: 'failed', message: 'exceeded quota' } as const;
const contested = { state: 'contested', message: 'changed by x' } as const;
/** An outdated object that is being deleted and held by a finalizer. */
const held = (name: string): TrustRecord => ({ ...record('shop', name, 'old'), immutable: true, deleting: true });
const many = (count: number): string[] => Array.from({ length: count }, (_, i) => `n${i}`);

describe('the condition TrustPublished', () => {
  const table: [title: string, of: AuthorityRecord, scene: Scene, said: string | undefined][] = [
    ['is absent without spec.trustBundle', authority(), { namespaces: { shop: 'absent' } }, undefined],
    ['is True when spec requests no bundle', publisher({}), {}, 'True Published: spec.trustBundle requests no bundle'],
    [
      'counts namespaces',
      inConfigMaps,
      { namespaces: { shop: 'own', web: 'own' } },
      'True Published: ConfigMap trust is published in 2 namespaces',
    ],
    [
      'counts one namespace',
      inConfigMaps,
      { namespaces: { shop: 'own' } },
      'True Published: ConfigMap trust is published in 1 namespace',
    ],
    ['counts no namespaces', inConfigMaps, {}, 'True Published: ConfigMap trust is published in 0 namespaces'],
    [
      'does not count namespaces that are being deleted',
      inConfigMaps,
      { namespaces: { shop: 'own', web: 'absent' }, terminating: ['web'] },
      'True Published: ConfigMap trust is published in 1 namespace',
    ],
    [
      'names the namespaces where another owner has the name, in order',
      inConfigMaps,
      { namespaces: { web: 'absent', shop: 'theirs', ok: 'own' }, outcomes: { web: foreign, shop: foreign } },
      'False TrustConflict: ConfigMap trust belongs to another owner in 2 of 3 namespaces: shop, web; delete it there, or set trustBundle.configMap.name to another name',
    ],
    [
      'names five of many namespaces',
      inConfigMaps,
      {
        namespaces: Object.fromEntries(many(8).map((name) => [name, 'absent'])),
        outcomes: Object.fromEntries(many(8).map((name) => [name, foreign])),
      },
      'False TrustConflict: ConfigMap trust belongs to another owner in 8 of 8 namespaces: n0, n1, n2, n3, n4 and 3 more; delete it there, or set trustBundle.configMap.name to another name',
    ],
    [
      'says why a ConfigMap cannot be written',
      inConfigMaps,
      { namespaces: { shop: 'absent', web: 'own' }, outcomes: { shop: failed } },
      'False PublishingFailed: ConfigMap trust cannot be written in 1 of 2 namespaces: shop (exceeded quota)',
    ],
    [
      'names the namespaces where another client keeps changing the ConfigMap',
      inConfigMaps,
      { namespaces: { shop: 'old', web: 'own' }, outcomes: { shop: contested, web: settled } },
      'False TrustContested: another client keeps changing ConfigMap trust in 1 of 2 namespaces: shop (changed by x)',
    ],
    [
      'names them even while the object holds the bundle for a moment',
      inConfigMaps,
      { namespaces: { shop: 'own', web: 'own' }, outcomes: { shop: contested, web: settled } },
      'False TrustContested: another client keeps changing ConfigMap trust in 1 of 2 namespaces: shop (changed by x)',
    ],
    [
      'says that a finalizer holds an object that was deleted and cannot be written',
      inConfigMaps,
      { namespaces: { web: 'own', shop: 'absent' }, more: [held('trust')], outcomes: { shop: settled } },
      'False PublishingFailed: ConfigMap trust cannot be written in 1 of 2 namespaces: shop (being deleted, but a finalizer holds it)',
    ],
    [
      'says that another client keeps changing the ClusterTrustBundle',
      inClusterTrustBundle,
      { cluster: 'old', outcomes: { '': contested } },
      `False TrustContested: another client keeps changing ClusterTrustBundle ${bundleName} (changed by x)`,
    ],
    [
      'says in how many namespaces the ConfigMap is up to date',
      inConfigMaps,
      { namespaces: { shop: 'old', web: 'own' }, outcomes: { shop: settled } },
      'False Pending: ConfigMap trust is up to date in 1 of 2 namespaces',
    ],
    [
      'lists every problem, and leaves out pending targets',
      inBoth,
      {
        namespaces: { a: 'theirs', b: 'absent', c: 'old', d: 'own' },
        outcomes: { b: failed, c: settled, '': failed },
      },
      'False TrustConflict: ConfigMap trust belongs to another owner in 1 of 4 namespaces: a; delete it there, or set trustBundle.configMap.name to another name; ConfigMap trust cannot be written in 1 of 4 namespaces: b (exceeded quota); ClusterTrustBundle mtls-operator.io:default:roots cannot be written (exceeded quota)',
    ],
    [
      'says that the ClusterTrustBundle is published',
      inClusterTrustBundle,
      { cluster: 'own' },
      `True Published: ClusterTrustBundle ${bundleName} is published`,
    ],
    [
      'says that the ClusterTrustBundle belongs to another owner',
      inClusterTrustBundle,
      { cluster: 'theirs', outcomes: { '': foreign } },
      `False TrustConflict: ClusterTrustBundle ${bundleName} belongs to another owner; delete it`,
    ],
    [
      'says that the ClusterTrustBundle is not up to date',
      inClusterTrustBundle,
      { cluster: 'old', outcomes: { '': settled } },
      `False Pending: ClusterTrustBundle ${bundleName} is not up to date yet`,
    ],
    [
      'says that the API server does not serve ClusterTrustBundles',
      inBoth,
      { namespaces: { shop: 'own' }, isServed: false },
      'False ClusterTrustBundleNotServed: ConfigMap trust is published in 1 namespace; the API server does not serve ClusterTrustBundle of certificates.k8s.io/v1; set trustBundle.clusterTrustBundle to false',
    ],
    [
      'does not count an object under a former name',
      inConfigMaps,
      { namespaces: { shop: 'theirs' }, more: [record('shop', 'old', 'own')], outcomes: { shop: foreign } },
      'False TrustConflict: ConfigMap trust belongs to another owner in 1 of 1 namespace: shop; delete it there, or set trustBundle.configMap.name to another name',
    ],
  ];
  for (const [title, of, scene, said] of table) test(title, () => assert.equal(say(of, scene), said));

  describe('of an operator that watches some namespaces', () => {
    const watched = ['shop', 'web'];
    const only = 'the operator watches only shop, web (--watch-namespaces) and publishes nowhere else';
    const labelled = publisher({ configMap: { name: 'trust', namespaceSelector: { matchLabels: { team: 'a' } } } });
    const right = 'create the Role and RoleBinding of the operator in web';
    const rows: [title: string, of: AuthorityRecord, scene: Scene, said: string][] = [
      [
        'is True, and says where else there are no bundles',
        inConfigMaps,
        { namespaces: { shop: 'own', web: 'own' } },
        `True PublishedInWatchedNamespaces: ConfigMap trust is published in 2 namespaces; ${only}`,
      ],
      [
        'says that there is no ClusterTrustBundle',
        inClusterTrustBundle,
        { isServed: false },
        'False ClusterTrustBundleNotWatched: the operator runs with --watch-namespaces and publishes no ClusterTrustBundle; set trustBundle.clusterTrustBundle to false',
      ],
      [
        'names a namespace whose ConfigMaps it may not read',
        inConfigMaps,
        { namespaces: { shop: 'own', web: 'absent' }, closed: ['web'] },
        `False NamespaceUnreadable: ConfigMap trust is published in 1 namespace; ConfigMap trust is not published in web: the operator may not read ConfigMaps there; ${right} (chart: watchNamespaces), or take the namespace out of --watch-namespaces`,
      ],
      [
        'names a namespace whose labels it may not read and that a selector may select',
        labelled,
        { namespaces: { web: 'absent' }, unlabelled: ['web'] },
        'False NamespaceUnreadable: ConfigMap trust is published in 0 namespaces; ConfigMap trust is not published in web: configMap.namespaceSelector needs labels that the operator may not read; grant the operator list and watch on namespaces with the resourceNames web',
      ],
      [
        'counts a bundle that was published before the labels became unreadable',
        labelled,
        { namespaces: { web: 'own' }, unlabelled: ['web'] },
        `True PublishedInWatchedNamespaces: ConfigMap trust is published in 1 namespace; ${only}`,
      ],
      [
        'needs no labels for an empty selector',
        inConfigMaps,
        { namespaces: { web: 'own' }, unlabelled: ['web'] },
        `True PublishedInWatchedNamespaces: ConfigMap trust is published in 1 namespace; ${only}`,
      ],
    ];
    for (const [title, of, scene, said] of rows) test(title, () => assert.equal(say(of, { watched, ...scene }), said));
  });

  test('stays as False when spec.trustBundle is removed and when spec is not valid', () => {
    const published = {
      type: 'TrustPublished',
      status: 'True',
      reason: 'Published',
      message: 'm',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    } as const;
    const given = authority({ status: { conditions: [published] } });
    const said = 'False NotRequested: spec.trustBundle is not set: the operator publishes no bundle';
    assert.equal(say(given, {}), said);
    const unread = 'False AuthorityNotReady: the authority is not ready; published bundles stay unchanged';
    assert.equal(say({ ...given, specProblem: 'spec.trustBundle is …' }, {}), unread);
  });

  test('is False while the root may not sign', () => {
    const bad = notReady('RootExpired', 'm');
    const said = 'False AuthorityNotReady: the authority is not ready; published bundles stay unchanged';
    assert.equal(say(inConfigMaps, { namespaces: { shop: 'own' } }, bad), said);
  });
});

describe('after a restart, the condition', () => {
  const message =
    'ConfigMap trust belongs to another owner in 1 of 1 namespace: shop; delete it there, or set trustBundle.configMap.name to another name';
  const remembering = (observedGeneration: number) => ({
    ...inConfigMaps,
    status: {
      conditions: [
        {
          type: 'TrustPublished',
          status: 'False',
          reason: 'TrustConflict',
          message,
          lastTransitionTime: '2026-01-01T00:00:00Z',
          observedGeneration,
        } as const,
      ],
    },
  });
  const scene = { namespaces: { shop: 'absent' } } as const;
  const pending = 'False Pending: ConfigMap trust is up to date in 0 of 1 namespace';

  test('stays unchanged until every target was read', () =>
    assert.equal(say(remembering(1), scene), `False TrustConflict: ${message}`));
  test('stays unchanged until the root was read', () =>
    assert.equal(
      say(remembering(1), { namespaces: { shop: 'own' } }, { state: 'unknown' }),
      `False TrustConflict: ${message}`,
    ));
  test('is updated once every target was read', () =>
    assert.equal(say(remembering(1), { ...scene, outcomes: { shop: settled } }), pending));
  test('does not repeat the condition of an older spec', () => assert.equal(say(remembering(0), scene), pending));
  test('is computed when status has none', () => assert.equal(say(inConfigMaps, scene), pending));
});

describe('publications', () => {
  const publicationsIn = (of: AuthorityRecord, scene: Scene) => publicationsOf(trustTargets(of, worldOf(scene)));

  test('are all objects that should hold the bundle, with their content', () => {
    assert.deepEqual(
      publicationsIn(inBoth, { namespaces: { shop: 'own', web: 'old', new: 'absent' }, cluster: 'own' }),
      [
        { namespace: 'shop', displayName: 'ConfigMap shop/trust', bundle: digest, changedAtMs: 7 },
        { namespace: 'web', displayName: 'ConfigMap web/trust', bundle: 'old', changedAtMs: 7 },
        { namespace: 'new', displayName: 'ConfigMap new/trust', changedAtMs: Infinity },
        {
          namespace: '',
          displayName: `ClusterTrustBundle ${bundleName}`,
          bundle: digest,
          changedAtMs: 7,
          isClusterTrustBundle: true,
        },
      ],
    );
  });

  test('do not include objects of other owners, nor namespaces that are being deleted', () => {
    const scene = {
      namespaces: { shop: 'theirs', web: 'absent', going: 'own' },
      outcomes: { web: foreign, '': foreign },
      terminating: ['going'],
    } as const;
    assert.deepEqual(publicationsIn(inBoth, scene), []);
  });

  test('include an object that the authority has taken over from another owner', () => {
    assert.deepEqual(publicationsIn(inConfigMaps, { namespaces: { shop: 'own' }, outcomes: { shop: foreign } }), [
      { namespace: 'shop', displayName: 'ConfigMap shop/trust', bundle: digest, changedAtMs: 7 },
    ]);
  });

  test('include an object that stays under a former name, because pods mount it', () => {
    const scene = { namespaces: { shop: 'theirs' }, more: [record('shop', 'former', 'old')] } as const;
    assert.deepEqual(publicationsIn(inConfigMaps, scene), [
      { namespace: 'shop', displayName: 'ConfigMap shop/former', bundle: 'old', changedAtMs: 7 },
    ]);
  });

  test('name another client or a finalizer that may block them', () => {
    const scene = {
      namespaces: { web: 'old', shop: 'absent' },
      more: [held('trust')],
      outcomes: { web: contested, shop: settled },
    } as const;
    assert.deepEqual(
      publicationsIn(inConfigMaps, scene).map(({ displayName: what, detail: why }) => [what, why]),
      [
        ['ConfigMap web/trust', 'changed by x'],
        ['ConfigMap shop/trust', 'being deleted, but a finalizer holds it'],
      ],
    );
  });

  test('do not include an object under a former name that is being deleted and held by a finalizer', () => {
    const scene = { namespaces: { shop: 'own' }, more: [held('former')] } as const;
    assert.deepEqual(
      publicationsIn(inConfigMaps, scene).map(({ displayName: what }) => what),
      ['ConfigMap shop/trust'],
    );
  });

  describe('in a namespace where the API server refuses the ConfigMap', () => {
    const outcomes = { shop: failed };
    const whatsIn = (scene: Parameters<typeof publicationsIn>[1]) =>
      publicationsIn(publisher({ configMap: { name: 'trust' } }), scene).map(({ displayName: what, detail: why }) => [
        what,
        why,
      ]);
    const web = ['ConfigMap web/trust', undefined];
    const shop = ['ConfigMap shop/trust', 'exceeded quota'];

    test('do not include one that never existed, because it has no reader', () =>
      assert.deepEqual(whatsIn({ namespaces: { shop: 'absent', web: 'own' }, outcomes }), [web]));

    test('include one that was deleted, because pods may mount it', () =>
      assert.deepEqual(whatsIn({ namespaces: { shop: 'absent', web: 'own' }, outcomes, lost: ['shop'] }), [shop, web]));

    test('include one that cannot be changed, with the reason', () =>
      assert.deepEqual(whatsIn({ namespaces: { shop: 'old', web: 'own' }, outcomes }), [shop, web]));

    test('include one that the operator has not tried to write', () =>
      assert.deepEqual(whatsIn({ namespaces: { shop: 'absent', web: 'own' } }), [
        ['ConfigMap shop/trust', undefined],
        web,
      ]));
  });

  test('are none without spec.trustBundle', () =>
    assert.deepEqual(publicationsIn(authority(), { cluster: 'own' }), []));

  test('include the ClusterTrustBundle until the API server is known not to serve it', () => {
    const what = `ClusterTrustBundle ${bundleName}`;
    assert.deepEqual(publicationsIn(inClusterTrustBundle, { isServed: undefined }), [
      { namespace: '', displayName: what, changedAtMs: Infinity, isClusterTrustBundle: true },
    ]);
    assert.deepEqual(publicationsIn(inClusterTrustBundle, { isServed: false }), []);
  });
});
