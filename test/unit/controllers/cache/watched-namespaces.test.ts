import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { Caches } from '../../../../src/controllers/cache/caches.ts';
import { keepCaches } from '../../../../src/controllers/cache/keep-caches.ts';
import { authorities, authorityRecord, certificates } from '../../../../src/controllers/objects/resources.ts';
import { inConfigMap } from '../../../../src/controllers/objects/trust-objects.ts';
import { KubeError, keyOf, namespaces, secrets, silentLog } from '../../../../src/kube/index.ts';
import { ownerReference } from '../../../../src/plan/index.ts';
import { eventually } from '../../../support/eventually.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { withMetadata } from '../../../support/fixtures/secret.ts';
import { trustContent } from '../../../support/fixtures/trust.ts';
import { MemoryApi } from '../world/memory-api.ts';
import { MemoryClient } from '../world/memory-client.ts';

const own = 'mtls-operator';
const signer = root();
const issued = certificate().issuedBy(signer);

/** An API server with an authority, and a certificate with its Secret in each of these namespaces. */
async function server(...names: readonly string[]): Promise<MemoryApi> {
  const api = new MemoryApi();
  await api.create(authorities, { metadata: { name: 'default' }, spec: authority().spec } as never);
  for (const namespace of names) await populate(api, namespace);
  return api;
}

async function populate(api: MemoryApi, namespace: string): Promise<void> {
  await api.create(namespaces, { metadata: { name: namespace, labels: { team: namespace } } });
  const owner = await api.create(certificates, {
    metadata: { namespace, name: 'payments' },
    spec: issued.record.spec,
  } as never);
  const ownerReferences = [ownerReference('MtlsCertificate', { name: 'payments', uid: owner.metadata.uid ?? '' })];
  await api.create(secrets, withMetadata(() => ({ namespace, ownerReferences }))(issued.secret('server')));
}

/** The caches of an operator that watches these namespaces. The API server forbids the requests in `forbidden`. */
async function watch(t: TestContext, api: MemoryApi, names: readonly string[], forbidden: RegExp[] = []) {
  const memory = new MemoryClient(api);
  const requests: string[] = [];
  memory.onRequest = async (request, moment) => {
    if (moment === 'before') requests.push(request);
    if (forbidden.some((pattern) => pattern.test(request))) throw new KubeError('Forbidden', request);
  };
  const caches = new Caches(() => [signer.certificate], undefined, [...names, own]);
  const stop = new AbortController();
  const { promise: filled, resolve } = Promise.withResolvers<void>();
  const ignore = () => undefined;
  const sources = { client: memory.client, namespace: own, log: silentLog, onError: ignore, onListed: ignore };
  const kept = keepCaches(caches, sources, stop.signal, { afterRoots: () => Promise.resolve(), afterAll: resolve });
  t.after(() => {
    stop.abort();
    return kept;
  });
  await filled;
  return { memory, caches, requests, forbidden };
}

const contents = ({ certificates, secrets, namespaces }: Caches) => ({
  namespaces: [...namespaces.keys()].sort(),
  certificates: [...certificates.keys()].sort(),
  secrets: [...secrets.keys()].sort(),
});
const inNamespace = (...names: readonly string[]) => ({
  namespaces: names,
  certificates: names.map((namespace) => keyOf({ namespace, name: 'payments' })),
  secrets: names.map((namespace) => keyOf({ namespace, name: 'payments-server-tls' })),
});

