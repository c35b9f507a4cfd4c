import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import type { Condition } from '../../../src/api/types.ts';
import { type Config, readConfig } from '../../../src/config/config.ts';
import { writeOperatorKubeconfig } from '../../../tools/operator.ts';
import { type Api, base64, type ConfigMap, openApi, operatorNamespace, paths, type Stored } from '../../support/api.ts';
import { broughtRoot } from '../../support/behaviours/brought-root.ts';
import { fileOf, judge } from '../../support/behaviours/judge.ts';
import { CHART, openHelm } from '../../support/chart/helm.ts';
import { runPage } from '../../support/docs/run-page.ts';
import { eventually } from '../../support/eventually.ts';
import { conditionOf, installation } from '../../support/installation.ts';
import { type Exchange, recordRequests } from '../../support/proxy.ts';

// The tests build on each other. First, the page installs the operator for `shop` and `billing`. The operator then also watches
// `closed`, which has no Role for it, and `later`, which does not exist. `other` is not watched.
const watched = ['shop', 'billing', 'closed', 'later'];
const args = [`--watch-namespaces=${watched.join(',')}`];
const server = { server: { service: 'db' } };

/** The operator's own client, and the requests of the operator. */
let token: Api;
let requests: readonly Exchange[] = [];

const world = installation({ manifests: false, operator: false });
after(() => token?.close());

runPage('docs/operations/namespaced.md', world, {
  after: {
    async 'Add or remove a namespace'({ run }) {
      const args = await run(
        "kubectl -n mtls-operator get deployment mtls-operator -o jsonpath='{.spec.template.spec.containers[0].args}'",
      );
      const { watchNamespaces } = readConfig(JSON.parse(args) as string[], {}) as Config;
      assert.deepEqual(watchNamespaces, ['shop', 'billing', 'web']);
    },
  },
});

async function prepare(): Promise<void> {
  const { cluster, proxy } = world;
  for (const name of ['closed', 'other']) await cluster.kubectl(['create', 'namespace', name]);
  await grant();
  await cluster.kubectl(['-n', 'closed', 'delete', 'rolebinding,role', 'mtls-operator']);
  const kubeconfig = join(cluster.dir, 'operator.kubeconfig');
  await writeOperatorKubeconfig(kubeconfig, (command) => cluster.kubectl(command));
  token = openApi({ ...cluster, kubeconfig });
  requests = recordRequests(proxy);
}

const start = () => world.start({ args, server: world.proxy.server });

/** Applies the roles of the chart, as far as their namespaces exist. */
async function grant(): Promise<void> {
  const helm = await openHelm('helm');
  const input = await helm.run(
    ['template', 'mtls-operator', CHART, '--namespace=mtls-operator', '--show-only=templates/rbac.yaml'],
    {
      watchNamespaces: watched,
    },
  );
  const apply = ['apply', '--server-side', '--force-conflicts', '-f', '-'];
  const { stderr } = await world.cluster.tryKubectl(apply, { input });
  const unexpected = stderr.split('\n').filter((line) => line !== '' && !line.includes('namespaces "later" not found'));
  assert.deepEqual(unexpected, []);
}

const shop = () => world.tenantOf('shop');
const billing = () => world.tenantOf('billing');

/** Waits until TrustPublished of the default authority has this reason for its current spec. */
const trustIs = (reason: string): Promise<Condition> =>
  eventually(async () => {
    const authority = await world.authority('default');
    const found = conditionOf(authority, 'TrustPublished');
    assert.ok(found !== undefined, 'there is no condition TrustPublished yet');
    assert.equal(found.reason, reason, found.message);
    assert.equal(found.observedGeneration, authority.metadata.generation);
    return found;
  });

/** Waits until a Secret in a watched namespace holds the own roots of the default authority, then these. */
const bundleHas = (...added: readonly string[]): Promise<void> =>
  eventually(async () => {
    const { status } = await world.authority('default');
    const messages = status?.conditions?.map(({ message }) => message).join('\n');
    assert.equal(
      fileOf(await shop().secret('db-server-tls'), 'ca.crt'),
      (status?.trustBundle ?? '') + added.join(''),
      messages ?? 'no conditions',
    );
  });

