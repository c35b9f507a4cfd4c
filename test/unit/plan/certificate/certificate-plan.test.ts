import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { annotations, labels } from '../../../../src/api/constants.ts';
import { secretRecord } from '../../../../src/controllers/objects/leaf-secret.ts';
import type { Secret } from '../../../../src/kube/index.ts';
import { encodePrivateKey } from '../../../../src/pki/index.ts';
import {
  type AuthorityState,
  type FailedAttempts,
  ownerReference,
  planCertificate,
  type SecretRecord,
} from '../../../../src/plan/index.ts';
import { notReady, ready } from '../../../support/fixtures/authority.ts';
import type { CertificateFixture } from '../../../support/fixtures/certificate.ts';
import { encodedRoot, privateKey, root } from '../../../support/fixtures/roots.ts';
import { foreign, orphaned, withData, withMarks, withMetadata } from '../../../support/fixtures/secret.ts';
import { days, later, now } from '../../../support/fixtures/times.ts';
import { blocked, create, deniedName, issue, keep, stays, update } from './certificate-steps.ts';
import { authority, check, fresh, issued, signer } from './certificate-table.ts';

describe('a Secret', () => {
  const both = fresh.asking({ client: { serviceAccount: 'checkout' } });
  check({
    'is created when it is missing': { given: fresh, plan: [create(fresh)] },
    'is created for every role': { given: both, plan: [create(both), create(both, { role: 'client' })] },
    'is created again after a deletion, with the next revision': {
      given: fresh.remembering({
        secrets: [{ role: 'server', revision: 7 }].map((entry) => ({
          ...entry,
          role: 'server' as const,
          secretName: 'payments-server-tls',
          serialNumber: '01',
          fingerprint: '00',
          rootFingerprint: '00',
          notBefore: '2026-01-01T00:00:00Z',
          notAfter: '2026-04-01T00:00:00Z',
          renewalTime: '2026-03-01T00:00:00Z',
        })),
      }),
      plan: [create(fresh, { revision: 8 })],
    },
    'is kept when it is up to date': { given: issued, plan: [keep] },
    'is kept with the data, labels and annotations of other clients': {
      given: issued
        .whereSecret('server', withData({ 'extra.txt': 'x' }))
        .whereSecret('server', withMarks('labels', { team: 'a' }))
        .whereSecret('server', withMarks('annotations', { 'example.com/a': 'b' })),
      plan: [keep],
    },
    'is created for one role while the Secret of the other is kept': {
      given: both.issuedBy(signer).withoutSecret('client'),
      plan: [keep, create(both, { role: 'client' })],
    },
    'is not planned before the root was read': { given: fresh, under: { state: 'unknown' }, plan: [] },
  });
});

describe('a corrupted Secret is repaired', () => {
  const otherKey = encodePrivateKey(privateKey(), 'PKCS8');
  const corruptions: [title: string, data: Record<string, string | undefined>, message: string][] = [
    ['when tls.crt is empty', { 'tls.crt': '' }, 'tls.crt holds no certificate'],
    ['when tls.crt is gone', { 'tls.crt': undefined }, 'tls.crt holds no certificate'],
    ['when tls.key is gone', { 'tls.key': undefined }, 'expected one private key, found 0 PEM blocks'],
    ['when tls.key is another key', { 'tls.key': otherKey }, 'the private key does not belong to the certificate'],
    ['when tls.key is garbage', { 'tls.key': 'garbage' }, 'expected one private key, found 0 PEM blocks'],
    ['when tls.crt is garbage', { 'tls.crt': '-----BEGIN CERTIFICATE-----' }, 'a PEM block has no END line'],
    [
      'when all data are gone',
      { 'tls.crt': undefined, 'tls.key': undefined, 'ca.crt': undefined },
      'tls.crt holds no certificate',
    ],
  ];
  for (const [title, data, message] of corruptions) {
    const given = issued.whereSecret('server', withData(data));
    check({ [title]: { given, plan: [issue(given, 'SecretCorrupted', message)] } });
  }

  const misfit = 'the Secret is not of type kubernetes.io/tls';
  const isImmutable =
    'the Secret is immutable, so the operator cannot update it: the operator deletes it and creates it again. ' +
    'Remove immutable: true from the manifest or tool that sets it';
  const opaque = issued.whereSecret('server', (secret) => ({ ...secret, type: 'Opaque' }));
  const immutable = issued.whereSecret('server', (secret) => ({ ...secret, immutable: true }));
  check({
    'when it has another type, by replacing it': {
      given: opaque,
      plan: [issue(opaque, 'SecretCorrupted', misfit, { write: 'replace', keepKey: true })],
    },
    'when it is immutable, by replacing it': {
      given: immutable,
      plan: [issue(immutable, 'SecretImmutable', isImmutable, { write: 'replace', keepKey: true })],
    },
    'when ca.crt is gone, and keeps its certificate': {
      given: issued.whereSecret('server', withData({ 'ca.crt': undefined })),
      plan: [update()],
    },
    'when ca.crt holds an additional root, and keeps its certificate': {
      given: issued.whereSecret('server', withData({ 'ca.crt': encodedRoot(signer).crt + encodedRoot(root()).crt })),
      plan: [update()],
    },
  });
});

