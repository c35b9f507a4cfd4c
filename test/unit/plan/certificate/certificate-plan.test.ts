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
    'that is missing is made': { given: fresh, plan: [create(fresh)] },
    'is made for every role': { given: both, plan: [create(both), create(both, { role: 'client' })] },
    'that was deleted is made anew, and its revision goes on': {
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
    'that is as it should be is kept': { given: issued, plan: [keep] },
    'with other people’s data, labels and annotations is kept': {
      given: issued
        .whereSecret('server', withData({ 'extra.txt': 'x' }))
        .whereSecret('server', withMarks('labels', { team: 'a' }))
        .whereSecret('server', withMarks('annotations', { 'example.com/a': 'b' })),
      plan: [keep],
    },
    'of one role is made while the other is kept': {
      given: both.issuedBy(signer).withoutSecret('client'),
      plan: [keep, create(both, { role: 'client' })],
    },
    'is not judged before the root has been looked at': { given: fresh, under: { state: 'unknown' }, plan: [] },
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
      'when everything is gone',
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
    'when it is of another type, by another Secret': {
      given: opaque,
      plan: [issue(opaque, 'SecretCorrupted', misfit, { write: 'replace', keepKey: true })],
    },
    'when it is immutable, by another Secret': {
      given: immutable,
      plan: [issue(immutable, 'SecretImmutable', isImmutable, { write: 'replace', keepKey: true })],
    },
    'when ca.crt is gone, with the same certificate': {
      given: issued.whereSecret('server', withData({ 'ca.crt': undefined })),
      plan: [update()],
    },
    'when ca.crt holds a root more, with the same certificate': {
      given: issued.whereSecret('server', withData({ 'ca.crt': encodedRoot(signer).crt + encodedRoot(root()).crt })),
      plan: [update()],
    },
  });
});

/** Why a Secret is left alone, and the patch of its metadata that hands it over. */
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

/** A Secret with another controller than it has, or than its resource. */
const ownedBy = (change: { uid?: string; name?: string; kind?: string; apiVersion?: string; controller?: boolean }) =>
  withMetadata(() => ({ ownerReferences: [{ ...ownerReference('MtlsCertificate', issued.record), ...change }] }));

const adopt = { ownership: 'adopt' } as const;
const release = { ownership: 'release' } as const;

describe('a Secret without a controller that was handed over', () => {
  const handedOver = issued.whereSecret('server', orphaned);
  check({
    'is adopted, with its key and certificate': { given: handedOver, plan: [{ ...update(), ...adopt }] },
    'is adopted by a resource of the same name that was made again': {
      given: handedOver.with({ uid: 'new-uid' }),
      plan: [{ ...update(), ...adopt }],
    },
    'is adopted when the resource owns it, and does not control it': {
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
    'is adopted and replaced when it is of another type': {
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
    'waits, judged, while the root is bad': { given: handedOver, under: notReady('RootExpired', 'x'), plan: [keep] },
    'is left without an owner while the resource is being deleted, as --cascade=orphan wants it': {
      given: handedOver.with({ deleting: true }),
      plan: [keep],
    },
  });
});

describe('the Secret of a resource that is being deleted, and held by a finalizer', () => {
  const held = issued.with({ deleting: true });
  const opaque = held.whereSecret('server', (secret) => ({ ...secret, type: 'Opaque' }));
  const broken = held.whereSecret('server', withData({ 'tls.crt': '' }));
  check({
    'is kept when it is as it should be': { given: held, plan: [keep] },
    'gets the roots that are trusted now': {
      given: held.whereSecret('server', withData({ 'ca.crt': '' })),
      plan: [update()],
    },
    'is repaired': { given: broken, plan: [issue(held, 'SecretCorrupted', 'tls.crt holds no certificate')] },
    'is rotated on request': {
      given: held.rotating('a'),
      plan: [issue(held, 'RotationRequested', 'the annotation rotate has a new value', { token: 'a' })],
    },
    'is not created again': { given: fresh.with({ deleting: true }), plan: [keep] },
    'is not created again after it was deleted for another type': {
      given: opaque,
      plan: [
        blocked(
          'Deleting',
          'the operator does not replace Secret payments-server-tls of a resource that is being deleted: the Secret is not of type kubernetes.io/tls',
        ),
      ],
    },
    'stays as it is where it is foreign': { given: held.whereSecret('server', foreign), plan: [notHandedOver] },
  });
});

describe('with deletionPolicy Retain, a Secret', () => {
  const retaining = fresh.asking({ deletionPolicy: 'Retain' });
  const retained = retaining.issuedBy(signer);
  const uid = { [annotations.template]: null, [annotations.certificateUid]: 'certificate-uid' };
  check({
    'is made with the UID of the resource in an annotation': {
      given: retaining,
      plan: [create(retaining, { annotations: { [annotations.certificateUid]: 'certificate-uid' } })],
    },
    'is kept without an owner': { given: retained, plan: [keep] },
    'loses the owner that it has': {
      given: retaining.issuedBy(signer).whereSecret('server', ownedBy({})),
      plan: [{ ...update({ annotations: uid }), ...release }],
    },
    'keeps that owner while the resource is being deleted': {
      given: retained.whereSecret('server', ownedBy({})).with({ deleting: true }),
      plan: [keep],
    },
    'is adopted by a resource of the same name that is created later': {
      given: retained.with({ uid: 'new-uid' }),
      plan: [{ ...update({ annotations: { ...uid, [annotations.certificateUid]: 'new-uid' } }), ...adopt }],
    },
    'gets its owner when the policy is Delete again': {
      given: retained.asking({ deletionPolicy: 'Delete' }),
      plan: [{ ...update({ annotations: { ...uid, [annotations.certificateUid]: null } }), ...adopt }],
    },
  });
});

describe('the annotation secret-name', () => {
  check({
    'alone is no reason to write a Secret from before it existed': {
      given: issued.whereSecret('server', namedAs(undefined)),
      plan: [keep],
    },
    'comes with the next write of such a Secret': {
      given: issued.whereSecret('server', namedAs(undefined)).whereSecret('server', withData({ 'ca.crt': '' })),
      plan: [update()],
    },
    'is put right where it names another Secret': {
      given: issued.whereSecret('server', namedAs('original')),
      plan: [update()],
    },
  });
});

describe('a Secret that is being deleted, and held by a finalizer', () => {
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
    'is not deleted again to be replaced when it is immutable': {
      given: held.whereSecret('server', (secret) => ({ ...secret, immutable: true })),
      plan: [
        blocked(
          'SecretImmutable',
          `Secret payments-server-tls is immutable, so it gets no new root and no new certificate; it ${isHeld}`,
        ),
      ],
    },
    'nor when it is of another type': {
      given: held.whereSecret('server', (secret) => ({ ...secret, type: 'Opaque' })),
      plan: [blocked('Pending', `Secret payments-server-tls ${isHeld}`)],
    },
  });
});

