import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AuthorityStates } from '../../../../src/controllers/cache/authority-states.ts';
import { Caches } from '../../../../src/controllers/cache/caches.ts';
import { injectionRecord } from '../../../../src/controllers/objects/injection-objects.ts';
import { InjectionReconciler } from '../../../../src/controllers/trust/injection-reconciler.ts';
import { TrustPublications } from '../../../../src/controllers/trust/trust-publications.ts';
import {
  isKubeError,
  KubeError,
  type KubeObject,
  silentLog,
  validatingWebhookConfigurations,
  type WebhookConfiguration,
} from '../../../../src/kube/index.ts';
import { trustBundle } from '../../../../src/pki/index.ts';
import { type InjectionKind, injectedRoots } from '../../../../src/plan/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { later, now } from '../../../support/fixtures/times.ts';
import { MemoryApi } from '../world/memory-api.ts';

const kind: InjectionKind = 'ValidatingWebhookConfiguration';
const key = `/${kind}/hooks`;
const ref = { name: 'hooks' };
const [first, second] = [root(), root()];
const [oldBundle, newBundle] = [
  trustBundle(first.certificate, []),
  trustBundle(second.certificate, [first.certificate]),
];
const base64 = (text: string): string => Buffer.from(text).toString('base64');

interface Hook {
  readonly name: string;
  readonly timeoutSeconds: number;
  readonly clientConfig: { readonly url: string; readonly caBundle?: string };
}
type Hooks = WebhookConfiguration & { readonly webhooks?: readonly Hook[] };

const hook = (name: string, caBundle?: string): Hook => ({
  name,
  timeoutSeconds: 7,
  clientConfig: { url: 'https://127.0.0.1/', ...(caBundle === undefined ? {} : { caBundle }) },
});

/** A webhook configuration with the annotation, an authority that is ready, and a reconciler. */
async function scene(
  annotations: Readonly<Record<string, string>> = {},
  webhooks = [hook('a'), hook('b', base64('other'))],
) {
  const api = new MemoryApi();
  const clock = { now, ms: 1000 };
  const caches = new Caches(
    () => [],
    () => clock.ms,
    undefined,
    true,
  );
  const authorityStates = new AuthorityStates();
  const [reported, events]: [string[], string[]] = [[], []];
  const own = authority();
  caches.authorities.observe(own);
  const sign = (bundle: typeof oldBundle) =>
    authorityStates.set(own, { state: 'ready', issuer: first, bundle, acceptedBundleDigests: [] });
  sign(oldBundle);
  const reconciler = new InjectionReconciler({
    client: api.client,
    authorities: caches.authorities,
    authorityStates,
    injections: caches.injections,
    recorder: { record: ({ reason, regarding }) => events.push(`${regarding.kind} ${regarding.name}: ${reason}`) },
    onOutcome: (name) => reported.push(name),
    log: silentLog,
    now: () => clock.now,
    monotonicMs: () => clock.now.getTime(),
  });
  const watch = (object: KubeObject): void => {
    const record = injectionRecord(kind, object);
    caches.injections.store(kind).observe(caches.injections.withKnown(record));
  };
  const metadata = { name: 'hooks', annotations: { 'mtls-operator.io/inject-ca-from': 'default', ...annotations } };
  const object: Hooks = { metadata, webhooks };
  watch(await api.byHand(() => api.create(validatingWebhookConfigurations, object as WebhookConfiguration)));
  const live = () =>
    api.get(validatingWebhookConfigurations, ref) as Promise<Hooks & { metadata: { resourceVersion: string } }>;
  return {
    api,
    clock,
    caches,
    events,
    reported,
    sign,
    authorityStates,
    live,
    publications: new TrustPublications(api.client, caches, authorityStates, { outcome: () => undefined }, reconciler),
    bundles: async () => (await live()).webhooks?.map(({ clientConfig }) => clientConfig.caBundle),
    change: async (patch: object) => watch(await api.patchByHand(validatingWebhookConfigurations, ref, patch)),
    reconcile: () => reconciler.reconcile(key, { signal: new AbortController().signal }),
    outcome: () => reconciler.injected(kind, 'hooks'),
    own,
  };
}

describe('the roots are injected', () => {
  test('into every webhook, and no other field changes', async () => {
    const { reconcile, live, outcome, reported } = await scene();
    await reconcile();
    const caBundle = base64(oldBundle.pem);
    assert.deepEqual((await live()).webhooks, [hook('a', caBundle), hook('b', caBundle)]);
    assert.deepEqual(outcome(), { state: 'settled' });
    assert.ok(reported.includes('default'));
  });

  test('once: another reconcile writes nothing, and neither does one after the watch has delivered the write', async () => {
    const { reconcile, live, change } = await scene();
    await reconcile();
    const { resourceVersion } = (await live()).metadata;
    await reconcile();
    await change({ metadata: {} });
    await reconcile();
    assert.equal((await live()).metadata.resourceVersion, resourceVersion);
  });

  test('although another client changes the object between the read and the write', async () => {
    const { api, reconcile, live, change, bundles } = await scene();
    const patch: typeof api.jsonPatch = (...request) => MemoryApi.prototype.jsonPatch.apply(api, request) as never;
    let isFirst = true;
    api.jsonPatch = async (...request: Parameters<typeof patch>) => {
      if (isFirst) await change({ webhooks: [hook('inserted'), ...((await live()).webhooks ?? [])] });
      isFirst = false;
      return patch(...request) as never;
    };
    await reconcile();
    assert.deepEqual(
      await bundles(),
      Array.from({ length: 3 }, () => base64(oldBundle.pem)),
    );
  });

  test('again when the bundle changes', async () => {
    const { clock, sign, reconcile, bundles } = await scene();
    await reconcile();
    sign(newBundle);
    clock.now = later(2000);
    await reconcile();
    assert.deepEqual(await bundles(), [base64(newBundle.pem), base64(newBundle.pem)]);
  });
});

