import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { annotations } from '../../../../src/api/constants.ts';
import { type Issuer, sha256Hex } from '../../../../src/pki/index.ts';
import { type IssueReason, planCertificate } from '../../../../src/plan/index.ts';
import { grantingRules, ready } from '../../../support/fixtures/authority.ts';
import type { CertificateFixture } from '../../../support/fixtures/certificate.ts';
import { intermediate, renewed, root } from '../../../support/fixtures/roots.ts';
import { withData, withMarks } from '../../../support/fixtures/secret.ts';
import { days, earlier, hours, later, minutes } from '../../../support/fixtures/times.ts';
import { changed, create, issue, keep, type Marks, messages, update } from './certificate-steps.ts';
import { authority, check, fresh, issued, signer, timesOf } from './certificate-table.ts';

describe('a change of spec', () => {
  const { spec } = fresh.record;
  const granting = { ...authority, ...grantingRules };
  const changes: [title: string, change: Parameters<CertificateFixture['asking']>[0], message: string][] = [
    ['of the Service', { server: { service: 'other' } }, changed.profile],
    ['by one more name', { server: { service: 'payments', dnsNames: ['a.shop.svc'] } }, changed.profile],
    ['of the common name', { server: { service: 'payments', commonName: 'payments' } }, changed.profile],
    ['of the subject', { subject: { organizations: ['Org'] } }, changed.profile],
    ['of the key’s size', { privateKey: { ...spec.privateKey, size: 384 } }, changed.key],
    [
      'of the key’s algorithm, except to RSA',
      { privateKey: { ...spec.privateKey, algorithm: 'Ed25519' } },
      changed.key,
    ],
    [
      'of the key’s algorithm to RSA, which has another key usage',
      { privateKey: { ...spec.privateKey, algorithm: 'RSA' } },
      changed.profile,
    ],
    ['of the key’s encoding', { privateKey: { ...spec.privateKey, encoding: 'SEC1' } }, changed.key],
    ['to a longer duration', { duration: '2161h' }, changed.duration],
    ['to a shorter duration', { duration: '2159h' }, changed.duration],
    ['by two seconds of duration', { duration: '2160h2s' }, changed.duration],
    ['to two seconds more than the lifetime of the certificate', { duration: '2160h5m2s' }, changed.duration],
    ['to two seconds less than the lifetime of the certificate', { duration: '2160h4m58s' }, changed.duration],
  ];
  for (const [title, change, message] of changes) {
    const given = issued.asking(change);
    check({ [`${title} re-issues`]: { given, under: granting, plan: [issue(given, 'SpecChanged', message)] } });
  }

  const keeping: [title: string, change: Parameters<CertificateFixture['asking']>[0]][] = [
    ['of the size to the default', { privateKey: { ...spec.privateKey, size: 256 } }],
    ['of renewBefore, while it is not due', { renewBefore: '24h' }],
    ['of the rotation policy', { privateKey: { ...spec.privateKey, rotationPolicy: 'Never' } }],
    ['of the notation of a duration', { duration: '129600m' }],
    // As cert-manager issues them: not backdated, so the lifetime is exactly the duration.
    ['to the exact lifetime of the certificate', { duration: '2160h5m' }],
    ['of the notation of a name', { server: { service: 'payments', dnsNames: ['Payments.SHOP.'] } }],
  ];
  for (const [title, change] of keeping) {
    check({ [`${title} issues no certificate`]: { given: issued.asking(change), plan: [keep] } });
  }

  const ending = root({ at: later(-days(1)), durationMs: days(31) });
  const cut = fresh.issuedBy(ending);
  check({
    'that adds a role issues only for that role': {
      given: issued.asking({ client: { serviceAccount: 'a' } }),
      plan: [keep, create(issued.asking({ client: { serviceAccount: 'a' } }), { role: 'client' })],
    },
    'to a longer duration issues no certificate when the root expires earlier': {
      given: cut.asking({ duration: '8760h' }),
      under: ready(ending),
      plan: [keep],
    },
    'to a duration that ends before the root’s expiry issues again': {
      given: cut.asking({ duration: '24h' }),
      under: ready(ending),
      plan: [issue(cut.asking({ duration: '24h' }), 'SpecChanged', changed.duration)],
    },
  });

  test('is not detected because of the fraction of the second in which a certificate was issued', () => {
    for (const ms of [0, 1, 499, 500, 999]) {
      for (const duration of ['5m', '300500ms', '301999ms', '2160h']) {
        const given = fresh.asking({ duration }).issuedBy(signer, later(ms));
        assert.deepEqual(planCertificate(given.observed(authority), later(ms)).secrets[0]?.step, keep);
      }
    }
  });

  test('is not detected for a certificate that the notBefore of a new root has cut', () => {
    const young = root({ at: later(minutes(5)) });
    for (const ms of [0, 1, minutes(1), minutes(4)]) {
      const given = fresh.asking({ duration: '1h' }).issuedBy(young, later(ms));
      assert.deepEqual(planCertificate(given.observed(ready(young)), later(ms)).secrets[0]?.step, keep);
    }
  });
});

