import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { operatorNamespace, paths, type Secret, type Stored } from '../../support/api.ts';
import { begin } from '../../support/begin.ts';
import { certificatesIn } from '../../support/behaviours/judge.ts';
import { openHelm } from '../../support/chart/helm.ts';
import { runPage } from '../../support/docs/run-page.ts';
import { eventually } from '../../support/eventually.ts';
import { startWebhookServer, type WebhookServer } from '../../support/injection/webhook-server.ts';
import { conditionOf, installation } from '../../support/installation.ts';
import { makeCa } from '../../support/roots/make.ts';

const annotation = 'mtls-operator.io/inject-ca-from';
const registration = '/apis/admissionregistration.k8s.io/v1';
const collections = {
  validating: `${registration}/validatingwebhookconfigurations`,
  mutating: `${registration}/mutatingwebhookconfigurations`,
  apiServices: '/apis/apiregistration.k8s.io/v1/apiservices',
  crds: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
} as const;
const policies = `${registration}/validatingadmissionpolicies`;
const bindings = `${registration}/validatingadmissionpolicybindings`;

const world = installation({ operator: false, watched: false, args: ['--inject-ca'] }, async () => {
  const rendered = await (await openHelm('helm')).render({ injectCA: { enabled: true } });
  const isNeeded = ({ kind }: { kind: string }) =>
    /^((Cluster)?Role(Binding)?|ValidatingAdmissionPolicy(Binding)?)$/.test(kind);
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: rendered.filter(isNeeded) });
  await world.cluster.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], { input });
  await world.start();
});

