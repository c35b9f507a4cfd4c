import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import {
  defineResource,
  EventRecorder,
  events,
  isKubeError,
  KubeClient,
  type KubeError,
  type KubeErrorCode,
  type KubeObject,
  LeaderElector,
  leases,
  loadConnection,
  namespaces,
  Reflector,
  type ReflectorOptions,
  type RequestRecord,
  type Secret,
  type Served,
  Store,
  type StoreRecord,
  secrets,
  silentLog,
} from '../../src/kube/index.ts';
import { type ControlPlane, startControlPlane } from '../../tools/controlplane/controlplane.ts';
import { base64 } from '../support/api.ts';
import { begin } from '../support/begin.ts';
import { eventually } from '../support/eventually.ts';

let cluster: ControlPlane;
let client: KubeClient;
let namespacesMade = 0;

before(async () => {
  cluster = await startControlPlane();
  client = await clientOf(cluster.kubeconfig);
});

after(async () => {
  await client?.close();
  await cluster?.stop();
});

async function clientOf(kubeconfig: string, onRequest?: (record: RequestRecord) => void): Promise<KubeClient> {
  return new KubeClient(await loadConnection({ kubeconfig }), { userAgent: 'kube-test/1', onRequest });
}

async function newNamespace(): Promise<string> {
  namespacesMade += 1;
  const { metadata } = await client.create(namespaces, { metadata: { name: `kube-${namespacesMade}` } });
  return metadata.name;
}

function secret(namespace: string, name: string, value = 'x'): Secret {
  return { metadata: { namespace, name }, data: { value: base64(value) } };
}

/** Writes the administrator's kubeconfig with changes to a temporary file. */
function writeKubeconfig(t: TestContext, change: { cluster?: object; user?: object }): string {
  const folder = mkdtempSync(join(tmpdir(), 'kube-test-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'kubeconfig');
  const config = JSON.parse(readFileSync(cluster.kubeconfig, 'utf8')) as {
    clusters: [{ cluster: object }];
    users: [{ user: object }];
  };
  Object.assign(config.clusters[0].cluster, change.cluster);
  Object.assign(config.users[0].user, change.user);
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}

/** A check for assert.rejects: the error has this code and these fields. */
function refused(code: KubeErrorCode, more: Partial<KubeError> = {}): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isKubeError(error, code), `${String(error)} is not ${code}`);
    for (const [name, value] of Object.entries(more)) assert.equal(error[name as keyof KubeError], value, name);
    return true;
  };
}

interface Recorded extends StoreRecord {
  readonly value: string;
}

interface Reflected {
  readonly store: Store<Recorded>;
  readonly reflector: Reflector<Secret, Recorded>;
  readonly values: () => Record<string, string>;
  readonly errors: KubeErrorCode[];
}

function reflectSecrets(
  t: TestContext,
  namespace: string,
  options: Partial<ReflectorOptions<Secret, Recorded>> = {},
): Reflected {
  const store = new Store<Recorded>();
  const errors: KubeErrorCode[] = [];
  const reflector = new Reflector<Secret, Recorded>({
    client,
    resource: secrets,
    namespace,
    store,
    transform: recorded,
    log: silentLog,
    backoff: { baseMs: 10, maxMs: 200 },
    onError: (code) => errors.push(code),
    ...options,
  });
  t.after(begin((signal) => reflector.run(signal)));
  const values: Reflected['values'] = () =>
    Object.fromEntries([...store.values()].map(({ name, value }) => [name, value]));
  return { store, reflector, values, errors };
}

function recorded({ metadata, data }: Served<Secret>): Recorded {
  const { namespace, name, resourceVersion } = metadata;
  return { namespace, name, resourceVersion, value: Buffer.from(data?.['value'] ?? '', 'base64').toString() };
}