describe('a rotation by annotation', () => {
  const asked = issued.rotating('a');
  const done = fresh.rotating('a').issuedBy(signer);
  const told = done.reported(authority).record.status.secrets ?? [];
  const forged = done.remembering({ secrets: told });
  const lost = done.whereSecret('server', withMarks('annotations', { [annotations.rotate]: undefined }));
  check({
    'issues with a new value': {
      given: asked,
      plan: [issue(asked, 'RotationRequested', messages.RotationRequested, { token: 'a' })],
    },
    'issues with another value': {
      given: done.rotating('b'),
      plan: [issue(done.rotating('b'), 'RotationRequested', messages.RotationRequested, { token: 'b' })],
    },
    'is handled once the Secret records its value': { given: done, plan: [keep] },
    'is not repeated when the annotation was lost but status has the value; the annotation is restored': {
      given: lost.remembering({ lastHandledRotate: 'a' }),
      plan: [update({ token: 'a' })],
    },
    'is not repeated when the annotation was changed but status has the value': {
      given: done
        .whereSecret('server', withMarks('annotations', { [annotations.rotate]: 'x' }))
        .remembering({ lastHandledRotate: 'a' }),
      plan: [update({ token: 'a' })],
    },
    'is pending when only an earlier value was handled': {
      given: lost.remembering({ lastHandledRotate: 'z' }),
      plan: [issue(lost, 'RotationRequested', messages.RotationRequested, { token: 'a' })],
    },
    'is pending when another client wrote the annotation next to the certificate in status': {
      given: forged,
      plan: [issue(forged, 'RotationRequested', messages.RotationRequested, { token: 'a' })],
    },
    'is handled when the operator stopped before it wrote status': { given: forged.issuedBy(signer), plan: [keep] },
    'is handled for a Secret for which status says so, while others are pending': {
      given: lost.remembering({ secrets: told.map((one) => ({ ...one, handledRotate: 'a' })) }),
      plan: [update({ token: 'a' })],
    },
    'is withdrawn with the annotation, and the next certificate does not record it': {
      given: done.withoutToken().asking({ duration: '24h' }),
      plan: [
        issue(done.withoutToken().asking({ duration: '24h' }), 'SpecChanged', changed.duration, {
          annotations: { [annotations.template]: null, [annotations.rotate]: null },
        }),
      ],
    },
    'is withdrawn with the annotation, and the recorded value stays': { given: done.withoutToken(), plan: [keep] },
    'is recorded with a certificate that is issued for another reason': {
      given: fresh.rotating('a'),
      plan: [create(fresh.rotating('a'), { token: 'a' })],
    },
  });
});

const never = fresh.asking({ privateKey: { algorithm: 'ECDSA', encoding: 'PKCS8', rotationPolicy: 'Never' } });

