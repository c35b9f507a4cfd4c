import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MtlsAuthoritySpec } from '../../../../src/api/types.ts';
import {
  encodeCertificates,
  type IssuerInspection,
  inspectIssuer,
  parseCrls,
  parseTrustAnchors,
  trustBundle,
} from '../../../../src/pki/index.ts';
import {
  type ObservedRoot,
  planAuthority,
  planAuthorityStatus,
  planRoot as planRootAt,
  type RolloutObservation,
  type RootSecret,
} from '../../../../src/plan/index.ts';
import { planCrls } from '../../../../src/plan/revocation/crl-plan.ts';
import { parseRevocations } from '../../../../src/plan/revocation/revocation-record.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { encodedRoot, intermediate, issuerIdOf, root } from '../../../support/fixtures/roots.ts';
import { days, earlier, hours, later, minutes, now } from '../../../support/fixtures/times.ts';
import { crlDataNow, type TestIssuer } from '../../../support/sign.ts';

const [active, former, other] = ['Active', 'Former', 'Other'].map((name) => root({ name })) as [
  TestIssuer,
  TestIssuer,
  TestIssuer,
];

const bundleOf = (first: TestIssuer, ...rest: readonly TestIssuer[]) =>
  trustBundle(
    first.certificate,
    rest.map(({ certificate }) => certificate),
  );

/** A root Secret with this root and these certificates in ca.crt. */
const secretOf = (signer: TestIssuer, anchors: readonly TestIssuer[] = [signer], at = now): RootSecret => {
  const { crt, key } = encodedRoot(signer);
  const caCrt = encodeCertificates(anchors.map(({ certificate }) => certificate));
  return { resourceVersion: '7', inspection: inspectIssuer(crt, key, at), anchors: parseTrustAnchors(caCrt) };
};

/** No certificate was issued yet. */
const rollout: RolloutObservation = { secrets: [], publications: [], examinedSecrets: 0, monotonicMs: 0 };
const leadingSince = now;
const planRoot = (observed: ObservedRoot, at = now) => planRootAt(observed, at);

/** The status when this root is active and these roots are trusted. */
const statusAfter = (signer: TestIssuer, ...rest: readonly TestIssuer[]) => {
  const secret = secretOf(signer, [signer, ...rest]);
  const observed = { authority: authority(), secret, certificates: 0, rollout, leadingSince };
  const { conditions: _, ...status } = planAuthorityStatus(observed, planRoot(observed), now).status;
  return status;
};

const observe = (secret: RootSecret | undefined, changes: Parameters<typeof authority>[0] = {}): ObservedRoot => ({
  authority: authority(changes),
  certificates: 3,
  rollout,
  leadingSince,
  ...(secret === undefined ? {} : { secret }),
});

const brought: MtlsAuthoritySpec = {
  secretName: 'mtls-root',
  trustDomain: 'cluster.local',
  clusterDomain: 'cluster.local',
  rotation: { approval: 'Automatic', propagationDelay: '3m', clusterTrustBundleDelay: '7m', reissuesPerSecond: 100 },
};
const spec = authority().spec;
const isReady = (signer: TestIssuer, ...rest: readonly TestIssuer[]) => {
  const { inspection } = secretOf(signer);
  assert.ok('issuer' in inspection);
  return { state: 'ready', issuer: inspection.issuer, bundle: bundleOf(signer, ...rest), acceptedBundleDigests: [] };
};