describe('nothing is written', () => {
  const rows: Readonly<Record<string, readonly [Readonly<Record<string, string>>, Hook[], string]>> = {
    'into an object that another injector fills': [
      { 'cert-manager.io/inject-ca-from': 'shop/ca' },
      [hook('a')],
      `${kind} hooks: InjectionConflict`,
    ],
    'for an authority that does not exist': [
      { 'mtls-operator.io/inject-ca-from': 'missing' },
      [hook('a')],
      `${kind} hooks: AuthorityNotFound`,
    ],
    'for an annotation without a valid name': [
      { 'mtls-operator.io/inject-ca-from': 'Not\u001b a name' },
      [hook('a')],
      `${kind} hooks: AuthorityNotFound`,
    ],
    'into a configuration without webhooks': [{}, [], `${kind} hooks: InjectionImpossible`],
  };
  for (const [title, [annotations, webhooks, event]] of Object.entries(rows)) {
    test(`${title}: one event says it`, async () => {
      const { reconcile, live, events } = await scene(annotations, webhooks);
      const before = await live();
      await reconcile();
      await reconcile();
      assert.deepEqual(await live(), before);
      assert.deepEqual(events, [event]);
    });
  }

  test('while the authority is not ready: one event says it', async () => {
    const { reconcile, live, events, authorityStates, own } = await scene();
    authorityStates.set(own, { state: 'notReady', reason: 'RootMissing', message: 'none' } as never);
    const before = await live();
    await reconcile();
    await reconcile();
    assert.deepEqual(await live(), before);
    assert.deepEqual(events, [`${kind} hooks: AuthorityNotReady`]);
  });

  test('when the annotation is removed: the roots stay', async () => {
    const { reconcile, change, bundles, publications, own } = await scene();
    await reconcile();
    await change({ metadata: { annotations: { 'mtls-operator.io/inject-ca-from': null } } });
    await reconcile();
    assert.deepEqual(await bundles(), [base64(oldBundle.pem), base64(oldBundle.pem)]);
    assert.deepEqual(publications.of(own), []);
  });
});

test('an object that another client keeps emptying is repaired three times at once, then after pauses', async () => {
  const { clock, reconcile, change, outcome, bundles } = await scene();
  const empty = () => change({ webhooks: [hook('a'), hook('b')] });
  await reconcile();
  for (let repair = 0; repair < 3; repair += 1) {
    clock.now = later(2000 * (repair + 1));
    await empty();
    await reconcile();
  }
  clock.now = later(8000);
  await empty();
  const requeue = await reconcile();
  assert.equal(outcome()?.state, 'contested');
  assert.deepEqual(await bundles(), [undefined, undefined]);
  assert.ok((requeue?.requeueAt ?? clock.now) > clock.now);
  clock.now = requeue?.requeueAt ?? clock.now;
  await reconcile();
  assert.deepEqual(await bundles(), [base64(oldBundle.pem), base64(oldBundle.pem)]);
});

test('a refused write is the outcome, and the error is thrown for the retry', async () => {
  const { api, reconcile, outcome, publications, own } = await scene({}, [hook('a', base64('theirs'))]);
  api.jsonPatch = async () => {
    throw new KubeError('Forbidden', 'no right to patch');
  };
  await assert.rejects(reconcile, (error) => isKubeError(error, 'Forbidden'));
  assert.deepEqual(outcome(), { state: 'failed', message: 'no right to patch' });
  assert.deepEqual(
    publications.of(own).map(({ displayName, detail }) => [displayName, detail]),
    [[`${kind} hooks`, 'no right to patch']],
  );
});

describe('a rotation', () => {
  test('counts the object with its bundle, from its last change', async () => {
    const { clock, reconcile, publications, own, sign, change } = await scene();
    const one = () => publications.of(own)[0];
    assert.equal(one()?.bundle, undefined);
    clock.ms = 2000;
    await reconcile();
    assert.deepEqual([one()?.bundle, one()?.changedAtMs], [injectedRoots(oldBundle).digest, 2000]);
    clock.ms = 3000;
    await change({ metadata: { labels: { changed: 'label' } } });
    assert.equal(one()?.bundle, undefined, 'content that was read before the change is no evidence');
    await reconcile();
    assert.deepEqual([one()?.bundle, one()?.changedAtMs], [injectedRoots(oldBundle).digest, 2000]);
    sign(newBundle);
    clock.now = later(2000);
    await reconcile();
    assert.deepEqual([one()?.bundle, one()?.changedAtMs], [injectedRoots(newBundle).digest, 3000]);
  });

  test('reads the object again before it relies on the cache', async () => {
    const { api, reconcile, publications, own } = await scene();
    await reconcile();
    // The watch has not delivered this change.
    await api.patchByHand(validatingWebhookConfigurations, ref, { webhooks: [hook('a')] });
    assert.equal(publications.of(own)[0]?.bundle, injectedRoots(oldBundle).digest);
    await publications.renew(own, new AbortController().signal);
    assert.equal(publications.of(own)[0]?.bundle, undefined);
  });

  test('does not count an object that another injector fills, nor one without roots that cannot be written', async () => {
    const shared = await scene({ 'cert-manager.io/inject-ca-from': 'shop/ca' });
    await shared.reconcile();
    assert.deepEqual(shared.publications.of(shared.own), []);
    const empty = await scene({}, [hook('a')]);
    empty.api.jsonPatch = async () => {
      throw new KubeError('Invalid', 'refused');
    };
    await assert.rejects(empty.reconcile);
    assert.deepEqual(empty.publications.of(empty.own), []);
  });
});
