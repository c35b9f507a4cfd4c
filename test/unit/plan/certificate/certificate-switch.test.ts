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

/** A root rotation in the phase Switching: the new root signs. */
const switching = { ...ready(next, signer), acceptedBundleDigests: [bundleOf(signer, next).digest], reissue };
const replaced = (given: CertificateFixture) => [issue(given, 'RootReplaced', messages.RootReplaced)];

/** The metadata that names the owner of the Secret. */
const whose = {
  labels: { [labels.managedBy]: 'mtls-operator', [labels.certificate]: 'payments', [labels.role]: 'server' },
  annotations: { [annotations.secretName]: 'payments-server-tls' },
};
/** An update that writes only the bundle, without labels and annotations. */
const bundleOnly = { step: 'update', metadata: { labels: {}, annotations: {} } } as const;

describe('a certificate issued by the old root', () => {
  const old = holding(issued, next, signer);
  const acceptedBundleDigests = holding(issued, signer, next);
  const never = fresh.asking({ privateKey: { ...fresh.record.spec.privateKey, rotationPolicy: 'Never' } });
  check({
    'is kept until its scheduled time': { given: old, under: switching, plan: [keep] },
    'is kept a moment before its scheduled time': {
      given: old,
      under: switching,
      at: new Date(turn.getTime() - 1),
      plan: [keep],
    },
    'is issued again at its scheduled time': { given: old, under: switching, at: turn, plan: replaced(old) },
    'keeps a bundle with the same roots in another order until then': {
      given: acceptedBundleDigests,
      under: switching,
      plan: [keep],
    },
    'gets the bundle in the new order with the new certificate': {
      given: acceptedBundleDigests,
      under: switching,
      at: turn,
      plan: replaced(acceptedBundleDigests),
    },
    'gets the new bundle at once if its bundle lacks a root': { given: issued, under: switching, plan: [update()] },
    'gets the new bundle at once if the other order is not accepted': {
      given: acceptedBundleDigests,
      under: { ...switching, acceptedBundleDigests: [] },
      plan: [update()],
    },
    'is kept while the new root is distributed': {
      given: acceptedBundleDigests,
      under: ready(signer, next),
      plan: [keep],
    },
    'keeps its key with rotationPolicy Never': {
      given: holding(never.issuedBy(signer), next, signer),
      under: switching,
      at: turn,
      plan: [issue(never, 'RootReplaced', messages.RootReplaced, { keepKey: true })],
    },
    'is replaced by the rotation before its renewal is due': {
      given: old,
      under: switching,
      at: later(days(80)),
      plan: replaced(old),
    },
  });
});

// If this fails, a step before the scheduled time, such as a write of a new CRL, makes the rotation wait for an
// unrelated event.
test('a resource is reconciled at the scheduled time of its certificate, even after an earlier write', () => {
  for (const given of [holding(issued, next, signer), holding(issued, signer, next)]) {
    const { certificate, roles } = given.observed(switching);
    const outcomes = roles.map((role) => ({ role }));
    const { requeueAt } = planCertificateStatus(certificate, outcomes, now, switching.bundle.roots, switching);
    assert.deepEqual(requeueAt, turn);
  }
});

describe('a certificate issued by the active root', () => {
  const done = holding(fresh.issuedBy(next), next, signer);
  const acceptedBundleDigests = holding(fresh.issuedBy(next), signer, next);
  check({
    'is not scheduled': { given: done, under: switching, at: turn, plan: [keep] },
    'keeps a bundle with the same roots in another order': {
      given: acceptedBundleDigests,
      under: switching,
      plan: [keep],
    },
    'gets the bundle in the new order once the other order is not accepted': {
      given: acceptedBundleDigests,
      under: { ...switching, acceptedBundleDigests: [] },
      plan: [update()],
    },
  });
});

describe('while the new root waits for every bundle to hold it, the operator', () => {
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
    'updates bundles': { given: issued, under, plan: [update()] },
    'keeps Secrets that are up to date': { given: old, under, plan: [keep] },
    'issues no first certificate': { given: fresh, under, plan: [waits(false)] },
    'renews no certificate': { given: old, under, at: due, plan: [waits(true)] },
    'updates the bundle of a certificate that it cannot renew': {
      given: issued,
      under,
      at: due,
      plan: [{ ...bundleOnly, blocked: waits(true) }],
    },
    'issues certificates once the wait is over': { given: fresh, under: switching, plan: [create(fresh)] },
  });
});

describe('a certificate that may not be issued again', () => {
  const denied = issued.asking({ server: { service: 'payments', dnsNames: ['example.org'] } });
  const under = ready(signer, next);
  const stepOf = (given: CertificateFixture) => planCertificate(given.observed(under), now).secrets[0]?.step;
  const message = deniedName('example.org');
  const isDenied = blocked('Denied', message + stays);
  const leftAlone: [title: string, given: CertificateFixture, message: string][] = [
    ['holds the bundle already', holding(denied, signer, next), message + stays],
    ['is not valid', denied.whereSecret('server', withData({ 'tls.crt': 'x' })), message],
    ['is not writable', denied.whereSecret('server', (secret) => ({ ...secret, immutable: true })), message + stays],
    ['is missing', denied.withoutSecret('server'), message],
  ];

  test('gets the current roots and is reported as blocked', () => {
    assert.deepEqual(stepOf(denied), { ...bundleOnly, blocked: isDenied });
  });

  for (const [title, given, said] of leftAlone) {
    test(`stays unchanged when its Secret ${title}`, () => assert.deepEqual(stepOf(given), blocked('Denied', said)));
  }

  test('stays unchanged when its Secret has another owner', () => {
    const step = stepOf(denied.whereSecret('server', foreign));
    assert.deepEqual(step?.step === 'blocked' && step.reason, 'SecretConflict');
  });

  test('is adopted when its Secret was handed over, because a rotation counts the Secret', () => {
    const step = stepOf(denied.whereSecret('server', orphaned));
    assert.deepEqual(step, { ...bundleOnly, metadata: whose, ownership: 'adopt', blocked: isDenied });
  });

  test('gets owner metadata instead of its ownerReference with deletionPolicy Retain', () => {
    const step = stepOf(denied.asking({ deletionPolicy: 'Retain' }));
    const withUid = { ...whose.annotations, [annotations.certificateUid]: 'certificate-uid' };
    const metadata = { ...whose, annotations: withUid };
    assert.deepEqual(step, { ...bundleOnly, metadata, ownership: 'release', blocked: isDenied });
  });

  test('stays unchanged when another resource claims its Secret', () => {
    const observed = denied.observed(under);
    const roles = observed.roles.map((role) => ({ ...role, secretNameOwner: 'MtlsCertificate a' }));
    const step = planCertificate({ ...observed, roles }, now).secrets[0]?.step;
    assert.deepEqual(step?.step === 'blocked' && step.reason, 'SecretConflict');
  });

  test('stays unchanged after a failed attempt: a part of the same write is not retried', () => {
    const at = later(days(80));
    const failedAttempts = { attempts: 1, lastFailureTime: now, nextRetryTime: later(days(81)), message: 'm' };
    const observed = issued.observed(under);
    const roles = observed.roles.map((role) => ({ ...role, failedAttempts }));
    const step = planCertificate({ ...observed, roles }, at).secrets[0]?.step;
    assert.deepEqual(step, blocked('IssuanceFailed', 'm', { canWait: true }));
    assert.ok(timesOf(issued).renewal < at);
  });
});