test('preconditions are sent, and each refusal has its own error code', async () => {
  const namespace = await newNamespace();
  const ref = { namespace, name: 'a' };
  const created = await client.create(secrets, secret(namespace, 'a'));
  await assert.rejects(client.create(secrets, secret(namespace, 'a')), refused('AlreadyExists'));
  await assert.rejects(client.get(secrets, { namespace, name: 'b' }), refused('NotFound'));
  await assert.rejects(client.create(secrets, secret(namespace, 'Not A Name')), refused('Invalid'));

  const { resourceVersion } = created.metadata;
  const patched = await client.mergePatch(secrets, ref, { metadata: { resourceVersion, labels: { a: 'b' } } });
  assert.equal(patched.metadata.labels?.['a'], 'b');
  const stale = { metadata: { resourceVersion, labels: { a: null } } };
  await assert.rejects(client.mergePatch(secrets, ref, stale), refused('Conflict', { outcomeUnknown: false }));
  await assert.rejects(client.replace(secrets, { ...created, type: 'Opaque' }), refused('Conflict'));
  await client.replace(secrets, { ...patched, data: {} });

  await assert.rejects(client.delete(secrets, ref, { uid: 'another' }), refused('Conflict'));
  await assert.rejects(client.delete(secrets, ref, { resourceVersion }), refused('Conflict'));
  await client.delete(secrets, ref, { uid: created.metadata.uid });
  await assert.rejects(client.delete(secrets, ref), refused('NotFound'));
});

test('the field manager is the name in the user agent', async () => {
  const namespace = await newNamespace();
  const { metadata } = await client.create(secrets, secret(namespace, 'a'));
  const { managedFields } = metadata as { managedFields?: { manager: string }[] };
  assert.deepEqual(
    managedFields?.map(({ manager }) => manager),
    ['kube-test'],
  );
});

test('a write in a namespace that is being deleted is Forbidden with namespaceTerminating, unlike a write without permissions', async () => {
  const namespace = await newNamespace();
  const holding = secret(namespace, 'holding');
  await client.create(secrets, { ...holding, metadata: { ...holding.metadata, finalizers: ['example.org/hold'] } });
  await client.delete(namespaces, { name: namespace });
  await assert.rejects(
    client.create(secrets, secret(namespace, 'late')),
    refused('Forbidden', { namespaceTerminating: true }),
  );
  await client.mergePatch(secrets, { namespace, name: 'holding' }, { metadata: { finalizers: null } });
});

test('an unknown credential gets Unauthorized, one without permissions gets Forbidden', async (t) => {
  const withToken = (token: string): Promise<KubeClient> => clientOf(writeKubeconfig(t, { user: { token } }));
  const unknown = await withToken('unknown');
  await assert.rejects(unknown.get(secrets, { namespace: 'default', name: 'a' }), refused('Unauthorized'));
  await unknown.close();

  const { stdout } = await cluster.kubectl(['create', 'token', 'default', '--namespace=default']);
  const powerless = await withToken(stdout.trim());
  await assert.rejects(powerless.get(secrets, { namespace: 'default', name: 'a' }), refused('Forbidden'));
  await powerless.close();
});

test('1,200 Secrets are listed in pages of 500, and then kept up to date by the watch', async (t) => {
  const namespace = await newNamespace();
  const names = Array.from({ length: 1200 }, (_, index) => `s-${index}`);
  await Promise.all(names.map((name) => client.create(secrets, secret(namespace, name))));
  const pages: RequestRecord[] = [];
  const counting = await clientOf(cluster.kubeconfig, (record) => {
    if (record.verb === 'list') pages.push(record);
  });
  t.after(() => counting.close());
  const { store, reflector } = reflectSecrets(t, namespace, { client: counting });
  await reflector.synced;
  assert.equal(store.size, 1200);
  assert.equal(pages.length, 3);
  await client.create(secrets, secret(namespace, 'one-more', 'new'));
  await client.delete(secrets, { namespace, name: 's-7' });
  await eventually(() => {
    assert.equal(store.get(`${namespace}/one-more`)?.value, 'new');
    assert.equal(store.get(`${namespace}/s-7`), undefined);
  });
});

test('a metadata-only reflector gets no data', async (t) => {
  const namespace = await newNamespace();
  await client.create(secrets, secret(namespace, 'listed'));
  const seen: Served<Secret>[] = [];
  const { store, reflector } = reflectSecrets(t, namespace, {
    metadataOnly: true,
    transform: (object) => {
      seen.push(object);
      return recorded(object);
    },
  });
  await reflector.synced;
  await client.create(secrets, secret(namespace, 'watched'));
  await eventually(() => assert.equal(store.size, 2));
  assert.deepEqual(
    seen.map(({ data }) => data),
    [undefined, undefined],
  );
});

