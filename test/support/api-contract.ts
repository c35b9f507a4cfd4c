import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { MtlsCertificate } from '../../src/api/types.ts';
import { certificates } from '../../src/controllers/objects/resources.ts';
import {
  type GuardedClient,
  type GuardedPatch,
  isKubeError,
  type KubeErrorCode,
  type KubeObject,
  type MergePatch,
  type ObjectMeta,
  type Resource,
  type Secret,
  type Selection,
  type Served,
  secrets,
} from '../../src/kube/index.ts';
import { lastContentWrite } from '../../src/plan/index.ts';

/** An API server under test, and an empty namespace in it. */
export interface ApiUnderTest {
  readonly client: GuardedClient;
  readonly namespace: string;
}

/**
 * The behaviour of the Kubernetes API that controllers rely on, as tests for one file. They run against a real API server,
 * which shows that they are correct, and against the one in memory, which has to behave like it.
 */
export function testApiContract(open: () => Promise<ApiUnderTest>): void {
  for (const [title, run] of contract) test(title, async () => run(await open()));
}

type Clause = readonly [title: string, run: (api: ApiUnderTest) => Promise<void>];

const label = 'mtls-operator.io/contract';
const absent = '00000000-0000-0000-0000-000000000000';

const contract: readonly Clause[] = [
  [
    'a created object gets a UID and a resourceVersion, and its name cannot be used again',
    async (api) => {
      const created = await create(api, 'a');
      assert.ok(created.metadata.uid !== '' && created.metadata.resourceVersion !== '');
      await refuses('AlreadyExists', create(api, 'a'));
      await api.client.delete(secrets, refTo(api, 'a'), { uid: created.metadata.uid });
      const second = await create(api, 'a');
      assert.notEqual(second.metadata.uid, created.metadata.uid);
    },
  ],
  [
    'find returns undefined for a missing object, and every other verb fails with NotFound',
    async (api) => {
      const ref = refTo(api, 'a');
      assert.equal(await api.client.find(secrets, ref), undefined);
      await refuses('NotFound', api.client.get(secrets, ref));
      await refuses('NotFound', api.client.mergePatch(secrets, ref, { metadata: { resourceVersion: '1' } }));
      await refuses('NotFound', api.client.delete(secrets, ref, { uid: absent }));
    },
  ],
  [
    'a merge patch sets, replaces and removes the named fields, and keeps the others',
    async (api) => {
      const created = await create(api, 'a', { labels: { [label]: 'x' }, data: { one: 'MQ==', two: 'Mg==' } });
      const annotations = { [label]: 'y' };
      const patched = await patch(api, created, { metadata: { annotations }, data: { one: null, three: 'Mw==' } });
      assert.deepEqual(patched.data, { two: 'Mg==', three: 'Mw==' });
      assert.deepEqual(patched.metadata.labels, { [label]: 'x' });
      assert.deepEqual(patched.metadata.annotations, annotations);
      assert.notEqual(patched.metadata.resourceVersion, created.metadata.resourceVersion);
      assert.deepEqual(await read(api, 'a'), patched);
    },
  ],
  [
    'a write that changes nothing keeps the resourceVersion',
    async (api) => {
      const created = await create(api, 'a', { data: { one: 'MQ==' } });
      const patched = await patch(api, created, { data: { one: 'MQ==' } });
      assert.equal(patched.metadata.resourceVersion, created.metadata.resourceVersion);
    },
  ],
  [
    'a JSON patch sets one field, and fails with Conflict and changes nothing if its resourceVersion is old',
    async (api) => {
      const { resourceVersion } = (await create(api, 'a')).metadata;
      const ref = refTo(api, 'a');
      const setting = (value: string) => [{ op: 'add', path: '/data/two', value } as const];
      const filled = await api.client.mergePatch(secrets, ref, {
        metadata: { resourceVersion },
        data: { one: 'MQ==' },
      });
      await refuses('Conflict', api.client.jsonPatch(secrets, ref, { resourceVersion, operations: setting('Mg==') }));
      const now = filled.metadata.resourceVersion;
      const patched = await api.client.jsonPatch(secrets, ref, { resourceVersion: now, operations: setting('Mw==') });
      assert.deepEqual(patched.data, { one: 'MQ==', two: 'Mw==' });
      assert.notEqual(patched.metadata.resourceVersion, now);
    },
  ],
  [
    'a write can return only the metadata',
    async (api) => {
      const ref = refTo(api, 'a');
      const created = await api.client.create(secrets, secret(api, 'a'), { metadataOnly: true });
      const { resourceVersion } = created.metadata;
      const change = { metadata: { resourceVersion }, data: { one: 'MQ==' } };
      const patched = await api.client.mergePatch(secrets, ref, change, { metadataOnly: true });
      const found = await api.client.find(secrets, ref, { metadataOnly: true });
      for (const answer of [created, patched, found]) assert.ok(answer !== undefined && !('data' in answer));
      assert.equal(found?.metadata.resourceVersion, patched.metadata.resourceVersion);
    },
  ],
  [
    'a patch with an old resourceVersion, or with the UID of another object, fails with Conflict and changes nothing',
    async (api) => {
      const first = await create(api, 'a');
      const second = await patch(api, first, { data: { one: 'MQ==' } });
      const change = { data: { one: 'Mg==' } };
      await refuses('Conflict', patch(api, first, change));
      await refuses('Conflict', patch(api, first, { metadata: { uid: first.metadata.uid }, ...change }));
      await refuses('Conflict', patch(api, first, { metadata: { uid: absent }, ...change }));
      await refuses('Invalid', patch(api, second, { metadata: { uid: absent }, ...change }));
      assert.deepEqual(await read(api, 'a'), second);
    },
  ],
  [
    'a patch with an old resourceVersion fails with Conflict even if it would change nothing',
    async (api) => {
      const first = await create(api, 'a');
      await patch(api, first, { data: { one: 'MQ==' } });
      await refuses('Conflict', patch(api, first, { data: { one: 'MQ==' } }));
    },
  ],
  [
    'a deletion with an old resourceVersion, or with the UID of another object, fails with Conflict and deletes nothing',
    async (api) => {
      const ref = refTo(api, 'a');
      const first = await create(api, 'a');
      const second = await patch(api, first, { data: { one: 'MQ==' } });
      const { uid, resourceVersion } = first.metadata;
      await refuses('Conflict', api.client.delete(secrets, ref, { uid, resourceVersion }));
      await refuses('Conflict', api.client.delete(secrets, ref, { uid: absent }));
      assert.deepEqual(await read(api, 'a'), second);
      await api.client.delete(secrets, ref, { uid, resourceVersion: second.metadata.resourceVersion });
      assert.equal(await api.client.find(secrets, ref), undefined);
    },
  ],
  [
    'deletion marks an object that has a finalizer, and removing its last finalizer removes the object',
    async (api) => {
      const ref = refTo(api, 'a');
      const { metadata } = await create(api, 'a', { finalizers: [label] });
      const { uid, resourceVersion } = metadata;
      await api.client.delete(secrets, ref, { uid, resourceVersion });
      const held = await read(api, 'a');
      assert.notEqual(held.metadata.deletionTimestamp, undefined);
      assert.notEqual(held.metadata.resourceVersion, resourceVersion);
      await api.client.delete(secrets, ref, { uid });
      assert.deepEqual(await read(api, 'a'), held);
      await refuses('AlreadyExists', create(api, 'a'));
      await patch(api, held, { metadata: { finalizers: null } });
      assert.equal(await api.client.find(secrets, ref), undefined);
    },
  ],
  [
    'an immutable Secret refuses changes of data and accepts changes of metadata',
    async (api) => {
      const created = await create(api, 'a', { immutable: true });
      await refuses('Invalid', patch(api, created, { data: { one: 'MQ==' } }));
      await refuses('Invalid', patch(api, created, { immutable: false }));
      const patched = await patch(api, created, { metadata: { labels: { [label]: 'x' } } });
      assert.deepEqual(patched.metadata.labels, { [label]: 'x' });
    },
  ],
  [
    'spec and status are written separately, and only a change of spec increments the generation',
    async (api) => {
      const status = { lastHandledRotate: 'one' };
      const summary = ({ metadata, spec, ...rest }: Served<MtlsCertificate>) =>
        [metadata.generation, spec.duration, rest.status?.lastHandledRotate] as const;
      const created = await api.client.create(certificates, certificate(api, { duration: '24h' }, status));
      assert.deepEqual(summary(created), [1, '24h', undefined]);
      const withSpec = await patchCertificate(api, created, { spec: { duration: '48h' }, status });
      assert.deepEqual(summary(withSpec), [2, '48h', undefined]);
      const withStatus = await patchCertificate(api, withSpec, { spec: { duration: '72h' }, status }, 'status');
      assert.deepEqual(summary(withStatus), [2, '48h', 'one']);
      const annotated = await patchCertificate(api, withStatus, { metadata: { annotations: { [label]: 'x' } } });
      assert.deepEqual(summary(annotated), [2, '48h', 'one']);
      await refuses('Conflict', patchCertificate(api, withStatus, { status: { lastHandledRotate: 'two' } }, 'status'));
    },
  ],
  [
    'a replacement of the status changes nothing else, and fails with Conflict if its resourceVersion is old',
    async (api) => {
      const created = await api.client.create(certificates, certificate(api, { duration: '24h' }, {}));
      const changed = { ...created, spec: { ...created.spec, duration: '48h' }, status: { lastHandledRotate: 'one' } };
      const options = { subresource: 'status', metadataOnly: true } as const;
      const replace = () => api.client.replace(certificates, changed, options);
      await replace();
      const { metadata, spec, status } = await api.client.get(certificates, created.metadata);
      assert.deepEqual([metadata.generation, spec.duration, status?.lastHandledRotate], [1, '24h', 'one']);
      assert.notEqual(metadata.resourceVersion, created.metadata.resourceVersion);
      await refuses('Conflict', replace());
    },
  ],
  [
    'managedFields show that the first content of an object was written when the object was created',
    async (api) => {
      const { metadata } = await create(api, 'a', { data: { one: 'MQ==' } });
      const atMs = Date.parse(metadata.creationTimestamp);
      assert.deepEqual(lastContentWrite(metadata, ['data']), { atMs, isFirst: true });
    },
  ],
  [
    'a list returns the selected objects in pages that share one resourceVersion',
    async (api) => {
      for (const [name, value] of [
        ['a', 'x'],
        ['b', 'y'],
        ['c', 'x'],
        ['d', undefined],
      ] as const) {
        await create(api, name, { labels: value === undefined ? {} : { [label]: value } });
      }
      const { namespace } = api;
      const names = async (selection: Selection) => (await list(api, secrets, { namespace, ...selection })).names;
      assert.deepEqual(await names({}), ['a', 'b', 'c', 'd']);
      assert.deepEqual(await names({ labelSelector: label }), ['a', 'b', 'c']);
      assert.deepEqual(await names({ labelSelector: `${label}=x` }), ['a', 'c']);
      assert.deepEqual(await names({ labelSelector: `${label}=x,${label}` }), ['a', 'c']);
      assert.deepEqual(await names({ fieldSelector: 'type=Opaque' }), ['a', 'b', 'c', 'd']);
      assert.deepEqual(await names({ fieldSelector: 'type!=Opaque' }), []);
      const pages = await list(api, secrets, { namespace, limit: 2 });
      assert.deepEqual(pages.names, ['a', 'b', 'c', 'd']);
      assert.equal(pages.parts, 2);
      assert.equal(new Set(pages.resourceVersions).size, 1);
      const metadata = await list(api, secrets, { namespace, metadataOnly: true });
      assert.deepEqual(metadata.names, ['a', 'b', 'c', 'd']);
      assert.ok(metadata.items.every((item) => !('data' in item)));
    },
  ],
];

