import assert from 'node:assert/strict';
import { beforeEach, describe, type TestContext, test } from 'node:test';
import { annotations } from '../../../../src/api/constants.ts';
import { SecretFinder } from '../../../../src/controllers/certificate/secret-finder.ts';
import { certificates } from '../../../../src/controllers/objects/resources.ts';
import { isKubeError, type KubeClient, type Secret, secrets } from '../../../../src/kube/index.ts';
import { isExamined } from '../../../../src/plan/index.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { foreign, orphaned } from '../../../support/fixtures/secret.ts';
import { CertificateProcess, signer } from '../world/certificate-process.ts';

const secretName = 'payments-server-tls';
const never = new AbortController().signal;
const issued = certificate().issuedBy(signer);

/** A process with its caches, and a new finder. */
async function begin(t: TestContext) {
  const process = await CertificateProcess.begin(t);
  /** The parts of a Secret that were read: everything, or only its metadata. */
  const readings: string[] = [];
  const findCounted: KubeClient['find'] = (resource, ref, options) => {
    readings.push(options?.metadataOnly === true ? 'metadata' : 'all');
    return process.client.find(resource, ref, options);
  };
  const finder = new SecretFinder({ find: findCounted }, process.caches);
  const record = (name = 'payments') => process.caches.certificates.get(`shop/${name}`) ?? assert.fail();
  const find = (mayBeForeign = false, name = secretName) => finder.find(record(), name, mayBeForeign, never);
  const reads = () => process.requests.filter((request) => request.startsWith('find secrets'));
  /** Creates a Secret, as another client. */
  const put = async ({ metadata, type = 'kubernetes.io/tls', data = {} }: Secret, name = secretName) => {
    const { uid: _, resourceVersion: __, ...named } = metadata;
    await process.api.byHand(() =>
      process.api.create(secrets, { metadata: { ...named, name }, type, data, apiVersion: 'v1', kind: 'Secret' }),
    );
  };
  await process.create();
  await process.deliver();
  const uid = process.caches.certificates.get('shop/payments')?.uid ?? '';
  /** The Secret of this resource. */
  const owned = (): Secret => {
    const secret = issued.secret('server');
    const owners = (secret.metadata.ownerReferences ?? []).map((owner) => ({ ...owner, uid }));
    return { ...secret, metadata: { ...secret.metadata, ownerReferences: owners } };
  };
  process.requests.length = 0;
  return { process, finder, readings, find, reads, put, owned, record };
}

/** The cache gets the Secret before its resource: watches are not synchronised. */
async function firstSecretThenResource(
  { process, put }: Awaited<ReturnType<typeof begin>>,
  secret: Secret,
  name: string,
) {
  await process.remove(certificates, 'payments');
  await process.deliver();
  await put(secret, name);
  await process.deliver();
  const uid = secret.metadata.ownerReferences?.[0]?.uid ?? '';
  process.caches.certificates.observe({ ...certificate().record, uid, resourceVersion: '9999' });
}