/** The message of a conflict: the reason, and the patch that hands the Secret over. */
const conflict = (why: string, metadata: string) =>
  blocked(
    'SecretConflict',
    `Secret payments-server-tls exists and ${why}. Delete it: kubectl -n shop delete secret payments-server-tls; ` +
      'or hand it over (the operator then replaces content that is not valid): kubectl -n shop patch secret payments-server-tls ' +
      `--type merge --patch '{"metadata":${metadata}}'; or set server.secretName to another name`,
  );
const namedAs = (name: string | undefined) => withMarks('annotations', { [annotations.secretName]: name });
const notHandedOver = conflict(
  'was not handed over to this resource',
  `{"annotations":{"${annotations.secretName}":"payments-server-tls"}}`,
);

/** Changes the controller of a Secret. */
const ownedBy = (change: { uid?: string; name?: string; kind?: string; apiVersion?: string; controller?: boolean }) =>
  withMetadata(() => ({ ownerReferences: [{ ...ownerReference('MtlsCertificate', issued.record), ...change }] }));

const adopt = { ownership: 'adopt' } as const;
const release = { ownership: 'release' } as const;

describe('a Secret without a controller that was handed over', () => {
  const handedOver = issued.whereSecret('server', orphaned);
  check({
    'is adopted, with its key and certificate': { given: handedOver, plan: [{ ...update(), ...adopt }] },
    'is adopted by a resource that was created again with the same name': {
      given: handedOver.with({ uid: 'new-uid' }),
      plan: [{ ...update(), ...adopt }],
    },
    'is adopted when the resource owns it but does not control it': {
      given: issued.whereSecret(
        'server',
        withMetadata(({ ownerReferences = [] }) => ({
          ownerReferences: ownerReferences.map((one) => ({ ...one, controller: false })),
        })),
      ),
      plan: [{ ...update(), ...adopt }],
    },
    'is adopted and repaired when its certificate is broken': {
      given: handedOver.whereSecret('server', withData({ 'tls.crt': '' })),
      plan: [{ ...issue(issued, 'SecretCorrupted', 'tls.crt holds no certificate'), ...adopt }],
    },
    'is adopted and replaced when it has another type': {
      given: handedOver.whereSecret('server', (secret) => ({ ...secret, type: 'Opaque' })),
      plan: [
        {
          ...issue(issued, 'SecretCorrupted', 'the Secret is not of type kubernetes.io/tls', {
            write: 'replace',
            keepKey: true,
          }),
          ...adopt,
        },
      ],
    },
    'is kept while the root may not sign': { given: handedOver, under: notReady('RootExpired', 'x'), plan: [keep] },
    'stays without an owner while the resource is being deleted with --cascade=orphan': {
      given: handedOver.with({ deleting: true }),
      plan: [keep],
    },
  });
});

