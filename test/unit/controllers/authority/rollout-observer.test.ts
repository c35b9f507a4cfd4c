import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { annotations, labels } from '../../../../src/api/constants.ts';
import { RolloutObserver } from '../../../../src/controllers/authority/rollout-observer.ts';
import { Caches } from '../../../../src/controllers/cache/caches.ts';
import { secretRecord } from '../../../../src/controllers/objects/leaf-secret.ts';
import { certificateRecord } from '../../../../src/controllers/objects/resources.ts';
import { type Secret, secrets as secretResource } from '../../../../src/kube/index.ts';
import {
  type AuthorityRecord,
  type CertificateRecord,
  isExamined,
  missingSecrets,
  ownerReference,
  type Publication,
} from '../../../../src/plan/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { issuerIdOf, root, rootIdOf } from '../../../support/fixtures/roots.ts';
import { foreign, orphaned, withData, withMarks, withMetadata } from '../../../support/fixtures/secret.ts';
import { days, later } from '../../../support/fixtures/times.ts';
import { knows } from '../../plan/rotation/rotation-situation.ts';
import { MemoryApi } from '../world/memory-api.ts';

const [ours, theirs] = [root({ name: 'Ours' }), root({ name: 'Theirs' })];
const roots = [ours.certificate, theirs.certificate];
const ruled = authority({ status: knows([ours]) });
const never = new AbortController().signal;
const publications: readonly Publication[] = [
  { namespace: 'shop', displayName: 'ConfigMap shop/trust', changedAtMs: 5 },
];

/** A process with its caches, whose clock is at 100 ms. */
function process(watched?: readonly string[]) {
  const api = new MemoryApi();
  const clock = { ms: 100 };
  const caches = new Caches(
    () => [ours.certificate],
    () => clock.ms,
    watched,
  );
  const renewed: AuthorityRecord[] = [];
  const observer = new RolloutObserver({
    client: api.client,
    caches,
    publications: {
      of: () => publications,
      renew: async (one) => {
        renewed.push(one);
      },
    },
  });
  const take = (secret: Secret) => caches.secrets.observe(caches.withChangeTime(secretRecord(secret, roots)));
  return { api, caches, clock, observer, renewed, take };
}

const issued = certificate().issuedBy(ours);
const secret = issued.secret('server');
const named = (name: string, change: Partial<Secret['metadata']> = {}) =>
  withMetadata(() => ({ name, uid: `${name}-uid`, ...change }))(secret);
const marked = (name: string) => withMarks('annotations', { [annotations.secretName]: name })(named(name));
const ownedBy = (uid: string, name = 'payments') => ({
  ownerReferences: [ownerReference('MtlsCertificate', { name, uid })],
});
/** The same Secret, owned by a resource that does not exist. */
const ownedByNobody = (one: Secret): Secret =>
  withMetadata(() => ownedBy('gone-uid', 'gone'))(withMarks('labels', { [labels.certificate]: 'gone' })(one));
const statusOf = (secretName: string) => ({
  secrets: [
    {
      role: 'server',
      secretName,
      rootFingerprint: ours.certificate.fingerprint,
      issuerId: issuerIdOf(ours),
      notAfter: later(days(1)).toISOString(),
    } as never,
  ],
});