test('a write that returns only metadata writes the whole object', async () => {
  const namespace = await newNamespace();
  const ref = { namespace, name: 'a' };
  const isMetadata = (answer: object): void => {
    assert.deepEqual(Object.keys(answer).sort(), ['apiVersion', 'kind', 'metadata']);
  };
  const created = await client.create(secrets, secret(namespace, 'a', '1'), { metadataOnly: true });
  isMetadata(created);
  const patched = await client.mergePatch(secrets, ref, { data: { more: 'eA==' } }, { metadataOnly: true });
  isMetadata(patched);
  assert.equal(patched.metadata.uid, created.metadata.uid);
  const { metadata, data } = await client.get(secrets, ref);
  assert.equal(metadata.resourceVersion, patched.metadata.resourceVersion);
  assert.deepEqual(data, { value: 'MQ==', more: 'eA==' });
  isMetadata(await client.replace(secrets, secret(namespace, 'a', '2'), { metadataOnly: true }));
});

test('an observed write is in the store before the watch reports it, and subscribers are called once', async (t) => {
  const namespace = await newNamespace();
  const { store, reflector } = reflectSecrets(t, namespace);
  await reflector.synced;
  const changes: string[] = [];
  store.subscribe((before, after) => changes.push(`${before?.value ?? '-'}>${after?.value ?? '-'}`));
  store.observe(recorded(await client.create(secrets, secret(namespace, 'a', '1'))));
  assert.equal(store.get(`${namespace}/a`)?.value, '1');
  await client.create(secrets, secret(namespace, 'z', 'last'));
  await eventually(() => assert.ok(store.get(`${namespace}/z`)));
  assert.deepEqual(changes, ['->1', '->last']);
});

test('objects that the selector no longer matches leave the store', async (t) => {
  const namespace = await newNamespace();
  const labelled = secret(namespace, 'a');
  await client.create(secrets, { ...labelled, metadata: { ...labelled.metadata, labels: { keep: 'yes' } } });
  await client.create(secrets, secret(namespace, 'b'));
  const { reflector, values } = reflectSecrets(t, namespace, { labelSelector: 'keep=yes' });
  await reflector.synced;
  assert.deepEqual(Object.keys(values()), ['a']);
  await client.mergePatch(secrets, { namespace, name: 'a' }, { metadata: { labels: null } });
  await eventually(() => assert.deepEqual(values(), {}));
});

test('no change is lost when connections are cut repeatedly', async (t) => {
  const namespace = await newNamespace();
  const proxy = await cuttingProxy(t);
  const cut = await clientOf(proxy.kubeconfig);
  t.after(() => cut.close());
  const { reflector, values } = reflectSecrets(t, namespace, { client: cut });
  await reflector.synced;
  const expected: Record<string, string> = {};
  for (let round = 0; round < 20; round += 1) {
    const name = `s-${String(round % 7)}`;
    if (expected[name] === undefined) await client.create(secrets, secret(namespace, name, String(round)));
    else await client.mergePatch(secrets, { namespace, name }, { data: { value: btoa(String(round)) } });
    expected[name] = String(round);
    // Some cuts interrupt a running watch, others one that is starting.
    if (round % 3 === 0) await eventually(() => assert.deepEqual(values(), expected));
    proxy.cut();
  }
  await client.delete(secrets, { namespace, name: 's-3' });
  delete expected['s-3'];
  await eventually(() => assert.deepEqual(values(), expected));
});

interface Widget extends KubeObject {
  readonly spec?: { readonly size?: number };
  readonly status?: { readonly seen?: number };
}

