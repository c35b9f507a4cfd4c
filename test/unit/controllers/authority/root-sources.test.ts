import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { labels, managerName } from '../../../../src/api/constants.ts';
import type { AdditionalRoots } from '../../../../src/api/types.ts';
import { RootSources } from '../../../../src/controllers/authority/root-sources.ts';
import { Caches } from '../../../../src/controllers/cache/caches.ts';
import { type GuardedClient, KubeError } from '../../../../src/kube/index.ts';
import { encodeCertificates } from '../../../../src/pki/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { encodedRoot, root } from '../../../support/fixtures/roots.ts';

const never = new AbortController().signal;
const configMap: AdditionalRoots = { configMap: { name: 'partner', key: 'ca.crt' } };
const secret: AdditionalRoots = { secret: { name: 'partner', key: 'ca.crt' } };
const [first, second, third] = ['First', 'Second', 'Third'].map((name) => root({ name }));
const pem = (issuer: typeof first): string => (issuer === undefined ? '' : encodeCertificates([issuer.certificate]));

/** Sources in an API server of two maps. `read` counts the requests. */
class World {
  readonly caches = new Caches(
    () => [],
    () => this.ms,
  );
  ms = 0;
  reads = 0;
  failure: KubeError | undefined;
  labels: Record<string, string> = {};
  readonly #objects = new Map<string, { version: string; data: Record<string, string> }>();
  #revision = 0;
  readonly sources = new RootSources({
    client: {
      find: async ({ kind }: { kind: string }, { name }: { name: string }) => {
        this.reads += 1;
        if (this.failure !== undefined) throw this.failure;
        const found = this.#objects.get(`${kind}/${name}`);
        return found && { metadata: { name, resourceVersion: found.version, labels: this.labels }, data: found.data };
      },
    } as unknown as GuardedClient,
    namespace: 'mtls-operator',
    caches: this.caches,
  });

