import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import type { Condition } from '../../../src/api/types.ts';
import { encodePublicTruststore, parseCertificates } from '../../../src/pki/index.ts';
import { type ClusterTrustBundle, type ConfigMap, operatorNamespace, paths, type Stored } from '../../support/api.ts';
import { broughtRoot } from '../../support/behaviours/brought-root.ts';
import { certificatesIn, digestOf, fileOf, fingerprintOf } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { type Authority, installation, type Tenant } from '../../support/installation.ts';
import {
  clients,
  mountSecret,
  opensslClient,
  opensslServer,
  type SecretFiles,
  secretFiles,
  unlessInstalled,
} from '../../support/peers/index.ts';
import { startProgram } from '../../support/peers/process.ts';
import { javaPeerWithStores } from '../../support/peers/program.ts';
import { forbid } from '../../support/refuse.ts';
import { scratchFolder } from '../../support/scratch.ts';

const world = installation();

let authorities = 0;

/** An authority that publishes its bundle in namespaces with its label. */
interface Publisher {
  readonly name: string;
  readonly label: Readonly<Record<string, string>>;
  /** Creates a namespace that the authority selects. */
  readonly namespace: () => Promise<string>;
  /** The current bundle: the PEM in status.trustBundle. */
  readonly bundle: () => Promise<string>;
  /** Waits until the ConfigMap in a namespace has the current bundle. */
  readonly configMap: (namespace: string, name?: string) => Promise<ConfigMap>;
  /** Waits until the condition TrustPublished has this status and reason for the current spec. */
  readonly says: (status: string, reason: string, message?: RegExp) => Promise<Condition>;
  readonly change: (trustBundle: object | null) => Promise<Authority>;
}

async function publisher(trustBundle: object = {}, root?: Readonly<Record<string, string>>): Promise<Publisher> {
  const name = `publisher-${++authorities}`;
  const label = { publisher: name };
  const configMap = { name: 'mtls-trust', namespaceSelector: { matchLabels: label } };
  if (root !== undefined) await world.bringRoot(name, root);
  const spec = { secretName: name, ...(root === undefined ? { root: {} } : {}) };
  await world.createAuthority(name, { ...spec, trustBundle: { configMap, ...trustBundle } });
  await world.authorityIs(name, 'True');
  const bundle = async (): Promise<string> => (await world.authority(name)).status?.trustBundle ?? '';
  return {
    name,
    label,
    bundle,
    namespace: () => namespaceWith(label),
    configMap: (namespace, configMapName = 'mtls-trust') =>
      eventually(
        async () => {
          const found = await world.api.get<ConfigMap>(paths.configMaps(namespace, configMapName));
          assert.equal(found.data?.['ca.crt'], await bundle());
          return found;
        },
        { timeoutMs: 60_000, message: `ConfigMap ${namespace}/${configMapName} does not have the bundle` },
      ),
    says: (status, reason, message = /\w/) =>
      eventually(
        async () => {
          const authority = await world.authority(name);
          const condition = authority.status?.conditions?.find(({ type }) => type === 'TrustPublished');
          assert.ok(condition !== undefined, 'there is no condition TrustPublished');
          assert.deepEqual([condition.status, condition.reason], [status, reason], condition.message);
          assert.match(condition.message, message);
          assert.equal(condition.observedGeneration, authority.metadata.generation);
          return condition;
        },
        { timeoutMs: 60_000, message: `MtlsAuthority ${name} does not report ${reason}` },
      ),
    change: (changed) => world.patchAuthority(name, { spec: { trustBundle: changed } }),
  };
}

let namespaces = 0;

async function namespaceWith(labels: Readonly<Record<string, string>>): Promise<string> {
  const name = `trust-${++namespaces}`;
  await world.api.create(paths.namespaces(), { metadata: { name, labels } });
  return name;
}

const relabel = (namespace: string, labels: Readonly<Record<string, string | null>>): Promise<Stored> =>
  world.api.patch(paths.namespaces(namespace), { metadata: { labels } });

const findConfigMap = (namespace: string, name = 'mtls-trust'): Promise<ConfigMap | undefined> =>
  world.api.find<ConfigMap>(paths.configMaps(namespace, name));

/** Returns when the operator has published a new bundle. It has then also processed all earlier changes. */
async function witness(): Promise<void> {
  const { configMap, namespace } = await publisher();
  await configMap(await namespace());
}

async function isGone(path: string): Promise<void> {
  await eventually(async () => assert.ok((await world.api.find(path)) === undefined, 'the object still exists'), {
    // The garbage collector discovers new kinds of owners every half minute.
    timeoutMs: 90_000,
    message: `${path} was not deleted`,
  });
}

const theirs = (namespace: string, more: object = {}): Promise<ConfigMap> =>
  world.api.create<ConfigMap>(paths.configMaps(namespace), {
    metadata: { name: 'mtls-trust', labels: { app: 'theirs' } },
    data: { 'ca.crt': 'theirs' },
    ...more,
  });

