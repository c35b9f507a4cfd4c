import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { problemEvents as authorityProblems } from '../../../../src/controllers/authority/authority-events.ts';
import { issueEvents, problemEvents } from '../../../../src/controllers/certificate/certificate-events.ts';
import { CertificateMemory } from '../../../../src/controllers/certificate/certificate-memory.ts';
import {
  type CertificateContext,
  CertificateReconciler,
} from '../../../../src/controllers/certificate/certificate-reconciler.ts';
import type { StepResult } from '../../../../src/controllers/certificate/step-result.ts';
import { type EventDetails, KubeError, keyOf } from '../../../../src/kube/index.ts';
import { trustBundle } from '../../../../src/pki/index.ts';
import type { AuthorityVerdict, IssueReason, ObservedRole } from '../../../../src/plan/index.ts';
import { authority, notReady, ready } from '../../../support/fixtures/authority.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { now } from '../../../support/fixtures/times.ts';

const a = root({ name: 'A' });

describe('the events of a certificate', () => {
  const issued = certificate()
    .asking({ client: { serviceAccount: 'a' } })
    .issuedBy(a);
  const { roles } = issued.observed(ready(a));
  const eventsOf = (reasons: readonly IssueReason[], resource = issued) =>
    issueEvents(
      resource.record,
      reasons.flatMap((reason, i) => (roles[i] === undefined ? [] : [{ role: roles[i], reason, keptKey: false }])),
    );

  const words: [reason: IssueReason, word: string][] = [
    ['SecretMissing', 'Issued'],
    ['SecretCorrupted', 'Repaired'],
    ['SecretImmutable', 'Repaired'],
    ['RootNotTrusted', 'Reissued'],
    ['SpecChanged', 'Reissued'],
    ['RotationRequested', 'Rotated'],
    ['Expired', 'Renewed'],
    ['RenewalDue', 'Renewed'],
  ];
  for (const [reason, word] of words) {
    test(`have the reason ${word} for ${reason}, with the Secret and the serial number`, () => {
      const [event, ...more] = eventsOf([reason]);
      assert.deepEqual([event?.type, event?.reason, more], ['Normal', word, []]);
      assert.match(
        event?.note ?? '',
        new RegExp(`^${word} server certificate in Secret payments-server-tls \\(new serial [0-9a-f]{40}\\)$`),
      );
      assert.deepEqual(event?.regarding.uid, 'certificate-uid');
    });
  }

  test('name the roles whose private key was kept', () => {
    const [server, client] = roles;
    assert.ok(server !== undefined && client !== undefined);
    const kept = { role: server, reason: 'RenewalDue', keptKey: true } as const;
    const [event] = issueEvents(issued.record, [kept, { ...kept, role: client, keptKey: false }]);
    assert.match(
      event?.note ?? '',
      /^Renewed server certificate in Secret \S+ \(new serial [0-9a-f]+, private key kept\), client certificate in Secret \S+ \(new serial [0-9a-f]+\)$/,
    );
  });

  test('are one for all roles with the same reason, and one for each other reason', () => {
    assert.equal(eventsOf(['Expired', 'RenewalDue']).length, 1);
    assert.equal(eventsOf(['SecretMissing', 'SpecChanged']).length, 2);
  });

  test('report a problem once, not again while it lasts', () => {
    const condition = { type: 'Ready', status: 'False', reason: 'Denied', message: 'm' } as const;
    const [event] = problemEvents(issued.record, [condition], ready(a));
    assert.deepEqual([event?.type, event?.reason, event?.note], ['Warning', 'Denied', 'm']);
    const said = issued.remembering({ conditions: [{ ...condition, lastTransitionTime: '2026-01-01T00:00:00Z' }] });
    assert.deepEqual(problemEvents(said.record, [condition], ready(a)), []);
  });

  const problem = (type: 'Ready' | 'Issuing', reason: string, message = 'm') =>
    ({ type, status: type === 'Ready' ? 'False' : 'True', reason, message }) as const;

  test('do not report what passes in a moment, nor a condition without a problem', () => {
    const idle = { type: 'Issuing', status: 'False', reason: 'Issued', message: 'm' } as const;
    const good = { type: 'Ready', status: 'True', reason: 'Issued', message: 'm' } as const;
    assert.deepEqual(problemEvents(issued.record, [good, idle], ready(a)), []);
    assert.deepEqual(problemEvents(issued.record, [problem('Ready', 'Pending')], ready(a)), []);
  });

  test('are Normal while the authority waits for the bundles of its rotation, and a Warning while its root is invalid', () => {
    const conditions = [problem('Ready', 'AuthorityNotReady')];
    const [normal] = problemEvents(issued.record, conditions, ready(a));
    assert.equal(normal?.type, 'Normal');
    const [warning] = problemEvents(issued.record, conditions, notReady('RootExpired', 'm'));
    assert.equal(warning?.type, 'Warning');
  });

  test('are equal for equal failures, one for each attempt', () => {
    const attempt = (time: string) => [
      problem('Ready', 'IssuanceFailed', 'server: no'),
      problem('Issuing', 'IssuanceFailed', `no; next attempt at ${time}`),
    ];
    const [first, second] = [attempt('2026-01-01T00:00:00Z'), attempt('2026-01-01T00:01:00Z')];
    const lastTransitionTime = '2026-01-01T00:00:00Z';
    const said = issued.remembering({ conditions: first.map((condition) => ({ ...condition, lastTransitionTime })) });
    const events = problemEvents(said.record, second, ready(a));
    assert.deepEqual(events, problemEvents(issued.record, first, ready(a)));
    assert.deepEqual(
      events.map(({ type, note }) => [type, note]),
      [['Warning', 'server: no']],
    );
    const [onlyIssuing] = problemEvents(issued.record, first.slice(1), ready(a));
    assert.equal(onlyIssuing?.note, 'no');
  });
});

