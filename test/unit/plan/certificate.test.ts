import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { annotations, labels } from '../../../src/api/names.ts';
import { encodePrivateKey, type Role, sha256Hex } from '../../../src/pki/index.ts';
import {
  type AuthorityView,
  type HeldBack,
  type IssueReason,
  planCertificate,
  type SecretStep,
} from '../../../src/plan/index.ts';
import { renewalTime } from '../../../src/plan/renewal.ts';
import {
  type CertificateFixture,
  certificate,
  days,
  encodedRoot,
  hours,
  later,
  minutes,
  notReady,
  now,
  privateKey,
  ready,
  requestOf,
  root,
  withData,
  withMarks,
  withMetadata,
} from '../../support/fixtures.ts';

const signer = root({ name: 'Signer' });
const authority = ready(signer);
const fresh = certificate();
const issued = fresh.issuedBy(signer);
const never = fresh.asking({ privateKey: { algorithm: 'ECDSA', encoding: 'PKCS8', rotationPolicy: 'Never' } });

interface Case {
  readonly given: CertificateFixture;
  readonly under?: AuthorityView;
  readonly at?: Date;
  readonly heldBack?: HeldBack;
  /** The step of each role, in the order of roles. */
  readonly plan: readonly SecretStep[];
}

const keep: SecretStep = { step: 'keep' };
const blocked = (
  reason: Extract<SecretStep, { step: 'blocked' }>['reason'],
  message: string,
  { onlyDue = false } = {},
): SecretStep => ({ step: 'blocked', reason, message, onlyDue });

interface Marks {
  readonly role?: Role;
  readonly revision?: number;
  readonly token?: string;
  readonly labels?: Record<string, string | null>;
  /** What the patch says of the annotation `template` and those that it lists. */
  readonly annotations?: Record<string, string | null>;
}

/** The metadata of a Secret that was there before, and whose resource has no template. */
const marks = ({ role = 'server', revision = 1, token, ...more }: Marks = {}) => ({
  labels: {
    ...more.labels,
    [labels.managedBy]: 'mtls-operator',
    [labels.certificate]: 'payments',
    [labels.role]: role,
  },
  annotations: {
    ...(more.annotations ?? { [annotations.template]: null }),
    [annotations.revision]: String(revision),
    ...(token === undefined ? {} : { [annotations.rotate]: token }),
  },
});

const update = (changes?: Marks): SecretStep => ({ step: 'update', metadata: marks(changes) });

const messages: Record<Exclude<IssueReason, 'SecretCorrupted' | 'SpecChanged' | 'Expired' | 'RenewalDue'>, string> = {
  SecretMissing: 'the Secret does not exist',
  RootNotTrusted: 'no trusted root of the authority has signed the certificate',
  RotationRequested: 'a new value of the annotation rotate',
};
const changed = {
  profile: 'names, subject or usages of the certificate differ from spec',
  key: 'the private key differs from spec in algorithm, size or encoding',
  duration: 'the lifetime of the certificate differs from spec.duration',
};

type Issue = Extract<SecretStep, { step: 'issue' }>;

/** A new certificate for what the fixture asks for, in the place of the first one. */
const issue = (
  given: CertificateFixture,
  reason: IssueReason,
  message: string,
  { keepKey = false, write = 'update', ...more }: Marks & Partial<Pick<Issue, 'keepKey' | 'write'>> = {},
): Issue => ({
  step: 'issue',
  reason,
  message,
  request: requestOf(given.record, more.role ?? 'server'),
  keepKey,
  write,
  metadata: marks({ revision: 2, ...more }),
});

/** The first certificate of a role, into a Secret that is not there. */
const create = (given: CertificateFixture, more: Marks = {}): Issue =>
  issue(given, 'SecretMissing', messages.SecretMissing, { revision: 1, annotations: {}, write: 'create', ...more });