/** The series of the gauge of namespaces that the operator may not read. */
async function unreadable(): Promise<readonly string[]> {
  const text = await (await fetch(`${world.operator.url}/metrics`)).text();
  return text.split('\n').filter((line) => line.startsWith('mtls_operator_unreadable_namespaces{'));
}

test('the operator is ready while one namespace does not exist and another has no Role, and reports the missing Role', async () => {
  await prepare();
  await start();
  await world.authorityIs('default', 'True');
  const kinds = ['mtlscertificates', 'secrets', 'configmaps'];
  await eventually(async () =>
    assert.deepEqual(
      await unreadable(),
      kinds.map((kind) => `mtls_operator_unreadable_namespaces{namespace="closed",resource="${kind}"} 1`),
    ),
  );
  await eventually(() => {
    const refusals = world.operator.logs.filter(({ message }) =>
      String(message).includes('forbids this list or watch'),
    );
    const named = refusals.filter(({ namespace }) => namespace === 'closed').map(({ resource }) => resource);
    assert.deepEqual(new Set(named), new Set(kinds));
    assert.equal(named.length, kinds.length, 'each is logged once');
    assert.match(JSON.stringify(refusals), /cannot list resource \\+"secrets\\+" in API group/);
  });
});

test('it issues certificates in the watched namespaces, and does not handle those of others', async () => {
  const other = world.tenantOf('other');
  await other.create('db', server);
  await Promise.all([shop().issue('db', server), billing().issue('db', server)]);
  await judge(await shop().secret('db-server-tls'));
  const { status } = await other.get('db');
  assert.equal(status?.observedGeneration, -1);
  assert.deepEqual(await other.secretNames(), []);
});

describe('the token of the operator', { concurrency: 4 }, () => {
  const elsewhere = ['other', 'default', 'kube-system', 'closed', 'later', ''];
  const verbs = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'];
  const kinds: readonly [resource: string, group: string][] = [
    ['secrets', ''],
    ['configmaps', ''],
    ['mtlscertificates', 'mtls-operator.io'],
    ['mtlscertificates/status', 'mtls-operator.io'],
    ['pods', ''],
    ['serviceaccounts/token', ''],
  ];
  const mayDo = async (attributes: object): Promise<boolean> => {
    const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview' };
    const body = { ...review, spec: { resourceAttributes: attributes } };
    const answer = await token.create<{ status: { allowed: boolean } }>(
      '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      body,
    );
    return answer.status.allowed;
  };

  for (const [resource, group] of kinds) {
    test(`may not use ${resource} outside the watched namespaces, nor in all of them at once`, async () => {
      const [plural, subresource] = resource.split('/');
      const allowed: string[] = [];
      for (const namespace of elsewhere) {
        for (const verb of verbs) {
          const attributes = { group, resource: plural, subresource, verb, namespace };
          if (await mayDo(attributes)) allowed.push(`${verb} in ${namespace}`);
        }
      }
      assert.deepEqual(allowed, []);
    });
  }

  test('may use Secrets in the watched namespaces', async () => {
    for (const namespace of ['shop', 'billing', operatorNamespace]) {
      for (const verb of ['get', 'list', 'watch', 'create', 'patch', 'delete'])
        assert.ok(await mayDo({ resource: 'secrets', verb, namespace }), `${verb} in ${namespace}`);
    }
  });

  test('may write no ClusterTrustBundles, and read only the namespaces that are watched', async () => {
    const bundles = { group: 'certificates.k8s.io', resource: 'clustertrustbundles' };
    // Every ServiceAccount may read them.
    const writes = verbs.filter((verb) => !['get', 'list', 'watch'].includes(verb));
    for (const verb of writes) assert.ok(!(await mayDo({ ...bundles, verb })), verb);
    const list = (name?: string) =>
      mayDo({ resource: 'namespaces', verb: 'list', ...(name === undefined ? {} : { name }) });
    assert.deepEqual(await Promise.all([list('shop'), list('other'), list()]), [true, false, false]);
  });

  test('has no rules for Secrets or ConfigMaps in a namespace that is not watched', async () => {
    interface Rules {
      readonly status: {
        readonly resourceRules: readonly { resources: readonly string[]; verbs: readonly string[] }[];
      };
    }
    const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectRulesReview' };
    const { status } = await token.create<Rules>('/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', {
      ...review,
      spec: { namespace: 'other' },
    });
    const resources = new Set(status.resourceRules.flatMap((rule) => rule.resources));
    assert.deepEqual(
      resources,
      new Set([
        'mtlsauthorities',
        'mtlsauthorities/status',
        'namespaces',
        // Every ServiceAccount has these.
        'clustertrustbundles',
        'selfsubjectreviews',
        'selfsubjectaccessreviews',
        'selfsubjectrulesreviews',
      ]),
    );
  });

  test('reads, lists, watches and writes no Secret elsewhere', async () => {
    await world.api.create(paths.secrets('other'), { metadata: { name: 'password' }, data: { password: base64('x') } });
    const forbidden = /: 403 /;
    await assert.rejects(token.get(paths.secrets('other', 'password')), forbidden);
    await assert.rejects(token.list(paths.secrets('other')), forbidden);
    await assert.rejects(token.list('/api/v1/secrets'), forbidden);
    await assert.rejects(token.list('/api/v1/secrets?watch=true&timeoutSeconds=1'), forbidden);
    await assert.rejects(token.patch(paths.secrets('other', 'password'), { data: {} }), forbidden);
    await assert.rejects(token.delete(paths.secrets('other', 'password')), forbidden);
    await assert.rejects(token.create(paths.secrets('other'), { metadata: { name: 'new' } }), forbidden);
  });
});