describe('with rotationPolicy Never, the key', () => {
  const own = never.issuedBy(signer);
  const dueAt = later(days(80));
  const reissue = (
    given: CertificateFixture,
    reason: IssueReason,
    message: string,
    keepKey: boolean,
    more: Marks = {},
  ) => [issue(given, reason, message, { keepKey, ...more })];
  const renamed = own.asking({ server: { service: 'other' } });
  const known = own.reported(authority);
  const emptied = known.whereSecret('server', withData({ 'tls.crt': '' }));
  const strange = known.whereSecret('server', () => never.issuedBy(root()).secret('server'));
  const other = never.asking({ server: { service: 'other' } }).issuedBy(signer);
  const moved = known.whereSecret('server', () => other.secret('server'));
  const untrusted = ready(root());
  const { renewal } = timesOf(own);
  check({
    'is kept at renewal': {
      given: own,
      at: dueAt,
      plan: reissue(own, 'RenewalDue', `renewal was due at ${renewal.toISOString()}`, true),
    },
    'is kept after expiry': {
      given: own,
      at: later(days(91)),
      plan: reissue(own, 'Expired', `the certificate expired at ${later(days(90)).toISOString()}`, true),
    },
    'is kept when spec changes': { given: renamed, plan: reissue(renamed, 'SpecChanged', changed.profile, true) },
    'is kept when the certificate was lost': {
      given: emptied,
      plan: reissue(emptied, 'SecretCorrupted', 'tls.crt holds no certificate', true),
    },
    'is kept when the root changes': {
      given: known,
      under: untrusted,
      plan: reissue(known, 'RootNotTrusted', messages.RootNotTrusted, true),
    },
    'is replaced when another client wrote a pair of its own': {
      given: strange,
      plan: reissue(strange, 'RootNotTrusted', messages.RootNotTrusted, false),
    },
    'is replaced when the origin of the key is unknown': {
      given: own.whereSecret('server', withData({ 'tls.crt': '' })),
      plan: reissue(own, 'SecretCorrupted', 'tls.crt holds no certificate', false),
    },
    'is replaced when the pair of another resource was written': {
      given: moved,
      plan: reissue(moved, 'SpecChanged', changed.profile, false),
    },
    'is replaced when a user requests a rotation': {
      given: own.rotating('a'),
      plan: reissue(own.rotating('a'), 'RotationRequested', messages.RotationRequested, false, { token: 'a' }),
    },
    'is generated again when the Secret is gone': { given: never, plan: [create(never)] },
  });
});