describe('the rollout of an authority', () => {
  const whys = ({ observer }: ReturnType<typeof process>) =>
    observer.gather(ruled).secrets.map(({ displayName: what, detail: why }) => [what, why]);
  const whats = ({ observer }: ReturnType<typeof process>) =>
    observer.gather(ruled).secrets.map(({ displayName: what }) => what);

  test('includes the Secrets of its certificates, with bundle, leaf and change time, and the published bundles', () => {
    const made = process();
    made.caches.certificates.observe(issued.record);
    made.take(secret);
    const { content } = issued.secretRecord('server');
    const [record] = made.caches.secrets.values();
    assert.ok(record !== undefined && isExamined(record) && 'leaf' in record.content);
    const { root, issuer, notAfter } = record.content.leaf;
    assert.deepEqual(made.observer.gather(ruled), {
      secrets: [
        {
          namespace: 'shop',
          displayName: 'shop/payments-server-tls',
          bundle: content.bundle,
          leaf: { root, issuer, notAfter },
          changedAtMs: 100,
        },
      ],
      publications,
      examinedSecrets: 1,
      monotonicMs: 100,
    });
    assert.deepEqual([root, issuer], [rootIdOf(ours), issuerIdOf(ours)]);
  });

  describe('of an operator that watches some namespaces', () => {
    const kinds = ['namespaces', 'mtlscertificates', 'secrets', 'configmaps'] as const;
    const hint =
      'create the Role and RoleBinding of the operator in web (chart: watchNamespaces), or take the namespace out of --watch-namespaces';
    /** The operator watches `shop` and `web`, and may read everything in `shop`. */
    const watching = () => {
      const made = process(['shop', 'web']);
      for (const name of ['shop', 'web'])
        made.caches.namespaces
          .part(name)
          .replaceAll([{ name, labels: {}, terminating: false, resourceVersion: '1' }], '1');
      for (const kind of kinds) made.caches.watched.note(kind, 'shop', true);
      return made;
    };

    test('includes each namespace that may hold objects which the operator may not read', () => {
      const made = watching();
      for (const kind of kinds) made.caches.watched.note(kind, 'web', kind === 'namespaces');
      const [one, ...others] = made.observer.gather(ruled).secrets;
      assert.deepEqual(others, []);
      assert.deepEqual(
        [one?.namespace, one?.displayName, one?.detail, one?.bundle, one?.leaf?.root],
        [
          'web',
          'namespace web',
          `the operator may not read its mtlscertificates, secrets; ${hint}`,
          undefined,
          undefined,
        ],
      );
      const publishing = {
        ...ruled,
        spec: { ...ruled.spec, trustBundle: { configMap: { name: 'trust' }, clusterTrustBundle: false } },
      };
      assert.match(
        made.observer.gather(publishing).secrets[0]?.detail ?? '',
        /its mtlscertificates, secrets, configmaps;/,
      );
    });

    test('includes such a namespace when the operator does not know whether it exists', () => {
      const made = process(['web']);
      for (const kind of kinds) made.caches.watched.note(kind, 'web', false);
      assert.deepEqual(whats(made), ['namespace web']);
    });

    test('leaves out a namespace that does not exist', () => {
      const made = process(['web']);
      made.caches.namespaces.part('web').replaceAll([], '1');
      for (const kind of kinds) made.caches.watched.note(kind, 'web', kind === 'namespaces');
      assert.deepEqual(whats(made), []);
    });

    test('is read again from the API server in each namespace that the operator may read', async () => {
      const made = watching();
      made.caches.certificates.part('shop').replaceAll([issued.record], '1');
      await made.api.create(secretResource, secret);
      await made.api.create(secretResource, withMetadata(() => ({ namespace: 'other' }))(secret));
      await made.observer.renew(ruled, never);
      assert.deepEqual([...made.caches.secrets.keys()], ['shop/payments-server-tls']);
    });
  });

  test('counts the Secrets of every authority as examined', () => {
    const made = process();
    made.caches.certificates.observe(issued.record);
    made.take(secret);
    made.take(
      withMetadata(() => ({ name: 'foreign', uid: 'foreign-uid', ...ownedBy('foreign') }))(
        certificate().issuedBy(theirs).secret('server'),
      ),
    );
    const { secrets, examinedSecrets } = made.observer.gather(ruled);
    assert.deepEqual([secrets.length, examinedSecrets], [1, 2]);
  });

  test('follows changes since the last observation, and reads no other record again', () => {
    const made = process();
    const client = certificate()
      .asking({ client: { serviceAccount: 'a' } })
      .issuedBy(ours);
    made.caches.certificates.observe(client.record);
    made.take(client.secret('server'));
    made.take(client.secret('client'));
    const observe = () => new Map(made.observer.gather(ruled).secrets.map((one) => [one.displayName, one]));
    const [server, other] = ['shop/payments-server-tls', 'shop/payments-client-tls'];
    const before = observe();
    assert.deepEqual([...before.keys()], [server, other]);
    made.clock.ms = 200;
    made.take(withMetadata(() => ({ resourceVersion: '30' }))(withData({ 'ca.crt': 'x' })(client.secret('server'))));
    const after = observe();
    assert.deepEqual([before.get(server)?.changedAtMs, after.get(server)?.changedAtMs], [100, 200]);
    assert.equal(after.get(other), before.get(other));
    made.caches.secrets.observeDeleted(client.secret('client').metadata, '40');
    assert.deepEqual([...observe().keys()], [server]);
  });

  test('is gathered once, on first access', () => {
    const { caches } = process();
    let asked = 0;
    const observer = new RolloutObserver({
      client: new MemoryApi().client,
      caches,
      publications: {
        of: () => {
          asked += 1;
          return publications;
        },
        renew: async () => undefined,
      },
    });
    const rollout = observer.gather(ruled);
    assert.equal(asked, 0);
    assert.equal(rollout.publications, publications);
    assert.equal(rollout.publications, publications);
    assert.equal(asked, 1);
    assert.equal(rollout.secrets, rollout.secrets);
  });

  test('includes a Secret with invalid content, without a leaf', () => {
    const made = process();
    made.caches.certificates.observe(issued.record);
    made.take(withData({ 'tls.crt': 'x' })(secret));
    const [found, ...more] = made.observer.gather(ruled).secrets;
    assert.deepEqual([found?.displayName, found?.leaf, more], ['shop/payments-server-tls', undefined, []]);
  });

  test('excludes the Secrets of certificates of another authority', () => {
    const made = process();
    made.caches.certificates.observe(
      certificate()
        .issuedBy(theirs)
        .asking({ authorityRef: { name: 'other' } }).record,
    );
    made.take(certificate().issuedBy(theirs).secret('server'));
    assert.deepEqual(whats(made), []);
  });

  test('includes a Secret without a controller that names a certificate, as in a restored backup', () => {
    const made = process();
    made.caches.certificates.observe(issued.with({ uid: 'made-again' }).record);
    made.take(orphaned(secret));
    assert.deepEqual(whats(made), ['shop/payments-server-tls']);
  });

  // Each has a leaf that a root of the authority has signed: any user who can read a Secret can make such a copy.
  const noOnes: [title: string, secret: Secret][] = [
    ['whose resource is deleted', ownedByNobody(secret)],
    [
      'of a resource that was deleted and created again under its name',
      named('payments-server-tls', ownedBy('former-uid')),
    ],
    ['that was retained when its resource was deleted', orphaned(ownedByNobody(secret))],
    [
      'in another namespace, with name and UID of an owner in this one',
      withMetadata(() => ({ namespace: 'evil' }))(secret),
    ],
    ['with the UID of a resource and another name', named('payments-server-tls', ownedBy('certificate-uid', 'other'))],
    [
      'whose owner of that name and UID has another kind',
      named('payments-server-tls', {
        ownerReferences: [
          { ...ownerReference('MtlsCertificate', { name: 'payments', uid: 'certificate-uid' }), kind: 'MtlsAuthority' },
        ],
      }),
    ],
    [
      'whose owner of that name and UID has another API group',
      named('payments-server-tls', {
        ownerReferences: [
          { ...ownerReference('MtlsCertificate', { name: 'payments', uid: 'certificate-uid' }), apiVersion: 'v1' },
        ],
      }),
    ],
    ['that names no resource', foreign(secret)],
    ['that is a copy under another name', named('copy', { ownerReferences: [] })],
    ['with a name of its own that its resource does not use', orphaned(marked('other'))],
    [
      'with a finalizer and an invented owner',
      named('held', { ...ownedBy('invented', 'invented'), finalizers: ['a/b'] }),
    ],
  ];
  for (const [title, one] of noOnes) {
    test(`excludes a Secret ${title}`, () => {
      const made = process();
      made.caches.certificates.observe(issued.record);
      made.take(one);
      assert.equal(made.caches.secrets.size, 1);
      assert.deepEqual(whats(made), []);
    });
  }

  const metadata = { ...issued.record, resourceVersion: '11' };
  const lost: [title: string, resource: CertificateRecord, why: string][] = [
    [
      'has moved to another authority, until that authority has issued it',
      issued.asking({ authorityRef: { name: 'other' } }).record,
      'its MtlsCertificate has moved to authority other',
    ],
    [
      'has an invalid spec, for the authority that signed it',
      certificateRecord({ metadata, spec: { duration: 7 } } as never),
      'its MtlsCertificate has an invalid spec',
    ],
  ];
  for (const [title, resource, why] of lost) {
    test(`includes a Secret whose resource ${title}`, () => {
      const made = process();
      made.caches.certificates.observe(resource);
      made.take(secret);
      assert.deepEqual(whys(made), [['shop/payments-server-tls', why]]);
      made.take(withMetadata(() => ({ resourceVersion: '30' }))(certificate().issuedBy(theirs).secret('server')));
      assert.deepEqual(whys(made), []);
    });
  }

  test('counts a Secret only for its own authority if two authorities trust its root', () => {
    const made = process();
    made.caches.authorities.observe({
      ...authority({ status: knows([theirs, ours]) }),
      name: 'other',
      uid: 'other-uid',
    });
    made.caches.certificates.observe(issued.asking({ authorityRef: { name: 'other' } }).record);
    made.take(secret);
    assert.deepEqual(whys(made), []);
  });

  test('reports why the resource of a Secret is not ready', () => {
    const made = process();
    const conditions = [
      { type: 'Ready', status: 'False', reason: 'Denied', message: 'no', lastTransitionTime: '' } as const,
    ];
    made.caches.certificates.observe(issued.remembering({ conditions }).record);
    made.take(secret);
    assert.deepEqual(whys(made), [['shop/payments-server-tls', 'Denied']]);
  });

  test('counts how often a Secret changes in a phase, and starts again with the next phase', () => {
    const made = process();
    made.caches.certificates.observe(issued.record);
    made.take(secret);
    const rotation = { id: 'r1', phase: 'Distributing', startedAt: '' } as const;
    const changesIn = (phase: 'Distributing' | 'Draining') => {
      const status = { ...ruled.status, rotation: { ...rotation, phase } };
      return made.observer.gather({ ...ruled, status }).secrets.map(({ changeCount: changes }) => changes);
    };
    let revision = 30;
    const change = () => {
      made.clock.ms += 100;
      revision += 1;
      const resourceVersion = `${revision}`;
      made.take(withMetadata(() => ({ resourceVersion }))(withData({ 'ca.crt': resourceVersion })(secret)));
    };
    assert.deepEqual(changesIn('Distributing'), [undefined]);
    change();
    assert.deepEqual(changesIn('Distributing'), [undefined], 'the operator’s own change');
    change();
    assert.deepEqual(changesIn('Distributing'), [2]);
    assert.deepEqual(changesIn('Distributing'), [2], 'an observation is not a change');
    // Another authority without a rotation is observed in between.
    made.observer.gather(authority({ name: 'other' }));
    change();
    assert.deepEqual(changesIn('Distributing'), [3]);
    assert.deepEqual(changesIn('Draining'), [undefined]);
  });

  test('includes a missing Secret that was issued before, as never changed', () => {
    const made = process();
    made.caches.certificates.observe(issued.remembering(statusOf('payments-server-tls')).record);
    assert.deepEqual(made.observer.gather(ruled).secrets, [
      {
        namespace: 'shop',
        displayName: 'shop/payments-server-tls',
        leaf: { root: rootIdOf(ours), issuer: issuerIdOf(ours), notAfter: later(days(1)) },
        changedAtMs: Number.POSITIVE_INFINITY,
        detail: 'deleted',
      },
    ]);
    made.take(secret);
    assert.equal(made.observer.gather(ruled).secrets.length, 1, 'it counts once when it exists again');
    assert.equal(made.observer.gather(ruled).secrets[0]?.changedAtMs, 100);
  });

  test('excludes the missing Secret of a certificate that is being deleted', () => {
    const made = process();
    made.caches.certificates.observe(
      issued.remembering(statusOf('payments-server-tls')).with({ deleting: true }).record,
    );
    assert.deepEqual(whats(made), []);
  });

  test('includes a retained Secret while its certificate exists, and after the certificate was created again', () => {
    const made = process();
    const retained = issued.asking({ deletionPolicy: 'Retain' }).issuedBy(ours);
    made.take(retained.secret('server'));
    assert.deepEqual(whats(made), []);
    made.caches.certificates.observe(retained.record);
    assert.deepEqual(whats(made), ['shop/payments-server-tls']);
    made.caches.certificates.observe(retained.with({ uid: 'again', resourceVersion: '90' }).record);
    assert.deepEqual(whats(made), ['shop/payments-server-tls']);
    made.caches.certificates.observeDeleted(retained.record, '91');
    assert.deepEqual(whats(made), []);
  });

  test('excludes a Secret that was never issued', () => {
    const made = process();
    made.caches.certificates.observe(certificate().record);
    assert.deepEqual(whats(made), []);
    assert.deepEqual(
      missingSecrets(
        certificate().record,
        () => false,
        () => undefined,
      ),
      [],
    );
  });
});