function check(cases: Readonly<Record<string, Case>>): void {
  for (const [title, { given, under = authority, at = now, heldBack, plan }] of Object.entries(cases)) {
    test(title, () => {
      const observed = given.observed(under);
      const actual = planCertificate(observed, at, heldBack);
      assert.deepEqual(
        actual.secrets.map(({ step }) => step),
        plan,
      );
      assert.deepEqual(
        actual.secrets.map(({ role }) => role),
        plan.length === 0 ? [] : observed.roles,
      );
      assert.deepEqual(actual.prune, []);
      assert.deepEqual(planCertificate(observed, at, heldBack), actual, 'the same observation gives the same plan');
    });
  }
}

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
          authorityFingerprint: '00',
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
    'is not touched while the resource is being deleted': { given: fresh.with({ deleting: true }), plan: [] },
    'is not judged before the root has been looked at': { given: fresh, under: { state: 'unknown' }, plan: [] },
  });
});

describe('a corrupted Secret is repaired', () => {
  const otherKey = encodePrivateKey(privateKey(), 'PKCS8');
  const crt = (): string => Buffer.from(issued.secret('server').data?.['tls.crt'] ?? '', 'base64').toString();
  const corruptions: [title: string, data: Record<string, string | undefined>, message: string][] = [
    ['when tls.crt is empty', { 'tls.crt': '' }, 'expected one certificate, found 0'],
    ['when tls.crt is gone', { 'tls.crt': undefined }, 'expected one certificate, found 0'],
    ['when tls.key is gone', { 'tls.key': undefined }, 'expected one private key, found 0 PEM blocks'],
    ['when tls.key is another key', { 'tls.key': otherKey }, 'the private key does not belong to the certificate'],
    ['when tls.key is garbage', { 'tls.key': 'garbage' }, 'expected one private key, found 0 PEM blocks'],
    ['when tls.crt is garbage', { 'tls.crt': '-----BEGIN CERTIFICATE-----' }, 'a PEM block has no END line'],
    [
      'when a root was put behind the leaf',
      { 'tls.crt': crt() + encodedRoot(signer).crt },
      'expected one certificate, found 2',
    ],
    ['when text was put into tls.crt', { 'tls.crt': `${crt()}\n` }, 'tls.crt holds more than its certificate'],
    [
      'when everything is gone',
      { 'tls.crt': undefined, 'tls.key': undefined, 'ca.crt': undefined },
      'expected one certificate, found 0',
    ],
  ];
  for (const [title, data, message] of corruptions) {
    const given = issued.whereSecret('server', withData(data));
    check({ [title]: { given, plan: [issue(given, 'SecretCorrupted', message)] } });
  }

  const misfit = 'the Secret is immutable, or not of type kubernetes.io/tls';
  const opaque = issued.whereSecret('server', (secret) => ({ ...secret, type: 'Opaque' }));
  const immutable = issued.whereSecret('server', (secret) => ({ ...secret, immutable: true }));
  check({
    'when it is of another type, by another Secret': {
      given: opaque,
      plan: [issue(opaque, 'SecretCorrupted', misfit, { write: 'replace' })],
    },
    'when it is immutable, by another Secret': {
      given: immutable,
      plan: [issue(immutable, 'SecretCorrupted', misfit, { write: 'replace' })],
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

describe('a Secret of somebody else is left alone', () => {
  const conflict = [
    blocked(
      'SecretConflict',
      "Secret payments-server-tls exists and is not this resource's; delete it or name another one",
    ),
  ];
  const ownedBy = (change: { uid?: string; kind?: string; apiVersion?: string; controller?: boolean }) =>
    issued.whereSecret(
      'server',
      withMetadata(({ ownerReferences = [] }) => ({
        ownerReferences: ownerReferences.map((one) => ({ ...one, ...change })),
      })),
    );
  check({
    'when it has no owner': {
      given: issued.whereSecret(
        'server',
        withMetadata(() => ({ ownerReferences: [] })),
      ),
      plan: conflict,
    },
    'when another resource owns it': { given: ownedBy({ uid: 'other-uid' }), plan: conflict },
    'when a former resource of the same name owned it': { given: issued.with({ uid: 'new-uid' }), plan: conflict },
    'when the resource owns it, but does not control it': { given: ownedBy({ controller: false }), plan: conflict },
    'when another kind of the same UID controls it': { given: ownedBy({ kind: 'Certificate' }), plan: conflict },
    'when another API group of the same UID controls it': {
      given: ownedBy({ apiVersion: 'cert-manager.io/v1' }),
      plan: conflict,
    },
    'whatever is wrong with it': {
      given: ownedBy({ uid: 'x' }).whereSecret('server', withData({ 'tls.crt': '' })),
      plan: conflict,
    },
    'whatever the state of the authority': {
      given: ownedBy({ uid: 'x' }),
      under: { state: 'missing' },
      plan: conflict,
    },
  });

  test('when another resource has claimed its name first, even if it is one’s own', () => {
    for (const fixture of [fresh, issued]) {
      const observed = fixture.observed(authority);
      const roles = observed.roles.map((role) => ({ ...role, claimedBy: 'MtlsCertificate older' }));
      assert.deepEqual(
        planCertificate({ ...observed, roles }, now).secrets.map(({ step }) => step),
        [blocked('SecretConflict', 'Secret payments-server-tls belongs to MtlsCertificate older; name another one')],
      );
    }
  });
});

describe('without its authority', () => {
  const missing = { state: 'missing' } as const;
  const bad = notReady('RootExpired', 'the root expired');
  const notFound = blocked('AuthorityNotFound', 'MtlsAuthority default does not exist');
  const waiting = (onlyDue = false) =>
    blocked('AuthorityNotReady', 'MtlsAuthority default: RootExpired: the root expired', { onlyDue });
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
      plan: [
        blocked(
          'Denied',
          'DNS name "a.other.svc": namespace shop may have only names of its own Services (<service>.shop.svc[.cluster.local])',
        ),
      ],
    },
  });
});

describe('what may not be signed', () => {
  const denied = fresh.asking({ server: { service: 'payments', dnsNames: ['www.example.com'] } });
  const message =
    'DNS name "www.example.com": namespace shop may have only names of its own Services (<service>.shop.svc[.cluster.local])';
  // permitted;DNS:x.test
  const nameConstraints = Buffer.from('300ca00a30088206782e74657374', 'hex');
  const constrained = { ...authority, root: { ...authority.root, nameConstraints } };
  const excluded = blocked(
    'NameConstrained',
    "the root's name constraints exclude payments, payments.shop, payments.shop.svc, payments.shop.svc.cluster.local",
  );
  check({
    'is denied': { given: denied, plan: [blocked('Denied', message)] },
    'is denied when there is a Secret already, which stays': {
      given: issued.asking({ server: denied.record.spec.server ?? {} }),
      plan: [blocked('Denied', message)],
    },
    'is invalid when spec is': {
      given: issued.asking({ duration: '1m' }),
      plan: [blocked('InvalidSpec', 'duration: use at least 5m')],
    },
    'is refused when the root’s own name constraints exclude it': {
      given: fresh,
      under: constrained,
      plan: [excluded],
    },
    'is refused so with a Secret, too, which stays': { given: issued, under: constrained, plan: [excluded] },
  });
});

describe('a change of spec', () => {
  const { spec } = fresh.record;
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
      'of the key’s algorithm to RSA, which has another usage',
      { privateKey: { ...spec.privateKey, algorithm: 'RSA' } },
      changed.profile,
    ],
    ['of the key’s encoding', { privateKey: { ...spec.privateKey, encoding: 'SEC1' } }, changed.key],
    ['to a longer duration', { duration: '2161h' }, changed.duration],
    ['to a shorter duration', { duration: '2159h' }, changed.duration],
    ['by two seconds of duration', { duration: '2160h2s' }, changed.duration],
  ];
  for (const [title, change, message] of changes) {
    const given = issued.asking(change);
    check({ [`${title} re-issues`]: { given, plan: [issue(given, 'SpecChanged', message)] } });
  }

  const keeping: [title: string, change: Parameters<CertificateFixture['asking']>[0]][] = [
    ['of the size to the default', { privateKey: { ...spec.privateKey, size: 256 } }],
    ['of renewBefore, while it is not due', { renewBefore: '24h' }],
    ['of the rotation policy', { privateKey: { ...spec.privateKey, rotationPolicy: 'Never' } }],
    ['of how a duration is written', { duration: '129600m' }],
    ['of how a name is written', { server: { service: 'payments', dnsNames: ['Payments.SHOP.'] } }],
  ];
  for (const [title, change] of keeping) {
    check({ [`${title} re-issues nothing`]: { given: issued.asking(change), plan: [keep] } });
  }

  const ending = root({ at: later(-days(1)), durationMs: days(31) });
  const cut = fresh.issuedBy(ending);
  check({
    'by a role issues that role alone': {
      given: issued.asking({ client: { serviceAccount: 'a' } }),
      plan: [keep, create(issued.asking({ client: { serviceAccount: 'a' } }), { role: 'client' })],
    },
    'to a longer duration gains nothing when the root ends before': {
      given: cut.asking({ duration: '8760h' }),
      under: ready(ending),
      plan: [keep],
    },
    'to a duration that ends before the root re-issues': {
      given: cut.asking({ duration: '24h' }),
      under: ready(ending),
      plan: [issue(cut.asking({ duration: '24h' }), 'SpecChanged', changed.duration)],
    },
  });

  test('is none, whatever the fraction of the second in which a certificate was issued', () => {
    for (const ms of [0, 1, 499, 500, 999]) {
      for (const duration of ['5m', '300500ms', '301999ms', '2160h']) {
        const given = fresh.asking({ duration }).issuedBy(signer, later(ms));
        assert.deepEqual(planCertificate(given.observed(authority), later(ms)).secrets[0]?.step, keep);
      }
    }
  });

  test('is none for a certificate that a new root’s beginning has cut', () => {
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
    'is over once the Secret notes its value': { given: done, plan: [keep] },
    'is not repeated when the note was lost and status remembers; the note is made again': {
      given: lost.remembering({ lastHandledRotate: 'a' }),
      plan: [update({ token: 'a' })],
    },
    'is not repeated when the note was changed and status remembers': {
      given: done
        .whereSecret('server', withMarks('annotations', { [annotations.rotate]: 'x' }))
        .remembering({ lastHandledRotate: 'a' }),
      plan: [update({ token: 'a' })],
    },
    'is not over when only an earlier value was handled': {
      given: lost.remembering({ lastHandledRotate: 'z' }),
      plan: [issue(lost, 'RotationRequested', messages.RotationRequested, { token: 'a' })],
    },
    'is none when the annotation is taken off; the note stays': { given: done.withoutToken(), plan: [keep] },
    'is noted with what is issued for another reason, too': {
      given: fresh.rotating('a'),
      plan: [create(fresh.rotating('a'), { token: 'a' })],
    },
  });
});