describe('the Secret of a resource that is being deleted and held by a finalizer', () => {
  const held = issued.with({ deleting: true });
  const opaque = held.whereSecret('server', (secret) => ({ ...secret, type: 'Opaque' }));
  const broken = held.whereSecret('server', withData({ 'tls.crt': '' }));
  check({
    'is kept when it is up to date': { given: held, plan: [keep] },
    'gets the current roots': {
      given: held.whereSecret('server', withData({ 'ca.crt': '' })),
      plan: [update()],
    },
    'is repaired': { given: broken, plan: [issue(held, 'SecretCorrupted', 'tls.crt holds no certificate')] },
    'is rotated on request': {
      given: held.rotating('a'),
      plan: [issue(held, 'RotationRequested', 'the annotation rotate has a new value', { token: 'a' })],
    },
    'is not created again': { given: fresh.with({ deleting: true }), plan: [keep] },
    'is not replaced when it has another type': {
      given: opaque,
      plan: [
        blocked(
          'Deleting',
          'the operator does not replace Secret payments-server-tls of a resource that is being deleted: the Secret is not of type kubernetes.io/tls',
        ),
      ],
    },
    'is a conflict when it is foreign': { given: held.whereSecret('server', foreign), plan: [notHandedOver] },
  });
});

describe('with deletionPolicy Retain, a Secret', () => {
  const retaining = fresh.asking({ deletionPolicy: 'Retain' });
  const retained = retaining.issuedBy(signer);
  const uid = { [annotations.template]: null, [annotations.certificateUid]: 'certificate-uid' };
  check({
    'is created with the UID of the resource in an annotation': {
      given: retaining,
      plan: [create(retaining, { annotations: { [annotations.certificateUid]: 'certificate-uid' } })],
    },
    'is kept without an owner': { given: retained, plan: [keep] },
    'loses its ownerReference': {
      given: retaining.issuedBy(signer).whereSecret('server', ownedBy({})),
      plan: [{ ...update({ annotations: uid }), ...release }],
    },
    'keeps its ownerReference while the resource is being deleted': {
      given: retained.whereSecret('server', ownedBy({})).with({ deleting: true }),
      plan: [keep],
    },
    'is adopted by a resource of the same name that is created later': {
      given: retained.with({ uid: 'new-uid' }),
      plan: [{ ...update({ annotations: { ...uid, [annotations.certificateUid]: 'new-uid' } }), ...adopt }],
    },
    'gets an ownerReference when the policy is Delete again': {
      given: retained.asking({ deletionPolicy: 'Delete' }),
      plan: [{ ...update({ annotations: { ...uid, [annotations.certificateUid]: null } }), ...adopt }],
    },
  });
});

describe('the annotation secret-name', () => {
  check({
    'is not added to an old Secret without another reason to write it': {
      given: issued.whereSecret('server', namedAs(undefined)),
      plan: [keep],
    },
    'is added with the next write of an old Secret': {
      given: issued.whereSecret('server', namedAs(undefined)).whereSecret('server', withData({ 'ca.crt': '' })),
      plan: [update()],
    },
    'is corrected when it names another Secret': {
      given: issued.whereSecret('server', namedAs('original')),
      plan: [update()],
    },
  });
});

describe('a Secret that is being deleted and held by a finalizer', () => {
  const isHeld =
    'is being deleted, but a finalizer holds it; the operator creates it again once it is gone. If the program that set the ' +
    'finalizer does not remove it: kubectl -n shop patch secret payments-server-tls --type merge ' +
    `--patch '{"metadata":{"finalizers":null}}'`;
  const held = issued.whereSecret(
    'server',
    withMetadata(() => ({ deletionTimestamp: now.toISOString() })),
  );
  check({
    'is kept up to date': { given: held.whereSecret('server', withData({ 'ca.crt': '' })), plan: [update()] },
    'is reported when it is immutable and has to be replaced': {
      given: held.whereSecret('server', (secret) => ({ ...secret, immutable: true })),
      plan: [
        blocked(
          'SecretImmutable',
          `Secret payments-server-tls is immutable, so it gets no new root and no new certificate; it ${isHeld}`,
        ),
      ],
    },
    'is reported when it has another type and has to be replaced': {
      given: held.whereSecret('server', (secret) => ({ ...secret, type: 'Opaque' })),
      plan: [blocked('Pending', `Secret payments-server-tls ${isHeld}`)],
    },
  });
});

