import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { annotations, labels } from '../../../../src/api/constants.ts';
import { type Issuer, trustBundle } from '../../../../src/pki/index.ts';
import { reissueTime } from '../../../../src/plan/certificate/reissue.ts';
import { planCertificate, planCertificateStatus, type ReadyAuthority } from '../../../../src/plan/index.ts';
import { ready } from '../../../support/fixtures/authority.ts';
import type { CertificateFixture } from '../../../support/fixtures/certificate.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { foreign, orphaned, withData } from '../../../support/fixtures/secret.ts';
import { days, hours, later, now } from '../../../support/fixtures/times.ts';
import { blocked, create, deniedName, issue, keep, messages, stays, update } from './certificate-steps.ts';
import { check, fresh, issued, signer, timesOf } from './certificate-table.ts';

const next = root({ name: 'Next' });
const reissue = { id: 'r1', since: now, windowMs: hours(1), resumedAt: new Date(0) };
const turn = reissueTime(reissue, fresh.record.uid);
const bundleOf = (first: Issuer, ...rest: readonly Issuer[]) =>
  trustBundle(
    first.anchor,
    rest.map(({ anchor }) => anchor),
  );
const holding = (given: CertificateFixture, ...[first = signer, ...rest]: readonly Issuer[]) =>
  given.whereSecret('server', withData({ 'ca.crt': bundleOf(first, ...rest).pem }));

/** The new root signs, and certificates switch one after the other. */
const switching = { ...ready(next, signer), acceptedBundleDigests: [bundleOf(signer, next).digest], reissue };
const replaced = (given: CertificateFixture) => [issue(given, 'RootReplaced', messages.RootReplaced)];

/** The metadata that says whose the Secret is. */
const whose = {
  labels: { [labels.managedBy]: 'mtls-operator', [labels.certificate]: 'payments', [labels.role]: 'server' },
  annotations: { [annotations.secretName]: 'payments-server-tls' },
};
/** Nothing but the bundle is written; labels and annotations stay as they are. */
const bundleOnly = { step: 'update', metadata: { labels: {}, annotations: {} } } as const;

describe('a certificate of the root that is replaced', () => {
  const old = holding(issued, next, signer);
  const acceptedBundleDigests = holding(issued, signer, next);
  const never = fresh.asking({ privateKey: { ...fresh.record.spec.privateKey, rotationPolicy: 'Never' } });
  check({
    'is kept until its turn': { given: old, under: switching, plan: [keep] },
    'is kept in the moment before': {
      given: old,
      under: switching,
      at: new Date(turn.getTime() - 1),
      plan: [keep],
    },
    'is issued anew when its turn has come': { given: old, under: switching, at: turn, plan: replaced(old) },
    'keeps a bundle of the same roots until then, the other one in front': {
      given: acceptedBundleDigests,
      under: switching,
      plan: [keep],
    },
    'gets the bundle of the new order with the new certificate': {
      given: acceptedBundleDigests,
      under: switching,
      at: turn,
      plan: replaced(acceptedBundleDigests),
    },
    'gets the bundle at once where that lacks a root': { given: issued, under: switching, plan: [update()] },
    'gets the bundle at once where the other order is not tolerated': {
      given: acceptedBundleDigests,
      under: { ...switching, acceptedBundleDigests: [] },
      plan: [update()],
    },
    'is kept while the new root is distributed': {
      given: acceptedBundleDigests,
      under: ready(signer, next),
      plan: [keep],
    },
    'keeps its key where the key is never to be replaced': {
      given: holding(never.issuedBy(signer), next, signer),
      under: switching,
      at: turn,
      plan: [issue(never, 'RootReplaced', messages.RootReplaced, { keepKey: true })],
    },
    'comes before its renewal': {
      given: old,
      under: switching,
      at: later(days(80)),
      plan: replaced(old),
    },
  });
});

// Broken if it fails: a step before the turn, such as one for a new CRL, has the rotation wait for something else to happen.
test('a resource is read again at the turn of its certificate, whatever was written before that', () => {
  for (const given of [holding(issued, next, signer), holding(issued, signer, next)]) {
    const { certificate, roles } = given.observed(switching);
    const outcomes = roles.map((role) => ({ role }));
    const { requeueAt } = planCertificateStatus(certificate, outcomes, now, switching.bundle.roots, switching);
    assert.deepEqual(requeueAt, turn);
  }
});

