import { describe } from 'node:test';
import { annotations, outputKeys } from '../../../../src/api/constants.ts';
import { outputsDigest } from '../../../../src/controllers/objects/output-data.ts';
import { parseCrls, trustBundle } from '../../../../src/pki/index.ts';
import { reissueTime } from '../../../../src/plan/certificate/reissue.ts';
import {
  type AuthorityState,
  type CrlBundle,
  encodeOutputsRecord,
  planCrls,
  type SecretStep,
} from '../../../../src/plan/index.ts';
import { crlBundle } from '../../../../src/plan/revocation/crl-bundle.ts';
import { ready } from '../../../support/fixtures/authority.ts';
import { issuerIdOf, root } from '../../../support/fixtures/roots.ts';
import { withData, withMarks } from '../../../support/fixtures/secret.ts';
import { days, hours, later, now } from '../../../support/fixtures/times.ts';
import { crlDataNow } from '../../../support/sign.ts';
import { blocked, create, issue, keep, marks, messages, update } from './certificate-steps.ts';
import { authority, check, fresh, issued, signer } from './certificate-table.ts';

/** The signer's CRLs that list these serial numbers. */
function crlWith(...serials: readonly string[]): CrlBundle {
  const revoked = serials.map((serialNumber) => ({
    serialNumber,
    issuer: issuerIdOf(signer),
    revokedAt: now,
    notAfter: later(days(90)),
  }));
  const plan = planCrls({ crls: [], revocations: [] }, [signer], revoked, now);
  const data = plan === undefined ? {} : crlDataNow(plan, [signer]);
  const crls = parseCrls(Buffer.from(data['ca.crl'] ?? '', 'base64').toString('latin1'));
  const bundle = crlBundle({ crls, revocations: [] }, [signer]);
  if (bundle === undefined) throw new Error('the signer signs no CRLs');
  return bundle;
}

const underCrl = (...serials: readonly string[]): AuthorityState => ({ ...authority, crl: crlWith(...serials) });
const asking = issued.with({ revokeToken: 't1' });
const content = issued.observed(authority).roles[0]?.secret?.content;
const mine = content !== undefined && 'leaf' in content ? content.leaf.serialNumber : '';

/** The resource with status written, and the annotation that another client adds to its Secret. */
const told = asking.remembering(issued.reported(authority).record.status);
const noted = withMarks('annotations', { [annotations.revoke]: 't1' });
/** The operator stopped after it issued the certificate and before it wrote status. */
const ended = told.issuedBy(signer).whereSecret('server', noted);
const another = { serialNumber: '51', fingerprint: 'f', publicKeyFingerprint: 'k' };
const [entry] = told.record.status.secrets ?? [];
if (entry === undefined) throw new Error('status has no Secret');

const sameKey = { publicKeyFingerprint: entry.publicKeyFingerprint ?? '' };

/** The metadata of a Secret that was issued for the token. */
const answering = <Step extends Extract<SecretStep, { metadata: object }>>(step: Step) => ({
  ...step,
  metadata: { ...step.metadata, annotations: { ...step.metadata.annotations, [annotations.revoke]: 't1' } },
});
const reissue = answering(issue(issued, 'RevocationRequested', messages.RevocationRequested));
const waiting = (serials: string, message = `waiting for the CRL of MtlsAuthority default to list ${serials}`) => ({
  step: 'blocked' as const,
  reason: 'Pending' as const,
  message,
  canWait: true,
  awaitsCrl: true as const,
});

/** The fixtures' namespace has used its whole share. */
const exhausted = {
  ...authority,
  crl: { ...crlWith(), entries: { total: 1300, byNamespace: new Map([['shop', 1240]]) } },
};
const noShare =
  `waiting for the CRL of MtlsAuthority default to list ${mine}: namespace shop has used its share of the CRL, 1240 of 5000 ` +
  'entries (a quarter of what other namespaces leave). An entry leaves when its certificate expires; a shorter ' +
  'spec.duration makes room sooner. To make room now, ask an administrator to rotate the root, which empties the CRL: ' +
  'kubectl annotate mtlsauthority default --overwrite mtls-operator.io/rotate-root="$(date +%s)"';