describe('a Secret of another owner stays unchanged', () => {
  const former = conflict(
    'is controlled by an earlier MtlsCertificate payments that was deleted, so the garbage collector will delete it',
    '{"ownerReferences":null}',
  );
  const other = conflict('has another controller', '{"ownerReferences":null}');
  check({
    'when it has no owner and was not handed over': {
      given: issued.whereSecret('server', foreign),
      plan: [notHandedOver],
    },
    'when it is a copy of a Secret with another name': {
      given: issued.whereSecret('server', orphaned).whereSecret('server', namedAs('original')),
      plan: [notHandedOver],
    },
    'when it was handed over to another resource': {
      given: issued
        .whereSecret('server', orphaned)
        .whereSecret('server', withMarks('labels', { [labels.certificate]: 'other' })),
      plan: [conflict('was not handed over to this resource', `{"labels":{"${labels.certificate}":"payments"}}`)],
    },
    'when it was handed over to another role': {
      given: issued
        .whereSecret('server', orphaned)
        .whereSecret('server', withMarks('labels', { [labels.role]: 'client' })),
      plan: [conflict('was not handed over to this resource', `{"labels":{"${labels.role}":"server"}}`)],
    },
    'when another resource controls it': {
      given: issued.whereSecret('server', ownedBy({ uid: 'other-uid', name: 'other' })),
      plan: [conflict('is controlled by MtlsCertificate other', '{"ownerReferences":null}')],
    },
    'when an earlier resource of the same name controls it': { given: issued.with({ uid: 'new-uid' }), plan: [former] },
    'when an object of another kind with the same UID controls it': {
      given: issued.whereSecret('server', ownedBy({ kind: 'Certificate' })),
      plan: [other],
    },
    'when an object of another API group with the same UID controls it': {
      given: issued.whereSecret('server', ownedBy({ apiVersion: 'cert-manager.io/v1' })),
      plan: [other],
    },
    'even if its content is not valid': {
      given: issued.whereSecret('server', ownedBy({ uid: 'x' })).whereSecret('server', withData({ 'tls.crt': '' })),
      plan: [former],
    },
    'in every state of the authority': {
      given: issued.whereSecret('server', ownedBy({ uid: 'x' })),
      under: { state: 'missing' },
      plan: [former],
    },
  });

  test('until the command in the message hands it over', () => {
    const bare = (secret: Secret): Secret => ({
      ...withMetadata(() => ({ labels: {}, annotations: {} }))(secret),
      type: 'Opaque',
    });
    const given = issued.whereSecret('server', ownedBy({ kind: 'Certificate' })).whereSecret('server', bare);
    const [before] = planCertificate(given.observed(authority), now).secrets;
    assert.ok(before?.step.step === 'blocked');
    const patch = /^.*kubectl -n shop patch secret payments-server-tls --type merge --patch '([^']*)'; or.*$/.exec(
      before.step.message,
    );
    const { metadata } = JSON.parse(patch?.[1] ?? '{}') as { metadata: Partial<Secret['metadata']> };
    const handedOver = given.whereSecret(
      'server',
      withMetadata(() => ({ ...metadata, ownerReferences: [] })),
    );
    const [after] = planCertificate(handedOver.observed(authority), now).secrets;
    assert.ok(after?.step.step === 'issue');
    assert.deepEqual(
      [after.step.reason, after.step.write, after.step.ownership],
      ['SecretCorrupted', 'replace', 'adopt'],
    );
  });

  test('when another resource claimed its name first, even if this resource owns the Secret', () => {
    for (const fixture of [fresh, issued]) {
      const observed = fixture.observed(authority);
      const roles = observed.roles.map((role) => ({ ...role, secretNameOwner: 'MtlsCertificate older' }));
      assert.deepEqual(
        planCertificate({ ...observed, roles }, now).secrets.map(({ step }) => step),
        [
          blocked(
            'SecretConflict',
            'Secret payments-server-tls belongs to MtlsCertificate older; set server.secretName to another name',
          ),
        ],
      );
    }
  });
});

