import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Caches } from '../../../src/controllers/cache/caches.ts';
import { EventHandlers } from '../../../src/controllers/event-handlers.ts';
import { secretMark } from '../../../src/controllers/objects/leaf-secret.ts';
import { WorkQueue } from '../../../src/kube/index.ts';
import type { AuthorityRecord, CertificateRecord, TrustRecord } from '../../../src/plan/index.ts';
import { authority } from '../../support/fixtures/authority.ts';
import { certificate } from '../../support/fixtures/certificate.ts';

/** Writes down what is added instead of handing it out: a key, and when or how where that is not at once. */
class Recorder extends WorkQueue {
  readonly added = new Set<string>();

  override add(key: string): void {
    this.added.add(key);
  }

  override addInBackground(key: string): void {
    this.added.add(`${key} in the background`);
  }

  override addAfter(key: string, ms: number): void {
    this.added.add(ms === 0 ? key : `${key} in ${ms / 1000} s`);
  }

  override putOff(): void {
    this.added.add('what waits is put off');
  }

  take(): string[] {
    const added = [...this.added].sort();
    this.added.clear();
    return added;
  }
}

/** What a change adds to each queue. Queues that are not named get nothing. */
interface Added {
  readonly authority?: readonly string[];
  readonly certificate?: readonly string[];
  readonly trust?: readonly string[];
}

const publishing = { configMap: { name: 'trust', namespaceSelector: {} }, clusterTrustBundle: true };
const publishingElsewhere = { ...publishing, configMap: { name: 'other', namespaceSelector: {} } };

/**
 * Two authorities, `org` that publishes a ConfigMap in every namespace and `lab` that publishes nothing, both with the root
 * Secret `root`; namespaces `shop` and `home`; certificates `shop/a` and `shop/b` of org, `home/a` of lab.
 */
class World {
  nowMs = 1_000_000;
  readonly caches = new Caches(
    () => [],
    () => this.nowMs,
  );
  readonly authority = new Recorder();
  readonly certificate = new Recorder();
  readonly trust = new Recorder();
  readonly eventHandlers = new EventHandlers(this.caches, this);
  #revision = 0;

  constructor() {
    this.put.authority('org', { trustBundle: publishing });
    this.put.authority('lab');
    for (const name of ['shop', 'home']) this.put.namespace(name);
    this.put.certificate('shop', 'a');
    this.put.certificate('shop', 'b');
    this.put.certificate('home', 'a', { authorityRef: { name: 'lab' } });
    this.take();
  }

  take(): Added {
    const added = { authority: this.authority.take(), certificate: this.certificate.take(), trust: this.trust.take() };
    return Object.fromEntries(Object.entries(added).filter(([, keys]) => keys.length > 0));
  }

