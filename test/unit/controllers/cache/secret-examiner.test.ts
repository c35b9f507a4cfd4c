import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { annotations, labels } from '../../../../src/api/constants.ts';
import { Caches } from '../../../../src/controllers/cache/caches.ts';
import { SecretFinder } from '../../../../src/controllers/certificate/secret-finder.ts';
import { secretRecord } from '../../../../src/controllers/objects/leaf-secret.ts';
import { type KubeClient, KubeError, type ObjectRef, type Secret } from '../../../../src/kube/index.ts';
import type { Certificate } from '../../../../src/pki/index.ts';
import { type CertificateRecord, isExamined, ownerReference, type SecretRecord } from '../../../../src/plan/index.ts';
import { type CertificateFixture, certificate } from '../../../support/fixtures/certificate.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { foreign, orphaned, withData, withMarks, withMetadata } from '../../../support/fixtures/secret.ts';

const signer = root();
const issued = certificate().issuedBy(signer);
const secret = issued.secret('server');
const never = new AbortController().signal;
const at = (resourceVersion: string) => withMetadata(() => ({ resourceVersion }));

/** Caches with these resources, and an API server with these Secrets. */
function made(known: readonly CertificateFixture[], served: readonly Secret[] = []) {
  const clock = { ms: 100 };
  const roots: Certificate[] = [signer.anchor];
  const caches = new Caches(
    () => roots,
    () => clock.ms,
  );
  for (const { record } of known) caches.certificates.observe(record);
  const asked: string[] = [];
  const find = async ({ namespace, name }: ObjectRef, metadataOnly = false) => {
    asked.push(`${metadataOnly ? 'metadata of ' : ''}${namespace}/${name}`);
    const found = served.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
    return found && metadataOnly ? { metadata: found.metadata } : found;
  };
  const client = {
    find: (_: unknown, ref: ObjectRef, options: { metadataOnly?: boolean }) => find(ref, options.metadataOnly),
  } as unknown as KubeClient;
  const take = (one: Secret) => caches.secrets.observe(caches.examiner.read(one));
  const kept = (name = 'payments-server-tls', namespace = 'shop') => caches.secrets.get(`${namespace}/${name}`);
  return { caches, clock, roots, asked, take, kept, finder: new SecretFinder(client, caches) };
}
const contentOf = (record: ReturnType<ReturnType<typeof made>['kept']>): SecretRecord['content'] | undefined =>
  record !== undefined && isExamined(record) ? record.content : undefined;

describe('a Secret that arrives in the cache', () => {
  test('is examined when a resource owns it or would adopt it', () => {
    for (const one of [secret, orphaned(secret)]) {
      const { take, kept, caches } = made([issued]);
      take(one);
      assert.deepEqual(kept(), caches.withChangeTime(secretRecord(one, [signer.anchor])));
    }
  });

  const strangers: [title: string, secret: Secret, known: readonly CertificateFixture[]][] = [
    ['of an unknown resource', secret, []],
    ['that names a resource in another namespace', withMetadata(() => ({ namespace: 'evil' }))(secret), [issued]],
    ['of a resource that was deleted and created again', secret, [issued.with({ uid: 'again' })]],
    ['that names no resource', foreign(secret), [issued]],
    [
      'with a name that its resource does not use',
      withMetadata(() => ({ name: 'other', ownerReferences: [] }))(
        withMarks('annotations', { [annotations.secretName]: 'other' })(secret),
      ),
      [issued],
    ],
  ];
  for (const [title, one, known] of strangers) {
    test(`becomes a mark of a few hundred bytes if it is one ${title}, whatever it contains`, () => {
      const { take, caches, kept } = made(known);
      const large = { 'tls.crt': 'x'.repeat(100_000) };
      const marked = withMarks(
        'labels',
        Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`l${i}`, 'x'])),
      )(one);
      take(withMarks('annotations', { large: 'x'.repeat(100_000) })(withData(large)(marked)));
      const { namespace = '', name } = one.metadata;
      const mark = kept(name, namespace);
      assert.ok(mark !== undefined && !isExamined(mark));
      assert.ok(JSON.stringify(mark).length < 500, JSON.stringify(mark));
      assert.equal(caches.secrets.size, 1);
    });
  }

  test('becomes a mark if it is so large that only its metadata was read, and the reconcile of its resource reads it', async () => {
    const { take, kept, asked, finder } = made([issued], [secret]);
    take({ metadata: secret.metadata, isPartial: true });
    assert.equal(contentOf(kept()), undefined);
    await finder.find(issued.record, 'payments-server-tls', false, never);
    assert.deepEqual(asked, ['shop/payments-server-tls']);
    assert.ok('leaf' in (contentOf(kept()) ?? {}));
  });

  test('is examined once for each content: again for another byte of data, not for another annotation', () => {
    const { take, kept, roots } = made([issued]);
    take(secret);
    const before = contentOf(kept());
    assert.ok(before !== undefined && 'leaf' in before && before.leaf.root !== undefined);
    // A new examination would find no root.
    roots.length = 0;
    take(at('21')(withMarks('annotations', { note: 'x' })(secret)));
    assert.deepEqual(contentOf(kept()), before);
    roots.push(signer.anchor);
    take(at('22')(withData({ 'tls.key': 'x' })(secret)));
    assert.ok('problem' in (contentOf(kept()) ?? {}));
    take(at('23')(withData({ 'ca.crt': 'x' })(secret)));
    const after = contentOf(kept());
    assert.ok(after !== undefined && 'leaf' in after && after.bundle !== before?.bundle);
  });
});