describe('a key that is never to be replaced', () => {
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
  const emptied = own.whereSecret('server', withData({ 'tls.crt': '' }));
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
      plan: reissue(emptied, 'SecretCorrupted', 'expected one certificate, found 0', true),
    },
    'is kept when the root is another one': {
      given: own,
      under: untrusted,
      plan: reissue(own, 'RootNotTrusted', messages.RootNotTrusted, true),
    },
    'is replaced when a person asks for a rotation': {
      given: own.rotating('a'),
      plan: reissue(own.rotating('a'), 'RotationRequested', messages.RotationRequested, false, { token: 'a' }),
    },
    'is a new one when the Secret is gone': { given: never, plan: [create(never)] },
  });
});

/** The times of the Secret for the role server, and when it is to be renewed. */
function timesOf(given: CertificateFixture): { notAfter: Date; renewal: Date } {
  const { content } = given.observed(authority).roles[0]?.secret ?? {};
  assert.ok(content !== undefined && 'leaf' in content);
  return {
    notAfter: content.leaf.notAfter,
    renewal: renewalTime(content.leaf, given.record.spec, 'certificate-uid/server'),
  };
}

describe('renewal', () => {
  const { notAfter, renewal } = timesOf(issued);
  const due = (given: CertificateFixture, at: Date) => [
    issue(given, 'RenewalDue', `renewal was due at ${at.toISOString()}`),
  ];
  // Ten days of the root are left: the leaf is cut to them.
  const ending = root({ at: later(-days(20)), durationMs: days(30) });
  const cut = fresh.issuedBy(ending);
  check({
    'does not come before its time': { given: issued, at: new Date(renewal.getTime() - 1), plan: [keep] },
    'comes at its time': { given: issued, at: renewal, plan: due(issued, renewal) },
    'comes in the last moment, too': {
      given: issued,
      at: new Date(notAfter.getTime() - 1),
      plan: due(issued, renewal),
    },
    'is a new certificate once the old one has expired': {
      given: issued,
      at: notAfter,
      plan: [issue(issued, 'Expired', `the certificate expired at ${notAfter.toISOString()}`)],
    },
    'does not come over and over when the root’s end leaves nothing to gain': {
      given: cut,
      under: ready(ending),
      at: later(days(9)),
      plan: [keep],
    },
    'nor in the root’s last second': { given: cut, under: ready(ending), at: later(days(10) - 1), plan: [keep] },
    'comes when a new root lasts longer': {
      given: cut,
      under: ready(signer, ending),
      at: later(days(9)),
      plan: due(cut, timesOf(cut).renewal),
    },
    'comes early when spec says so now': {
      given: issued.asking({ renewBefore: '2000h' }),
      at: later(hours(161)),
      plan: due(issued.asking({ renewBefore: '2000h' }), timesOf(issued.asking({ renewBefore: '2000h' })).renewal),
    },
  });
});