describe('the ConfigMap of a trust bundle', { concurrency: 4 }, () => {
  test('is in every selected namespace, including later ones, and in no other', async () => {
    const { name, configMap, namespace, label, says } = await publisher();
    const [first, second, third, other] = [
      await namespace(),
      await namespace(),
      await namespaceWith({}),
      await namespaceWith({ publisher: 'another' }),
    ];
    const written = await configMap(first);
    await configMap(second);
    assert.deepEqual(written.metadata.labels, {
      'app.kubernetes.io/managed-by': 'mtls-operator',
      'mtls-operator.io/authority': name,
    });
    const { uid } = (await world.authority(name)).metadata;
    assert.deepEqual(written.metadata.ownerReferences, [
      { apiVersion: 'mtls-operator.io/v1alpha1', kind: 'MtlsAuthority', name, uid, controller: true },
    ]);
    await says('True', 'Published', /^ConfigMap mtls-trust is published in 2 namespaces$/);
    await relabel(third, label);
    await configMap(third);
    await says('True', 'Published', /^ConfigMap mtls-trust is published in 3 namespaces$/);
    assert.equal(await findConfigMap(other), undefined);
  });

  test('is deleted in a namespace that is no longer selected', async () => {
    const { configMap, namespace, says } = await publisher();
    const [kept, left] = [await namespace(), await namespace()];
    await configMap(left);
    await relabel(left, { publisher: null });
    await isGone(paths.configMaps(left, 'mtls-trust'));
    await configMap(kept);
    await says('True', 'Published', /in 1 namespace$/);
  });

  test('4. Repair: is restored when it is deleted, edited, emptied, unlabelled or made immutable', async () => {
    const { configMap, namespace } = await publisher();
    const damages: ((path: string) => Promise<unknown>)[] = [
      (path) => world.api.delete(path),
      (path) => world.api.patch(path, { data: { 'ca.crt': 'nonsense' } }),
      (path) => world.api.patch(path, { data: null }),
      (path) => world.api.patch(path, { data: { 'ca.crt': null }, binaryData: { 'ca.crt': 'bm9uc2Vuc2U=' } }),
      (path) => world.api.patch(path, { metadata: { labels: null } }),
      (path) => world.api.patch(path, { metadata: { labels: { 'mtls-operator.io/authority': 'another' } } }),
      (path) => world.api.patch(path, { immutable: true }),
      (path) => world.api.patch(path, { immutable: true, data: { 'ca.crt': 'nonsense' } }),
    ];
    // Each in its own namespace: after repeated damage in one namespace, repairs are delayed.
    for (const damage of damages) {
      const place = await namespace();
      const { metadata } = await configMap(place);
      await damage(paths.configMaps(place, 'mtls-trust'));
      await eventually(async () => {
        const found = await configMap(place);
        assert.deepEqual(found.metadata.labels, metadata.labels);
        assert.deepEqual(found.metadata.ownerReferences, metadata.ownerReferences);
        assert.deepEqual([found.immutable, found.binaryData], [undefined, undefined]);
      });
    }
  });

  test('4. Repair: keeps the data, labels and annotations of other clients', async () => {
    const { configMap, namespace } = await publisher();
    const place = await namespace();
    await configMap(place);
    const added = { labels: { app: 'theirs' }, annotations: { 'example.com/note': 'theirs' } };
    const data = { 'ca.crt': 'nonsense', 'more.crt': 'theirs' };
    await world.api.patch(paths.configMaps(place, 'mtls-trust'), { metadata: added, data });
    const { metadata, data: repaired } = await configMap(place);
    assert.equal(repaired?.['more.crt'], 'theirs');
    assert.equal(metadata.labels?.['app'], 'theirs');
    assert.deepEqual(metadata.annotations, added.annotations);
  });

  test('has the labels, annotations and the truststore of spec, which leave with it; those of other clients stay', async () => {
    const { configMap, namespace, change, says, name } = await publisher();
    const [place, tampered] = [await namespace(), await namespace()];
    const plain = await configMap(place);
    await configMap(tampered);
    const theirs = { metadata: { labels: { app: 'theirs' } }, binaryData: { 'their.bin': 'AAAA' } };
    await world.api.patch(paths.configMaps(place, 'mtls-trust'), theirs);
    const template = { labels: { team: 'edge' }, annotations: { 'reloader.example.com/match': 'true' } };
    await change({ configMap: { ...template, truststore: {} } });
    await says('True', 'Published');
    const { metadata, binaryData = {}, data } = await configMap(place);
    assert.deepEqual(metadata.labels, { ...plain.metadata.labels, app: 'theirs', team: 'edge' });
    assert.equal(metadata.annotations?.['reloader.example.com/match'], 'true');
    assert.deepEqual([Object.keys(binaryData).sort(), data], [['their.bin', 'truststore.p12'], plain.data]);
    // Every namespace has the same bytes, and a truststore that another client changed gets them again.
    const store = binaryData['truststore.p12'];
    await world.api.patch(paths.configMaps(tampered, 'mtls-trust'), { binaryData: { 'truststore.p12': 'AAAA' } });
    await eventually(async () => assert.equal((await configMap(tampered)).binaryData?.['truststore.p12'], store));
    await change({ configMap: { labels: { team: null }, truststore: { key: 'truststore.jks' } } });
    await says('True', 'Published');
    const changed = await configMap(place);
    assert.deepEqual(Object.keys(changed.binaryData ?? {}).sort(), ['their.bin', 'truststore.jks']);
    assert.equal(changed.binaryData?.['truststore.jks'], store);
    assert.deepEqual(changed.metadata.labels, { ...plain.metadata.labels, app: 'theirs' });
    // How the operator knows which keys it set survives a restart.
    await world.restart();
    await change({ configMap: { annotations: null, truststore: null } });
    await says('True', 'Published');
    const left = await configMap(place);
    assert.deepEqual([left.binaryData, left.metadata.annotations], [{ 'their.bin': 'AAAA' }, undefined]);
    await world.patchAuthority(name, { spec: { trustBundle: { configMap: { truststore: {} } } } });
    await says('True', 'Published');
  });

  test('5. Ownership: a foreign ConfigMap stays byte-identical and is reported in status, and the operator creates its own when the foreign one is deleted (35 s: a foreign object is read every 30 s)', async () => {
    const { name, configMap, namespace, label, says } = await publisher();
    const [shop = '', web = ''] = [await namespaceWith({}), await namespaceWith({})].sort();
    // One without an owner, and one with the operator's labels: the operator must not take over either.
    const labels = { 'app.kubernetes.io/managed-by': 'mtls-operator', 'mtls-operator.io/authority': name };
    const found = [await theirs(shop), await theirs(web, { metadata: { name: 'mtls-trust', labels } })];
    await Promise.all([shop, web].map((place) => relabel(place, label)));
    await configMap(await namespace());
    const names = new RegExp(
      `^ConfigMap mtls-trust belongs to another owner in 2 of 3 namespaces: ${shop}, ${web}; delete it there, `,
    );
    await says('False', 'TrustConflict', names);
    assert.deepEqual(
      (await Promise.all([shop, web].map((place) => findConfigMap(place)))).map(digest),
      found.map(digest),
    );
    await Promise.all([shop, web].map((place) => world.api.delete(paths.configMaps(place, 'mtls-trust'))));
    // A ConfigMap without the labels is not watched: the operator finds its deletion by polling.
    await eventually(
      async () => assert.ok((await findConfigMap(shop)) !== undefined, 'the ConfigMap was not created'),
      {
        timeoutMs: 90_000,
      },
    );
    await configMap(shop);
    await configMap(web);
    await says('True', 'Published', /in 3 namespaces$/);
  });

  test('5. Ownership: of two authorities with one ConfigMap name the first keeps it, and the second reports TrustConflict', async () => {
    const first = await publisher();
    const place = await first.namespace();
    await first.configMap(place);
    const configMap = { name: 'mtls-trust', namespaceSelector: { matchLabels: first.label } };
    const second = await publisher({ configMap });
    await second.says(
      'False',
      'TrustConflict',
      new RegExp(` belongs to another owner in 1 of 1 namespace: ${place}; delete it there, `),
    );
    await first.says('True', 'Published');
    const { metadata } = await first.configMap(place);
    assert.equal(metadata.labels?.['mtls-operator.io/authority'], first.name);
    // With different names both are published. The second authority gets the name that the first gives up.
    await first.change({ configMap: { name: 'first-trust' } });
    await first.configMap(place, 'first-trust');
    await second.configMap(place);
    await second.says('True', 'Published');
  });

  test('is renamed by deleting the old ConfigMap only after the new one exists', async () => {
    const { change, configMap, namespace, says } = await publisher();
    const [free, taken] = [await namespace(), await namespace()];
    await configMap(free);
    await configMap(taken);
    const foreign = await theirs(taken, { metadata: { name: 'renamed' } });
    await change({ configMap: { name: 'renamed' } });
    await configMap(free, 'renamed');
    await isGone(paths.configMaps(free, 'mtls-trust'));
    await says(
      'False',
      'TrustConflict',
      new RegExp(` belongs to another owner in 1 of 2 namespaces: ${taken}; delete it there, `),
    );
    // Pods may still mount the old ConfigMap, so it is kept up to date.
    await world.api.patch(paths.configMaps(taken, 'mtls-trust'), { data: { 'ca.crt': 'nonsense' } });
    await configMap(taken);
    assert.equal(digest(await findConfigMap(taken, 'renamed')), digest(foreign));
  });

  test('is deleted everywhere when spec.trustBundle is removed, and never overwritten because of an invalid root', async () => {
    const root = await broughtRoot();
    const { name, change, configMap, namespace, says } = await publisher({}, root);
    const place = await namespace();
    const written = digest(await configMap(place));
    await world.bringRoot(name, { 'tls.crt': 'nonsense' });
    await world.authorityIs(name, 'False', 'RootMalformed');
    await says('False', 'AuthorityNotReady');
    const late = await namespace();
    await witness();
    assert.equal(digest(await findConfigMap(place)), written);
    assert.equal(await findConfigMap(late), undefined);
    await world.bringRoot(name, root);
    await configMap(late);
    assert.equal(digest(await configMap(place)), written);
    await change(null);
    for (const left of [place, late]) await isGone(paths.configMaps(left, 'mtls-trust'));
    await says('False', 'NotRequested', /^spec\.trustBundle is not set: the operator publishes no bundle$/);
    const conditions = (await world.authority(name)).status?.conditions?.map(({ type }) => type);
    assert.deepEqual(conditions, ['Ready', 'TrustPublished']);
  });

  test('is deleted with its authority (25 s: it waits for the garbage collector)', async () => {
    const { name, configMap, namespace } = await publisher({ clusterTrustBundle: true });
    const place = await namespace();
    await configMap(place);
    await clusterTrustBundle(name);
    await world.api.delete(paths.authorities(name));
    await isGone(paths.configMaps(place, 'mtls-trust'));
    await isGone(paths.clusterTrustBundles(clusterTrustBundleName(name)));
  });

  test('does not delay the deletion of a namespace', async () => {
    const { configMap, namespace, says } = await publisher();
    const [kept, ending] = [await namespace(), await namespace()];
    await configMap(ending);
    const path = paths.configMaps(ending, 'mtls-trust');
    // An object with a finalizer keeps the namespace in the state Terminating, in which nothing can be created.
    const holder = { metadata: { name: 'holder', finalizers: ['example.com/not-yet'] } };
    await world.api.create(paths.configMaps(ending), holder);
    await world.api.delete(paths.namespaces(ending));
    await isGone(path);
    await says('True', 'Published', /in 1 namespace$/);
    await configMap(kept);
    await world.api.patch(paths.configMaps(ending, 'holder'), { metadata: { finalizers: null } });
    await isGone(paths.namespaces(ending));
    const failed = world.logs().filter(({ controller, key }) => controller === 'trust' && String(key).endsWith(ending));
    assert.deepEqual(failed, []);
  });

  test('has the active root first and no duplicates, whatever the order in the root Secret', async () => {
    const [active, ...others] = await Promise.all([1, 2, 3].map((i) => broughtRoot({ commonName: `Root ${i}` })));
    assert.ok(active !== undefined);
    const [second = active, third = active] = others;
    const caCrt = [third, active, second, third, active].map((root) => root['tls.crt']).join('some text\n');
    const { name, configMap, namespace } = await publisher(
      { clusterTrustBundle: true },
      { ...active, 'ca.crt': caCrt },
    );
    const place = await namespace();
    const pem = (await configMap(place)).data?.['ca.crt'] ?? '';
    const roots = certificatesIn(pem);
    assert.equal(roots.join(''), pem, 'the bundle has text around the certificates');
    const fingerprints = await Promise.all(roots.map(fingerprintOf));
    assert.equal(fingerprints[0], await fingerprintOf(active['tls.crt']));
    const expected = await Promise.all([active, second, third].map((root) => fingerprintOf(root['tls.crt'])));
    assert.deepEqual(fingerprints.toSorted(), expected.toSorted());
    assert.equal((await clusterTrustBundle(name)).spec.trustBundle, pem);
    // The same roots in another order give the same bundle.
    const before = digest(await findConfigMap(place));
    await world.bringRoot(name, { 'ca.crt': [second, active, third].map((root) => root['tls.crt']).join('') });
    await witness();
    assert.equal(digest(await findConfigMap(place)), before);
    await world.bringRoot(name, { 'ca.crt': '' });
    await eventually(async () => {
      assert.equal((await findConfigMap(place))?.data?.['ca.crt'], active['tls.crt']);
    });
  });
});