test('a reflector waits for a CRD that is installed later', async (t) => {
  const group = 'kube-test.example.org';
  const widgets = defineResource<Widget>({ group, version: 'v1', plural: 'widgets', kind: 'Widget', namespaced: true });
  const namespace = await newNamespace();
  const errors: KubeErrorCode[] = [];
  const store = new Store<StoreRecord>();
  const reflector = new Reflector<Widget, StoreRecord>({
    client,
    resource: widgets,
    store,
    transform: ({ metadata: { namespace, name, resourceVersion } }) => ({ namespace, name, resourceVersion }),
    log: silentLog,
    backoff: { baseMs: 50, maxMs: 200 },
    onError: (code) => errors.push(code),
  });
  t.after(begin((signal) => reflector.run(signal)));
  await eventually(() => assert.ok(errors.includes('NotFound')));
  const crd = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `widgets.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          subresources: { status: {} },
          schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        },
      ],
    },
  };
  const { code, stderr } = await cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(crd) });
  assert.equal(code, 0, stderr);
  await reflector.synced;
  const ref = { namespace, name: 'w' };
  const created = await eventually(() => client.create(widgets, { metadata: ref, spec: { size: 1 } }));
  await eventually(() => assert.ok(store.get(`${namespace}/w`)));
  await client.mergePatch(widgets, ref, { spec: { size: 2 } });
  const status = { status: { seen: 2 } };
  const answer = await client.mergePatch(widgets, ref, status, { subresource: 'status', metadataOnly: true });
  assert.deepEqual(Object.keys(answer).sort(), ['apiVersion', 'kind', 'metadata']);
  const written = await client.get(widgets, ref);
  assert.deepEqual([written.metadata.resourceVersion, written.status], [answer.metadata.resourceVersion, { seen: 2 }]);
  await client.delete(widgets, ref, { uid: created.metadata.uid });
  await eventually(() => assert.equal(store.size, 0));
});

test('events appear on their object, including cluster-scoped objects', async () => {
  const namespace = await newNamespace();
  const { metadata } = await client.create(secrets, secret(namespace, 'a'));
  const names = { reportingController: 'example.org/kube-test', reportingInstance: 'test-1' };
  const recorder = new EventRecorder({ client, ...names });
  const event = { type: 'Normal', reason: 'Tested', action: 'Test', note: 'it works' } as const;
  const { name, uid } = metadata;
  recorder.record({ ...event, regarding: { apiVersion: 'v1', kind: 'Secret', namespace, name, uid } });
  recorder.record({ ...event, regarding: { apiVersion: 'v1', kind: 'Namespace', name: namespace } });
  await recorder.flush(30_000);
  const about = async (eventNamespace: string): Promise<string[]> => {
    const { items } = await client.list(events, { namespace: eventNamespace });
    return items.filter(({ reason }) => reason === 'Tested').map(({ regarding }) => regarding.name);
  };
  assert.deepEqual([await about(namespace), await about('default')], [['a'], [namespace]]);
});

test('one candidate leads, even if its Lease is deleted; a release hands over, and a dead leader is replaced', async (t) => {
  const namespace = await newNamespace();
  const lease = { namespace, name: 'leader' };
  const candidate = (
    identity: string,
    candidateClient: KubeClient,
  ): { elector: LeaderElector; stop: () => Promise<void> } => {
    const timing = { leaseDurationMs: 3_000, renewDeadlineMs: 2_000, retryPeriodMs: 100 };
    const elector = new LeaderElector({ client: candidateClient, lease, identity, log: silentLog, ...timing });
    const controller = new AbortController();
    const run = elector.run(controller.signal, async (leadership) => {
      if (!leadership.aborted) await new Promise((resolve) => leadership.addEventListener('abort', resolve));
    });
    const stop = async (): Promise<void> => {
      controller.abort();
      await run;
    };
    t.after(stop);
    return { elector, stop };
  };
  const proxy = await cuttingProxy(t);
  const behindProxy = await clientOf(proxy.kubeconfig);
  t.after(() => behindProxy.close());

  const first = candidate('first', client);
  await eventually(() => assert.equal(first.elector.isLeader, true));
  await client.delete(leases, lease);
  await eventually(async () => assert.equal((await client.get(leases, lease)).spec?.holderIdentity, 'first'));
  assert.equal(first.elector.isLeader, true);
  const second = candidate('second', behindProxy);
  await eventually(() => assert.equal(second.elector.holder, 'first'));
  await first.stop();
  const released = await client.get(leases, lease);
  assert.ok(['', 'second'].includes(released.spec?.holderIdentity ?? ''));
  await eventually(() => assert.equal(second.elector.isLeader, true));

  const third = candidate('third', client);
  await eventually(() => assert.equal(third.elector.holder, 'second'));
  proxy.refuse();
  await eventually(() => assert.equal(second.elector.isLeader, false));
  await eventually(() => assert.equal(third.elector.isLeader, true));
  assert.equal(second.elector.isLeader, false);
});

test('requests and watches work again after a restart of the API server', async (t) => {
  const namespace = await newNamespace();
  const { reflector, values } = reflectSecrets(t, namespace);
  await client.create(secrets, secret(namespace, 'before', '1'));
  await reflector.synced;
  await cluster.stopApiServer();
  const refusedCall = client.create(secrets, secret(namespace, 'during'));
  await assert.rejects(refusedCall, (error) => isKubeError(error, 'Network'));
  await cluster.startApiServer();
  await eventually(() => client.create(secrets, secret(namespace, 'after', '2')));
  await eventually(() => assert.deepEqual(values(), { after: '2', before: '1' }));
});

test('after a compaction the old resourceVersion is Gone, and a reflector lists again', async (t) => {
  const namespace = await newNamespace();
  const { reflector, values, errors } = reflectSecrets(t, namespace);
  await reflector.synced;
  await client.create(secrets, secret(namespace, 'a', '1'));
  await client.create(secrets, secret(namespace, 'b', '2'));
  await eventually(() => assert.deepEqual(values(), { a: '1', b: '2' }));
  const page = await client.list(secrets, { namespace, limit: 1 });
  // So that the reflector has not seen the latest revision.
  await client.create(secrets, secret(await newNamespace(), 'elsewhere'));
  await cluster.compact();

  await assert.rejects(async () => {
    for await (const _ of client.watch(secrets, { namespace, resourceVersion: page.resourceVersion })) break;
  }, refused('Gone'));
  const { continueToken } = page;
  await assert.rejects(client.list(secrets, { namespace, limit: 1, continueToken }), refused('Gone'));
  await client.create(secrets, secret(namespace, 'c', '3'));
  await client.delete(secrets, { namespace, name: 'a' });
  await eventually(() => assert.deepEqual(values(), { b: '2', c: '3' }));
  assert.ok(errors.includes('Gone'), errors.join());
});

test('the client uses the proxy of the kubeconfig, and that of the environment unless the server is local', async (t) => {
  const target = new URL(cluster.server);
  const tunnels: string[] = [];
  const proxy = createHttpServer();
  proxy.on('connect', (request, inbound) => {
    tunnels.push(request.url ?? '');
    const outbound = connect(Number(target.port), target.hostname, () => {
      inbound.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      outbound.pipe(inbound).pipe(outbound);
    });
    outbound.on('error', () => inbound.destroy());
    inbound.on('error', () => outbound.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  t.after(() => proxy.close());
  const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const reach = async (change: object): Promise<void> => {
    const proxied = await clientOf(writeKubeconfig(t, { cluster: change }));
    await proxied.get(namespaces, { name: 'default' });
    await proxied.close();
  };
  await reach({ 'proxy-url': url });
  assert.deepEqual(tunnels, [target.host]);

  const before = process.env['HTTPS_PROXY'];
  t.after(() => {
    if (before === undefined) delete process.env['HTTPS_PROXY'];
    else process.env['HTTPS_PROXY'] = before;
  });
  process.env['HTTPS_PROXY'] = url;
  await reach({});
  assert.equal(tunnels.length, 1);
  // A host name that only the proxy can resolve.
  const elsewhere = `kubernetes.default.svc:${target.port}`;
  await reach({ server: `https://${elsewhere}` });
  assert.deepEqual(tunnels, [target.host, elsewhere]);
});

/** A proxy to the API server whose connections can be cut or refused, and a kubeconfig that uses it. */
async function cuttingProxy(t: TestContext): Promise<{ kubeconfig: string; cut: () => void; refuse: () => void }> {
  const target = new URL(cluster.server);
  const sockets = new Set<Socket>();
  const server = createServer((inbound) => {
    const outbound = connect(Number(target.port), target.hostname);
    for (const [from, to] of [
      [inbound, outbound],
      [outbound, inbound],
    ] as const) {
      sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const kubeconfig = writeKubeconfig(t, { cluster: { server: `https://127.0.0.1:${port}` } });
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const refuse = (): void => {
    server.close();
    cut();
  };
  t.after(refuse);
  return { kubeconfig, cut, refuse };
}