describe('a change of roots', () => {
  const next = root({ name: 'Next' });
  check({
    'writes the new bundle and keeps the certificate, while its root is trusted': {
      given: issued,
      under: ready(signer, next),
      plan: [update()],
    },
    'keeps the certificate of the former root, while that is trusted': {
      given: issued,
      under: ready(next, signer),
      plan: [update()],
    },
    're-issues when nobody trusts the former root any more': {
      given: issued,
      under: ready(next),
      plan: [issue(issued, 'RootNotTrusted', messages.RootNotTrusted)],
    },
  });

  test('is seen by the digest of the bundle alone', () => {
    const { content } = issued.observed(authority).roles[0]?.secret ?? {};
    assert.equal(content?.bundle, sha256Hex(authority.bundle.pem));
  });
});

describe('labels and annotations', () => {
  const template = { labels: { team: 'a' }, annotations: { 'example.com/note': 'b' } };
  const listed = { [annotations.template]: JSON.stringify({ labels: ['team'], annotations: ['example.com/note'] }) };
  const withTemplate = { labels: template.labels, annotations: { ...template.annotations, ...listed } };
  const templated = fresh.asking({ secretTemplate: template }).issuedBy(signer);
  const spec = (secretTemplate: NonNullable<typeof fresh.record.spec.secretTemplate>) =>
    templated.asking({ secretTemplate });
  const tampered = (kind: 'labels' | 'annotations', change: Record<string, string | undefined>, given = issued) =>
    given.whereSecret('server', withMarks(kind, change));
  check({
    'of the template are put on': { given: issued.asking({ secretTemplate: template }), plan: [update(withTemplate)] },
    'of the template are there': { given: templated, plan: [keep] },
    'of the template are put back when they were changed': {
      given: tampered('labels', { team: 'x' }, templated),
      plan: [update(withTemplate)],
    },
    'of the template are put back when they were taken off': {
      given: tampered('annotations', { 'example.com/note': undefined }, templated),
      plan: [update(withTemplate)],
    },
    'follow the template when it changes': {
      given: spec({ labels: { team: 'b' } }),
      plan: [
        update({
          labels: { team: 'b' },
          annotations: {
            'example.com/note': null,
            [annotations.template]: JSON.stringify({ labels: ['team'], annotations: [] }),
          },
        }),
      ],
    },
    'of a template that is gone are taken off': {
      given: spec({}),
      plan: [
        update({ labels: { team: null }, annotations: { 'example.com/note': null, [annotations.template]: null } }),
      ],
    },
    'of the operator are put back when they were taken off': {
      given: tampered('labels', { [labels.role]: undefined }),
      plan: [update()],
    },
    'of the operator are put back when they were changed': {
      given: tampered('labels', { [labels.certificate]: 'x' }),
      plan: [update()],
    },
    'of kubernetes.io are not taken off, whatever the note of the template says': {
      given: tampered('annotations', {
        [annotations.template]: JSON.stringify({
          labels: ['app.kubernetes.io/managed-by', 'x.k8s.io/y', 'mine'],
          annotations: ['mtls-operator.io/rotate', 'kubectl.kubernetes.io/last-applied-configuration'],
        }),
      }),
      plan: [update({ labels: { mine: null } })],
    },
    'are judged without a note of the template that cannot be read': {
      given: tampered('annotations', { [annotations.template]: '{"labels":[1,null,{}],"annotations":5}' }),
      plan: [update()],
    },
    'called like what every object has are labels like others': {
      given: fresh
        .asking({ secretTemplate: { labels: { constructor: 'x' } } })
        .issuedBy(signer)
        .asking({ secretTemplate: {} })
        .whereSecret('server', withMarks('labels', { constructor: undefined }))
        .whereSecret('server', withMarks('annotations', { [annotations.template]: undefined })),
      plan: [keep],
    },
  });

  for (const text of ['0', '-3', '1.5', '1e3', '0x10', 'x', '', 'Infinity', '99999999999999999999']) {
    check({
      [`count from the start when the revision says ${JSON.stringify(text)}`]: {
        given: tampered('annotations', { [annotations.revision]: text }),
        plan: [update()],
      },
    });
  }
});