describe('when its authority is missing or may not sign,', () => {
  const missing = { state: 'missing' } as const;
  const bad = notReady('RootExpired', 'the root expired');
  const notFound = blocked(
    'AuthorityNotFound',
    'MtlsAuthority default does not exist; create it, or correct spec.authorityRef.name',
  );
  const waiting = (canWait = false) =>
    blocked('AuthorityNotReady', 'MtlsAuthority default: RootExpired: the root expired', { canWait });
  check({
    'no certificate is issued if the authority is missing': { given: fresh, under: missing, plan: [notFound] },
    'existing Secrets stay if the authority is missing': { given: issued, under: missing, plan: [notFound] },
    'no certificate is issued if the root has expired': { given: fresh, under: bad, plan: [waiting()] },
    'an intact Secret is kept if the root has expired': { given: issued, under: bad, plan: [keep] },
    'a corrupted Secret waits for a valid root': {
      given: issued.whereSecret('server', withData({ 'tls.crt': '' })),
      under: bad,
      plan: [waiting()],
    },
    'a changed spec waits for a valid root': {
      given: issued.asking({ server: { service: 'other' } }),
      under: bad,
      plan: [waiting()],
    },
    'a rotation waits while the current certificate works': {
      given: issued.rotating('a'),
      under: bad,
      plan: [waiting(true)],
    },
    'a renewal waits while the current certificate works': {
      given: fresh.issuedBy(signer).expiringIn(days(1)),
      under: bad,
      plan: [waiting(true)],
    },
    'an expired certificate waits for a valid root': {
      given: fresh.issuedBy(signer).expiringIn(0),
      under: bad,
      plan: [waiting()],
    },
    'a denied name is reported as denied': {
      given: issued.asking({ server: { dnsNames: ['a.other.svc'] } }),
      under: bad,
      plan: [blocked('Denied', `${deniedName('a.other.svc')} (did you mean "a.shop.svc"?)`)],
    },
  });
});

describe('a request that may not be signed', () => {
  const denied = fresh.asking({ server: { service: 'payments', dnsNames: ['www.example.com'] } });
  const message = deniedName('www.example.com');
  // permitted;DNS:x.test
  const nameConstraints = Buffer.from('300ca00a30088206782e74657374', 'hex');
  const constrained = { ...authority, anchor: { ...authority.anchor, nameConstraints } };
  const excluded = blocked(
    'NameConstrained',
    'the name constraints of MtlsAuthority default exclude payments, payments.shop, payments.shop.svc, payments.shop.svc.cluster.local; remove these names from spec',
  );
  check({
    'is denied': { given: denied, plan: [blocked('Denied', message)] },
    'is denied, and an existing Secret stays': {
      given: issued.asking({ server: denied.record.spec.server ?? {} }),
      plan: [blocked('Denied', message + stays)],
    },
    'is invalid when spec is not valid': {
      given: issued.asking({ duration: '1m' }),
      plan: [blocked('InvalidSpec', `duration: use at least 5m${stays}`)],
    },
    'is refused when the name constraints of the root exclude a name': {
      given: fresh,
      under: constrained,
      plan: [excluded],
    },
    'is refused by name constraints, and an existing Secret stays': {
      given: issued,
      under: constrained,
      plan: [excluded],
    },
  });
});

describe('after a failure', () => {
  const failedAttempt = (nextRetryTime: Date): { server: FailedAttempts } => ({
    server: {
      attempts: 3,
      lastFailureTime: later(-1000),
      nextRetryTime,
      message: 'the API server refused the Secret',
    },
  });
  const both = fresh.asking({ client: { serviceAccount: 'checkout' } });
  const held = (canWait: boolean) => blocked('IssuanceFailed', 'the API server refused the Secret', { canWait });
  const due = fresh.issuedBy(signer).expiringIn(days(1));
  check({
    'no role is retried before its time': {
      given: fresh,
      failedAttempts: failedAttempt(later(1)),
      plan: [held(false)],
    },
    'the role is retried at its time': { given: fresh, failedAttempts: failedAttempt(now), plan: [create(fresh)] },
    'a renewal waits while the current certificate works': {
      given: due,
      failedAttempts: failedAttempt(later(1)),
      plan: [held(true)],
    },
    'a repair of the bundle waits too': {
      given: issued,
      under: ready(signer, root()),
      failedAttempts: failedAttempt(later(1)),
      plan: [held(true)],
    },
    'the other role does not wait': {
      given: both,
      failedAttempts: failedAttempt(later(1)),
      plan: [held(false), create(both, { role: 'client' })],
    },
    'an intact Secret is kept': { given: issued, failedAttempts: failedAttempt(later(1)), plan: [keep] },
    'a conflict is still reported as a conflict': {
      given: issued.with({ uid: 'new-uid' }),
      failedAttempts: failedAttempt(later(1)),
      plan: [
        conflict(
          'is controlled by an earlier MtlsCertificate payments that was deleted, so the garbage collector will delete it',
          '{"ownerReferences":null}',
        ),
      ],
    },
  });
});