  put(kind: 'ConfigMap' | 'Secret', text: string, key = 'ca.crt'): void {
    const version = String(++this.#revision);
    const value = kind === 'Secret' ? Buffer.from(text).toString('base64') : text;
    this.#objects.set(`${kind}/partner`, { version, data: { [key]: value } });
    const store = kind === 'Secret' ? this.caches.rootSecrets : this.caches.sourceConfigMaps;
    store.observe({ namespace: 'mtls-operator', name: 'partner', resourceVersion: version });
  }

  delete(): void {
    this.#objects.clear();
    const resourceVersion = String(++this.#revision);
    this.caches.sourceConfigMaps.observeDeleted({ namespace: 'mtls-operator', name: 'partner' }, resourceVersion);
  }

  /** The names of the roots in use, and the reasons of problems. */
  async observe(isRotating = false, additional: readonly AdditionalRoots[] = [configMap]) {
    const { spec } = authority();
    const record = authority({ spec: { ...spec, trustBundle: { clusterTrustBundle: false, additional } } });
    const observed = await this.sources.observe(record, isRotating, never);
    const roots = observed?.sources.flatMap((one) =>
      one.roots.map((offered) => ('certificate' in offered ? offered.certificate.fingerprint : offered.code)),
    );
    const problems = observed?.sources.flatMap(({ problem }) => problem?.reason ?? []);
    return { roots, problems, recheckInMs: observed?.recheckInMs, waitsForRotation: observed?.waitsForRotation };
  }
}

const using = (...issuers: ReadonlyArray<typeof first>) => ({
  roots: issuers.flatMap((issuer) => issuer?.certificate.fingerprint ?? []),
  problems: [],
  recheckInMs: undefined,
  waitsForRotation: undefined,
});
const without = (reason: string) => ({ ...using(), problems: [reason] });

describe('the sources of additional roots', () => {
  for (const [kind, source] of [['ConfigMap', configMap] as const, ['Secret', secret] as const]) {
    test(`a ${kind} is read once, and again when it has changed`, async () => {
      const world = new World();
      world.put(kind, pem(first));
      for (let times = 0; times < 3; times += 1) assert.deepEqual(await world.observe(false, [source]), using(first));
      assert.equal(world.reads, 1);
      world.put(kind, pem(second));
      assert.deepEqual(await world.observe(false, [source]), using(second));
      assert.equal(world.reads, 2);
    });
  }

  test('a missing object and a missing key are reported, and their absence is read once', async () => {
    const world = new World();
    assert.deepEqual(await world.observe(), without('SourceMissing'));
    assert.deepEqual(await world.observe(), without('SourceMissing'));
    assert.equal(world.reads, 1);
    world.put('ConfigMap', pem(first), 'other.crt');
    assert.deepEqual(await world.observe(), without('SourceMissing'));
  });

  test('a deleted source is left out', async () => {
    const world = new World();
    world.put('ConfigMap', pem(first));
    await world.observe();
    world.delete();
    assert.deepEqual(await world.observe(), { ...using(first), recheckInMs: 10_000 });
    world.ms = 9_999;
    assert.deepEqual(await world.observe(), { ...using(first), recheckInMs: 1 });
    world.ms = 10_000;
    assert.deepEqual(await world.observe(), without('SourceMissing'));
  });

  test('a source that is deleted and created again a moment later was never gone', async () => {
    const world = new World();
    for (const [ms, issuer] of [
      [0, first],
      [5000, first],
      [14_000, second],
    ] as const) {
      world.put('ConfigMap', pem(issuer));
      world.ms = ms;
      assert.deepEqual(await world.observe(), using(issuer));
      world.delete();
      assert.deepEqual(await world.observe(), {
        ...using(issuer),
        recheckInMs: issuer === second ? 360_000 : 10_000,
      });
    }
  });

  test('a source that comes and goes delays no change of another source', async () => {
    const world = new World();
    const sources = [configMap, secret];
    world.put('ConfigMap', pem(first));
    world.put('Secret', pem(second));
    assert.deepEqual(await world.observe(false, sources), using(first, second));
    world.delete();
    world.put('Secret', pem(third));
    assert.deepEqual(await world.observe(false, sources), { ...using(first, third), recheckInMs: 360_000 });
  });

  for (const [title, text] of Object.entries({ 'no PEM': 'hello', 'too much text': 'x'.repeat(300_000) })) {
    test(`a source with ${title} is left out`, async () => {
      const world = new World();
      world.put('ConfigMap', text);
      assert.deepEqual(await world.observe(), without('SourceInvalid'));
    });
  }

  for (const [what, source, label] of [
    ['a bundle that an authority publishes', configMap, labels.authority],
    ['the Secret of an MtlsCertificate', secret, labels.certificate],
  ] as const) {
    test(`${what} is no source: a root that was removed would come back from it`, async () => {
      const world = new World();
      world.labels = { [labels.managedBy]: managerName, [label]: 'other' };
      world.put(source === secret ? 'Secret' : 'ConfigMap', pem(first));
      assert.deepEqual(await world.observe(false, [source]), without('SourceInvalid'));
      world.labels = { [label]: 'other' };
      world.put(source === secret ? 'Secret' : 'ConfigMap', pem(first));
      assert.deepEqual(await world.observe(false, [source]), using(first));
    });
  }

  test('of a Secret that also holds a private key, only certificates are kept', async () => {
    const world = new World();
    if (first === undefined) throw new Error('no root');
    const { crt, key } = encodedRoot(first);
    world.put('Secret', crt + key);
    const { spec } = authority();
    const record = authority({ spec: { ...spec, trustBundle: { clusterTrustBundle: false, additional: [secret] } } });
    const kept = JSON.stringify(await world.sources.observe(record, false, never));
    assert.ok(kept.includes(first.certificate.fingerprint));
    assert.ok(kept.includes('NotCertificate'));
    assert.ok(!kept.includes(key.split('\n')[1] ?? ''), 'the private key is in the observation');
  });

  test('a source that may not be read keeps its earlier roots, is reported, and is read again after 30 seconds', async () => {
    const world = new World();
    world.put('ConfigMap', pem(first));
    await world.observe();
    world.put('ConfigMap', pem(second));
    world.failure = new KubeError('Forbidden', 'no');
    const unreadable = { ...using(first), problems: ['SourceUnreadable'], recheckInMs: 30_000 };
    assert.deepEqual(await world.observe(), unreadable);
    assert.deepEqual(await world.observe(true), unreadable);
    // The operator is given the right: no event of the source reports that.
    world.failure = undefined;
    assert.deepEqual(await world.observe(), using(second));
  });

  test('another failure to read a source is an error, and nothing is decided', async () => {
    const world = new World();
    world.failure = new KubeError('Timeout', 'late');
    await assert.rejects(world.observe(), (error) => error === world.failure);
  });

  test('a source that keeps changing is used at most once in two propagation delays', async () => {
    const world = new World();
    world.put('ConfigMap', pem(first));
    await world.observe();
    world.put('ConfigMap', pem(second));
    assert.deepEqual(await world.observe(), using(second));
    const pauseMs = 2 * 3 * 60_000;
    for (const [ms, issuer] of [
      [1, third],
      [pauseMs / 2, first],
      [pauseMs - 1, third],
    ] as const) {
      world.ms = ms;
      world.put('ConfigMap', pem(issuer));
      assert.deepEqual(await world.observe(), { ...using(second), recheckInMs: pauseMs - ms }, `after ${ms} ms`);
    }
    world.ms = pauseMs;
    assert.deepEqual(await world.observe(), using(third));
  });

  test('a content that changed and changed back needs no pause', async () => {
    const world = new World();
    for (const issuer of [first, second]) {
      world.put('ConfigMap', pem(issuer));
      await world.observe();
    }
    world.put('ConfigMap', pem(third));
    await world.observe();
    world.put('ConfigMap', pem(second));
    assert.deepEqual(await world.observe(), using(second));
  });

  test('during a rotation a changed source waits, and a source that spec adds does not', async () => {
    const world = new World();
    world.put('ConfigMap', pem(first));
    await world.observe(true);
    world.put('ConfigMap', pem(second));
    world.put('Secret', pem(third));
    assert.deepEqual(await world.observe(true), { ...using(first), waitsForRotation: true });
    assert.deepEqual(await world.observe(true, [configMap, secret]), {
      ...using(first, third),
      waitsForRotation: true,
    });
    assert.deepEqual(await world.observe(true, [secret]), using(third));
    assert.deepEqual(await world.observe(false, [secret, configMap]), using(third, second));
  });

  test('after its authority has lost all sources, nothing of them is kept', async () => {
    const world = new World();
    world.put('ConfigMap', pem(first));
    await world.observe();
    assert.equal((await world.observe(false, [])).roots, undefined);
    await world.observe();
    assert.equal(world.reads, 2);
  });
});