describe('a Secret whose resource becomes known later', () => {
  const arrive = (world: ReturnType<typeof made>, { record }: CertificateFixture = issued) =>
    world.caches.certificates.observe(record);

  test('is examined by the reconcile of the resource, and the record in the cache has the same revision', async () => {
    const world = made([], [secret]);
    world.take(secret);
    const mark = world.kept();
    assert.ok(mark !== undefined && !isExamined(mark));
    arrive(world);
    world.clock.ms = 200;
    const { secret: found } = await world.finder.find(issued.record, 'payments-server-tls', false, never);
    assert.deepEqual(world.asked, ['shop/payments-server-tls']);
    assert.deepEqual(world.kept(), found);
    assert.ok(found !== undefined && 'leaf' in found.content);
    assert.deepEqual([found.changedAtMs, found.modifiedByOthers], [100, undefined], 'it counts from its mark');
    await world.finder.find(issued.record, 'payments-server-tls', false, never);
    assert.equal(world.asked.length, 1, 'it is read once');
  });

  test('is examined by the reconcile of the resource even if no role names the Secret any more', async () => {
    const former = withMetadata(() => ({ name: 'former' }))(secret);
    const world = made([], [former]);
    world.take(former);
    arrive(world);
    const owned = await world.finder.ownedExcept(issued.record, new Set(['payments-server-tls']), never);
    assert.deepEqual(
      owned.map(({ name, content }) => [name, 'leaf' in content]),
      [['former', true]],
    );
    assert.deepEqual(world.asked, ['shop/former']);
  });

  test('stays a mark if it has another owner by then', async () => {
    const world = made([], [foreign(at('21')(secret))]);
    world.take(secret);
    arrive(world);
    const { secret: found, foreign: theirs } = await world.finder.find(
      issued.record,
      'payments-server-tls',
      false,
      never,
    );
    assert.deepEqual([found, theirs?.controller], [undefined, 'none']);
  });

  test('does not replace a newer revision that the watch has delivered meanwhile', async () => {
    const world = made([], [secret]);
    world.take(secret);
    arrive(world);
    const finding = world.finder.find(issued.record, 'payments-server-tls', false, never);
    world.take(at('30')(withData({ 'tls.crt': 'x' })(secret)));
    await finding;
    assert.ok('problem' in (contentOf(world.kept()) ?? {}));
  });
});

describe('a foreign Secret that resources name', () => {
  const claim = (name: string) =>
    certificate()
      .with({ name, uid: `uid of ${name}` })
      .asking({ server: { service: 'a', secretName: 'large' } });
  const large: Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: 'shop', name: 'large', uid: 'u', resourceVersion: '7' },
    data: { file: 'x' },
  };
  const ask = (world: ReturnType<typeof made>, record: CertificateRecord) =>
    world.finder.find(record, 'large', true, never);

  test('is read once for 200 resources, and only its metadata', async () => {
    const secretNames = Array.from({ length: 200 }, (_, i) => claim(`c${i}`));
    const world = made(secretNames, [large]);
    for (let round = 0; round < 3; round += 1) {
      const found = await Promise.all(secretNames.map(({ record }) => ask(world, record)));
      assert.ok(found.every(({ secret: own, foreign: theirs }) => own === undefined && theirs?.name === 'large'));
    }
    assert.deepEqual(world.asked, ['metadata of shop/large']);
    world.clock.ms += 5000;
    await Promise.all(secretNames.map(({ record }) => ask(world, record)));
    assert.equal(world.asked.length, 2);
  });

  test('is also read only once if it has the labels of the operator', async () => {
    const world = made([claim('a')], [foreign(withMetadata(() => ({ name: 'large' }))(secret))]);
    world.take(foreign(withMetadata(() => ({ name: 'large' }))(secret)));
    await ask(world, claim('a').record);
    await ask(world, claim('a').record);
    assert.deepEqual(world.asked, ['metadata of shop/large']);
  });

  test('is read again when a write finds that it exists', async () => {
    const world = made([claim('a')], [large]);
    await ask(world, claim('a').record);
    await world.finder.findLive(claim('a').record, 'large', never);
    assert.equal(world.asked.length, 2);
  });

  test('is read again after a failure', async () => {
    const world = made([claim('a')]);
    const failing = new SecretFinder({ find: () => Promise.reject(new KubeError('Network', 'x')) }, world.caches);
    for (let i = 0; i < 2; i += 1) {
      await assert.rejects(failing.find(claim('a').record, 'large', true, never));
    }
  });

  test('that has lost the labels of the operator but not its owner still belongs to the owner', async () => {
    const owner = claim('a');
    const reference = ownerReference('MtlsCertificate', owner.record);
    const stripped = withMetadata(() => ({ name: 'large', labels: {}, ownerReferences: [reference] }))(secret);
    const world = made([owner, claim('b')], [stripped]);
    const { secret: own } = await ask(world, owner.record);
    assert.equal(own?.modifiedByOthers, true);
    const { foreign: theirs } = await ask(world, claim('b').record);
    assert.equal(theirs?.ownerName, 'a');
    assert.equal(labels.managedBy in (theirs?.labels ?? {}), false);
  });
});