/** Short delays: no pod mounts the ClusterTrustBundles of this file. */
const hasty = { propagationDelay: '1s', clusterTrustBundleDelay: '1s' };

/** Forbids new ConfigMaps in the namespace. */
const forbidConfigMaps = (namespace: string) => forbid(world, namespace, 'configmaps');

describe('a namespace that refuses the ConfigMap', () => {
  const rotate = (name: string, annotations: Readonly<Record<string, string>>) =>
    world.patchAuthority(name, { metadata: { annotations }, spec: { rotation: hasty } });
  const ends = (name: string) =>
    eventually(
      async () => {
        const { rotation, lastHandledRotateRoot } = (await world.authority(name)).status ?? {};
        assert.equal(lastHandledRotateRoot, 'now');
        assert.equal(rotation, undefined, JSON.stringify(rotation));
      },
      { timeoutMs: 120_000, message: 'the rotation does not end' },
    );

  test('does not block a rotation if it never had the ConfigMap, and is reported with the reason', async () => {
    const { name, label, configMap, namespace, says } = await publisher();
    const place = await namespace();
    await configMap(place);
    const refuses = await namespaceWith({});
    await forbidConfigMaps(refuses);
    await relabel(refuses, label);
    await says('False', 'PublishingFailed', new RegExp(`in 1 of 2 namespaces: ${refuses} .*exceeded quota: none`));
    await rotate(name, { 'mtls-operator.io/rotate-root': 'now' });
    await ends(name);
    await configMap(place);
    await says('False', 'PublishingFailed', new RegExp(refuses));
    await eventually(async () => {
      const events = await world.api.list<Stored & { regarding: { name: string }; reason: string; note: string }>(
        paths.events,
      );
      const reported = events.filter(
        ({ regarding, reason }) => regarding.name === name && reason === 'PublishingFailed',
      );
      assert.ok(reported.some(({ note }) => note.includes(refuses) && note.includes('exceeded quota')));
    });
  });

  test('blocks a rotation while pods may still mount the deleted ConfigMap, until the namespace is skipped', async () => {
    const { name, configMap, namespace, says } = await publisher();
    const place = await namespace();
    await configMap(place);
    await forbidConfigMaps(place);
    await world.api.delete(paths.configMaps(place, 'mtls-trust'));
    await says('False', 'PublishingFailed', new RegExp(place));
    await rotate(name, { 'mtls-operator.io/rotate-root': 'now' });
    const waits = (phase: string) =>
      eventually(async () => {
        const { rotation } = (await world.authority(name)).status ?? {};
        assert.equal(rotation?.phase, phase);
        const [blocker = ''] = rotation.blockers ?? [];
        assert.match(
          blocker,
          new RegExp(`: ConfigMap ${place}/mtls-trust \\(.*exceeded quota.*to skip namespace ${place}: `),
        );
        return rotation.id;
      });
    const id = await waits('Distributing');
    await rotate(name, { 'mtls-operator.io/skip-gate': `${id}/Distributing/${place}` });
    await waits('Retiring');
    await rotate(name, { 'mtls-operator.io/skip-gate': `${id}/retiring/${place}` });
    await ends(name);
  });
});