describe('a rollout that is read again from the API server', () => {
  test('includes objects that the watch has not delivered yet, with this time', async () => {
    const made = process();
    made.caches.certificates.observe(issued.record);
    made.take(secret);
    await made.api.create(secretResource, withData({ 'ca.crt': 'another bundle' })(named('payments-server-tls')));
    await made.api.create(secretResource, named('new', ownedBy('certificate-uid')));
    await made.api.create(secretResource, named('unlabelled', { labels: {} }));
    made.clock.ms = 200;
    await made.observer.renew(ruled, never);
    const { secrets } = made.observer.gather(ruled);
    assert.deepEqual(
      secrets.map(({ displayName: what, changedAtMs }) => [what, changedAtMs]),
      [
        ['shop/payments-server-tls', 200],
        ['shop/new', 200],
      ],
    );
    assert.notEqual(secrets[0]?.bundle, issued.secretRecord('server').content.bundle);
    assert.deepEqual(made.renewed, [ruled]);
  });

  test('is listed as metadata, and only objects that are not cached are read', async () => {
    const made = process();
    made.caches.certificates.observe(issued.record);
    const { metadata, ...known } = await made.api.create(secretResource, secret);
    made.take({ ...known, metadata });
    await made.api.create(secretResource, named('new', ownedBy('certificate-uid')));
    await made.api.create(secretResource, named('forged', ownedBy('nonexistent')));
    await made.observer.renew(ruled, never);
    assert.ok(made.caches.secrets.has('shop/forged'));
    assert.deepEqual(made.api.reads, ['list secrets, metadata only', 'get shop/new']);
  });

  test('keeps records that are cached at that revision or a later one', async () => {
    const made = process();
    made.caches.certificates.observe(issued.record);
    const { metadata, ...stored } = await made.api.create(secretResource, secret);
    made.take({ ...stored, metadata });
    const [before] = made.caches.secrets.values();
    made.clock.ms = 200;
    await made.observer.renew(ruled, never);
    assert.deepEqual([...made.caches.secrets.values()][0], before);
    const newer = { ...metadata, resourceVersion: `${Number(metadata.resourceVersion) + 1}` };
    made.take(withData({ 'ca.crt': 'newer' })({ ...stored, metadata: newer }));
    const [known] = made.caches.secrets.values();
    await made.observer.renew(ruled, never);
    assert.deepEqual([...made.caches.secrets.values()][0], known);
  });
});