describe('the events of an authority', () => {
  const good: AuthorityVerdict = {
    state: 'ready',
    issuer: a,
    bundle: trustBundle(a.anchor, []),
    acceptedBundleDigests: [],
  };
  const bad: AuthorityVerdict = { state: 'notReady', reason: 'RootExpired', message: 'm' };
  const cases: [
    type: 'Ready' | 'Rotating' | 'TrustPublished' | 'AdditionalRootsAccepted' | 'IssuerKeyMissing',
    reason: string,
    state: AuthorityVerdict,
    expected: string[],
  ][] = [
    ['IssuerKeyMissing', 'KeysPresent', good, []],
    ['Ready', 'RootExpired', bad, ['Warning']],
    ['Ready', 'RootDistributing', good, ['Normal']],
    ['Ready', 'Pending', bad, []],
    ['Rotating', 'NextRootMissing', good, ['Warning']],
    ['Rotating', 'NoRotation', good, []],
    ['Rotating', 'RotationCompleted', good, []],
    ['TrustPublished', 'NotRequested', good, []],
    ['TrustPublished', 'Pending', good, []],
    ['TrustPublished', 'AuthorityNotReady', bad, []],
    ['TrustPublished', 'TrustConflict', good, ['Warning']],
    ['AdditionalRootsAccepted', 'NotRequested', good, []],
    ['AdditionalRootsAccepted', 'RootRefused', good, ['Warning']],
    ['TrustPublished', 'PublishingFailed', good, ['Warning']],
  ];
  for (const [type, reason, state, expected] of cases) {
    test(`${expected[0] ?? 'none'} for ${type}=False with ${reason}`, () => {
      const condition = { type, status: 'False', reason, message: 'm' } as const;
      const events = authorityProblems(authority(), [condition], state);
      assert.deepEqual(
        events.map((event) => event.type),
        expected,
      );
      const conditions = [{ ...condition, lastTransitionTime: '2026-01-01T00:00:00Z' }];
      const said = { ...authority(), status: { conditions } };
      assert.deepEqual(authorityProblems(said, [condition], state), []);
    });
  }

  test('a Warning for a condition that reports a problem when it is True', () => {
    const condition = { type: 'IssuerKeyMissing', status: 'True', reason: 'CrlCannotBeRenewed', message: 'm' } as const;
    assert.deepEqual(
      authorityProblems(authority(), [condition], good).map(({ type }) => type),
      ['Warning'],
    );
  });
});

describe('the certificate of one role is reported', () => {
  const asked = certificate().asking({ client: { serviceAccount: 'a' } });
  const { record } = asked;
  const issued = asked.issuedBy(a);
  const signal = new AbortController().signal;

  /** Reconciles a resource. Its server certificate is issued, and `client` returns the result of its client. */
  async function reconcile(client: (role: ObservedRole) => StepResult): Promise<EventDetails[]> {
    const events: EventDetails[] = [];
    const secret = issued.secretRecord('server', ready(a));
    const run = async (_: unknown, role: ObservedRole): Promise<StepResult> =>
      role.role === 'server'
        ? { outcome: { role: { ...role, secret } }, issued: { reason: 'SecretMissing', keptKey: false } }
        : client(role);
    const context = {
      certificates: { get: () => record },
      observer: { observe: async () => ({ observed: asked.observed(ready(a)), material: undefined }) },
      runner: { run },
      memory: new CertificateMemory(),
      recorder: { record: (event: EventDetails) => events.push(event) },
      now: () => now,
    };
    const reconciler = new CertificateReconciler(context as unknown as CertificateContext);
    await reconciler
      .reconcile(keyOf(record), { signal })
      .catch((error: unknown) => assert.ok(error instanceof KubeError));
    return events;
  }

  const others: Readonly<Record<string, (role: ObservedRole) => StepResult>> = {
    'while the key of another role is being generated': (role) => ({ outcome: { role }, pendingSince: now }),
    'although another role could not be written': () => {
      throw new KubeError('Network', 'no answer');
    },
  };
  for (const [title, client] of Object.entries(others)) {
    test(title, async () => {
      const events = await reconcile(client);
      assert.deepEqual(
        events.map(({ type, reason }) => [type, reason]),
        [['Normal', 'Issued']],
      );
      assert.match(events[0]?.note ?? '', /^Issued server certificate in Secret payments-server-tls/);
    });
  }
});