/** A root rotation in the phase Switching. */
const next = root({ name: 'Next' });
const ofRoot = { id: 'r1', since: now, windowMs: hours(1), resumedAt: new Date(0) };
const turn = reissueTime(ofRoot, issued.record.uid);
const bundle = trustBundle(next.anchor, [signer.anchor]);
const switching: AuthorityState = { ...exhausted, ...ready(next, signer), crl: exhausted.crl, reissue: ofRoot };
const holding = asking.whereSecret('server', withData({ 'ca.crt': bundle.pem }));

const unrevocable = blocked(
  'CrlUnavailable',
  `${mine} cannot be revoked: MtlsAuthority default has no CRL, because the key usage of its root or intermediate lacks ` +
    'cRLSign; remove the annotation revoke, and set the annotation rotate to replace the certificate',
  { canWait: true },
);

describe('a request to revoke', () => {
  check({
    'waits until the CRL lists the current certificate': { given: asking, under: underCrl(), plan: [waiting(mine)] },
    'issues a new certificate once the CRL lists the old one': {
      given: asking,
      under: underCrl(mine),
      plan: [reissue],
    },
    'generates a new key even with rotationPolicy Never': {
      given: asking.asking({ privateKey: { ...issued.record.spec.privateKey, rotationPolicy: 'Never' } }),
      under: underCrl(mine),
      plan: [
        {
          ...reissue,
          request: { ...reissue.request, keepKey: true },
        },
      ],
    },
    'waits until the CRL also lists the certificate that was in the Secret before it was lost': {
      given: asking.withoutSecret('server').remembering({
        secrets: [
          {
            role: 'server',
            secretName: 'payments-server-tls',
            serialNumber: '51',
            fingerprint: 'f',
            rootFingerprint: signer.anchor.fingerprint,
            notBefore: '2026-01-01T00:00:00Z',
            notAfter: '2027-01-01T00:00:00Z',
            renewalTime: '2026-12-01T00:00:00Z',
            revision: 1,
          },
        ],
      }),
      under: underCrl(),
      plan: [{ ...waiting('51'), canWait: false }],
    },
    'also delays an issue for another reason until the CRL lists the certificate': {
      given: asking.asking({ duration: '24h' }),
      under: underCrl(),
      plan: [{ ...waiting(mine), canWait: false }],
    },
    'is answered by an issue for another reason once the CRL lists the certificate': {
      given: asking.with({ rotateToken: 'r1' }),
      under: underCrl(mine),
      plan: [
        answering(
          issue(issued.with({ rotateToken: 'r1' }), 'RotationRequested', messages.RotationRequested, { token: 'r1' }),
        ),
      ],
    },
    'that was set when the resource was created revokes no certificate': {
      given: fresh.with({ revokeToken: 't1' }),
      under: underCrl(),
      plan: [answering(create(fresh))],
    },
    'is handled once': {
      given: asking.whereSecret('server', withMarks('annotations', { [annotations.revoke]: 't1' })),
      under: underCrl(),
      plan: [keep],
    },
    'is handled once, even if the annotation on the Secret was lost': {
      given: asking.remembering({ lastHandledRevoke: 't1' }),
      under: underCrl(),
      plan: [answering({ step: 'update', metadata: marks() })],
    },
    'is not answered by an annotation of another client on the Secret': {
      given: told.whereSecret('server', noted),
      under: underCrl(),
      plan: [waiting(mine)],
    },
    'is answered once even if another client changes the annotation on the Secret': {
      given: told.whereSecret('server', noted),
      under: underCrl(mine),
      plan: [reissue],
    },
    'is not answered by the annotation next to a replaced certificate that was restored': {
      given: told.whereSecret('server', noted).remembering({ secrets: [{ ...entry, ...another, replaced: [entry] }] }),
      under: underCrl(mine, another.serialNumber),
      plan: [reissue],
    },
    'is not answered by the annotation next to another certificate for the same key': {
      given: told.whereSecret('server', noted).remembering({ secrets: [{ ...entry, ...another, ...sameKey }] }),
      under: underCrl(mine, another.serialNumber),
      plan: [reissue],
    },
    'is handled once when the operator stops before it writes status': {
      given: ended,
      under: underCrl(mine),
      plan: [keep],
    },
    'is not answered by a new certificate until the CRL lists the one in status': {
      given: ended,
      under: underCrl(),
      plan: [waiting(mine)],
    },
    'is handled once for a Secret for which status says so, while others are pending': {
      given: told.remembering({ secrets: [{ ...entry, handledRevoke: 't1' }] }),
      under: underCrl(),
      plan: [answering({ step: 'update', metadata: marks() })],
    },
    'reports the full share of the namespace': {
      given: asking,
      under: exhausted,
      plan: [blocked('CrlShareExhausted', noShare, { canWait: true, awaitsCrl: true })],
    },
    'does not block an issue for another reason when the share is full, and stays pending': {
      given: asking.with({ rotateToken: 'r1' }),
      under: exhausted,
      plan: [issue(issued, 'RotationRequested', messages.RotationRequested, { token: 'r1' })],
    },
    'waits for the CRL when the share of another namespace is full': {
      given: asking,
      under: {
        ...exhausted,
        crl: { ...exhausted.crl, entries: { total: 1300, byNamespace: new Map([['other', 1240]]) } },
      },
      plan: [waiting(mine)],
    },
    'that waits for room does not block the switch to another root': {
      given: holding,
      under: switching,
      at: turn,
      plan: [issue(issued, 'RootReplaced', messages.RootReplaced)],
    },
    'that waits for room waits until the switch to another root': {
      given: holding,
      under: switching,
      plan: [blocked('CrlShareExhausted', noShare, { canWait: true, awaitsCrl: true })],
    },
    'cannot be answered when no CA signs CRLs': { given: asking, plan: [unrevocable] },
    'does not block an issue for another reason when no CA signs CRLs, and stays pending': {
      given: asking.with({ rotateToken: 'r1' }),
      plan: [issue(issued, 'RotationRequested', messages.RotationRequested, { token: 'r1' })],
    },
    'is answered by a new certificate alone when the key of its root is gone': {
      given: asking,
      under: { ...ready(root({ name: 'New' }), signer), crl: { ...crlWith(), issuers: ['the other'] } },
      plan: [reissue],
    },
  });
});