describe('a Secret of somebody else is left alone', () => {
  const former = conflict(
    'is controlled by an earlier MtlsCertificate payments that was deleted, so the garbage collector will delete it',
    '{"ownerReferences":null}',
  );
  const other = conflict('has another controller', '{"ownerReferences":null}');
  check({
    'when it has no owner, and was not handed over': {
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
    'when a former resource of the same name controls it': { given: issued.with({ uid: 'new-uid' }), plan: [former] },
    'when another kind of the same UID controls it': {
      given: issued.whereSecret('server', ownedBy({ kind: 'Certificate' })),
      plan: [other],
    },
    'when another API group of the same UID controls it': {
      given: issued.whereSecret('server', ownedBy({ apiVersion: 'cert-manager.io/v1' })),
      plan: [other],
    },
    'whatever is wrong with it': {
      given: issued.whereSecret('server', ownedBy({ uid: 'x' })).whereSecret('server', withData({ 'tls.crt': '' })),
      plan: [former],
    },
    'whatever the state of the authority': {
      given: issued.whereSecret('server', ownedBy({ uid: 'x' })),
      under: { state: 'missing' },
      plan: [former],
    },
  });

  test('and the command in the message hands it over', () => {
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

  test('when another resource has claimed its name first, even if it is one’s own', () => {
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

describe('without its authority', () => {
  const missing = { state: 'missing' } as const;
  const bad = notReady('RootExpired', 'the root expired');
  const notFound = blocked(
    'AuthorityNotFound',
    'MtlsAuthority default does not exist; create it, or correct spec.authorityRef.name',
  );
  const waiting = (canWait = false) =>
    blocked('AuthorityNotReady', 'MtlsAuthority default: RootExpired: the root expired', { canWait });
  check({
    'nothing is issued when it does not exist': { given: fresh, under: missing, plan: [notFound] },
    'what is there stays when it does not exist': { given: issued, under: missing, plan: [notFound] },
    'nothing is issued while its root is bad': { given: fresh, under: bad, plan: [waiting()] },
    'what is right stays right while its root is bad': { given: issued, under: bad, plan: [keep] },
    'what is corrupted waits for a good root': {
      given: issued.whereSecret('server', withData({ 'tls.crt': '' })),
      under: bad,
      plan: [waiting()],
    },
    'what spec asks for anew waits for a good root': {
      given: issued.asking({ server: { service: 'other' } }),
      under: bad,
      plan: [waiting()],
    },
    'a rotation waits, and the certificate in place does its work': {
      given: issued.rotating('a'),
      under: bad,
      plan: [waiting(true)],
    },
    'a renewal waits, and the certificate in place does its work': {
      given: fresh.issuedBy(signer).expiringIn(days(1)),
      under: bad,
      plan: [waiting(true)],
    },
    'a certificate that has expired waits for a good root': {
      given: fresh.issuedBy(signer).expiringIn(0),
      under: bad,
      plan: [waiting()],
    },
    'a denied name is denied, whatever the root': {
      given: issued.asking({ server: { dnsNames: ['a.other.svc'] } }),
      under: bad,
      plan: [blocked('Denied', `${deniedName('a.other.svc')} (did you mean "a.shop.svc"?)`)],
    },
  });
});

describe('what may not be signed', () => {
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
    'is denied when there is a Secret already, which stays': {
      given: issued.asking({ server: denied.record.spec.server ?? {} }),
      plan: [blocked('Denied', message + stays)],
    },
    'is invalid when spec is': {
      given: issued.asking({ duration: '1m' }),
      plan: [blocked('InvalidSpec', `duration: use at least 5m${stays}`)],
    },
    'is refused when the root’s own name constraints exclude it': {
      given: fresh,
      under: constrained,
      plan: [excluded],
    },
    'is refused so with a Secret, too, which stays': { given: issued, under: constrained, plan: [excluded] },
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
    'nothing is tried before its time': { given: fresh, failedAttempts: failedAttempt(later(1)), plan: [held(false)] },
    'it is tried again at its time': { given: fresh, failedAttempts: failedAttempt(now), plan: [create(fresh)] },
    'a renewal waits while the certificate in place does its work': {
      given: due,
      failedAttempts: failedAttempt(later(1)),
      plan: [held(true)],
    },
    'a repair of the bundle waits, too': {
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
    'what needs nothing is kept': { given: issued, failedAttempts: failedAttempt(later(1)), plan: [keep] },
    'a conflict is a conflict': {
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

describe('a Secret that no role wants any more', () => {
  const ofFormerName = (change: (secret: Secret) => Secret): SecretRecord[] => [
    secretRecord(change(withMetadata(() => ({ name: 'former' }))(issued.secret('server'))), []),
  ];
  const surplus = ofFormerName(namedAs('former'));
  const plan = (given: CertificateFixture, all: readonly SecretRecord[], view: AuthorityState = authority) =>
    planCertificate(given.observed(view, all), now);
  const pruned = (given: CertificateFixture, view?: AuthorityState) => plan(given, surplus, view).prune;
  const remembering = (secretName: string, role = 'server') =>
    issued.remembering({ secrets: [{ role, secretName } as never] });

  test('is never deleted as a copy, whose annotation names the original', () => {
    const copy = ofFormerName((secret) => secret);
    assert.deepEqual(plan(remembering('former'), copy), {
      ...plan(remembering('former'), []),
      prune: [],
      annotate: [],
    });
  });

  test('is deleted without the annotation when it was written before that existed, and status names it', () => {
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

  test('is deleted, while the others are kept or made', () => {
    assert.deepEqual(pruned(issued), surplus);
    assert.deepEqual(pruned(fresh), surplus);
  });

  test('stays while anything stands in the way of the others', () => {
    assert.deepEqual(pruned(fresh.asking({ server: { dnsNames: ['a.other'] } })), []);
    assert.deepEqual(pruned(fresh, notReady('RootMissing', 'there is none')), []);
    assert.deepEqual(pruned(fresh, { state: 'missing' }), []);
    assert.deepEqual(pruned(fresh, { state: 'unknown' }), []);
    assert.deepEqual(pruned(issued.with({ deleting: true })), []);
  });

  const { server: _, ...noRole } = issued.record.spec;
  const withoutRoles = {
    'asks for nothing': issued.with({ spec: noRole }),
    'cannot be read': issued.with({ spec: noRole, specProblem: 'spec.duration does not match the schema …' }),
    'cannot be read, and has tokens': issued.with({ spec: noRole, specProblem: '…', revokeToken: 'a' }).rotating('b'),
  };
  const authorityStates: Record<string, AuthorityState> = {
    'a good root': authority,
    'a bad root': notReady('RootExpired', 'x'),
    'an unknown root': { state: 'unknown' },
    'no authority': { state: 'missing' },
  };
  for (const [what, given] of Object.entries(withoutRoles)) {
    for (const [whose, view] of Object.entries(authorityStates)) {
      test(`stays while the spec of its resource ${what}, with ${whose}`, () => {
        const all = [issued.secretRecord('server'), ...surplus];
        assert.equal(given.observed(view, all).surplus.length, 2);
        assert.deepEqual(plan(given, all, view), { secrets: [], prune: [], annotate: [] });
      });
    }
  }
});

test('a plan holds nothing of a key', () => {
  const plan = JSON.stringify(planCertificate(issued.rotating('a').observed(authority), now));
  const key = Buffer.from(issued.secret('server').data?.['tls.key'] ?? '', 'base64').toString();
  const body = key.split('\n').slice(1, -2);
  assert.ok(body.length > 1 && body.every((line) => !plan.includes(line)));
});