describe('a certificate of the root that signs', () => {
  const done = holding(fresh.issuedBy(next), next, signer);
  const acceptedBundleDigests = holding(fresh.issuedBy(next), signer, next);
  check({
    'has no turn': { given: done, under: switching, at: turn, plan: [keep] },
    'keeps a bundle of the same roots in the other order': {
      given: acceptedBundleDigests,
      under: switching,
      plan: [keep],
    },
    'is put in order once that is not tolerated': {
      given: acceptedBundleDigests,
      under: { ...switching, acceptedBundleDigests: [] },
      plan: [update()],
    },
  });
});

describe('an authority whose root waits for every bundle to hold it', () => {
  const reason = 'RootDistributing';
  const under: ReadyAuthority & { state: 'ready' } = {
    ...ready(next, signer),
    bundle: bundleOf(signer, next),
    issuancePaused: { reason, message: 'it waits' },
  };
  const waits = (canWait: boolean) =>
    ({
      step: 'blocked',
      reason: 'AuthorityNotReady',
      message: 'MtlsAuthority default: RootDistributing: it waits',
      canWait,
    }) as const;
  const old = holding(issued, signer, next);
  const due = later(days(80));
  check({
    'writes bundles': { given: issued, under, plan: [update()] },
    'leaves alone what is as it should be': { given: old, under, plan: [keep] },
    'issues no first certificate': { given: fresh, under, plan: [waits(false)] },
    'renews nothing': { given: old, under, at: due, plan: [waits(true)] },
    'writes the bundle of what it cannot renew': {
      given: issued,
      under,
      at: due,
      plan: [{ ...bundleOnly, blocked: waits(true) }],
    },
    'issues again once it does not wait any more': { given: fresh, under: switching, plan: [create(fresh)] },
  });
});

describe('a certificate that may not be issued anew', () => {
  const denied = issued.asking({ server: { service: 'payments', dnsNames: ['example.org'] } });
  const under = ready(signer, next);
  const stepOf = (given: CertificateFixture) => planCertificate(given.observed(under), now).secrets[0]?.step;
  const message = deniedName('example.org');
  const isDenied = blocked('Denied', message + stays);
  const leftAlone: [title: string, given: CertificateFixture, message: string][] = [
    ['holds the bundle already', holding(denied, signer, next), message + stays],
    ['cannot be read', denied.whereSecret('server', withData({ 'tls.crt': 'x' })), message],
    [
      'is not to be written',
      denied.whereSecret('server', (secret) => ({ ...secret, immutable: true })),
      message + stays,
    ],
    ['is not there', denied.withoutSecret('server'), message],
  ];

  test('gets the roots that are trusted now, and is said to be in the way', () => {
    assert.deepEqual(stepOf(denied), { ...bundleOnly, blocked: isDenied });
  });

  for (const [title, given, said] of leftAlone) {
    test(`is left alone when its Secret ${title}`, () => assert.deepEqual(stepOf(given), blocked('Denied', said)));
  }

  test('is left alone when its Secret is somebody else’s', () => {
    const step = stepOf(denied.whereSecret('server', foreign));
    assert.deepEqual(step?.step === 'blocked' && step.reason, 'SecretConflict');
  });

  test('is adopted when its Secret was handed over, since a rotation counts it', () => {
    const step = stepOf(denied.whereSecret('server', orphaned));
    assert.deepEqual(step, { ...bundleOnly, metadata: whose, ownership: 'adopt', blocked: isDenied });
  });

  test('loses its ownerReference, and says in its metadata whose it is, when the Secret is to be retained', () => {
    const step = stepOf(denied.asking({ deletionPolicy: 'Retain' }));
    const withUid = { ...whose.annotations, [annotations.certificateUid]: 'certificate-uid' };
    const metadata = { ...whose, annotations: withUid };
    assert.deepEqual(step, { ...bundleOnly, metadata, ownership: 'release', blocked: isDenied });
  });

  test('is left alone when another resource claims its Secret', () => {
    const observed = denied.observed(under);
    const roles = observed.roles.map((role) => ({ ...role, secretNameOwner: 'MtlsCertificate a' }));
    const step = planCertificate({ ...observed, roles }, now).secrets[0]?.step;
    assert.deepEqual(step?.step === 'blocked' && step.reason, 'SecretConflict');
  });

  test('is left alone after an attempt that has failed: the same write is not tried in part', () => {
    const at = later(days(80));
    const failedAttempts = { attempts: 1, lastFailureTime: now, nextRetryTime: later(days(81)), message: 'm' };
    const observed = issued.observed(under);
    const roles = observed.roles.map((role) => ({ ...role, failedAttempts }));
    const step = planCertificate({ ...observed, roles }, at).secrets[0]?.step;
    assert.deepEqual(step, blocked('IssuanceFailed', 'm', { canWait: true }));
    assert.ok(timesOf(issued).renewal < at);
  });
});