interface SecretMarks {
  readonly labels?: Record<string, string>;
  readonly finalizers?: string[];
  readonly immutable?: true;
  readonly data?: Record<string, string>;
}

const refTo = ({ namespace }: ApiUnderTest, name: string) => ({ namespace, name });

function secret(
  api: ApiUnderTest,
  name: string,
  { labels, finalizers, immutable, data = {} }: SecretMarks = {},
): Secret {
  const metadata = { ...refTo(api, name), labels, finalizers };
  return { metadata, type: 'Opaque', data, ...(immutable === undefined ? {} : { immutable }) };
}

const create = (api: ApiUnderTest, name: string, marks?: SecretMarks): Promise<Served<Secret>> =>
  api.client.create(secrets, secret(api, name, marks));

const read = (api: ApiUnderTest, name: string): Promise<Served<Secret>> => api.client.get(secrets, refTo(api, name));

type SecretChange = MergePatch<Pick<Secret, 'data' | 'immutable'>> & { readonly metadata?: MergePatch<ObjectMeta> };

/** Patches a Secret with the resourceVersion that was observed. */
function patch(api: ApiUnderTest, { metadata }: Served<Secret>, change: SecretChange): Promise<Served<Secret>> {
  const { name, resourceVersion } = metadata;
  const whole = { ...change, metadata: { ...change.metadata, resourceVersion } };
  return api.client.mergePatch(secrets, refTo(api, name), whole);
}