describe('renewal', () => {
  const { notAfter, renewal } = timesOf(issued);
  const due = (given: CertificateFixture, at: Date) => [
    issue(given, 'RenewalDue', `renewal was due at ${at.toISOString()}`),
  ];
  // The root expires in ten days, so the leaf is cut to ten days.
  const ending = root({ at: later(-days(20)), durationMs: days(30) });
  const keptAt = (at: Date, given: CertificateFixture, by: Issuer) => ({ given, under: ready(by), at, plan: [keep] });
  const cut = fresh.issuedBy(ending);
  const endingBelow = intermediate(signer, { at: later(-days(20)), durationMs: days(30) });
  const cutBelow = fresh.issuedBy(endingBelow);
  const endingAbove = intermediate(ending);
  const cutAbove = fresh.issuedBy(endingAbove);
  check({
    'does not come before its time': { given: issued, at: new Date(renewal.getTime() - 1), plan: [keep] },
    'comes at its time': { given: issued, at: renewal, plan: due(issued, renewal) },
    'comes in the last moment before expiry': {
      given: issued,
      at: new Date(notAfter.getTime() - 1),
      plan: due(issued, renewal),
    },
    'replaces an expired certificate': {
      given: issued,
      at: notAfter,
      plan: [issue(issued, 'Expired', `the certificate expired at ${notAfter.toISOString()}`)],
    },
    'does not come when the root’s expiry allows no longer lifetime': keptAt(later(days(9)), cut, ending),
    'does not come when an intermediate’s expiry allows no longer lifetime': keptAt(
      later(days(9)),
      cutBelow,
      endingBelow,
    ),
    'does not come when the expiry of the root above an intermediate allows no longer lifetime': keptAt(
      later(days(9)),
      cutAbove,
      endingAbove,
    ),
    'does not come after the expiry of a root that has not been read again': keptAt(
      later(days(11)),
      cutAbove,
      endingAbove,
    ),
    'comes when a new intermediate lasts longer': {
      given: cutBelow,
      under: ready(intermediate(signer)),
      at: later(days(9)),
      plan: due(cutBelow, timesOf(cutBelow).renewal),
    },
    'does not come in the root’s last second': {
      given: cut,
      under: ready(ending),
      at: later(days(10) - 1),
      plan: [keep],
    },
    'comes when a new root lasts longer': {
      given: cut,
      under: ready(signer, ending),
      at: later(days(9)),
      plan: due(cut, timesOf(cut).renewal),
    },
    'comes earlier when spec is changed to that': {
      given: issued.asking({ renewBefore: '2000h' }),
      at: later(hours(161)),
      plan: due(issued.asking({ renewBefore: '2000h' }), timesOf(issued.asking({ renewBefore: '2000h' })).renewal),
    },
  });
});

/** The first certificate in tls.crt, without its chain. */
const leafOf = (given: CertificateFixture): string =>
  /^[^]*?-----END CERTIFICATE-----\n/.exec(
    Buffer.from(given.secret('server').data?.['tls.crt'] ?? '', 'base64').toString(),
  )?.[0] ?? '';

describe('a change of roots', () => {
  const next = root({ name: 'Next' });
  const ending = renewed(signer, { notBefore: earlier(days(365)), notAfter: later(days(30)) });
  check({
    'issues again a certificate that outlives its root, as cert-manager may have issued it': {
      given: issued,
      under: ready(ending),
      plan: [issue(issued, 'SpecChanged', changed.outlives)],
    },
    'keeps a certificate that ends in the second in which its root does': {
      given: fresh.issuedBy(ending),
      under: ready(ending),
      plan: [keep],
    },
    'writes the new bundle and keeps a certificate whose root is trusted': {
      given: issued,
      under: ready(signer, next),
      plan: [update()],
    },
    'keeps a certificate issued by a former root that is trusted': {
      given: issued,
      under: ready(next, signer),
      plan: [update()],
    },
    'issues again when the former root is not trusted any more': {
      given: issued,
      under: ready(next),
      plan: [issue(issued, 'RootNotTrusted', messages.RootNotTrusted)],
    },
  });

  const [first, second] = [intermediate(signer, { name: 'First' }), intermediate(signer, { name: 'Second' })];
  const below = fresh.issuedBy(first);
  check({
    'keeps a certificate whose intermediate was replaced by another under the same root': {
      given: below,
      under: ready(second),
      plan: [keep],
    },
    'keeps a certificate when the signer changes between an intermediate and its root': {
      given: below,
      under: ready(signer),
      plan: [keep],
    },
    'issues again below an intermediate when its root is not trusted any more': {
      given: below,
      under: ready(intermediate(next)),
      plan: [issue(below, 'RootNotTrusted', messages.RootNotTrusted)],
    },
    'issues again when the intermediates are missing in the Secret': {
      given: below.whereSecret('server', withData({ 'tls.crt': leafOf(below) })),
      under: ready(first),
      plan: [issue(below, 'RootNotTrusted', messages.RootNotTrusted)],
    },
  });

  test('is detected by the digest of the bundle', () => {
    const { content } = issued.observed(authority).roles[0]?.secret ?? {};
    assert.equal(content?.bundle, sha256Hex(authority.bundle.pem));
  });
});