const namespace = 'hooks';
const authority = 'webhooks';
const group = 'echo.example.com';
const annotations = { [annotation]: authority };
const crdName = 'things.example.com';
const rules = [{ apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'], operations: ['CREATE'] }];

/** A webhook for the ConfigMaps with the label `hook: NAME`. */
const webhook = (name: string, clientConfig: object) => ({
  name: `${name}.example.com`,
  clientConfig,
  rules,
  objectSelector: { matchLabels: { hook: name } },
  failurePolicy: 'Fail',
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
  timeoutSeconds: 5,
});

const crd = (name: string, conversion: object | undefined, more: object = {}) => {
  const [plural = '', ...groups] = name.split('.');
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  return {
    metadata: { name, ...more },
    spec: {
      group: groups.join('.'),
      scope: 'Namespaced',
      names: {
        plural,
        singular: plural.slice(0, -1),
        kind: `${plural.slice(0, 1).toUpperCase()}${plural.slice(1, -1)}`,
      },
      versions: [
        { name: 'v1', served: true, storage: true, schema },
        { name: 'v2', served: true, storage: false, schema },
      ],
      ...(conversion === undefined ? {} : { conversion }),
    },
  };
};

interface Injectable extends Stored {
  readonly webhooks?: ReadonlyArray<{ readonly clientConfig: { readonly caBundle?: string } }>;
  readonly spec?: {
    readonly caBundle?: string;
    readonly conversion?: { readonly webhook?: { readonly clientConfig?: { readonly caBundle?: string } } };
  };
}

/** The caBundles of an object, decoded. */
const bundlesOf = ({ webhooks, spec }: Injectable): readonly string[] => {
  const configs = webhooks?.map(({ clientConfig }) => clientConfig) ?? [
    spec?.conversion?.webhook?.clientConfig ?? spec,
  ];
  return configs.map((config) => Buffer.from(config?.caBundle ?? '', 'base64').toString());
};

/** The root of another organization, which the authority's bundle holds too. It must not be injected. */
const partner = makeCa().pem;

/** The authority's own roots. */
const rootsOf = async (name: string): Promise<string> => {
  const { status } = await world.authority(name);
  return status?.trustBundle?.replace(partner, '') ?? '';
};

/** Waits until every caBundle of an object holds the roots of the authority. */
const isInjected = (path: string, from = authority): Promise<Injectable> =>
  eventually(
    async () => {
      const object = await world.api.get<Injectable>(path);
      const roots = await rootsOf(from);
      assert.notEqual(roots, '');
      const found = bundlesOf(object);
      assert.ok(found.length > 0);
      assert.deepEqual(
        found,
        found.map(() => roots),
      );
      return object;
    },
    { timeoutMs: 60_000, message: `${path} does not hold the roots` },
  );

const says = (status: string, reason: string, message = /./, name = authority) =>
  eventually(
    async () => {
      const condition = conditionOf(await world.authority(name), 'TrustPublished');
      assert.deepEqual([condition?.status, condition?.reason], [status, reason], condition?.message ?? 'none');
      assert.match(condition?.message ?? '', message);
      return condition;
    },
    { timeoutMs: 60_000, message: `MtlsAuthority ${name} does not report ${reason}` },
  );

const isReported = (name: string, reason: string, note: RegExp) =>
  eventually(async () => {
    const events = await world.api.list<Stored & { regarding: { name: string }; reason: string; note: string }>(
      paths.events,
    );
    const found = events.find((event) => event.regarding.name === name && event.reason === reason);
    assert.match(found?.note ?? '', note);
  });

const readSecret = (): Promise<Secret> => world.api.get<Secret>(paths.secrets(namespace, 'hooks-server-tls'));

/** The calls that the API server makes, each over a connection of its own. */
const calls = {
  validating: () => createConfigMap('validating'),
  mutating: () => createConfigMap('mutating'),
  url: () => createConfigMap('url'),
  aggregated: () => world.api.get(`/apis/${group}/v1/echo`),
  conversion: () => world.api.get('/apis/example.com/v2/namespaces/hooks/things/one'),
};
type Call = keyof typeof calls;

const createConfigMap = (hook: string): Promise<Stored> =>
  world.api.create(`${paths.configMaps(namespace)}?dryRun=All`, { metadata: { name: 'load', labels: { hook } } });

runPage('docs/how-to/inject-roots.md', world, {
  before: async () => {
    await world.authorityIs('default', 'True');
  },
  notRun: { 'helm upgrade': 'the roles are installed, and the operator runs with the flag' },
});

describe('the roots of an authority in the caBundle of', () => {
  let server: WebhookServer;

  before(async () => {
    await world.api.create(paths.namespaces(), { metadata: { name: namespace } });
    await world.api.create(paths.configMaps(operatorNamespace), {
      metadata: { name: 'partner' },
      data: { 'ca.crt': partner },
    });
    await world.createAuthority(authority, {
      secretName: authority,
      root: {},
      rotation: { propagationDelay: '3s' },
      trustBundle: { additional: [{ configMap: { name: 'partner' } }] },
      issuance: { allow: [{ namespaceSelector: {}, ipRanges: ['127.0.0.1/32'] }] },
    });
    await world.tenantOf(namespace).issue('hooks', {
      authorityRef: { name: authority },
      server: { service: 'hooks', ipAddresses: ['127.0.0.1'] },
    });
    server = await startWebhookServer(await readSecret(), group);
    let loaded = '';
    // It ends with the installation.
    void world.api.watch<Secret>(paths.secrets(namespace), ({ object }) => {
      const certificate = object.data?.['tls.crt'] ?? '';
      if (object.metadata.name !== 'hooks-server-tls' || certificate === loaded) return;
      loaded = certificate;
      server.load(object);
    });
    const { port } = server;
    // The API server resolves a Service of this type to the name, and verifies the name of the Service.
    await world.api.create(`/api/v1/namespaces/${namespace}/services`, {
      metadata: { name: 'hooks' },
      spec: { type: 'ExternalName', externalName: 'localhost', ports: [{ port }] },
    });
    const service = (path?: string) => ({
      service: { namespace, name: 'hooks', port, ...(path === undefined ? {} : { path }) },
    });
    await world.api.create(collections.validating, {
      metadata: { name: 'hooks', annotations },
      webhooks: [
        webhook('validating', service('/validate')),
        webhook('url', { url: `https://127.0.0.1:${port}/validate` }),
      ],
    });
    await world.api.create(collections.mutating, {
      metadata: { name: 'hooks', annotations },
      webhooks: [webhook('mutating', service('/mutate'))],
    });
    await world.api.create(collections.apiServices, {
      metadata: { name: `v1.${group}`, annotations },
      spec: { ...service(), group, version: 'v1', groupPriorityMinimum: 1000, versionPriority: 10 },
    });
    const clientConfig = service('/convert');
    const conversion = { strategy: 'Webhook', webhook: { clientConfig, conversionReviewVersions: ['v1'] } };
    await world.api.create(collections.crds, crd(crdName, conversion, { annotations }));
  });
  after(() => server?.close());

  const objects = [
    `${collections.validating}/hooks`,
    `${collections.mutating}/hooks`,
    `${collections.apiServices}/v1.${group}`,
    `${collections.crds}/${crdName}`,
  ];

  test('webhooks, APIServices and conversion webhooks let the API server call them, and are written once', async () => {
    const injected = await Promise.all(objects.map((path) => isInjected(path)));
    await says('True', 'Published', /injected into 4 objects/);
    await eventually(async () => {
      const trusted = Buffer.from((await readSecret()).data?.['ca.crt'] ?? '', 'base64').toString();
      assert.deepEqual(certificatesIn(trusted).length, 2, 'programs trust the root of the partner too');
    });
    await eventually(() =>
      world.api.create('/apis/example.com/v1/namespaces/hooks/things', {
        apiVersion: 'example.com/v1',
        kind: 'Thing',
        metadata: { name: 'one' },
      }),
    );
    for (const call of Object.values(calls)) await eventually(call);
    await world.restart();
    await says('True', 'Published', /injected into 4 objects/);
    const later = await Promise.all(objects.map((path) => world.api.get<Injectable>(path)));
    const managed = ({ metadata }: Injectable) =>
      (metadata as { managedFields?: Array<{ manager: string; time: string }> }).managedFields?.filter(
        ({ manager }) => manager === 'mtls-operator',
      );
    assert.deepEqual(later.map(managed), injected.map(managed));
  });

  test('all of them: no call fails while the root is rotated, and the rotation waits for the object that cannot be written', async () => {
    const old = await rootsOf(authority);
    const port = server.port;
    // The control: this webhook has no annotation, so its calls fail once the certificate is signed by the new root.
    const config = { url: `https://127.0.0.1:${port}/validate`, caBundle: Buffer.from(old).toString('base64') };
    await world.api.create(collections.validating, {
      metadata: { name: 'control' },
      webhooks: [webhook('control', config)],
    });
    await eventually(() => createConfigMap('control'));
    await refuseWrites('customresourcedefinitions', 'apiextensions.k8s.io');
    const failures: string[] = [];
    const counts: Record<string, number> = {};
    let controlFailed = 0;
    const stop = begin(async (signal) => {
      const repeat = async (call: () => Promise<unknown>, onError: (error: unknown) => void, name: string) => {
        while (!signal.aborted) {
          await call().catch(onError);
          counts[name] = (counts[name] ?? 0) + 1;
        }
      };
      await Promise.all([
        ...(Object.keys(calls) as Call[]).map((name) =>
          repeat(calls[name], (error) => failures.push(`${name}: ${String(error)}`), name),
        ),
        repeat(
          () => createConfigMap('control'),
          () => (controlFailed += 1),
          'control',
        ),
      ]);
    });
    try {
      await world.rotateRoot(authority, 'load');
      await eventually(
        async () => {
          const { rotation } = (await world.authority(authority)).status ?? {};
          assert.equal(rotation?.phase, 'Distributing');
          assert.match(
            rotation?.blockers?.join() ?? '',
            /^1 of \d+ .*CustomResourceDefinition things\.example\.com \(.*no writes today/,
          );
        },
        { timeoutMs: 60_000, message: 'the rotation does not wait for the CustomResourceDefinition' },
      );
      assert.equal(controlFailed, 0);
      await permitWrites();
      await eventually(
        async () => {
          const { status } = await world.authority(authority);
          assert.equal(status?.rotation, undefined, JSON.stringify(status?.rotation));
          assert.notEqual(status?.trustBundle?.replace(partner, ''), old);
        },
        { timeoutMs: 120_000, message: 'the rotation does not end' },
      );
      await Promise.all(objects.map((path) => isInjected(path)));
    } finally {
      await stop();
      await permitWrites();
    }
    assert.deepEqual([...new Set(failures)], []);
    for (const name of Object.keys(calls)) assert.ok((counts[name] ?? 0) > 20, `${name}: ${counts[name]} calls`);
    assert.ok(controlFailed > 0, 'the webhook without the annotation did not fail');
  });
});

/** Makes the API server refuse the operator's writes of a kind, for a reason that no retry removes. */
async function refuseWrites(resource: string, apiGroup: string): Promise<void> {
  await world.api.create(policies, {
    metadata: { name: 'no-writes' },
    spec: {
      matchConstraints: {
        resourceRules: [{ apiGroups: [apiGroup], apiVersions: ['v1'], resources: [resource], operations: ['UPDATE'] }],
      },
      matchConditions: [{ name: 'operator', expression: "request.userInfo.username.endsWith(':mtls-operator')" }],
      validations: [{ expression: 'false', message: 'no writes today' }],
    },
  });
  await world.api.create(bindings, {
    metadata: { name: 'no-writes' },
    spec: { policyName: 'no-writes', validationActions: ['Deny'] },
  });
  const login = '--as=system:serviceaccount:mtls-operator:mtls-operator';
  const patch = '[{"op":"remove","path":"/spec/conversion/webhook/clientConfig/caBundle"}]';
  await eventually(async () => {
    const { stderr } = await world.cluster.tryKubectl([
      'patch',
      login,
      resource,
      crdName,
      '--type=json',
      '--dry-run=server',
      '-p',
      patch,
    ]);
    assert.match(stderr, /no writes today/);
  });
}

async function permitWrites(): Promise<void> {
  for (const path of [`${bindings}/no-writes`, `${policies}/no-writes`])
    if ((await world.api.find(path)) !== undefined) await world.api.delete(path);
}

describe('an object that the operator may not fill', { concurrency: 4 }, () => {
  const caBundle = (pem: string) => Buffer.from(pem).toString('base64');
  const hook = (pem?: string) => [
    webhook('unused', { url: 'https://127.0.0.1:9/', ...(pem === undefined ? {} : { caBundle: caBundle(pem) }) }),
  ];

  test('is left alone and named while another injector fills it, and injected when it no longer does', async () => {
    const from = await world.ownAuthority();
    const path = `${collections.validating}/shared`;
    const both = { [annotation]: from, 'cert-manager.io/inject-ca-from': 'shop/ca' };
    const { metadata } = await world.api.create(collections.validating, {
      metadata: { name: 'shared', annotations: both },
      webhooks: hook(),
    });
    await says(
      'False',
      'TrustConflict',
      /ValidatingWebhookConfiguration shared \(its annotation cert-manager\.io\/inject-ca-from/,
      from,
    );
    await isReported('shared', 'InjectionConflict', /cert-manager\.io\/inject-ca-from/);
    assert.equal((await world.api.get(path)).metadata.resourceVersion, metadata.resourceVersion);
    await world.api.patch(path, { metadata: { annotations: { 'cert-manager.io/inject-ca-from': null } } });
    await isInjected(path, from);
    await says('True', 'Published', /injected into 1 object$/, from);
  });

  test('without a place for roots is said in the condition and in an event: no conversion webhook, insecureSkipTLSVerify', async () => {
    const from = await world.ownAuthority();
    const metadata = { annotations: { [annotation]: from } };
    await world.api.create(collections.crds, crd('plains.example.com', undefined, metadata));
    await world.api.create(collections.apiServices, {
      metadata: { name: 'v1.insecure.example.com', ...metadata },
      spec: {
        service: { namespace: 'default', name: 'none' },
        group: 'insecure.example.com',
        version: 'v1',
        insecureSkipTLSVerify: true,
        groupPriorityMinimum: 1000,
        versionPriority: 10,
      },
    });
    await says(
      'False',
      'InjectionImpossible',
      /APIService v1\.insecure\.example\.com, CustomResourceDefinition plains\.example\.com \(insecureSkipTLSVerify is true\)/,
      from,
    );
    await isReported('plains.example.com', 'InjectionImpossible', /no conversion webhook/);
    await isReported('v1.insecure.example.com', 'InjectionImpossible', /insecureSkipTLSVerify/);
  });

  test('gets an event while its authority does not exist, and the roots once it does', async () => {
    const name = 'late';
    const metadata = { name, annotations: { [annotation]: name } };
    await world.api.create(collections.mutating, { metadata, webhooks: hook() });
    await isReported(name, 'AuthorityNotFound', /MtlsAuthority late does not exist/);
    await world.createAuthority(name, { secretName: name, root: {} });
    await isInjected(`${collections.mutating}/${name}`, name);
  });

  test('keeps its caBundle when the annotation is removed, and when the authority is deleted', async () => {
    const from = await world.ownAuthority();
    const names = ['kept-one', 'kept-two'];
    for (const name of names)
      await world.api.create(collections.validating, {
        metadata: { name, annotations: { [annotation]: from } },
        webhooks: hook(),
      });
    const [one, two] = names.map((name) => `${collections.validating}/${name}`) as [string, string];
    const injected = bundlesOf(await isInjected(one, from));
    await isInjected(two, from);
    await world.api.patch(one, { metadata: { annotations: { [annotation]: null } } });
    await says('True', 'Published', /injected into 1 object$/, from);
    await world.api.delete(paths.authorities(from));
    await isReported('kept-two', 'AuthorityNotFound', /stays as it is/);
    for (const path of [one, two]) assert.deepEqual(bundlesOf(await world.api.get<Injectable>(path)), injected);
  });

  test('that another client keeps filling with other roots is repaired three times, then said with the name of that client', async () => {
    const from = await world.ownAuthority();
    const path = `${collections.validating}/fought`;
    const webhooks = [...hook(), { ...webhook('second', { url: 'https://127.0.0.1:9/' }) }];
    await world.api.create(collections.validating, {
      metadata: { name: 'fought', annotations: { [annotation]: from } },
      webhooks,
    });
    await isInjected(path, from);
    const theirs = webhooks.map(({ clientConfig, ...rest }) => ({
      ...rest,
      clientConfig: { ...clientConfig, caBundle: caBundle(partner) },
    }));
    for (let repair = 0; repair < 4; repair += 1) {
      await isInjected(path, from);
      await world.api.patch(`${path}?fieldManager=gitops`, { webhooks: theirs });
    }
    await says('False', 'TrustContested', /ValidatingWebhookConfiguration fought \(gitops.* keeps changing it/, from);
  });
});

test('of a kind that the operator may not read: the condition names the right, the log says it once, other kinds are injected', async () => {
  const name = 'mtls-operator';
  const path = `/apis/rbac.authorization.k8s.io/v1/clusterroles/${name}`;
  const role = await world.api.get<Stored & { rules: Array<{ resources?: string[] }> }>(path);
  await world.api.patch(path, {
    rules: role.rules.filter(({ resources }) => resources?.includes('apiservices') !== true),
  });
  await world.operator.stop();
  const operator = await world.start();
  const from = await world.ownAuthority();
  const metadata = { name: 'readable', annotations: { [annotation]: from } };
  await world.api.create(collections.mutating, {
    metadata,
    webhooks: [webhook('unused', { url: 'https://127.0.0.1:9/' })],
  });
  await isInjected(`${collections.mutating}/readable`, from);
  await says('False', 'InjectionForbidden', /may not get, list and watch apiservices\.apiregistration\.k8s\.io/, from);
  await eventually(() => {
    const lines = operator.logs.filter(
      ({ message, resource }) => String(message).includes('forbids') && resource === 'apiservices',
    );
    assert.equal(lines.length, 1);
  });
  // Its objects may hold any roots, so a rotation may not retire one.
  await world.patchAuthority(from, { spec: { rotation: { propagationDelay: '1s' } } });
  await world.rotateRoot(from, 'closed');
  await eventually(async () => {
    const { rotation } = (await world.authority(from)).status ?? {};
    assert.match(
      rotation?.blockers?.join() ?? '',
      /apiservices\.apiregistration\.k8s\.io \(the operator runs with --inject-ca/,
    );
  });
  await world.api.patch(path, { rules: role.rules });
  await eventually(async () => assert.equal((await world.authority(from)).status?.rotation, undefined), {
    timeoutMs: 90_000,
    message: 'the rotation does not continue when the right is back',
  });
  await says('True', 'Published', /injected into 1 object/, from);
});

describe('the admission policy for the operator’s ServiceAccount', () => {
  const as = '--as=system:serviceaccount:mtls-operator:mtls-operator';
  const patch = (resource: string, name: string, operations: readonly object[]) =>
    world.cluster.tryKubectl([
      'patch',
      as,
      resource,
      name,
      '--type=json',
      '--dry-run=server',
      '-p',
      JSON.stringify(operations),
    ]);

  test('permits no change of these objects but that of the roots, and none without the annotation', async () => {
    await world.api.create(collections.crds, crd('others.example.com', undefined));
    const attempts: ReadonlyArray<readonly [string, string, object, RegExp]> = [
      [
        'validatingwebhookconfiguration',
        'hooks',
        { op: 'add', path: '/webhooks/1/clientConfig/url', value: 'https://evil.example.com/' },
        /only the caBundles of a webhook/,
      ],
      [
        'validatingwebhookconfiguration',
        'hooks',
        { op: 'add', path: '/webhooks/0/failurePolicy', value: 'Ignore' },
        /only the caBundles of a webhook/,
      ],
      [
        'mutatingwebhookconfiguration',
        'hooks',
        { op: 'remove', path: '/webhooks/0' },
        /only the caBundles of a webhook/,
      ],
      [
        'validatingwebhookconfiguration',
        'control',
        { op: 'add', path: '/webhooks/0/clientConfig/caBundle', value: '' },
        /only objects with the annotation/,
      ],
      [
        'crd',
        'others.example.com',
        { op: 'add', path: '/spec/versions/0/schema/openAPIV3Schema/description', value: 'x' },
        /only objects with the annotation/,
      ],
      [
        'crd',
        crdName,
        { op: 'add', path: '/spec/versions/0/schema/openAPIV3Schema/description', value: 'x' },
        /only the caBundle of a CustomResourceDefinition/,
      ],
      [
        'crd',
        crdName,
        { op: 'add', path: '/spec/conversion/webhook/clientConfig/service/name', value: 'evil' },
        /only the caBundle/,
      ],
      ['crd', crdName, { op: 'add', path: '/metadata/labels', value: { a: 'b' } }, /no metadata/],
      [
        'apiservice',
        `v1.${group}`,
        { op: 'add', path: '/spec/service/name', value: 'evil' },
        /only the caBundle of an APIService/,
      ],
      [
        'apiservice',
        'v1.apps',
        { op: 'add', path: '/spec/versionPriority', value: 7 },
        /only objects with the annotation/,
      ],
    ];
    for (const [resource, name, operation, message] of attempts)
      await eventually(async () => assert.match((await patch(resource, name, [operation])).stderr, message));
  });
});