const certificate = (api: ApiUnderTest, spec: object, status: object): MtlsCertificate =>
  ({
    apiVersion: 'mtls-operator.io/v1alpha1',
    kind: 'MtlsCertificate',
    metadata: refTo(api, 'c'),
    spec: { authorityRef: { name: 'default' }, server: { service: 'payments' }, ...spec },
    status,
  }) as MtlsCertificate;

function patchCertificate(
  api: ApiUnderTest,
  { metadata: { name, resourceVersion } }: Served<MtlsCertificate>,
  change: { readonly metadata?: object; readonly spec?: object; readonly status?: object },
  subresource?: 'status',
): Promise<Served<MtlsCertificate>> {
  const whole = { ...change, metadata: { ...change.metadata, resourceVersion } };
  return api.client.mergePatch(certificates, refTo(api, name), whole as GuardedPatch<MtlsCertificate>, { subresource });
}

async function list<T extends KubeObject>(
  { client }: ApiUnderTest,
  kind: Resource<T>,
  selection: Selection & { readonly limit?: number },
) {
  const items: Served<T>[] = [];
  const resourceVersions: string[] = [];
  let parts = 0;
  for await (const part of client.listPages(kind, selection)) {
    parts += 1;
    items.push(...part.items);
    if (part.resourceVersion !== undefined) resourceVersions.push(part.resourceVersion);
  }
  return { items, names: items.map(({ metadata }) => metadata.name), parts, resourceVersions };
}

const refuses = (code: KubeErrorCode, call: Promise<unknown>): Promise<void> =>
  assert.rejects(call, (error) => {
    assert.ok(isKubeError(error, code), `${String(error)} is not ${code}`);
    return true;
  });