describe('an authority without its Secret', () => {
  test('creates the root that spec describes', () => {
    assert.deepEqual(planRoot(observe(undefined)), {
      step: {
        step: 'create',
        profile: { subject: { commonName: 'mTLS Root' }, durationMs: hours(87_600) },
        key: { algorithm: 'ECDSA', size: 256 },
        remembered: [],
      },
      verdict: {
        state: 'notReady',
        reason: 'Pending',
        message: 'the operator is creating Secret mtls-root with a new root',
      },
    });
  });

  test('creates a root with organizations and another key; its default RSA key is larger than a leaf’s', () => {
    const wanted = {
      commonName: 'Org',
      organizations: ['A', 'B'],
      privateKey: { algorithm: 'RSA' },
      duration: '1h',
    } as const;
    const { step } = planRoot(observe(undefined, { spec: { ...spec, root: wanted } }));
    assert.deepEqual(step, {
      step: 'create',
      profile: { subject: { commonName: 'Org', organizations: ['A', 'B'] }, durationMs: hours(1) },
      key: { algorithm: 'RSA', size: 3072 },
      remembered: [],
    });
  });

  test('keeps the roots in status trusted, so that their certificates still work', () => {
    const { step } = planRoot(observe(undefined, { status: statusAfter(active, former) }));
    assert.ok(step.step === 'create');
    assert.deepEqual(
      step.remembered.map(({ fingerprint }) => fingerprint),
      [active, former].map(({ certificate }) => certificate.fingerprint),
    );
  });

  test('keeps no roots when the bundle in status is not valid', () => {
    for (const trustBundle of ['', 'garbage', '-----BEGIN CERTIFICATE-----']) {
      const { step } = planRoot(observe(undefined, { status: { trustBundle } }));
      assert.ok(step.step === 'create');
      assert.deepEqual(step.remembered, []);
    }
  });

  const missing =
    'Secret mtls-root with tls.crt and tls.key does not exist in the namespace of the operator; create it';
  const waiting: [title: string, changes: Parameters<typeof authority>[0], reason: string, message: string][] = [
    ['waits for the administrator’s root', { spec: brought }, 'RootMissing', missing],
    ['creates no root while it is being deleted', { deleting: true }, 'RootMissing', missing],
    [
      'creates no root with a key size that does not exist',
      { spec: { ...spec, root: { commonName: 'a', privateKey: { algorithm: 'ECDSA', size: 2048 }, duration: '1h' } } },
      'InvalidSpec',
      'spec.root: duration or key size is not valid',
    ],
    [
      'creates no root for a duration that is not valid',
      { spec: { ...spec, root: { commonName: 'a', privateKey: { algorithm: 'ECDSA' }, duration: 'x' } } },
      'InvalidSpec',
      'spec.root: duration or key size is not valid',
    ],
  ];
  for (const [title, changes, reason, message] of waiting) {
    test(title, () => {
      const verdict = { state: 'notReady', reason, message };
      assert.deepEqual(planRoot(observe(undefined, changes)), { step: { step: 'keep' }, verdict });
    });
  }
});

describe('an authority with its Secret', () => {
  const keep = { step: 'keep' };

  test('signs with its root and trusts it', () => {
    assert.deepEqual(planRoot(observe(secretOf(active))), { step: keep, verdict: isReady(active) });
  });

  test('needs no ca.crt', () => {
    assert.deepEqual(planRoot(observe(secretOf(active, []))), { step: keep, verdict: isReady(active) });
  });

  test('also trusts the roots in ca.crt', () => {
    const plan = planRoot(observe(secretOf(active, [former, active, other])));
    assert.deepEqual(plan, { step: keep, verdict: isReady(active, former, other) });
  });

  test('changes nothing when status knows the root', () => {
    const plan = planRoot(observe(secretOf(active), { status: statusAfter(active) }));
    assert.deepEqual(plan, { step: keep, verdict: isReady(active) });
  });

  test('stops trusting a root that an administrator removed from ca.crt', () => {
    const plan = planRoot(observe(secretOf(active, [active]), { status: statusAfter(active, former) }));
    assert.deepEqual(plan, { step: keep, verdict: isReady(active) });
  });

  test('never overwrites a root that may not sign', () => {
    const { crt } = encodedRoot(active);
    const bad: [inspection: IssuerInspection, reason: string][] = [
      [inspectIssuer('', '', now), 'RootMalformed'],
      [inspectIssuer(crt, '', now), 'RootKeyMalformed'],
      [inspectIssuer(crt, encodedRoot(other).key, now), 'RootKeyMismatch'],
      [inspectIssuer(crt, encodedRoot(active).key, earlier(days(9999))), 'RootNotYetValid'],
    ];
    for (const [inspection, reason] of bad) {
      const { step, verdict } = planRoot(observe({ resourceVersion: '7', inspection, anchors: [] }));
      assert.deepEqual([step, verdict.state === 'notReady' && verdict.reason], [keep, reason]);
    }
  });

  test('does not sign while ca.crt is not valid, because the trusted roots are unknown', () => {
    const secret = { ...secretOf(active), anchors: { problem: 'a PEM block is not base64' } };
    assert.deepEqual(planRoot(observe(secret)), {
      step: keep,
      verdict: {
        state: 'notReady',
        reason: 'RootMalformed',
        message: 'ca.crt of the root Secret: a PEM block is not base64',
      },
    });
  });
});