test('a root rotation waits for published bundles, and they have only the new root afterwards', async () => {
  const { name, configMap, namespace, change } = await publisher({ clusterTrustBundle: true });
  await change({ configMap: { truststore: {} } });
  await world.patchAuthority(name, { spec: { rotation: hasty } });
  const place = await namespace();
  const before = (await configMap(place)).data?.['ca.crt'] ?? '';
  const foreign = await namespaceWith({});
  await theirs(foreign);
  await relabel(foreign, { publisher: name });
  // The finalizer keeps the old ConfigMap. The operator can create a new one only after the finalizer is removed.
  const held = { metadata: { finalizers: ['example.com/not-yet'] } };
  await world.api.patch(paths.configMaps(place, 'mtls-trust'), held);
  await world.api.delete(paths.configMaps(place, 'mtls-trust'));
  await world.patchAuthority(name, {
    metadata: { annotations: { 'mtls-operator.io/rotate-root': 'now' } },
  });
  await eventually(async () => {
    const rotation = (await world.authority(name)).status?.rotation;
    assert.equal(rotation?.phase, 'Distributing');
    assert.match(rotation.blockers?.join('\n') ?? '', new RegExp(`ConfigMap ${place}/mtls-trust`));
  });
  await world.api.patch(paths.configMaps(place, 'mtls-trust'), { metadata: { finalizers: null } });
  await eventually(
    async () => {
      const { status } = await world.authority(name);
      assert.equal(status?.rotation, undefined);
      assert.notEqual(status?.trustBundle, before);
    },
    { timeoutMs: 120_000, message: 'the rotation does not end' },
  );
  const { data, binaryData } = await configMap(place);
  const pem = data?.['ca.crt'] ?? '';
  assert.equal(certificatesIn(pem).length, 1);
  const truststore = encodePublicTruststore(parseCertificates(pem), 'changeit').toString('base64');
  assert.equal(binaryData?.['truststore.p12'], truststore);
  assert.equal((await clusterTrustBundle(name)).spec.trustBundle, pem);
});

