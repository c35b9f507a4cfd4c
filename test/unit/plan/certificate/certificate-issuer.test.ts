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

/** The lists of an authority that signs with the second intermediate, and has lost the key of the first one. */
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

/** The part of the time with a renewable CRL that the resource of the fixtures waits. */
const share = hashFraction(`${issuerIdOf(first)}/${issued.record.uid}`) / 2;
const leftMs = Math.ceil(crlRenewBeforeMs * (1 - share));
const { content } = issued.secretRecord('server', ready(first));
const serial = 'leaf' in content ? content.leaf.serialNumber : '';

describe('a certificate of an intermediate whose key is gone', () => {
  const unlistable = blocked(
    'CrlUnavailable',
    `${serial} cannot be revoked: the root Secret of MtlsAuthority default lacks the key of the issuer (CN=First); put that ` +
      'CA into the Secret as previous.crt and previous.key, or remove the annotation revoke, and set the annotation rotate to replace the certificate',
    { canWait: true },
  );
  check({
    'stays while its CRL is fresh, until its turn': {
      given: issued,
      under: under(days(30)),
      plan: [keep],
    },
    'is issued again when its turn has come, before that CRL ends': {
      given: issued,
      under: under(leftMs),
      plan: [issue(issued, 'IssuerKeyMissing', messages.IssuerKeyMissing)],
    },
    'does not answer a request to revoke it, and has its turn all the same': {
      given: issued.with({ revokeToken: 't1' }),
      under: under(days(30)),
      plan: [unlistable],
    },
    'is replaced when that is asked for, and does not answer the request to revoke it by that': {
      given: issued.with({ revokeToken: 't1', rotateToken: 'r1' }),
      under: under(days(30)),
      plan: [issue(issued, 'RotationRequested', messages.RotationRequested, { token: 'r1' })],
    },
  });
});

describe('a certificate that was cut short by the end of its root', () => {
  const ending = root({ name: 'Ending', at: later(-days(20)), durationMs: days(30) });
  const below = intermediate(ending);
  const cut = fresh.issuedBy(below, later(-days(5)));
  check({
    'is kept when that root is renewed: the next one lasts as long as spec asks for': {
      given: cut,
      under: ready({ ...below, anchor: renewedRoot(ending, 'Ending').anchor }),
      plan: [update()],
    },
  });
});

test('a certificate of such an intermediate that is on its last CRL can be revoked: it is replaced', () => {
  const given = issued.with({ revokeToken: 't1' });
  const stepUnder = (revoked: readonly string[]) =>
    planCertificate(given.observed(under(days(30), revoked)), now).secrets[0]?.step;
  const step = stepUnder([serial]);
  assert.ok(step?.step === 'issue');
  assert.deepEqual([step.reason, step.metadata.annotations[annotations.revoke]], ['RevocationRequested', 't1']);
  assert.equal(stepUnder([])?.step, 'blocked');
});

test('a resource is read again at the turn of its certificate, whatever it waits for now', () => {
  const turn = later(days(30) - leftMs);
  const asking = issued.with({ revokeToken: 't1' });
  for (const { certificate, roles } of [issued, asking].map((given) => given.observed(under(days(30))))) {
    const { bundle, ...view } = under(days(30));
    const outcomes = roles.map((role) => ({ role }));
    const plan = planCertificateStatus(certificate, outcomes, now, bundle.roots, { bundle, ...view });
    assert.deepEqual(plan.requeueAt, turn);
  }
});

describe('a certificate whose end was cut by the end of its root', () => {
  const ending = root({ name: 'Ending', at: later(-days(100)), durationMs: days(130) });
  const cut = fresh.issuedBy(ending, later(-hours(1)));
  check({
    'stays when its root is renewed with the same key for longer': {
      given: cut,
      under: { ...authority, ...ready(renewedRoot(ending, 'Ending')) },
      plan: [{ step: 'update', metadata: marks() }],
    },
  });
});