describe('the key of a replaced intermediate', () => {
  const [first, second] = [intermediate(active), intermediate(active)] as const;
  const { crt, key } = encodedRoot(first);
  const secret = { ...secretOf(second, [active]), previous: inspectIssuer(crt, key, now) };
  const issuer = issuerIdOf(first);
  const crls = planCrls({ crls: [], revocations: [] }, [second, first], [], now, { trusted: [active.certificate] });
  assert.ok(crls !== undefined);
  const data = crlDataNow(crls, [second, first]);
  const text = (name: string) => Buffer.from(data[name] ?? '', 'base64').toString('latin1');
  const revocation = { crls: parseCrls(text('ca.crl')), ...parseRevocations(text('revoked.json')) };
  const stepOf = ({ issuers = new Map(), serverTime }: { issuers?: Map<string, Date>; serverTime: Date }) => {
    const podLeaves = { roots: new Map(), issuers };
    const observed = {
      ...observe({ ...secret, podLeaves }, { status: statusAfter(second, active) }),
      requestedRevocations: [],
      revocation,
      revocationBefore: revocation,
      podLeaves: { ...podLeaves, serverTime },
    };
    const { step } = planAuthority(observed, now);
    return step.step === 'rotate' ? step.event.reason : step.step;
  };

  test('is destroyed when no pod holds a certificate of it, although the API server’s clock is a second behind', () => {
    const serverTime = earlier(1000);
    assert.equal(stepOf({ serverTime }), 'IssuerRetired');
    assert.equal(stepOf({ serverTime, issuers: new Map([[issuer, earlier(1000)]]) }), 'IssuerRetired');
  });

  test('is kept while a pod may hold a certificate of it by either clock', () => {
    const issuers = new Map([[issuer, earlier(minutes(1))]]);
    assert.equal(stepOf({ issuers, serverTime: earlier(minutes(2)) }), 'keep');
    assert.equal(stepOf({ issuers: new Map([[issuer, later(minutes(1))]]), serverTime: later(minutes(2)) }), 'keep');
  });
});