const clusterTrustBundleName = (authority: string): string => `mtls-operator.io:${authority}:roots`;

/** Waits until the ClusterTrustBundle of an authority has the current bundle. */
const clusterTrustBundle = (authority: string): Promise<ClusterTrustBundle> =>
  eventually(async () => {
    const found = await world.api.get<ClusterTrustBundle>(paths.clusterTrustBundles(clusterTrustBundleName(authority)));
    assert.equal(found.spec.trustBundle, (await world.authority(authority)).status?.trustBundle);
    return found;
  });

describe('the ClusterTrustBundle of an authority', { concurrency: 3 }, () => {
  test('is created when spec requests it, repaired, and deleted when spec no longer requests it', async () => {
    const { name, change, says } = await publisher({ configMap: null, clusterTrustBundle: true });
    const written = await clusterTrustBundle(name);
    assert.equal(written.spec.signerName, `mtls-operator.io/${name}`);
    assert.equal(written.metadata.labels?.['mtls-operator.io/authority'], name);
    await says('True', 'Published', new RegExp(`^ClusterTrustBundle mtls-operator.io:${name}:roots is published$`));
    const path = paths.clusterTrustBundles(clusterTrustBundleName(name));
    await world.api.delete(path);
    const { metadata } = await clusterTrustBundle(name);
    assert.notEqual(metadata.uid, written.metadata.uid);
    const other = (await broughtRoot())['tls.crt'];
    await world.api.patch(path, { spec: { trustBundle: other }, metadata: { labels: { app: 'theirs' } } });
    assert.equal((await clusterTrustBundle(name)).metadata.labels?.['app'], 'theirs');
    await change({ clusterTrustBundle: false });
    await isGone(path);
  });

  test('5. Ownership: a foreign ClusterTrustBundle stays unchanged, and the operator creates its own when the foreign one is deleted (35 s: a foreign object is read every 30 s)', async () => {
    const name = `publisher-${authorities + 1}`;
    const path = paths.clusterTrustBundles(clusterTrustBundleName(name));
    const spec = { signerName: `mtls-operator.io/${name}`, trustBundle: (await broughtRoot())['tls.crt'] };
    const foreign = await world.api.create(paths.clusterTrustBundles(), {
      metadata: { name: clusterTrustBundleName(name) },
      spec,
    });
    const { says } = await publisher({ configMap: null, clusterTrustBundle: true });
    await says('False', 'TrustConflict', /belongs to another owner; delete it$/);
    assert.equal(digest(await world.api.find(path)), digest(foreign));
    await world.api.delete(path);
    await eventually(
      async () => assert.ok((await world.api.find(path)) !== undefined, 'the ClusterTrustBundle was not created'),
      {
        timeoutMs: 90_000,
      },
    );
    await clusterTrustBundle(name);
    await says('True', 'Published');
  });

  test('is published, like the ConfigMap, for an authority with the longest possible name', async () => {
    const name = 'a'.repeat(253);
    const place = await namespaceWith({ publisher: 'long' });
    await world.createAuthority(name, {
      secretName: 'long',
      root: {},
      trustBundle: {
        configMap: { namespaceSelector: { matchLabels: { publisher: 'long' } } },
        clusterTrustBundle: true,
      },
    });
    await clusterTrustBundle(name);
    await eventually(async () => {
      const found = await findConfigMap(place);
      assert.equal(found?.metadata.ownerReferences?.[0]?.name, name);
      assert.match(found.metadata.labels?.['mtls-operator.io/authority'] ?? '', /^a{46}-[0-9a-f]{16}$/);
    });
    await world.api.delete(paths.authorities(name));
  });
});

