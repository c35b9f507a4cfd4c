import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { annotations } from '../../../../src/api/constants.ts';
import { type CrlBundle, planCertificate, planCertificateStatus } from '../../../../src/plan/index.ts';
import { crlRenewBeforeMs } from '../../../../src/plan/revocation/crl-schedule.ts';
import { hashFraction } from '../../../../src/plan/timing/jitter.ts';
import { ready } from '../../../support/fixtures/authority.ts';
import { intermediate, issuerIdOf, root } from '../../../support/fixtures/roots.ts';
import { days, hours, later, now } from '../../../support/fixtures/times.ts';
import { renewedRoot } from '../rotation/rotation-roots.ts';
import { blocked, issue, keep, marks, messages, update } from './certificate-steps.ts';
import { authority, check, fresh, signer } from './certificate-table.ts';

const [first, second] = [intermediate(signer, { name: 'First' }), intermediate(signer, { name: 'Second' })];
const issued = fresh.issuedBy(first);

/** The CRLs of an authority that signs with the second intermediate and has lost the key of the first. */
const crl = (endsInMs: number, revoked: readonly string[] = []): CrlBundle => ({
  pem: '',
  digest: 'digest',
  revoked: new Set(revoked),
  entries: { total: revoked.length, byNamespace: new Map() },
  issuers: [issuerIdOf(second)],
  nextUpdate: later(days(30)),
  unrenewable: [{ issuer: issuerIdOf(first), subject: 'CN=First', nextUpdate: later(endsInMs) }],
});
const under = (endsInMs: number, revoked?: readonly string[]) => ({ ...ready(second), crl: crl(endsInMs, revoked) });

/** The share of the CRL's renewal time that the fixture's resource waits. */
const share = hashFraction(`${issuerIdOf(first)}/${issued.record.uid}`) / 2;
const leftMs = Math.ceil(crlRenewBeforeMs * (1 - share));
const { content } = issued.secretRecord('server', ready(first));
const serial = 'leaf' in content ? content.leaf.serialNumber : '';

describe('a certificate issued by an intermediate whose key is gone', () => {
  const unlistable = blocked(
    'CrlUnavailable',
    `${serial} cannot be revoked: the root Secret of MtlsAuthority default lacks the key of the issuer (CN=First); put that ` +
      'CA into the Secret as previous.crt and previous.key, or remove the annotation revoke, and set the annotation rotate to replace the certificate',
    { canWait: true },
  );
  check({
    'stays until its scheduled time while its CRL is fresh': {
      given: issued,
      under: under(days(30)),
      plan: [keep],
    },
    'is issued again at its scheduled time, before its CRL expires': {
      given: issued,
      under: under(leftMs),
      plan: [issue(issued, 'IssuerKeyMissing', messages.IssuerKeyMissing)],
    },
    'is issued again at its scheduled time although a request to revoke it cannot be answered': {
      given: issued.with({ revokeToken: 't1' }),
      under: under(days(30)),
      plan: [unlistable],
    },
    'is replaced on a request to rotate, which does not answer a request to revoke': {
      given: issued.with({ revokeToken: 't1', rotateToken: 'r1' }),
      under: under(days(30)),
      plan: [issue(issued, 'RotationRequested', messages.RotationRequested, { token: 'r1' })],
    },
  });
});

describe('a certificate that was shortened by the expiry of its root', () => {
  const ending = root({ name: 'Ending', at: later(-days(20)), durationMs: days(30) });
  const below = intermediate(ending);
  const cut = fresh.issuedBy(below, later(-days(5)));
  check({
    'is kept when that root is renewed, although the next one will last longer': {
      given: cut,
      under: ready({ ...below, anchor: renewedRoot(ending, 'Ending').anchor }),
      plan: [update()],
    },
  });
});

test('a request to revoke is answered when the last CRL of a lost intermediate lists the certificate', () => {
  const given = issued.with({ revokeToken: 't1' });
  const stepUnder = (revoked: readonly string[]) =>
    planCertificate(given.observed(under(days(30), revoked)), now).secrets[0]?.step;
  const step = stepUnder([serial]);
  assert.ok(step?.step === 'issue');
  assert.deepEqual([step.reason, step.metadata.annotations[annotations.revoke]], ['RevocationRequested', 't1']);
  assert.equal(stepUnder([])?.step, 'blocked');
});

test('a resource is reconciled at the scheduled time of its certificate, even while it waits for another event', () => {
  const turn = later(days(30) - leftMs);
  const asking = issued.with({ revokeToken: 't1' });
  for (const { certificate, roles } of [issued, asking].map((given) => given.observed(under(days(30))))) {
    const { bundle, ...view } = under(days(30));
    const outcomes = roles.map((role) => ({ role }));
    const plan = planCertificateStatus(certificate, outcomes, now, bundle.roots, { bundle, ...view });
    assert.deepEqual(plan.requeueAt, turn);
  }
});

describe('a certificate whose expiry was cut by its root', () => {
  const ending = root({ name: 'Ending', at: later(-days(100)), durationMs: days(130) });
  const cut = fresh.issuedBy(ending, later(-hours(1)));
  check({
    'stays when its root is renewed for longer with the same key': {
      given: cut,
      under: { ...authority, ...ready(renewedRoot(ending, 'Ending')) },
      plan: [{ step: 'update', metadata: marks() }],
    },
  });
});
