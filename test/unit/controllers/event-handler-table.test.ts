import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Caches } from '../../../src/controllers/cache/caches.ts';
import { EventHandlers } from '../../../src/controllers/event-handlers.ts';
import { secretMark } from '../../../src/controllers/objects/leaf-secret.ts';
import { WorkQueue } from '../../../src/kube/index.ts';
import type { AuthorityRecord, CertificateRecord, TrustRecord } from '../../../src/plan/index.ts';
import { authority } from '../../support/fixtures/authority.ts';
import { certificate } from '../../support/fixtures/certificate.ts';

/** Records the added keys, with the delay or the background where there is one. */
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
    this.added.add('waiting keys are put off');
  }

  take(): string[] {
    const added = [...this.added].sort();
    this.added.clear();
    return added;
  }
}

/** The keys that a change adds to each queue. Absent queues get nothing. */
interface Added {
  readonly authority?: readonly string[];
  readonly certificate?: readonly string[];
  readonly trust?: readonly string[];
  readonly pods?: readonly string[];
}

const partnerSecret = { secret: { name: 'partner', key: 'ca.crt' } };
const partnerConfigMap = { configMap: { name: 'partner', key: 'ca.crt' } };

const publishing = { configMap: { name: 'trust', namespaceSelector: {} }, clusterTrustBundle: true };
const publishingElsewhere = { ...publishing, configMap: { name: 'other', namespaceSelector: {} } };