const digest = (object: Stored | undefined): string => (object === undefined ? 'absent' : digestOf(object));

test('a client without a certificate verifies a server with only the ConfigMap', {
  skip: unlessInstalled(opensslClient),
}, async (t) => {
  const { name, configMap, namespace, change, says } = await publisher();
  await change({ configMap: { truststore: {} } });
  const [servers, consumers] = [await namespaceWith({}), await namespace()];
  const tenant = world.tenantOf(servers);
  await tenant.issue('db', { authorityRef: { name }, server: { service: 'db' } });
  const folder = await scratchFolder('trust');
  t.after(() => rm(folder, { recursive: true }));
  const [server, consumer, stranger] = ['server', 'consumer', 'stranger'].map((party) => join(folder, party)) as [
    string,
    string,
    string,
  ];
  await mountSecret(server, secretFiles(await tenant.secret('db-server-tls')));
  await configMap(consumers);
  await says('True', 'Published');
  await mountSecret(consumer, configMapFiles(await configMap(consumers)));
  const otherRoot = (await broughtRoot())['tls.crt'];
  await mountSecret(stranger, {
    'ca.crt': Buffer.from(otherRoot),
    'truststore.p12': encodePublicTruststore(parseCertificates(otherRoot), 'changeit'),
  });
  const credentials = ['-cert', join(server, 'tls.crt'), '-key', join(server, 'tls.key')];
  const running = await startProgram(
    ['openssl', 's_server', '-www', '-accept', '127.0.0.1:0', ...credentials],
    /^ACCEPT .*:(\d+)$/m,
  );
  t.after(() => running.stop());
  const port = Number(running.announcement[1]);
  const serverName = `db.${servers}.svc`;
  const withTruststore = { ...javaPeerWithStores('changeit'), name: 'Java with the truststore' };
  for (const client of [...clients, withTruststore].filter((peer) => unlessInstalled(peer) === false)) {
    const accepted = await client.connect({ port, serverName, caFolder: consumer });
    assert.partialDeepStrictEqual(accepted, { ok: true, serverSawClient: undefined }, client.name);
    assert.partialDeepStrictEqual(await client.connect({ port, serverName, caFolder: stranger }), { ok: false });
    const other = { port, serverName: `web.${servers}.svc`, caFolder: consumer };
    assert.partialDeepStrictEqual(await client.connect(other), { ok: false }, client.name);
  }
});