describe('CRLs as an output', () => {
  const crl = crlWith();
  const given = issued.asking({ outputs: { crl: true } });
  const under = { ...authority, crl };
  const step = (digest: string) => ({
    ...update(),
    outputs: { keys: [outputKeys.crl], removed: [], crl: digest },
  });
  const withBytes = given.whereSecret('server', withData({ [outputKeys.crl]: crl.pem }));
  const digest = outputsDigest(withBytes.secret('server').data ?? {}, [outputKeys.crl]);
  const note = encodeOutputsRecord({ keys: [outputKeys.crl], crl: crl.digest, digest });
  const written = withBytes.whereSecret('server', withMarks('annotations', { [annotations.outputs]: note }));
  const another = crlWith('51');
  check({
    'are added': { given, under, plan: [step(crl.digest)] },
    'are kept': { given: written, under, plan: [keep] },
    'are updated when a certificate is revoked': {
      given: written,
      under: { ...authority, crl: another },
      plan: [step(another.digest)],
    },
    'are kept unchanged when no CA signs them any more': { given: written, plan: [keep] },
    'are unavailable from a CA that may not sign CRLs': {
      given,
      plan: [
        blocked(
          'CrlUnavailable',
          'MtlsAuthority default has no CRL: the key usage of its root or intermediate lacks cRLSign; remove outputs.crl',
          { canWait: false },
        ),
      ],
    },
  });
});