describe('after a failure', () => {
  const failedAttempt = (nextRetryTime: Date): HeldBack => ({
    failures: { attempts: 3, lastFailureTime: later(-1000), nextRetryTime },
    message: 'the API server refused the Secret',
  });
  const held = (onlyDue: boolean) => blocked('IssuanceFailed', 'the API server refused the Secret', { onlyDue });
  const due = fresh.issuedBy(signer).expiringIn(days(1));
  check({
    'nothing is tried before its time': { given: fresh, heldBack: failedAttempt(later(1)), plan: [held(false)] },
    'it is tried again at its time': { given: fresh, heldBack: failedAttempt(now), plan: [create(fresh)] },
    'a renewal waits while the certificate in place does its work': {
      given: due,
      heldBack: failedAttempt(later(1)),
      plan: [held(true)],
    },
    'a repair of the bundle waits, too': {
      given: issued,
      under: ready(signer, root()),
      heldBack: failedAttempt(later(1)),
      plan: [held(true)],
    },
    'what needs nothing is kept': { given: issued, heldBack: failedAttempt(later(1)), plan: [keep] },
    'a conflict is a conflict': {
      given: issued.with({ uid: 'new-uid' }),
      heldBack: failedAttempt(later(1)),
      plan: [
        blocked(
          'SecretConflict',
          "Secret payments-server-tls exists and is not this resource's; delete it or name another one",
        ),
      ],
    },
  });
});

describe('a Secret that no role wants any more', () => {
  const surplus = [{ ...issued.secretRecord('server'), name: 'former' }];
  const pruned = (given: CertificateFixture, view: AuthorityView = authority) =>
    planCertificate(given.observed(view, surplus), now).prune;

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
});

test('a plan holds nothing of a key', () => {
  const plan = JSON.stringify(planCertificate(issued.rotating('a').observed(authority), now));
  const key = Buffer.from(issued.secret('server').data?.['tls.key'] ?? '', 'base64').toString();
  const body = key.split('\n').slice(1, -2);
  assert.ok(body.length > 1 && body.every((line) => !plan.includes(line)));
});