test('3. Steady state writes nothing: not after a restart with a foreign ConfigMap under its name', async () => {
  const { name, configMap, namespace, says, change } = await publisher({ clusterTrustBundle: true });
  await change({ configMap: { labels: { team: 'edge' }, annotations: { note: 'x'.repeat(500) }, truststore: {} } });
  const places = [await namespace(), await namespace(), await namespace()];
  // The operator may see a namespace before the changed spec, and then writes its ConfigMap twice.
  const isChanged = async (place: string): Promise<void> =>
    assert.equal((await configMap(place)).metadata.labels?.['team'], 'edge');
  await Promise.all(places.map((place) => eventually(() => isChanged(place))));
  const foreign = await namespaceWith({});
  await theirs(foreign);
  await relabel(foreign, { publisher: name });
  await clusterTrustBundle(name);
  await says(
    'False',
    'TrustConflict',
    / belongs to another owner in 1 of 4 namespaces: .*; ClusterTrustBundle .* is published$/,
  );
  const written = async (): Promise<Stored[]> =>
    Promise.all([
      ...[...places, foreign].map((place) => world.api.get(paths.configMaps(place, 'mtls-trust'))),
      world.api.get(paths.clusterTrustBundles(clusterTrustBundleName(name))),
      world.authority(name),
    ]);
  const before = (await written()).map(digest);
  await world.restart();
  // The targets of a new authority are reconciled after all existing targets, and after the status of the other authorities.
  const later = await publisher();
  await later.configMap(await later.namespace());
  await eventually(async () => {
    const text = await (await fetch(`${world.operator.url}/metrics`)).text();
    const polls = /^controller_runtime_reconcile_total\{controller="trust",result="requeue_after"\} (\d+)$/m.exec(text);
    assert.ok(Number(polls?.[1]) >= 1, 'the foreign ConfigMap was not read again');
    assert.match(text, /^workqueue_depth\{name="trust",controller="trust"\} 0$/m);
  });
  await later.says('True', 'Published');
  assert.deepEqual((await written()).map(digest), before);
});

const configMapFiles = ({ data = {}, binaryData = {} }: ConfigMap): SecretFiles => ({
  ...Object.fromEntries(Object.entries(data).map(([file, text]) => [file, Buffer.from(text)])),
  ...Object.fromEntries(Object.entries(binaryData).map(([file, octets]) => [file, Buffer.from(octets, 'base64')])),
});