describe('trust bundles', () => {
  before(async () => {
    await world.cluster.kubectl(['label', 'namespace', 'billing', 'other', 'team=edge']);
    await billing().create('granted', { server: { dnsNames: ['db.example.com'] } });
    await shop().create('granted', { server: { dnsNames: ['db.example.com'] } });
  });

  test('are published to the watched namespaces that a selector of labels selects', async () => {
    const namespaceSelector = { matchLabels: { team: 'edge' } };
    await world.patchAuthority('default', {
      spec: {
        issuance: { allow: [{ namespaceSelector, dnsNames: ['*.example.com'] }] },
        trustBundle: { configMap: { name: 'roots', namespaceSelector } },
        rotation: { propagationDelay: '1s' },
      },
    });
    const { status, message } = await trustIs('PublishedInWatchedNamespaces');
    assert.equal(status, 'True');
    assert.match(message, /in 1 namespace; .*billing, closed, later, mtls-operator, shop \(--watch-namespaces\)/);
    await world.api.get(paths.configMaps('billing', 'roots'));
    for (const namespace of ['shop', 'other', 'closed'])
      assert.equal(await world.api.find(paths.configMaps(namespace, 'roots')), undefined, namespace);
  });

  test('and grants of names by label apply', async () => {
    await billing().ready('granted');
    await shop().notReady('granted', 'Denied');
  });

  test('hold the roots of a ConfigMap and a Secret in the namespace of the operator, also after these change', async () => {
    const [first, second, third] = await Promise.all(
      ['First', 'Second', 'Third'].map(async (commonName) => (await broughtRoot({ commonName }))['tls.crt']),
    );
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    const metadata = { name: 'partner' };
    await world.api.create(paths.configMaps(operatorNamespace), { metadata, data: { 'ca.crt': first } });
    await world.api.create(paths.secrets(operatorNamespace), { metadata, stringData: { 'ca.crt': second } });
    // The sources are not looked for in other namespaces.
    await world.api.create(paths.configMaps('shop'), { metadata, data: { 'ca.crt': third } });
    const additional = [{ configMap: metadata }, { secret: metadata }];
    await world.patchAuthority('default', { spec: { trustBundle: { additional } } });
    await bundleHas(first, second);
    await world.api.patch(paths.configMaps(operatorNamespace, 'partner'), { data: { 'ca.crt': third } });
    await bundleHas(third, second);
    await world.api.patch(paths.secrets(operatorNamespace, 'partner'), { stringData: { 'ca.crt': first } });
    await bundleHas(third, first);
    const accepted = conditionOf(await world.authority('default'), 'AdditionalRootsAccepted');
    assert.equal(accepted?.status, 'True', accepted?.message ?? 'there is no condition AdditionalRootsAccepted');
  });

  test('are refused as ClusterTrustBundle, with a condition and without requests', async () => {
    await world.patchAuthority('default', { spec: { trustBundle: { clusterTrustBundle: true } } });
    const { status, message } = await trustIs('ClusterTrustBundleNotWatched');
    assert.equal(status, 'False');
    assert.match(message, /--watch-namespaces.*set trustBundle.clusterTrustBundle to false/);
    await world.patchAuthority('default', { spec: { trustBundle: { clusterTrustBundle: false } } });
    await trustIs('PublishedInWatchedNamespaces');
  });

  test('name the watched namespaces in which the operator may not read ConfigMaps', async () => {
    await world.patchAuthority('default', { spec: { trustBundle: { configMap: { namespaceSelector: null } } } });
    const { message } = await trustIs('NamespaceUnreadable');
    assert.match(message, /not published in closed: the operator may not read ConfigMaps there; create the Role/);
    for (const namespace of ['shop', 'billing', operatorNamespace])
      await world.api.get(paths.configMaps(namespace, 'roots'));
  });
});