describe('the status of an authority', () => {
  const statusOf = (observed: ObservedRoot, at = now) => planAuthorityStatus(observed, planRoot(observed, at), at);
  const entry = ({ certificate: { fingerprint, notBefore, notAfter } }: TestIssuer, subject: RegExp) => ({
    fingerprint,
    subject,
    notBefore: notBefore.toISOString().replace('.000', ''),
    notAfter: notAfter.toISOString().replace('.000', ''),
  });

  test('names the signing root, all trusted roots and the number of certificates', () => {
    const { status, requeueAt } = statusOf(observe(secretOf(active, [active, former]), { generation: 4 }));
    const { subject: _, ...activeRoot } = status.activeRoot ?? { subject: '' };
    const { subject, ...expected } = entry(active, /CN=Active/);
    assert.deepEqual(activeRoot, expected);
    assert.match(status.activeRoot?.subject ?? '', subject);
    assert.deepEqual(
      status.roots?.map(({ fingerprint }) => fingerprint),
      [active, former].map(({ certificate }) => certificate.fingerprint),
    );
    assert.equal(status.trustBundle, bundleOf(active, former).pem);
    assert.deepEqual([status.observedGeneration, status.certificates], [4, 3]);
    const { fingerprint, notAfter } = active.certificate;
    const message = `signs with root ${fingerprint.slice(0, 16)}, valid until ${notAfter.toISOString().replace('.000', '')}`;
    assert.deepEqual(status.conditions, [{ type: 'Ready', status: 'True', reason: 'Ready', message }]);
    // The root is replaced a tenth of its lifetime before it expires.
    const lifetimeMs = notAfter.getTime() - active.certificate.notBefore.getTime();
    assert.deepEqual(requeueAt, new Date(notAfter.getTime() - lifetimeMs / 10));
  });

  test('names the root of a signing intermediate, and is planned again when the first of them expires', () => {
    const below = intermediate(active, { durationMs: days(60) });
    const observed = observe(secretOf(below, [former]));
    const { verdict, step } = planRoot(observed);
    assert.ok(verdict.state === 'ready');
    assert.deepEqual(
      verdict.bundle.roots.map(({ fingerprint }) => fingerprint),
      [active, former].map(({ certificate }) => certificate.fingerprint),
    );
    assert.deepEqual(step, { step: 'keep' });
    const { status, requeueAt } = statusOf(observed);
    assert.equal(status.activeRoot?.fingerprint, active.certificate.fingerprint);
    const [issuer, anchor] = [below, active].map(({ certificate }) => certificate.fingerprint.slice(0, 16));
    const end = below.certificate.notAfter.toISOString().replace('.000', '');
    const message = `signs with intermediate ${issuer} under root ${anchor}, valid until ${end}`;
    assert.equal(status.conditions[0]?.message, message);
    assert.deepEqual(requeueAt, below.certificate.notAfter);
  });

  test('keeps published roots while the root may not sign, and says what is wrong', () => {
    const known = statusAfter(active, former);
    const inspection = inspectIssuer('', '', now);
    const { status, requeueAt } = statusOf(
      observe({ resourceVersion: '7', inspection, anchors: [] }, { status: known }),
    );
    const message = 'tls.crt of the root Secret holds no certificate';
    assert.deepEqual(status, {
      ...known,
      certificates: 3,
      conditions: [{ type: 'Ready', status: 'False', reason: 'RootMalformed', message }],
    });
    // A write to the Secret ends this state. The timer covers a missed event.
    assert.deepEqual(requeueAt, new Date(now.getTime() + 600_000));
  });

  test('keeps the conditions about keys and CRLs while the root may not sign', () => {
    const lastTransitionTime = now.toISOString();
    const conditions = ['IssuerKeyMissing', 'CrlNearlyFull'].map((type) => {
      return { type, status: 'True' as const, reason: 'Said', message: 'm', lastTransitionTime };
    });
    const { status } = statusOf(observe(undefined, { status: { conditions }, spec: brought }));
    assert.deepEqual(
      status.conditions.map(({ type, reason }) => `${type} ${reason}`),
      ['Ready RootMissing', 'IssuerKeyMissing Said', 'CrlNearlyFull Said'],
    );
  });

  test('keeps published roots while the Secret is gone', () => {
    const known = statusAfter(active);
    const { status } = statusOf(observe(undefined, { status: known, spec: brought }));
    assert.deepEqual([status.activeRoot, status.trustBundle], [known.activeRoot, known.trustBundle]);
  });

  test('is planned again when the root may have become valid', () => {
    const at = later(-days(400));
    const young = secretOf(active, [active], at);
    const observed = observe(young);
    const { status, requeueAt } = statusOf(observed, at);
    assert.equal(status.conditions[0]?.reason, 'RootNotYetValid');
    assert.deepEqual(requeueAt, new Date(at.getTime() + 60_000));
  });

  const refusals: [reason: string, inMs: number][] = [
    ['NextRootNotYetValid', 60_000],
    ['NextRootMissing', 600_000],
  ];
  for (const [reason, inMs] of refusals) {
    test(`is planned again when a requested rotation cannot start: ${reason}`, () => {
      const observed = observe(secretOf(active, [active]));
      const plan = { ...planRoot(observed), problem: { reason, message: 'm' } };
      const { requeueAt } = planAuthorityStatus(observed, plan, now);
      assert.deepEqual(requeueAt, new Date(now.getTime() + inMs));
    });
  }
});