describe('an operator that watches some namespaces', () => {
  test('caches their objects and no others, with requests for these namespaces only', async (t) => {
    const { caches, requests } = await watch(t, await server('other', 'shop', 'web'), ['shop', 'web']);
    assert.deepEqual(contents(caches), inNamespace('shop', 'web'));
    const beyond = requests.filter(
      (one) => !/ in (shop|web|mtls-operator)\b| mtlsauthorities$| namespaces by field$/.test(one),
    );
    assert.deepEqual(beyond, []);
  });

  test('sees changes in each of them', async (t) => {
    const api = await server('shop', 'web');
    const { memory, caches } = await watch(t, api, ['shop', 'web']);
    await memory.settled();
    await api.byHand(() => api.delete(secrets, { namespace: 'shop', name: 'payments-server-tls' }));
    await memory.deliver();
    assert.deepEqual([...caches.secrets.keys()], ['web/payments-server-tls']);
    assert.equal(caches.namespace('web')?.labels?.['team'], 'web');
  });

  test('caches a namespace that is created later', async (t) => {
    const api = await server('shop');
    const { memory, caches } = await watch(t, api, ['shop', 'web']);
    await memory.settled();
    assert.deepEqual(contents(caches), inNamespace('shop'));
    await populate(api, 'web');
    await memory.deliver();
    assert.deepEqual(contents(caches), inNamespace('shop', 'web'));
  });

  test('fills its caches without a namespace that it may not read, and names what it may not read', async (t) => {
    const { caches } = await watch(t, await server('shop', 'web'), ['shop', 'web'], [/ in web\b/]);
    assert.deepEqual({ ...contents(caches), namespaces: [] }, { ...inNamespace('shop'), namespaces: [] });
    assert.deepEqual(
      [...caches.unreadable()],
      [
        { namespace: 'web', kind: 'mtlscertificates' },
        { namespace: 'web', kind: 'secrets' },
        { namespace: 'web', kind: 'configmaps' },
      ],
    );
    assert.equal(caches.namespace('web')?.configMapsForbidden, true);
  });

  test('reads such a namespace once it may, and reports the change', async (t) => {
    const { caches, forbidden } = await watch(t, await server('shop', 'web'), ['shop', 'web'], [/ in web\b/]);
    const changes: string[] = [];
    caches.subscribe((change) => changes.push(change));
    forbidden.pop();
    await eventually(() => assert.deepEqual(contents(caches), inNamespace('shop', 'web')));
    assert.deepEqual([...caches.unreadable()], []);
    assert.deepEqual(changes, ['accessChanged', 'accessChanged', 'accessChanged']);
  });

  test('names nothing in a namespace that does not exist', async (t) => {
    const { caches } = await watch(t, await server('shop'), ['shop', 'web'], [/ in web\b/]);
    assert.deepEqual([...caches.unreadable()], []);
    assert.equal(caches.namespace('web'), undefined);
  });

  test('handles a namespace whose labels it may not read', async (t) => {
    const { caches } = await watch(t, await server('shop'), ['shop'], [/namespaces by field/]);
    assert.deepEqual(caches.namespace('shop'), { name: 'shop', terminating: false });
    assert.deepEqual(
      [...caches.knownNamespaces()].map(({ name }) => name),
      [own, 'shop'],
    );
    assert.deepEqual([...caches.certificates.keys()], ['shop/payments']);
  });

  test('forgets the objects of a namespace whose rights were deleted before the rest', async (t) => {
    const api = await server('shop', 'web');
    const { memory, caches, forbidden } = await watch(t, api, ['shop', 'web']);
    await memory.settled();
    forbidden.push(/ in web\b/);
    for (const kind of ['mtlscertificates', 'secrets', 'configmaps']) await memory.cut(kind, true);
    await eventually(() => assert.equal([...caches.unreadable()].length, 3));
    assert.deepEqual(contents(caches), inNamespace('shop', 'web'), 'a missing right alone removes nothing');
    await api.byHand(() => api.delete(namespaces, { name: 'web' }));
    await memory.deliver();
    assert.deepEqual(contents(caches), inNamespace('shop'));
  });

  test('forgets the objects of a deleted namespace once it may not watch them any more', async (t) => {
    const api = await server('shop', 'web');
    const { memory, caches, forbidden } = await watch(t, api, ['shop', 'web']);
    await memory.settled();
    await api.byHand(() => api.delete(namespaces, { name: 'web' }));
    await memory.deliver();
    assert.ok(caches.secrets.has('web/payments-server-tls'), 'its watch has not reported the end of the Secret');
    forbidden.push(/ in web\b/);
    for (const kind of ['mtlscertificates', 'secrets', 'configmaps']) await memory.cut(kind, true);
    await eventually(() => assert.deepEqual(contents(caches), inNamespace('shop')));
  });

  for (const kind of ['pods', 'podRequests'] as const) {
    const owned = { namespace: 'web', name: 'a', resourceVersion: '5' };
    /** The caches of an operator that watches the namespace `web`, which has one object of this kind. */
    const filled = () => {
      const caches = new Caches(() => [], undefined, ['web'], false, true, true);
      const web = { name: 'web', labels: {}, terminating: false };
      const part = kind === 'pods' ? caches.pods.store.part('web') : caches.podRequests.store.part('web');
      const list = () => part.replaceAll([owned as never], '9');
      const permit = (isPermitted: boolean) => {
        if (kind === 'pods') caches.pods.notePermission('web', isPermitted);
        else caches.podRequests.note('web', isPermitted ? 'permitted' : 'forbidden');
      };
      caches.watched.note('namespaces', 'web', true);
      const create = (resourceVersion: string) => caches.namespaces.observe({ ...web, resourceVersion });
      create('1');
      list();
      permit(true);
      const remove = () => caches.namespaces.observeDeleted({ name: 'web' }, '8');
      return { create, list, permit, remove, count: () => caches[kind].store.size };
    };

    test(`keeps ${kind} that it still watches when a namespace ends: it may exist again already`, () => {
      const { create, remove, count } = filled();
      remove();
      assert.equal(count(), 1);
      create('9');
      assert.equal(count(), 1);
    });

    for (const order of ['before', 'after'] as const) {
      test(`forgets ${kind} of a deleted namespace whose rights ended ${order} it, and reads them all again`, () => {
        const { create, list, permit, remove, count } = filled();
        if (order === 'after') remove();
        permit(false);
        if (order === 'before') remove();
        assert.equal(count(), 0);
        create('10');
        list();
        permit(true);
        assert.equal(count(), 1);
      });
    }
  }

  for (const order of ['before', 'after'] as const) {
    test(`forgets the bundles of a deleted namespace whose rights ended ${order} it: no pod has them`, async (t) => {
      const api = await server('shop', 'web');
      const { memory, caches, forbidden } = await watch(t, api, ['shop', 'web']);
      await memory.settled();
      const owner = authorityRecord(await api.get(authorities, { name: 'default' }));
      const publish = async () => {
        const metadata = { namespace: 'web', name: 'trust' };
        const ownerReferences = [ownerReference('MtlsAuthority', owner)];
        const made = inConfigMap.create({ ...metadata, ownerReferences }, trustContent('x'));
        await api.create(inConfigMap.resource, made);
      };
      const endRights = async () => {
        forbidden.push(/ in web\b/);
        for (const kind of ['mtlscertificates', 'secrets', 'configmaps']) await memory.cut(kind, true);
      };
      const deleteNamespace = async () => {
        await api.byHand(() => api.delete(namespaces, { name: 'web' }));
        await memory.deliver();
      };
      await publish();
      await memory.deliver();
      assert.ok(caches.configMaps.store.has('web/trust'));
      if (order === 'before') {
        await endRights();
        await eventually(() => assert.equal([...caches.unreadable()].length, 3));
        await deleteNamespace();
      } else {
        await deleteNamespace();
        await endRights();
      }
      await eventually(() => assert.ok(!caches.configMaps.store.has('web/trust')));
      assert.equal(caches.configMaps.isLost(owner.uid, 'web', 'trust'), false);
    });
  }

  test('does not take a namespace whose labels it may not read for a new one, where no pod has an older bundle', async (t) => {
    const api = await server('shop');
    const { memory, caches } = await watch(t, api, ['shop'], [/namespaces by field/]);
    await memory.settled();
    const owner = authorityRecord(await api.get(authorities, { name: 'default' }));
    const metadata = { namespace: 'shop', name: 'trust' };
    const ownerReferences = [ownerReference('MtlsAuthority', owner)];
    const made = inConfigMap.create({ ...metadata, ownerReferences }, trustContent('x'));
    await api.create(inConfigMap.resource, made);
    await memory.deliver();
    const { changedAtMs = Number.NEGATIVE_INFINITY } = caches.configMaps.store.get('shop/trust') ?? {};
    assert.ok(changedAtMs >= 0, String(changedAtMs));
  });

  test('tries at once to read a namespace that was created, or of which it may read another kind', () => {
    const caches = new Caches(() => [], undefined, ['shop', 'web']);
    const retried: string[] = [];
    for (const name of ['shop', 'web']) caches.watched.onRetry(name, () => retried.push(name));
    caches.watched.note('secrets', 'shop', false);
    assert.deepEqual(retried, []);
    caches.watched.note('secrets', 'shop', true);
    assert.deepEqual(retried, ['shop']);
    const record = { name: 'web', labels: {}, terminating: false, resourceVersion: '1' };
    caches.namespaces.part('web').replaceAll([record], '1');
    assert.deepEqual(retried, ['shop', 'web']);
  });

  test('asks for ClusterTrustBundles never, and reports that it publishes none', async (t) => {
    const { caches, requests } = await watch(t, await server('shop'), ['shop']);
    assert.equal(caches.servesClusterTrustBundles, false);
    assert.ok(!requests.some((request) => request.includes('clustertrustbundles')));
  });
});

test('an operator that watches all namespaces may read everything', () => {
  const caches = new Caches(() => []);
  caches.namespaces.observe({ name: 'shop', labels: {}, terminating: false, resourceVersion: '1' });
  assert.equal(caches.watched.access('secrets', 'shop'), 'permitted');
  assert.deepEqual(caches.watched.readable('secrets'), [undefined]);
  assert.deepEqual([...caches.unreadable()], []);
  assert.equal(caches.namespace('web'), undefined);
});