/**
 * Two authorities with the root Secret `root`: `org` publishes a ConfigMap in every namespace, `lab` publishes nothing. Namespaces
 * `shop` and `home`. Certificates `shop/a` and `shop/b` of org, `home/a` of lab.
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
  readonly pods = new Recorder();
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
    const { authority, certificate, trust, pods } = this;
    const added = {
      authority: authority.take(),
      certificate: certificate.take(),
      trust: trust.take(),
      pods: pods.take(),
    };
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
    /** A Secret with the operator's labels. `owner` is the resource in its ownerReference. */
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
    sourceConfigMap: (name: string): void =>
      void this.caches.sourceConfigMaps.observe({ namespace: 'mtls-operator', name, ...this.next() }),
    password: (namespace: string, name: string): void =>
      void this.caches.passwords.observe({ namespace, name, uid: 'u', ...this.next() }),
    configMap: (namespace: string, name: string, ownerName?: string): void =>
      void this.caches.configMaps.store.observe(this.#bundle(namespace, name, ownerName)),
    webhooks: (authority?: string): void => {
      const request = authority === undefined ? {} : { request: { uid: 'u', authority, changedAtMs: 0 } };
      const kind = 'ValidatingWebhookConfiguration';
      this.caches.injections.store(kind).observe({ kind, name: 'hooks', ...request, ...this.next() });
    },
    /** A request of the pod NAMESPACE/web on the node n1 to an authority. */
    podRequest: (namespace: string, name: string, authority: string): void =>
      void this.caches.podRequests.store.observe({
        namespace,
        name,
        uid: `uid-${name}`,
        creationTimestamp: '2026-03-01T12:00:00Z',
        authority,
        podName: 'web',
        podUid: 'uid-web',
        serviceAccountName: 'default',
        nodeName: 'n1',
        maxExpirationMs: 86_400_000,
        key: { problem: 'none' },
        annotationsDigest: 'none',
        ...this.next(),
      }),
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

const everyTargetOfOrg = ['org/', 'org/home', 'org/shop'];
const usersOfOrg = ['shop/a in the background', 'shop/b in the background'];

table('an authority', {
  'that is created is queued, with its certificates and its trust targets': [
    ({ put }) => put.certificate('shop', 'c', { authorityRef: { name: 'new' } }),
    ({ put }) => put.authority('new', { trustBundle: publishing }),
    { authority: ['new'], certificate: ['shop/c in the background'], trust: ['new/', 'new/home', 'new/shop'] },
  ],
  'that publishes no ConfigMap queues the target of its ClusterTrustBundle': [
    undefined,
    ({ put }) => put.authority('new'),
    { authority: ['new'], trust: ['new/'] },
  ],
  'whose status changes is queued alone': [
    undefined,
    ({ put }) => put.authority('org', { trustBundle: publishing }, { status: { certificates: 7 } }),
    { authority: ['org'] },
  ],
  'whose grants change queues its certificates': [
    undefined,
    ({ put }) => put.authority('org', { trustBundle: publishing, issuance: { maxDuration: '24h' } }),
    { authority: ['org'], certificate: usersOfOrg },
  ],
  'whose trust domain changes queues its certificates': [
    undefined,
    ({ put }) => put.authority('org', { trustBundle: publishing, trustDomain: 'example.org' }),
    { authority: ['org'], certificate: usersOfOrg },
  ],
  'whose cluster domain changes queues its certificates': [
    undefined,
    ({ put }) => put.authority('org', { trustBundle: publishing, clusterDomain: 'example.org' }),
    { authority: ['org'], certificate: usersOfOrg },
  ],
  'that publishes under another name queues every target': [
    undefined,
    ({ put }) => put.authority('org', { trustBundle: publishingElsewhere }),
    { authority: ['org'], trust: everyTargetOfOrg },
  ],
  'that stops publishing a ConfigMap queues the targets that have one': [
    ({ put }) => {
      put.configMap('shop', 'trust', 'org');
      put.configMap('home', 'trust', 'lab');
    },
    ({ put }) => put.authority('org'),
    { authority: ['org'], trust: ['org/', 'org/shop'] },
  ],
  'that is being deleted queues every target': [
    undefined,
    ({ put }) => put.authority('org', { trustBundle: publishing }, { deleting: true }),
    { authority: ['org'], trust: everyTargetOfOrg },
  ],
  'that was deleted and created again queues every target': [
    undefined,
    ({ put }) => put.authority('org', { trustBundle: publishing }, { uid: 'another' }),
    { authority: ['org'], trust: everyTargetOfOrg },
  ],
  'that is deleted queues its certificates': [
    undefined,
    (world) => world.gone(world.caches.authorities, 'org'),
    { authority: ['org'], certificate: usersOfOrg },
  ],
  'that is created again is queued at once for the next request to revoke': [
    (world) => {
      world.eventHandlers.crlAwaited('org');
      world.gone(world.caches.authorities, 'org');
      world.put.authority('org');
    },
    (world) => world.eventHandlers.crlAwaited('org'),
    { authority: ['org'] },
  ],
});

const requests: Act = ({ put }) => {
  put.podRequest('shop', 'r1', 'org');
  put.podRequest('home', 'r2', 'org');
  put.podRequest('shop', 'r3', 'lab');
};

table('the request of a pod', {
  'is queued with its node': [undefined, ({ put }) => put.podRequest('shop', 'r1', 'org'), { pods: ['shop/n1/r1'] }],
  'that is gone queues nothing': [requests, (world) => world.gone(world.caches.podRequests.store, 'shop/r1'), {}],
  'is queued when its authority becomes a signer for pods': [
    requests,
    ({ put }) => put.authority('lab', { podCertificates: { keyTypes: ['ED25519'], maxDuration: '24h' } }),
    { authority: ['lab'], pods: ['shop/n1/r3'] },
  ],
  'is queued when the grants of its authority change': [
    requests,
    ({ put }) => put.authority('lab', { issuance: { maxDuration: '24h' } }),
    { authority: ['lab'], certificate: ['home/a in the background'], pods: ['shop/n1/r3'] },
  ],
  'is queued when the state of its root changes': [
    requests,
    ({ eventHandlers }) => eventHandlers.authorityChanged('lab', 'whole'),
    { certificate: ['home/a in the background'], trust: ['lab/'], pods: ['shop/n1/r3'] },
  ],
  'is queued when the root Secret records how long its certificate may be valid': [
    requests,
    ({ eventHandlers }) => eventHandlers.authorityChanged('org', 'podLeaves'),
    { pods: ['home/n1/r2', 'shop/n1/r1'] },
  ],
  'is queued when the labels of its namespace change': [
    requests,
    ({ put }) => put.namespace('shop', { team: 'shop' }),
    { trust: ['org/shop'], pods: ['shop/n1/r1', 'shop/n1/r3'] },
  ],
  'queues its authority when the requests can be watched, or no longer': [
    (world) => {
      requests(world);
      world.put.authority('lab', { podCertificates: { keyTypes: ['ED25519'], maxDuration: '24h' } });
    },
    ({ caches }) => caches.publish('podRequestsChanged'),
    { authority: ['lab'] },
  ],
});

table('a root Secret', {
  'that is created queues every authority that names it': [
    undefined,
    ({ put }) => put.rootSecret('root'),
    { authority: ['lab', 'org'] },
  ],
  'that changes queues every authority that names it': [
    ({ put }) => put.rootSecret('root'),
    ({ put }) => put.rootSecret('root'),
    { authority: ['lab', 'org'] },
  ],
  'that is deleted queues every authority that names it': [
    ({ put }) => put.rootSecret('root'),
    (world) => world.gone(world.caches.rootSecrets, 'mtls-operator/root'),
    { authority: ['lab', 'org'] },
  ],
  'with additional roots of an authority queues that authority': [
    ({ put }) => put.authority('lab', { trustBundle: { clusterTrustBundle: false, additional: [partnerSecret] } }),
    ({ put }) => put.rootSecret('partner'),
    { authority: ['lab'] },
  ],
  'that no authority names queues nothing': [undefined, ({ put }) => put.rootSecret('other'), {}],
});

const partnerTrust = { clusterTrustBundle: false, additional: [partnerConfigMap] };

table('a ConfigMap of the namespace of the operator', {
  'with additional roots of an authority queues that authority': [
    ({ put }) => put.authority('lab', { trustBundle: partnerTrust }),
    ({ put }) => put.sourceConfigMap('partner'),
    { authority: ['lab'] },
  ],
  'with additional roots that is deleted queues that authority': [
    ({ put }) => {
      put.authority('lab', { trustBundle: partnerTrust });
      put.sourceConfigMap('partner');
    },
    (world) => world.gone(world.caches.sourceConfigMaps, 'mtls-operator/partner'),
    { authority: ['lab'] },
  ],
  'that no authority names queues nothing': [undefined, ({ put }) => put.sourceConfigMap('partner'), {}],
});

const named = (secretName: string) => ({ server: { service: 'a', secretName } });

table('a certificate', {
  'that is created is queued, and its authority counts it': [
    undefined,
    ({ put }) => put.certificate('shop', 'c'),
    { certificate: ['shop/c'], authority: ['org in 5 s'] },
  ],
  'that changes another field is queued alone': [
    undefined,
    ({ put }) => put.certificate('shop', 'a', { duration: '24h' }),
    { certificate: ['shop/a'] },
  ],
  'whose status changes is queued alone': [
    undefined,
    ({ put }) => put.certificate('shop', 'a', {}, { status: { observedGeneration: 1 } }),
    { certificate: ['shop/a'] },
  ],
  'that names another Secret queues the others that name it': [
    ({ put }) => put.certificate('shop', 'b', named('shared')),
    ({ put }) => put.certificate('shop', 'a', named('shared')),
    { certificate: ['shop/a', 'shop/b'], authority: ['org in 5 s'] },
  ],
  'that names the default Secret of another one queues that one': [
    undefined,
    ({ put }) => put.certificate('shop', 'a', named('b-server-tls')),
    { certificate: ['shop/a', 'shop/b'], authority: ['org in 5 s'] },
  ],
  'that names the default Secret name that another one does not use queues only itself': [
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
  'that is deleted queues those that name its Secret': [
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
  'queues nothing in another namespace that has a Secret of the same name': [
    ({ put }) => put.certificate('home', 'a', { ...named('shared'), authorityRef: { name: 'lab' } }),
    ({ put }) => put.certificate('shop', 'a', named('shared')),
    { certificate: ['shop/a'], authority: ['org in 5 s'] },
  ],
  'that changes its authority queues both authorities': [
    undefined,
    ({ put }) => put.certificate('shop', 'a', { authorityRef: { name: 'lab' } }),
    { certificate: ['shop/a'], authority: ['lab in 5 s', 'org in 5 s'] },
  ],
  'that requests a revocation queues its authority at once': [
    undefined,
    ({ put }) => put.certificate('shop', 'a', {}, { revokeToken: 'now' }),
    { certificate: ['shop/a'], authority: ['org'] },
  ],
  'that changes with the same revoke token does not queue its authority again': [
    ({ put }) => put.certificate('shop', 'a', {}, { revokeToken: 'now' }),
    ({ put }) => put.certificate('shop', 'a', { duration: '24h' }, { revokeToken: 'now' }),
    { certificate: ['shop/a'] },
  ],
  'that requests another revocation queues its authority five seconds after the first time': [
    (world) => {
      world.put.certificate('shop', 'a', {}, { revokeToken: 'now' });
      world.nowMs += 2_000;
    },
    ({ put }) => put.certificate('shop', 'a', {}, { revokeToken: 'again' }),
    { certificate: ['shop/a'], authority: ['org in 3 s'] },
  ],
  'whose revoke token is handled already does not queue its authority': [
    undefined,
    ({ put }) => put.certificate('shop', 'a', {}, { revokeToken: 'now', status: { lastHandledRevoke: 'now' } }),
    { certificate: ['shop/a'] },
  ],
});

table('a Secret', {
  'that is created queues its owner and the resources that name it': [
    ({ put }) => {
      put.certificate('shop', 'a', named('shared'));
      put.certificate('shop', 'b', named('shared'));
    },
    ({ put }) => put.secret('shop', 'shared', 'c'),
    { certificate: ['shop/a', 'shop/b', 'shop/c'] },
  ],
  'that changes queues only its owner': [
    ({ put }) => {
      put.certificate('shop', 'a', named('shared'));
      put.certificate('shop', 'b', named('shared'));
      put.secret('shop', 'shared', 'a');
    },
    ({ put }) => put.secret('shop', 'shared', 'a'),
    { certificate: ['shop/a'] },
  ],
  'that moves to another owner queues both owners': [
    ({ put }) => put.secret('shop', 'shared', 'a'),
    ({ put }) => put.secret('shop', 'shared', 'b'),
    { certificate: ['shop/a', 'shop/b'] },
  ],
  'that loses its owner queues the former owner': [
    ({ put }) => put.secret('shop', 'shared', 'a'),
    ({ put }) => put.secret('shop', 'shared'),
    { certificate: ['shop/a'] },
  ],
  'that is deleted queues its owner and the resources that name it': [
    ({ put }) => {
      put.certificate('shop', 'b', named('shared'));
      put.secret('shop', 'shared', 'a');
    },
    (world) => world.gone(world.caches.secrets, 'shop/shared'),
    { certificate: ['shop/a', 'shop/b'] },
  ],
  'without an owner that is deleted queues the resource that names it by default': [
    ({ put }) => put.secret('shop', 'b-server-tls'),
    (world) => world.gone(world.caches.secrets, 'shop/b-server-tls'),
    { certificate: ['shop/b'] },
  ],
  'that no certificate names queues nothing': [undefined, ({ put }) => put.secret('shop', 'other'), {}],
});

const withKeystores = { outputs: { pkcs12: { passwordSecretRef: { name: 'password', key: 'password' } } } } as const;
const requestsKeystores: Act = ({ put }) => put.certificate('shop', 'a', withKeystores);

table('a Secret that may hold a password', {
  'that is created queues the certificates that name it': [
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
  'that is deleted queues the certificates that name it': [
    (world) => {
      requestsKeystores(world);
      world.put.password('shop', 'password');
    },
    (world) => world.gone(world.caches.passwords, 'shop/password'),
    { certificate: ['shop/a'] },
  ],
  'in another namespace queues nothing': [requestsKeystores, ({ put }) => put.password('home', 'password'), {}],
});

const toEdge = { allow: [{ namespaceSelector: { matchLabels: { team: 'edge' } }, dnsNames: ['*.example.com'] }] };
const orgGrantsToEdge: Act = ({ put }) => put.authority('org', { trustBundle: publishing, issuance: toEdge });

table('a namespace', {
  'that is created queues its certificates and its trust targets': [
    ({ put }) => put.certificate('new', 'a'),
    ({ put }) => put.namespace('new'),
    { certificate: ['new/a'], trust: ['org/new'] },
  ],
  'whose labels change queues the certificates that they affect, and its trust targets': [
    (world) => {
      orgGrantsToEdge(world);
      world.put.certificate('shop', 'b', { authorityRef: { name: 'lab' } });
    },
    ({ put }) => put.namespace('shop', { team: 'edge' }),
    { certificate: ['shop/a'], trust: ['org/shop'] },
  ],
  'whose labels affect no certificate queues only its trust targets': [
    orgGrantsToEdge,
    ({ put }) => put.namespace('shop', { team: 'core' }),
    { trust: ['org/shop'] },
  ],
  'that changes another field queues nothing': [undefined, ({ put }) => put.namespace('shop'), {}],
  'that is being deleted queues its trust targets': [
    undefined,
    ({ put }) => put.namespace('shop', {}, true),
    { trust: ['org/shop'] },
  ],
  'that is deleted queues its trust targets': [
    undefined,
    (world) => world.gone(world.caches.namespaces, 'shop'),
    { trust: ['org/shop'] },
  ],
});

table('a ConfigMap', {
  'of an authority that changes queues its target': [
    ({ put }) => put.configMap('shop', 'old-name', 'org'),
    ({ put }) => put.configMap('shop', 'old-name', 'org'),
    { trust: ['org/shop'] },
  ],
  'of an authority that is deleted queues its target': [
    ({ put }) => put.configMap('shop', 'old-name', 'org'),
    (world) => world.gone(world.caches.configMaps.store, 'shop/old-name'),
    { trust: ['org/shop'] },
  ],
  'that moves to another authority queues the targets of both': [
    ({ put }) => put.configMap('shop', 'old-name', 'org'),
    ({ put }) => put.configMap('shop', 'old-name', 'lab'),
    { trust: ['lab/shop', 'org/shop'] },
  ],
  'without an owner, with the name that an authority publishes under, queues its target': [
    undefined,
    ({ put }) => put.configMap('shop', 'trust'),
    { trust: ['org/shop'] },
  ],
  'of another authority with that name queues the targets of both': [
    undefined,
    ({ put }) => put.configMap('shop', 'trust', 'lab'),
    { trust: ['lab/shop', 'org/shop'] },
  ],
  'with that name that is deleted queues its target': [
    ({ put }) => put.configMap('shop', 'trust'),
    (world) => world.gone(world.caches.configMaps.store, 'shop/trust'),
    { trust: ['org/shop'] },
  ],
  'without an owner, with another name, queues nothing': [undefined, ({ put }) => put.configMap('shop', 'other'), {}],
});

table('a ClusterTrustBundle', {
  'of an authority that is created queues its target': [
    undefined,
    ({ put }) => put.clusterTrustBundle('org-trust', 'org'),
    { trust: ['org/'] },
  ],
  'that moves to another authority queues the targets of both': [
    ({ put }) => put.clusterTrustBundle('org-trust', 'org'),
    ({ put }) => put.clusterTrustBundle('org-trust', 'lab'),
    { trust: ['lab/', 'org/'] },
  ],
  'that is deleted queues the target of its authority': [
    ({ put }) => put.clusterTrustBundle('org-trust', 'org'),
    (world) => world.gone(world.caches.clusterTrustBundles.store, 'org-trust'),
    { trust: ['org/'] },
  ],
  'without an owner queues nothing': [undefined, ({ put }) => put.clusterTrustBundle('other'), {}],
});

const withCrl = { outputs: { crl: true } };
const everything: Added = {
  authority: ['lab', 'org'],
  certificate: ['home/a in the background', ...usersOfOrg, 'waiting keys are put off'],
  trust: ['lab/', ...everyTargetOfOrg],
};

table('independently of a change in a cache,', {
  'a replica that becomes the leader queues everything': [
    undefined,
    ({ eventHandlers }) => eventHandlers.all(),
    everything,
  ],
  'an API server that starts serving ClusterTrustBundles queues that target for every authority': [
    undefined,
    ({ eventHandlers }) => eventHandlers.clusterTrustBundles(),
    { trust: ['lab/', 'org/'] },
  ],
  'a new CRL queues every target of its authority, and the certificates that hold it or wait for it': [
    ({ put }) => {
      put.certificate('shop', 'a', withCrl);
      put.certificate('shop', 'c', {}, { revokeToken: 'now' });
      put.certificate('home', 'b', { ...withCrl, authorityRef: { name: 'lab' } });
    },
    ({ eventHandlers }) => eventHandlers.crlChanged('org'),
    { certificate: ['shop/a', 'shop/c'], trust: everyTargetOfOrg },
  ],
  'a right to read a watched namespace that comes or goes queues every object': [
    undefined,
    ({ caches }) => caches.publish('accessChanged'),
    everything,
  ],
  'the first list of passwords queues the certificates that request keystores': [
    requestsKeystores,
    ({ eventHandlers }) => eventHandlers.usersOfPasswords(),
    { certificate: ['shop/a'] },
  ],
  'the outcome of publishing queues its authority one second later': [
    undefined,
    ({ eventHandlers }) => eventHandlers.trustChanged('org'),
    { authority: ['org in 1 s'] },
  ],
  'a new root queues the certificates of its authority': [
    undefined,
    ({ eventHandlers }) => eventHandlers.usersOf('org'),
    { certificate: usersOfOrg },
  ],
  'a new bundle queues every target of its authority': [
    undefined,
    ({ eventHandlers }) => eventHandlers.trustOf('org'),
    { trust: everyTargetOfOrg },
  ],
  'a new bundle of a deleted authority queues nothing': [
    undefined,
    ({ eventHandlers }) => eventHandlers.trustOf('never'),
    {},
  ],
  'a second certificate that waits for the CRL queues the authority five seconds after the first': [
    ({ eventHandlers }) => eventHandlers.crlAwaited('org'),
    ({ eventHandlers }) => eventHandlers.crlAwaited('org'),
    { authority: ['org in 5 s'] },
  ],
  // The queue may have replaced this time by an earlier one, which has passed.
  'a third certificate that waits for the CRL queues the authority for the same time as the second': [
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
  'a certificate for a pod that waits for a longer record queues the authority at once': [
    undefined,
    ({ eventHandlers }) => eventHandlers.podLeavesAwaited('org'),
    { authority: ['org'] },
  ],
  'a second certificate for a pod that waits for a longer record queues the authority a second after the first': [
    ({ eventHandlers }) => eventHandlers.podLeavesAwaited('org'),
    ({ eventHandlers }) => eventHandlers.podLeavesAwaited('org'),
    { authority: ['org in 1 s'] },
  ],
  'a certificate that waits for the CRL of another authority queues that authority at once': [
    ({ eventHandlers }) => eventHandlers.crlAwaited('org'),
    ({ eventHandlers }) => eventHandlers.crlAwaited('lab'),
    { authority: ['lab'] },
  ],
});

const hooks = '/ValidatingWebhookConfiguration/hooks';

table('a webhook configuration', {
  'whose annotation names an authority is queued, and the authority reports it': [
    undefined,
    ({ put }) => put.webhooks('org'),
    { trust: [hooks], authority: ['org in 1 s'] },
  ],
  'whose annotation names no authority that exists is queued alone': [
    undefined,
    ({ put }) => put.webhooks('missing'),
    { trust: [hooks] },
  ],
  'whose annotation changes queues both authorities': [
    ({ put }) => put.webhooks('org'),
    ({ put }) => put.webhooks('lab'),
    { trust: [hooks], authority: ['lab in 1 s', 'org in 1 s'] },
  ],
  'without the annotation queues nothing': [undefined, ({ put }) => put.webhooks(), {}],
  'that is deleted queues the authority': [
    ({ put }) => put.webhooks('org'),
    (world) => world.gone(world.caches.injections.store('ValidatingWebhookConfiguration'), 'hooks'),
    { trust: [hooks], authority: ['org in 1 s'] },
  ],
  'is queued when its authority is created': [
    ({ put }) => put.webhooks('new'),
    ({ put }) => put.authority('new'),
    { authority: ['new'], trust: [hooks, 'new/'] },
  ],
  'is queued when its authority is deleted': [
    ({ put }) => {
      put.authority('new');
      put.webhooks('new');
    },
    (world) => world.gone(world.caches.authorities, 'new'),
    { authority: ['new'], trust: [hooks] },
  ],
  'is queued when the roots of its authority change': [
    ({ put }) => put.webhooks('lab'),
    (world) => world.eventHandlers.trustOf('lab'),
    { trust: [hooks, 'lab/'] },
  ],
  'of a kind that the operator may no longer read queues every authority': [
    undefined,
    ({ caches }) => caches.injections.notePermission('APIService', false),
    { authority: ['lab in 1 s', 'org in 1 s'] },
  ],
});