describe('the Secret of a role', () => {
  let made: Awaited<ReturnType<typeof begin>>;
  beforeEach(async (t) => {
    made = await begin(t as TestContext);
  });

  test('is found in the cache, without a request', async () => {
    const { process, put, owned, find, reads } = made;
    await put(owned());
    await process.deliver();
    const { secret, foreign: other } = await find(true);
    assert.equal(secret?.name, secretName);
    assert.deepEqual([other, reads()], [undefined, []]);
  });

  test('is not found, without a request, if there was no conflict', async () => {
    assert.deepEqual(await made.find(), {});
    assert.deepEqual(made.reads(), []);
  });

  test('is read once if its resource became known after it, and is in the cache after that', async () => {
    const { process, owned, find, reads } = made;
    await firstSecretThenResource(made, owned(), secretName);
    assert.equal(isExamined(process.caches.secrets.get(`shop/${secretName}`) ?? assert.fail()), false);
    for (const _ of [1, 2]) {
      const { secret } = await find();
      assert.ok(secret !== undefined && 'leaf' in secret.content);
    }
    assert.equal(reads().length, 1);
  });

  test('is foreign if it names no resource, and only its metadata is read', async () => {
    const { put, find, readings } = made;
    await put(foreign(issued.secret('server')));
    const { secret, foreign: other } = await find(true);
    assert.deepEqual([secret, other?.name, readings], [undefined, secretName, ['metadata']]);
    assert.ok(other !== undefined && !('content' in other));
  });

  test('is foreign if it moved to another object between the two reads', async () => {
    const { process, put, owned, finder, record } = made;
    await put(owned());
    process.before(`find secrets ${secretName}`, () => undefined);
    process.before(`find secrets ${secretName}`, async () => {
      await process.changeSecret({ metadata: { ownerReferences: null, labels: null, annotations: null } });
    });
    const { secret, foreign: other } = await finder.findLive(record(), secretName, never);
    assert.deepEqual([secret, other?.name], [undefined, secretName]);
  });

  test('is not found if it was deleted before the operator could read it', async () => {
    const { process, put, owned, finder, record } = made;
    await put(owned());
    await process.deliver();
    process.before(`find secrets ${secretName}`, () => undefined);
    process.before(`find secrets ${secretName}`, () => process.remove(secrets, secretName));
    assert.deepEqual(await finder.findLive(record(), secretName, never), {});
  });

  test('is read from the API server, not from the cache, after a write found another Secret', async () => {
    const { process, put, owned, finder, record, reads } = made;
    await put(owned());
    await process.deliver();
    await process.changeSecret({ metadata: { labels: { n: '1' } } });
    for (const n of [1, 2]) {
      const { secret } = await finder.findLive(record(), secretName, never);
      assert.equal(secret?.resourceVersion, process.secret()?.metadata.resourceVersion);
      assert.equal(reads().length, 2 * n, 'first the metadata, then everything');
    }
    await process.remove(secrets, secretName);
    assert.deepEqual(await finder.findLive(record(), secretName, never), {});
  });

  test('is found after it was handed over, although the cache has it as foreign', async () => {
    const { process, put, find } = made;
    await put(foreign(issued.secret('server')));
    await process.deliver();
    assert.ok((await find(true)).foreign !== undefined);
    process.nowMs += 5001;
    await process.changeSecret({ metadata: { annotations: { [annotations.secretName]: secretName } } });
    assert.ok((await find(true)).secret !== undefined);
  });
});

describe('the metadata of a foreign Secret', () => {
  const withForeign = async (t: TestContext) => {
    const made = await begin(t);
    await made.put(foreign(issued.secret('server')));
    return made;
  };

  test('serves all resources that name the Secret for five seconds, and no longer', async (t) => {
    const { process, find, reads } = await withForeign(t);
    await Promise.all([find(true), find(true)]);
    process.nowMs += 4999;
    await find(true);
    assert.equal(reads().length, 1);
    process.nowMs += 1;
    await find(true);
    assert.equal(reads().length, 2);
  });

  test('does not serve a write that found another Secret', async (t) => {
    const { finder, record, find, reads } = await withForeign(t);
    await find(true);
    await finder.findLive(record(), secretName, never);
    assert.equal(reads().length, 2);
  });

  test('is read again after an error', async (t) => {
    const { process, find } = await withForeign(t);
    process.refuse(`find secrets ${secretName}`, 'Network');
    await assert.rejects(find(true), (error) => isKubeError(error, 'Network'));
    assert.ok((await find(true)).foreign !== undefined);
  });

  test('is kept for at most 256 Secrets', async (t) => {
    const { find, reads } = await withForeign(t);
    await find(true);
    for (let n = 0; n < 255; n += 1) await find(true, `other-${n}`);
    await find(true);
    assert.equal(reads().length, 256);
    await find(true, 'one-more');
    await find(true);
    assert.equal(reads().length, 258);
  });
});

describe('the Secrets of a resource that no role names', () => {
  const names = async ({ finder, record }: Awaited<ReturnType<typeof begin>>, ...requested: readonly string[]) =>
    (await finder.ownedExcept(record(), new Set(requested), never)).map(({ name }) => name).sort();

  test('are those that it controls', async (t) => {
    const made = await begin(t);
    const { process, put, owned } = made;
    await put(owned());
    await put(owned(), 'former');
    await put(orphaned(issued.secret('server')), 'orphaned');
    await put(issued.secret('server'), 'of-another-uid');
    await process.deliver();
    assert.deepEqual(await names(made), ['former', secretName]);
    assert.deepEqual(await names(made, secretName), ['former']);
    assert.deepEqual(made.reads(), []);
  });

  test('are read first if they became known before their resource, and count only if they still belong to it', async (t) => {
    for (const isStillOwn of [true, false]) {
      const made = await begin(t);
      const { process, owned } = made;
      await firstSecretThenResource(made, owned(), 'former');
      if (!isStillOwn) await process.changeSecret({ metadata: { ownerReferences: null } }, 'former');
      assert.deepEqual(await names(made), isStillOwn ? ['former'] : []);
      assert.equal(made.reads().length, 1);
    }
  });
});
