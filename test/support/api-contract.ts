import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { MtlsCertificate } from '../../src/api/types.ts';
import { certificates } from '../../src/controllers/resources.ts';
import {
  type GuardedClient,
  isKubeError,
  type KubeErrorCode,
  type KubeObject,
  type Resource,
  type Secret,
  type Selection,
  type Served,
  secrets,
} from '../../src/kube/index.ts';

/** An API server to judge, and a namespace in it that is empty. */
export interface ApiUnderTest {
  readonly client: GuardedClient;
  readonly namespace: string;
}

/**
 * What controllers rely on of the Kubernetes API, as tests for one file. They are run against a real API server, which says
 * that they are right, and against the one in memory, which has to behave like it.
 */
export function testApiContract(open: () => Promise<ApiUnderTest>): void {
  for (const [title, run] of contract) test(title, async () => run(await open()));
}

type Clause = readonly [title: string, run: (api: ApiUnderTest) => Promise<void>];

const label = 'mtls-operator.io/contract';
const absent = '00000000-0000-0000-0000-000000000000';

const contract: readonly Clause[] = [
  [
    'an object that is created gets a UID and a resourceVersion, and its name is taken',
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
    'what does not exist is found as undefined, and NotFound for every other verb',
    async (api) => {
      const ref = refTo(api, 'a');
      assert.equal(await api.client.find(secrets, ref), undefined);
      await refuses('NotFound', api.client.get(secrets, ref));
      await refuses('NotFound', api.client.mergePatch(secrets, ref, { metadata: { uid: absent } }));
      await refuses('NotFound', api.client.delete(secrets, ref, { uid: absent }));
    },
  ],
  [
    'a merge patch sets, replaces and removes what it names, and leaves alone the rest',
    async (api) => {
      const { metadata } = await create(api, 'a', { labels: { [label]: 'x' }, data: { one: 'MQ==', two: 'Mg==' } });
      const { uid } = metadata;
      const patch = { metadata: { uid, annotations: { [label]: 'y' } }, data: { one: null, three: 'Mw==' } };
      const patched = await api.client.mergePatch(secrets, refTo(api, 'a'), patch);
      assert.deepEqual(patched.data, { two: 'Mg==', three: 'Mw==' });
      assert.deepEqual(patched.metadata.labels, { [label]: 'x' });
      assert.deepEqual(patched.metadata.annotations, { [label]: 'y' });
      assert.notEqual(patched.metadata.resourceVersion, metadata.resourceVersion);
      assert.deepEqual(await read(api, 'a'), patched);
    },
  ],
  [
    'a write that changes nothing leaves the resourceVersion as it was',
    async (api) => {
      const { metadata } = await create(api, 'a', { data: { one: 'MQ==' } });
      const { uid, resourceVersion } = metadata;
      const patched = await api.client.mergePatch(secrets, refTo(api, 'a'), {
        metadata: { uid },
        data: { one: 'MQ==' },
      });
      assert.equal(patched.metadata.resourceVersion, resourceVersion);
    },
  ],
  [
    'a write can be answered with the metadata alone',
    async (api) => {
      const ref = refTo(api, 'a');
      const created = await api.client.create(secrets, secret(api, 'a'), { metadataOnly: true });
      const { uid } = created.metadata;
      const change = { metadata: { uid }, data: { one: 'MQ==' } };
      const patched = await api.client.mergePatch(secrets, ref, change, { metadataOnly: true });
      const found = await api.client.find(secrets, ref, { metadataOnly: true });
      for (const answer of [created, patched, found]) assert.ok(answer !== undefined && !('data' in answer));
      assert.equal(found?.metadata.resourceVersion, patched.metadata.resourceVersion);
    },
  ],
  [
    'a patch of an older state, or of another object of that name, is a Conflict and changes nothing',
    async (api) => {
      const ref = refTo(api, 'a');
      const { metadata } = await create(api, 'a');
      const { uid, resourceVersion } = metadata;
      const current = await api.client.mergePatch(secrets, ref, {
        metadata: { resourceVersion },
        data: { one: 'MQ==' },
      });
      const stale = { data: { one: 'Mg==' } };
      await refuses('Conflict', api.client.mergePatch(secrets, ref, { metadata: { resourceVersion }, ...stale }));
      await refuses('Conflict', api.client.mergePatch(secrets, ref, { metadata: { uid, resourceVersion }, ...stale }));
      await refuses('Conflict', api.client.mergePatch(secrets, ref, { metadata: { uid: absent }, ...stale }));
      assert.deepEqual(await read(api, 'a'), current);
    },
  ],
  [
    'a stale patch is a Conflict also if it would change nothing',
    async (api) => {
      const ref = refTo(api, 'a');
      const { metadata } = await create(api, 'a');
      const { resourceVersion } = metadata;
      await api.client.mergePatch(secrets, ref, { metadata: { resourceVersion }, data: { one: 'MQ==' } });
      const same = { metadata: { resourceVersion }, data: { one: 'MQ==' } };
      await refuses('Conflict', api.client.mergePatch(secrets, ref, same));
    },
  ],
  [
    'a deletion of an older state, or of another object of that name, is a Conflict and deletes nothing',
    async (api) => {
      const ref = refTo(api, 'a');
      const { metadata } = await create(api, 'a');
      const { uid, resourceVersion } = metadata;
      const current = await api.client.mergePatch(secrets, ref, { metadata: { uid }, data: { one: 'MQ==' } });
      await refuses('Conflict', api.client.delete(secrets, ref, { resourceVersion }));
      await refuses('Conflict', api.client.delete(secrets, ref, { uid, resourceVersion }));
      await refuses('Conflict', api.client.delete(secrets, ref, { uid: absent }));
      assert.deepEqual(await read(api, 'a'), current);
      await api.client.delete(secrets, ref, { uid, resourceVersion: current.metadata.resourceVersion });
      assert.equal(await api.client.find(secrets, ref), undefined);
    },
  ],
  [
    'an object with a finalizer is marked when it is deleted, and goes with its last finalizer',
    async (api) => {
      const ref = refTo(api, 'a');
      const { metadata } = await create(api, 'a', { finalizers: ['mtls-operator.io/contract'] });
      const { uid, resourceVersion } = metadata;
      await api.client.delete(secrets, ref, { uid, resourceVersion });
      const held = await read(api, 'a');
      assert.notEqual(held.metadata.deletionTimestamp, undefined);
      assert.notEqual(held.metadata.resourceVersion, resourceVersion);
      await api.client.delete(secrets, ref, { uid });
      assert.deepEqual(await read(api, 'a'), held);
      await refuses('AlreadyExists', create(api, 'a'));
      await api.client.mergePatch(secrets, ref, { metadata: { uid, finalizers: null } });
      assert.equal(await api.client.find(secrets, ref), undefined);
    },
  ],
  [
    'an immutable Secret keeps its data, and may get other metadata',
    async (api) => {
      const ref = refTo(api, 'a');
      const { metadata } = await create(api, 'a', { immutable: true });
      const { uid } = metadata;
      await refuses('Invalid', api.client.mergePatch(secrets, ref, { metadata: { uid }, data: { one: 'MQ==' } }));
      await refuses('Invalid', api.client.mergePatch(secrets, ref, { metadata: { uid }, immutable: false }));
      const patched = await api.client.mergePatch(secrets, ref, { metadata: { uid, labels: { [label]: 'x' } } });
      assert.deepEqual(patched.metadata.labels, { [label]: 'x' });
    },
  ],
  [
    'spec and status of a resource are written apart, and only another spec is another generation',
    async (api) => {
      const ref = refTo(api, 'c');
      const status = { lastHandledRotate: 'one' };
      const created = await api.client.create(certificates, { ...resource(api, 'c'), status } as MtlsCertificate);
      assert.equal(lastHandled(created), undefined, 'a status came with the creation');
      assert.equal(created.metadata.generation, 1);
      const { uid } = created.metadata;
      const both = { metadata: { uid }, spec: { duration: '48h' }, status } as const;
      const withSpec = await api.client.mergePatch(certificates, ref, both);
      assert.deepEqual([withSpec.spec.duration, lastHandled(withSpec)], ['48h', undefined]);
      assert.equal(withSpec.metadata.generation, 2);
      const other = { ...both, spec: { duration: '72h' } } as const;
      const withStatus = await api.client.mergePatch(certificates, ref, other, { subresource: 'status' });
      assert.deepEqual([withStatus.spec.duration, lastHandled(withStatus)], ['48h', 'one']);
      assert.equal(withStatus.metadata.generation, 2);
      const annotated = { metadata: { uid, annotations: { [label]: 'x' } } };
      const withAnnotation = await api.client.mergePatch(certificates, ref, annotated);
      assert.deepEqual([withAnnotation.metadata.generation, lastHandled(withAnnotation)], [2, 'one']);
      const { resourceVersion } = withStatus.metadata;
      const stale = { metadata: { resourceVersion }, status: { lastHandledRotate: 'two' } };
      await refuses('Conflict', api.client.mergePatch(certificates, ref, stale, { subresource: 'status' }));
    },
  ],
  [
    'a listing has what its selector selects, page by page, as of one resourceVersion',
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

const resource = (api: ApiUnderTest, name: string) => ({
  apiVersion: 'mtls-operator.io/v1alpha1',
  kind: 'MtlsCertificate',
  metadata: refTo(api, name),
  spec: { authorityRef: { name: 'default' }, server: { service: 'payments' } },
});

const lastHandled = ({ status }: Pick<MtlsCertificate, 'status'>) => status?.lastHandledRotate;

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