describe('a Secret that no role needs any more', () => {
  const ofFormerName = (change: (secret: Secret) => Secret): SecretRecord[] => [
    secretRecord(change(withMetadata(() => ({ name: 'former' }))(issued.secret('server'))), []),
  ];
  const surplus = ofFormerName(namedAs('former'));
  const plan = (given: CertificateFixture, all: readonly SecretRecord[], view: AuthorityState = authority) =>
    planCertificate(given.observed(view, all), now);
  const pruned = (given: CertificateFixture, view?: AuthorityState) => plan(given, surplus, view).prune;
  const remembering = (secretName: string, role = 'server') =>
    issued.remembering({ secrets: [{ role, secretName } as never] });

  test('is never deleted if it is a copy, whose annotation names the original', () => {
    const copy = ofFormerName((secret) => secret);
    assert.deepEqual(plan(remembering('former'), copy), {
      ...plan(remembering('former'), []),
      prune: [],
      annotate: [],
    });
  });

  test('is deleted without the annotation if status names it, because it may be older than the annotation', () => {
    const unmarked = ofFormerName(namedAs(undefined));
    const { prune, annotate } = plan(remembering('former'), unmarked);
    assert.deepEqual([prune, annotate], [unmarked, unmarked]);
    for (const given of [issued, remembering('another'), remembering('former', 'client')]) {
      assert.deepEqual(plan(given, unmarked).prune, []);
      assert.deepEqual(plan(given, unmarked).annotate, []);
    }
  });

  test('gets the annotation from status while it cannot be deleted yet', () => {
    const unmarked = ofFormerName(namedAs(undefined));
    const { prune, annotate } = plan(remembering('former').asking({ server: { dnsNames: ['a.other'] } }), unmarked);
    assert.deepEqual([prune, annotate], [[], unmarked]);
    assert.deepEqual(plan(remembering('former').asking({ server: { dnsNames: ['a.other'] } }), surplus).annotate, []);
  });

  test('is not deleted again while a finalizer holds it', () => {
    const held = surplus.map((one) => ({ ...one, deleting: true as const }));
    assert.deepEqual(plan(issued, held).prune, []);
  });

  test('is deleted while the others are kept or created', () => {
    assert.deepEqual(pruned(issued), surplus);
    assert.deepEqual(pruned(fresh), surplus);
  });

  test('stays while a step for another Secret is blocked', () => {
    assert.deepEqual(pruned(fresh.asking({ server: { dnsNames: ['a.other'] } })), []);
    assert.deepEqual(pruned(fresh, notReady('RootMissing', 'there is none')), []);
    assert.deepEqual(pruned(fresh, { state: 'missing' }), []);
    assert.deepEqual(pruned(fresh, { state: 'unknown' }), []);
    assert.deepEqual(pruned(issued.with({ deleting: true })), []);
  });

  const { server: _, ...noRole } = issued.record.spec;
  const withoutRoles = {
    'requests no certificate': issued.with({ spec: noRole }),
    'is not valid': issued.with({ spec: noRole, specProblem: 'spec.duration does not match the schema …' }),
    'is not valid, with tokens,': issued.with({ spec: noRole, specProblem: '…', revokeToken: 'a' }).rotating('b'),
  };
  const authorityStates: Record<string, AuthorityState> = {
    'a valid root': authority,
    'an expired root': notReady('RootExpired', 'x'),
    'an unknown root': { state: 'unknown' },
    'no authority': { state: 'missing' },
  };
  for (const [what, given] of Object.entries(withoutRoles)) {
    for (const [whose, view] of Object.entries(authorityStates)) {
      test(`stays while the spec of its resource ${what} and there is ${whose}`, () => {
        const all = [issued.secretRecord('server'), ...surplus];
        assert.equal(given.observed(view, all).surplus.length, 2);
        assert.deepEqual(plan(given, all, view), { secrets: [], prune: [], annotate: [] });
      });
    }
  }
});

test('a plan holds no key material', () => {
  const plan = JSON.stringify(planCertificate(issued.rotating('a').observed(authority), now));
  const key = Buffer.from(issued.secret('server').data?.['tls.key'] ?? '', 'base64').toString();
  const body = key.split('\n').slice(1, -2);
  assert.ok(body.length > 1 && body.every((line) => !plan.includes(line)));
});