  next(): { resourceVersion: string } {
    this.#revision += 1;
    return { resourceVersion: String(this.#revision) };
  }

  readonly put = {
    authority: (
      name: string,
      spec: Partial<AuthorityRecord['spec']> = {},
      changes: Partial<AuthorityRecord> = {},
    ): void => {
      const record = authority({ name, uid: `uid-${name}`, ...changes, ...this.next() });
      this.caches.authorities.observe({ ...record, spec: { ...record.spec, secretName: 'root', ...spec } });
    },
    namespace: (name: string, labels: Record<string, string> = {}, terminating = false): void =>
      void this.caches.namespaces.observe({ name, labels, terminating, ...this.next() }),
    certificate: (
      namespace: string,
      name: string,
      spec: Partial<CertificateRecord['spec']> = {},
      changes: Partial<CertificateRecord> = {},
    ): void => {
      const { record } = certificate()
        .with({ namespace, name, uid: `uid-${namespace}-${name}`, ...changes })
        .asking({ authorityRef: { name: 'org' }, ...spec });
      this.caches.certificates.observe({ ...record, ...this.next() });
    },
    /** A Secret with the labels of the operator; `owner` is the resource that its owner reference names. */
    secret: (namespace: string, name: string, owner?: string): void => {
      const labels = owner === undefined ? {} : { 'mtls-operator.io/certificate': owner };
      const reference = { apiVersion: 'mtls-operator.io/v1alpha1', kind: 'MtlsCertificate', controller: true } as const;
      const ownerReferences =
        owner === undefined ? [] : [{ ...reference, name: owner, uid: `uid-${namespace}-${owner}` }];
      const metadata = { namespace, name, uid: `uid-${name}`, labels, ownerReferences, ...this.next() };
      this.caches.secrets.observe({ ...secretMark({ metadata }), changedAtMs: 0 });
    },
    rootSecret: (name: string): void =>
      void this.caches.rootSecrets.observe({ namespace: 'mtls-operator', name, ...this.next() }),
    password: (namespace: string, name: string): void =>
      void this.caches.passwords.observe({ namespace, name, uid: 'u', ...this.next() }),
    configMap: (namespace: string, name: string, ownerName?: string): void =>
      void this.caches.configMaps.store.observe(this.#bundle(namespace, name, ownerName)),
    clusterTrustBundle: (name: string, ownerName?: string): void =>
      void this.caches.clusterTrustBundles.store.observe(this.#bundle('', name, ownerName)),
  };

  #bundle(namespace: string, name: string, ownerName?: string): TrustRecord {
    const owner = ownerName === undefined ? {} : { ownerName, owner: `uid-${ownerName}` };
    const rest = { uid: `uid-${name}`, immutable: false, deleting: false, changedAtMs: 0 };
    return { namespace, name, ...owner, ...rest, ...this.next() };
  }

  gone(store: { observeDeleted(ref: { namespace?: string; name: string }, at: string): void }, key: string): void {
    const [name = '', namespace = ''] = key.split('/').toReversed();
    store.observeDeleted({ namespace, name }, this.next().resourceVersion);
  }
}

type Act = (world: World) => void;
type Rows = Readonly<Record<string, readonly [before: Act | undefined, change: Act, added: Added]>>;

function table(what: string, rows: Rows): void {
  describe(what, () => {
    for (const [title, [before, change, added]] of Object.entries(rows)) {
      test(title, () => {
        const world = new World();
        before?.(world);
        world.take();
        change(world);
        assert.deepEqual(world.take(), added);
      });
    }
  });
}

const everyPlaceOfOrg = ['org/', 'org/home', 'org/shop'];
const usersOfOrg = ['shop/a in the background', 'shop/b in the background'];

table('an authority', {
  'that appears is queued, with its certificates and the places where it publishes': [
    ({ put }) => put.certificate('shop', 'c', { authorityRef: { name: 'new' } }),
    ({ put }) => put.authority('new', { trustBundle: publishing }),
    { authority: ['new'], certificate: ['shop/c in the background'], trust: ['new/', 'new/home', 'new/shop'] },
  ],
  'that publishes no ConfigMap queues the place of its ClusterTrustBundle': [
    undefined,
    ({ put }) => put.authority('new'),
    { authority: ['new'], trust: ['new/'] },
  ],
  'with another status is queued alone': [
    undefined,
    ({ put }) => put.authority('org', { trustBundle: publishing }, { status: { certificates: 7 } }),
    { authority: ['org'] },
  ],
  'that grants something else queues its certificates': [
    undefined,
    ({ put }) => put.authority('org', { trustBundle: publishing, issuance: { maxDuration: '24h' } }),
    { authority: ['org'], certificate: usersOfOrg },
  ],
  'of another trust domain queues its certificates': [
    undefined,
    ({ put }) => put.authority('org', { trustBundle: publishing, trustDomain: 'example.org' }),
    { authority: ['org'], certificate: usersOfOrg },
  ],
  'of another cluster domain queues its certificates': [
    undefined,
    ({ put }) => put.authority('org', { trustBundle: publishing, clusterDomain: 'example.org' }),
    { authority: ['org'], certificate: usersOfOrg },
  ],
  'that publishes elsewhere queues every place': [
    undefined,
    ({ put }) => put.authority('org', { trustBundle: publishingElsewhere }),
    { authority: ['org'], trust: everyPlaceOfOrg },
  ],
  'that stops publishing a ConfigMap queues the places that have one': [
    ({ put }) => {
      put.configMap('shop', 'trust', 'org');
      put.configMap('home', 'trust', 'lab');
    },
    ({ put }) => put.authority('org'),
    { authority: ['org'], trust: ['org/', 'org/shop'] },
  ],
  'that is being deleted queues every place': [
    undefined,
    ({ put }) => put.authority('org', { trustBundle: publishing }, { deleting: true }),
    { authority: ['org'], trust: everyPlaceOfOrg },
  ],
  'that was deleted and created again queues every place': [
    undefined,
    ({ put }) => put.authority('org', { trustBundle: publishing }, { uid: 'another' }),
    { authority: ['org'], trust: everyPlaceOfOrg },
  ],
  'that is gone queues its certificates': [
    undefined,
    (world) => world.gone(world.caches.authorities, 'org'),
    { authority: ['org'], certificate: usersOfOrg },
  ],
  'that comes back can be asked for revocations at once': [
    (world) => {
      world.eventHandlers.crlAwaited('org');
      world.gone(world.caches.authorities, 'org');
      world.put.authority('org');
    },
    (world) => world.eventHandlers.crlAwaited('org'),
    { authority: ['org'] },
  ],
});

table('a root Secret', {
  'that appears queues every authority that names it': [
    undefined,
    ({ put }) => put.rootSecret('root'),
    { authority: ['lab', 'org'] },
  ],
  'that changes queues every authority that names it': [
    ({ put }) => put.rootSecret('root'),
    ({ put }) => put.rootSecret('root'),
    { authority: ['lab', 'org'] },
  ],
  'that is gone queues every authority that names it': [
    ({ put }) => put.rootSecret('root'),
    (world) => world.gone(world.caches.rootSecrets, 'mtls-operator/root'),
    { authority: ['lab', 'org'] },
  ],
  'that no authority names queues nothing': [undefined, ({ put }) => put.rootSecret('other'), {}],
});

const named = (secretName: string) => ({ server: { service: 'a', secretName } });

table('a certificate', {
  'that appears is queued, and its authority counts it': [
    undefined,
    ({ put }) => put.certificate('shop', 'c'),
    { certificate: ['shop/c'], authority: ['org in 5 s'] },
  ],
  'that changes otherwise is queued alone': [
    undefined,
    ({ put }) => put.certificate('shop', 'a', { duration: '24h' }),
    { certificate: ['shop/a'] },
  ],
  'with another status is queued alone': [
    undefined,
    ({ put }) => put.certificate('shop', 'a', {}, { status: { observedGeneration: 1 } }),
    { certificate: ['shop/a'] },
  ],
  'that names another Secret queues the others that name it': [
    ({ put }) => put.certificate('shop', 'b', named('shared')),
    ({ put }) => put.certificate('shop', 'a', named('shared')),
    { certificate: ['shop/a', 'shop/b'], authority: ['org in 5 s'] },
  ],
  'that names the default Secret of another queues the other': [
    undefined,
    ({ put }) => put.certificate('shop', 'a', named('b-server-tls')),
    { certificate: ['shop/a', 'shop/b'], authority: ['org in 5 s'] },
  ],
  'that names what would be the default Secret of another queues itself': [
    ({ put }) => put.certificate('shop', 'b', named('shared')),
    ({ put }) => put.certificate('shop', 'a', named('b-server-tls')),
    { certificate: ['shop/a'], authority: ['org in 5 s'] },
  ],
  'that stops naming a Secret queues the others that name it': [
    ({ put }) => {
      put.certificate('shop', 'a', named('shared'));
      put.certificate('shop', 'b', named('shared'));
    },
    ({ put }) => put.certificate('shop', 'a', named('own')),
    { certificate: ['shop/a', 'shop/b'], authority: ['org in 5 s'] },
  ],
  'that is being deleted queues those that name its Secret': [
    ({ put }) => {
      put.certificate('shop', 'a', named('shared'));
      put.certificate('shop', 'b', named('shared'));
    },
    ({ put }) => put.certificate('shop', 'a', named('shared'), { deleting: true }),
    { certificate: ['shop/a', 'shop/b'], authority: ['org in 5 s'] },
  ],
  'that is gone queues those that name its Secret': [
    ({ put }) => {
      put.certificate('shop', 'a', named('shared'));
      put.certificate('shop', 'b', named('shared'));
    },
    (world) => world.gone(world.caches.certificates, 'shop/a'),
    { certificate: ['shop/a', 'shop/b'], authority: ['org in 5 s'] },
  ],
  'that was deleted and created again queues those that name its Secret': [
    ({ put }) => {
      put.certificate('shop', 'a', named('shared'));
      put.certificate('shop', 'b', named('shared'));
    },
    ({ put }) => put.certificate('shop', 'a', named('shared'), { uid: 'another' }),
    { certificate: ['shop/a', 'shop/b'], authority: ['org in 5 s'] },
  ],
  'queues nothing in another namespace, whatever it names': [
    ({ put }) => put.certificate('home', 'a', { ...named('shared'), authorityRef: { name: 'lab' } }),
    ({ put }) => put.certificate('shop', 'a', named('shared')),
    { certificate: ['shop/a'], authority: ['org in 5 s'] },
  ],
  'that changes its authority queues both': [
    undefined,
    ({ put }) => put.certificate('shop', 'a', { authorityRef: { name: 'lab' } }),
    { certificate: ['shop/a'], authority: ['lab in 5 s', 'org in 5 s'] },
  ],
  'that asks for a revocation queues its authority at once': [
    undefined,
    ({ put }) => put.certificate('shop', 'a', {}, { revokeToken: 'now' }),
    { certificate: ['shop/a'], authority: ['org'] },
  ],
  'that asks as before does not queue its authority again': [
    ({ put }) => put.certificate('shop', 'a', {}, { revokeToken: 'now' }),
    ({ put }) => put.certificate('shop', 'a', { duration: '24h' }, { revokeToken: 'now' }),
    { certificate: ['shop/a'] },
  ],
  'that asks once more queues its authority five seconds after the first time': [
    (world) => {
      world.put.certificate('shop', 'a', {}, { revokeToken: 'now' });
      world.nowMs += 2_000;
    },
    ({ put }) => put.certificate('shop', 'a', {}, { revokeToken: 'again' }),
    { certificate: ['shop/a'], authority: ['org in 3 s'] },
  ],
  'that was answered already does not queue its authority': [
    undefined,
    ({ put }) => put.certificate('shop', 'a', {}, { revokeToken: 'now', status: { lastHandledRevoke: 'now' } }),
    { certificate: ['shop/a'] },
  ],
});

table('a Secret', {
  'that appears queues its owner, and those that name it': [
    ({ put }) => {
      put.certificate('shop', 'a', named('shared'));
      put.certificate('shop', 'b', named('shared'));
    },
    ({ put }) => put.secret('shop', 'shared', 'c'),
    { certificate: ['shop/a', 'shop/b', 'shop/c'] },
  ],
  'that changes queues its owner, and no other': [
    ({ put }) => {
      put.certificate('shop', 'a', named('shared'));
      put.certificate('shop', 'b', named('shared'));
      put.secret('shop', 'shared', 'a');
    },
    ({ put }) => put.secret('shop', 'shared', 'a'),
    { certificate: ['shop/a'] },
  ],
  'that goes to another owner queues both': [
    ({ put }) => put.secret('shop', 'shared', 'a'),
    ({ put }) => put.secret('shop', 'shared', 'b'),
    { certificate: ['shop/a', 'shop/b'] },
  ],
  'that loses its owner queues it': [
    ({ put }) => put.secret('shop', 'shared', 'a'),
    ({ put }) => put.secret('shop', 'shared'),
    { certificate: ['shop/a'] },
  ],
  'that is gone queues its owner, and those that name it': [
    ({ put }) => {
      put.certificate('shop', 'b', named('shared'));
      put.secret('shop', 'shared', 'a');
    },
    (world) => world.gone(world.caches.secrets, 'shop/shared'),
    { certificate: ['shop/a', 'shop/b'] },
  ],
  'without an owner that is gone queues those that name it by default': [
    ({ put }) => put.secret('shop', 'b-server-tls'),
    (world) => world.gone(world.caches.secrets, 'shop/b-server-tls'),
    { certificate: ['shop/b'] },
  ],
  'that no certificate names queues nothing': [undefined, ({ put }) => put.secret('shop', 'other'), {}],
});

const withStores = { outputs: { pkcs12: { passwordSecretRef: { name: 'password', key: 'password' } } } } as const;
const requestsKeystores: Act = ({ put }) => put.certificate('shop', 'a', withStores);

table('a Secret that may hold a password', {
  'that appears queues the certificates that name it': [
    requestsKeystores,
    ({ put }) => put.password('shop', 'password'),
    { certificate: ['shop/a'] },
  ],
  'that changes queues the certificates that name it': [
    (world) => {
      requestsKeystores(world);
      world.put.password('shop', 'password');
    },
    ({ put }) => put.password('shop', 'password'),
    { certificate: ['shop/a'] },
  ],
  'that is gone queues the certificates that name it': [
    (world) => {
      requestsKeystores(world);
      world.put.password('shop', 'password');
    },
    (world) => world.gone(world.caches.passwords, 'shop/password'),
    { certificate: ['shop/a'] },
  ],
  'of another namespace queues nothing': [requestsKeystores, ({ put }) => put.password('home', 'password'), {}],
});

const toEdge = { allow: [{ namespaceSelector: { matchLabels: { team: 'edge' } }, dnsNames: ['*.example.com'] }] };
const orgGrantsToEdge: Act = ({ put }) => put.authority('org', { trustBundle: publishing, issuance: toEdge });

table('a namespace', {
  'that appears queues its certificates, and the places in it': [
    ({ put }) => put.certificate('new', 'a'),
    ({ put }) => put.namespace('new'),
    { certificate: ['new/a'], trust: ['org/new'] },
  ],
  'with other labels queues the certificates that they concern, and the places in it': [
    (world) => {
      orgGrantsToEdge(world);
      world.put.certificate('shop', 'b', { authorityRef: { name: 'lab' } });
    },
    ({ put }) => put.namespace('shop', { team: 'edge' }),
    { certificate: ['shop/a'], trust: ['org/shop'] },
  ],
  'with labels that concern no certificate queues the places in it': [
    orgGrantsToEdge,
    ({ put }) => put.namespace('shop', { team: 'core' }),
    { trust: ['org/shop'] },
  ],
  'that changes otherwise queues nothing': [undefined, ({ put }) => put.namespace('shop'), {}],
  'that is ending queues the places in it': [
    undefined,
    ({ put }) => put.namespace('shop', {}, true),
    { trust: ['org/shop'] },
  ],
  'that is gone queues the places in it': [
    undefined,
    (world) => world.gone(world.caches.namespaces, 'shop'),
    { trust: ['org/shop'] },
  ],
});

table('a ConfigMap', {
  'of an authority that changes queues the place': [
    ({ put }) => put.configMap('shop', 'old-name', 'org'),
    ({ put }) => put.configMap('shop', 'old-name', 'org'),
    { trust: ['org/shop'] },
  ],
  'of an authority that is gone queues the place': [
    ({ put }) => put.configMap('shop', 'old-name', 'org'),
    (world) => world.gone(world.caches.configMaps.store, 'shop/old-name'),
    { trust: ['org/shop'] },
  ],
  'that goes to another authority queues the places of both': [
    ({ put }) => put.configMap('shop', 'old-name', 'org'),
    ({ put }) => put.configMap('shop', 'old-name', 'lab'),
    { trust: ['lab/shop', 'org/shop'] },
  ],
  'without an owner, with the name that an authority publishes under, queues its place': [
    undefined,
    ({ put }) => put.configMap('shop', 'trust'),
    { trust: ['org/shop'] },
  ],
  'of another authority with that name queues the places of both': [
    undefined,
    ({ put }) => put.configMap('shop', 'trust', 'lab'),
    { trust: ['lab/shop', 'org/shop'] },
  ],
  'with that name that is gone queues the place': [
    ({ put }) => put.configMap('shop', 'trust'),
    (world) => world.gone(world.caches.configMaps.store, 'shop/trust'),
    { trust: ['org/shop'] },
  ],
  'without an owner, with another name, queues nothing': [undefined, ({ put }) => put.configMap('shop', 'other'), {}],
});

table('a ClusterTrustBundle', {
  'of an authority that appears queues its place': [
    undefined,
    ({ put }) => put.clusterTrustBundle('org-trust', 'org'),
    { trust: ['org/'] },
  ],
  'that goes to another authority queues the places of both': [
    ({ put }) => put.clusterTrustBundle('org-trust', 'org'),
    ({ put }) => put.clusterTrustBundle('org-trust', 'lab'),
    { trust: ['lab/', 'org/'] },
  ],
  'that is gone queues the place of its authority': [
    ({ put }) => put.clusterTrustBundle('org-trust', 'org'),
    (world) => world.gone(world.caches.clusterTrustBundles.store, 'org-trust'),
    { trust: ['org/'] },
  ],
  'without an owner queues nothing': [undefined, ({ put }) => put.clusterTrustBundle('other'), {}],
});

const askingForCrl = { outputs: { crl: true } };

table('what is not a change of a cache:', {
  'a replica that comes to lead queues everything': [
    undefined,
    ({ eventHandlers }) => eventHandlers.all(),
    {
      authority: ['lab', 'org'],
      certificate: ['home/a in the background', ...usersOfOrg, 'what waits is put off'],
      trust: ['lab/', ...everyPlaceOfOrg],
    },
  ],
  'an API server that starts to serve ClusterTrustBundles queues that place of every authority': [
    undefined,
    ({ eventHandlers }) => eventHandlers.clusterTrustBundles(),
    { trust: ['lab/', 'org/'] },
  ],
  'a new CRL queues every place of its authority, and the certificates that hold it or wait for it': [
    ({ put }) => {
      put.certificate('shop', 'a', askingForCrl);
      put.certificate('shop', 'c', {}, { revokeToken: 'now' });
      put.certificate('home', 'b', { ...askingForCrl, authorityRef: { name: 'lab' } });
    },
    ({ eventHandlers }) => eventHandlers.crlChanged('org'),
    { certificate: ['shop/a', 'shop/c'], trust: everyPlaceOfOrg },
  ],
  'the first listing of passwords queues the certificates that ask for key stores': [
    requestsKeystores,
    ({ eventHandlers }) => eventHandlers.usersOfPasswords(),
    { certificate: ['shop/a'] },
  ],
  'the outcome of a publication queues its authority a second later': [
    undefined,
    ({ eventHandlers }) => eventHandlers.trustChanged('org'),
    { authority: ['org in 1 s'] },
  ],
  'a new root queues the certificates of its authority': [
    undefined,
    ({ eventHandlers }) => eventHandlers.usersOf('org'),
    { certificate: usersOfOrg },
  ],
  'a new bundle queues every place of its authority': [
    undefined,
    ({ eventHandlers }) => eventHandlers.trustOf('org'),
    { trust: everyPlaceOfOrg },
  ],
  'a new bundle of an authority that is gone queues nothing': [
    undefined,
    ({ eventHandlers }) => eventHandlers.trustOf('never'),
    {},
  ],
  'a second certificate that waits for the CRL queues the authority five seconds after the first': [
    ({ eventHandlers }) => eventHandlers.crlAwaited('org'),
    ({ eventHandlers }) => eventHandlers.crlAwaited('org'),
    { authority: ['org in 5 s'] },
  ],
  // The queue may have dropped that moment for an earlier one, which has passed since.
  'a third certificate that waits for the CRL queues the authority for the moment that the second has set': [
    ({ eventHandlers }) => {
      eventHandlers.crlAwaited('org');
      eventHandlers.crlAwaited('org');
    },
    ({ eventHandlers }) => eventHandlers.crlAwaited('org'),
    { authority: ['org in 5 s'] },
  ],
  'a certificate that waits for the CRL five seconds later queues the authority at once': [
    (world) => {
      world.eventHandlers.crlAwaited('org');
      world.nowMs += 5_000;
    },
    ({ eventHandlers }) => eventHandlers.crlAwaited('org'),
    { authority: ['org'] },
  ],
  'a certificate that waits for the CRL of another authority queues that at once': [
    ({ eventHandlers }) => eventHandlers.crlAwaited('org'),
    ({ eventHandlers }) => eventHandlers.crlAwaited('lab'),
    { authority: ['lab'] },
  ],
});