describe('additional roots', { concurrency: 4 }, () => {
  const sourceOf = (name: string, data: Readonly<Record<string, string>>): Promise<ConfigMap> =>
    world.api.create<ConfigMap>(paths.configMaps(operatorNamespace), { metadata: { name }, data });
  const changeSource = (name: string, text: string): Promise<ConfigMap> =>
    world.api.patch<ConfigMap>(paths.configMaps(operatorNamespace, name), { data: { 'ca.crt': text } });

  async function accepts(name: string, status: string, reason: string, message = /\w/): Promise<void> {
    await eventually(
      async () => {
        const found = (await world.authority(name)).status?.conditions ?? [];
        const condition = found.find(({ type }) => type === 'AdditionalRootsAccepted');
        assert.deepEqual(
          [condition?.status, condition?.reason],
          [status, reason],
          condition?.message ?? 'no condition',
        );
        assert.match(condition?.message ?? '', message);
      },
      { timeoutMs: 60_000, message: `MtlsAuthority ${name} does not report ${reason}` },
    );
  }

  /** Waits until a Secret has the own roots of its authority, then these. */
  const holds = (tenant: Tenant, authority: string, secretName: string, ...added: readonly string[]): Promise<void> =>
    eventually(
      async () => {
        const { status } = await world.authority(authority);
        const expected = (status?.trustBundle ?? '') + added.join('');
        const conditions = status?.conditions?.map(({ message }) => message).join('\n');
        assert.equal(fileOf(await tenant.secret(secretName), 'ca.crt'), expected, conditions ?? 'no conditions');
      },
      { timeoutMs: 60_000, message: `${tenant.namespace}/${secretName} does not hold these roots` },
    );

  const rotation = { propagationDelay: '1s', clusterTrustBundleDelay: '1s' };

  test('two organizations that have exchanged their roots do mutual TLS, and no longer after a source is gone', {
    skip: unlessInstalled(opensslClient, opensslServer),
  }, async (t) => {
    const [ours, theirs] = [
      await world.ownAuthority({ root: {}, rotation }),
      await world.ownAuthority({ root: {}, rotation }),
    ];
    for (const name of [ours, theirs]) await world.authorityIs(name, 'True');
    const rootsOf = async (name: string) => (await world.authority(name)).status?.trustBundle ?? '';
    await sourceOf(`of-${theirs}`, { 'ca.crt': await rootsOf(theirs) });
    const secret = { metadata: { name: `of-${ours}` }, stringData: { 'roots.pem': await rootsOf(ours) } };
    await world.api.create(paths.secrets(operatorNamespace), secret);
    const additional = { configMap: { name: `of-${theirs}` } };
    await world.patchAuthority(ours, { spec: { trustBundle: { additional: [additional] } } });
    const key = { secret: { name: `of-${ours}`, key: 'roots.pem' } };
    await world.patchAuthority(theirs, { spec: { trustBundle: { additional: [key] } } });
    const [server, client] = [await world.tenant('ours'), await world.tenant('theirs')];
    await server.issue('db', { authorityRef: { name: ours }, server: { service: 'db' } });
    await client.issue('app', { authorityRef: { name: theirs }, client: { serviceAccount: 'app' } });
    await holds(server, ours, 'db-server-tls', await rootsOf(theirs));
    await holds(client, theirs, 'app-client-tls', await rootsOf(ours));
    await accepts(ours, 'True', 'Accepted', /^1 additional root is in the bundle$/);
    // The own root comes first, and only own roots are in status and decide whose leaf it is.
    assert.equal((await world.authority(ours)).status?.roots?.length, 1);
    const folder = await scratchFolder('organizations');
    t.after(() => rm(folder, { recursive: true }));
    const [serverFolder, clientFolder] = [join(folder, 'server'), join(folder, 'client')];
    await mountSecret(serverFolder, secretFiles(await server.secret('db-server-tls')));
    await mountSecret(clientFolder, secretFiles(await client.secret('app-client-tls')));
    const request = { serverName: `db.${server.namespace}.svc`, caFolder: clientFolder, folder: clientFolder };
    const first = await opensslServer.start(serverFolder);
    t.after(() => first.stop());
    assert.partialDeepStrictEqual(await opensslClient.connect({ ...request, port: first.port }), { ok: true });
    // A deleted source.
    await world.api.delete(paths.configMaps(operatorNamespace, `of-${theirs}`));
    await accepts(ours, 'False', 'SourceMissing', new RegExp(`ConfigMap of-${theirs}, key ca.crt: does not exist`));
    await holds(server, ours, 'db-server-tls');
    await mountSecret(serverFolder, secretFiles(await server.secret('db-server-tls')));
    const second = await opensslServer.start(serverFolder);
    t.after(() => second.stop());
    assert.partialDeepStrictEqual(await opensslClient.connect({ ...request, port: second.port }), { ok: false });
  });

  test('what cannot be a root is left out with its name, and the rest is published', async () => {
    const [good, gone] = [await broughtRoot({ commonName: 'Good' }), await broughtRoot({ commonName: 'Late' })];
    const name = await world.ownAuthority({ root: {}, rotation });
    const tenant = await world.tenant('rest');
    await tenant.issue('db', { authorityRef: { name }, server: { service: 'db' } });
    const leaf = fileOf(await tenant.secret('db-server-tls'), 'tls.crt');
    await sourceOf(`mixed-${name}`, { 'ca.crt': `${leaf}${good['tls.key']}${good['tls.crt']}`, 'other.crt': 'no PEM' });
    const additional = [
      { configMap: { name: `mixed-${name}` } },
      { configMap: { name: `mixed-${name}`, key: 'other.crt' } },
      { configMap: { name: `late-${name}` } },
    ];
    await world.patchAuthority(name, { spec: { trustBundle: { additional } } });
    await holds(tenant, name, 'db-server-tls', good['tls.crt']);
    await accepts(
      name,
      'False',
      'SourceMissing',
      /certificate 1 .*not a CA.*certificate 2 is a block .*no certificate.*late-/,
    );
    await sourceOf(`late-${name}`, { 'ca.crt': gone['tls.crt'] });
    await holds(tenant, name, 'db-server-tls', good['tls.crt'], gone['tls.crt']);
    await accepts(name, 'False', 'SourceInvalid');
    // After a restart nothing is written: the sources are read first.
    const before = await tenant.secret('db-server-tls');
    await world.restart();
    await world.authorityIs(name, 'True');
    await witness();
    assert.deepEqual(await tenant.secret('db-server-tls'), before);
    await world.patchAuthority(name, { spec: { trustBundle: null } });
    await holds(tenant, name, 'db-server-tls');
    await accepts(name, 'False', 'NotRequested');
  });

  test('a source that changes all the time delays no rotation', async () => {
    const roots = await Promise.all([1, 2].map((i) => broughtRoot({ commonName: `Flipping ${i}` })));
    const name = await world.ownAuthority({ root: {}, rotation: { ...rotation, propagationDelay: '3s' } });
    const source = `flipping-${name}`;
    const text = (turn: number): string => roots[turn % 2]?.['tls.crt'] ?? '';
    await sourceOf(source, { 'ca.crt': text(0) });
    await world.patchAuthority(name, { spec: { trustBundle: { additional: [{ configMap: { name: source } }] } } });
    const tenant = await world.tenant('flipping');
    await tenant.issue('db', { authorityRef: { name }, server: { service: 'db' } });
    await holds(tenant, name, 'db-server-tls', text(0));
    const before = (await world.authority(name)).status?.activeRoot?.fingerprint;
    await world.rotateRoot(name, 'flipping');
    let turn = 0;
    await eventually(
      async () => {
        turn += 1;
        await changeSource(source, text(turn));
        const { status } = await world.authority(name);
        assert.notEqual(status?.activeRoot?.fingerprint, before);
        assert.equal(status?.rotation, undefined, status?.rotation?.blockers?.join() ?? '');
      },
      { timeoutMs: 90_000, message: 'the rotation does not end' },
    );
    await holds(tenant, name, 'db-server-tls', text(turn));
  });
});