test('a rotation of the root waits for a namespace that the operator may not read, and continues once it may', async () => {
  const closed = world.tenantOf('closed');
  await closed.create('db', server);
  const { status: before } = await world.authority('default');
  await world.rotateRoot('default', 'first');
  await eventually(async () => {
    const rotating = conditionOf(await world.authority('default'), 'Rotating');
    assert.match(
      rotating?.message ?? '',
      /namespace closed \(the operator may not read its mtlscertificates, secrets, configmaps/,
    );
  });
  await grant();
  await eventually(
    async () => {
      const { status } = await world.authority('default');
      assert.equal(status?.rotation, undefined, JSON.stringify(status?.rotation));
      assert.notEqual(status?.activeRoot?.fingerprint, before?.activeRoot?.fingerprint);
    },
    // The operator checks its rights again after up to 30 s.
    { timeoutMs: 180_000, message: 'the root was not rotated' },
  );
  await closed.ready('db');
  const roots = await world.api.get<ConfigMap>(paths.configMaps('closed', 'roots'));
  for (const tenant of [shop(), billing(), closed]) {
    const { data } = await tenant.secret('db-server-tls');
    assert.equal(data?.['ca.crt'], base64(roots.data?.['ca.crt'] ?? ''), tenant.namespace);
  }
  await eventually(async () => assert.deepEqual(await unreadable(), []));
});

test('a watched namespace that is created later gets certificates once its Role exists', async () => {
  await world.cluster.kubectl(['create', 'namespace', 'later']);
  await eventually(async () => assert.equal((await unreadable()).length, 3));
  const later = world.tenantOf('later');
  await later.create('db', server);
  await grant();
  await later.ready('db');
  await eventually(() => world.api.get(paths.configMaps('later', 'roots')));
});

/** The resourceVersions of everything that the operator may write, without MtlsCertificate `last`. */
async function versions(): Promise<Readonly<Record<string, string>>> {
  const collections = [
    paths.authorities(),
    '/apis/mtls-operator.io/v1alpha1/mtlscertificates',
    '/api/v1/secrets',
    '/api/v1/configmaps',
  ];
  const all = await Promise.all(collections.map((path) => world.api.list(path)));
  const others = all.flat().filter(({ metadata }) => !metadata.name.startsWith('last'));
  return Object.fromEntries(
    others.map(({ metadata }) => [`${metadata.name} ${metadata.uid}`, metadata.resourceVersion]),
  );
}

test('a restart writes nothing', async () => {
  // The certificates that exist when the term begins are queued before those that change later.
  await shop().issue('last', server);
  await trustIs('PublishedInWatchedNamespaces');
  const before = await eventually(async () => {
    const { status } = await world.authority('default');
    assert.equal(status?.certificates, (await certificatesInWatched()).length);
    return versions();
  });
  await world.operator.stop();
  await start();
  await shop().rotate('last', 'after-restart');
  await shop().ready('last');
  assert.deepEqual(await versions(), before);
});

const certificatesInWatched = async (): Promise<readonly Stored[]> =>
  (await world.api.list('/apis/mtls-operator.io/v1alpha1/mtlscertificates')).filter(
    ({ metadata }) => metadata.namespace !== 'other',
  );

test('without a right to read namespaces, the operator issues what needs no labels, keeps what is published, and says what is missing', async () => {
  const namespaceSelector = { matchLabels: { team: 'edge' } };
  await world.patchAuthority('default', { spec: { trustBundle: { configMap: { namespaceSelector } } } });
  await eventually(async () => assert.equal(await world.api.find(paths.configMaps('shop', 'roots')), undefined));
  await world.operator.stop();
  const role = '/apis/rbac.authorization.k8s.io/v1/clusterroles/mtls-operator';
  const { rules } = await world.api.get<Stored & { rules: readonly { resources: readonly string[] }[] }>(role);
  await world.api.patch(role, { rules: rules.filter(({ resources }) => !resources.includes('namespaces')) });
  await start();
  await shop().issue('unlabelled', server);
  await billing().rotate('granted', 'again');
  const { message } = await billing().notReady('granted', 'NamespaceUnreadable');
  assert.match(
    message,
    /may not read namespace billing, whose labels may allow more; grant the operator list and watch/,
  );
  const trust = await trustIs('NamespaceUnreadable');
  assert.match(trust.message, /not published in .*shop.*: configMap.namespaceSelector needs labels/);
  const kept = await world.api.get<ConfigMap>(paths.configMaps('billing', 'roots'));
  assert.ok(kept.data?.['ca.crt'], 'the published bundle stays');
  await grant();
  await billing().ready('granted');
  await trustIs('PublishedInWatchedNamespaces');
});

test('the operator has sent no request that reaches beyond the watched namespaces', () => {
  const namespaces = [...watched, operatorNamespace];
  const clusterWide = [
    /^\/apis\/mtls-operator\.io\/v1alpha1\/mtlsauthorities(\/|$)/,
    /^\/apis\/events\.k8s\.io\/v1\/namespaces\/default\/events$/,
  ];
  const beyond = requests.filter(({ path, query }) => {
    const [, namespace] = /\/namespaces\/([^/]+)\//.exec(path) ?? [];
    const isByName = namespaces.some((name) => query.get('fieldSelector') === `metadata.name=${name}`);
    if (path === '/api/v1/namespaces') return !isByName;
    return !clusterWide.some((pattern) => pattern.test(path)) && !namespaces.includes(namespace ?? '');
  });
  assert.deepEqual(
    beyond.map(({ method, path }) => `${method} ${path}`),
    [],
  );
  assert.ok(requests.length > 100);
});

test('each watched namespace takes four watches', () => {
  const ofShop = requests.filter(
    ({ path, query, isWatch }) =>
      isWatch && (path.includes('/namespaces/shop/') || query.get('fieldSelector') === 'metadata.name=shop'),
  );
  const collections = new Set(ofShop.map(({ path, query }) => `${path} ${query.get('labelSelector')}`));
  assert.equal(collections.size, 4, [...collections].join('\n'));
});
