import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import {
  byDefault,
  constant,
  counter,
  day,
  healthy,
  hour,
  minute,
  minutes,
  on,
  onBoth,
  payments,
  perMinute,
  server,
  withoutCertificates,
} from '../support/alerts/healthy.ts';
import { promtool, rulesFile, type Series, shippedAlerts, testRules } from '../support/alerts/rules.ts';
import { missing } from '../support/missing.ts';

const ROOT = join(import.meta.dirname, '../..');
const skip = missing.promtool() ?? false;
const alerts = shippedAlerts();

/** What changes in the healthy world. Undefined removes a series. */
type Change = Readonly<Record<string, string | undefined>>;

interface Case {
  /** The alert fires when … */
  readonly when: string;
  readonly change: Change;
  /** All alerts that fire at these times. */
  readonly at: Readonly<Record<string, readonly string[]>>;
  /** True for --no-metrics-per-certificate. */
  readonly isWithoutCertificates?: boolean;
}

const warning = (alert: string, labels = ''): string => firing(alert, 'warning', labels);
const critical = (alert: string, labels = ''): string => firing(alert, 'critical', labels);
const firing = (alert: string, severity: string, labels: string): string =>
  `ALERTS{alertname="${alert}",alertstate="firing",severity="${severity}"${labels && ','}${labels}}`;

/** The times of an overdue certificate or root, for a rule that compares them. */
const renewal = (at: number) => onBoth('mtls_operator_certificate_renewal_seconds', server, constant(at));
const expiry = (at: number) => onBoth('mtls_operator_certificate_expiry_seconds', server, constant(at));
const overdue = (count: number) => onBoth('mtls_operator_certificates_overdue', '', constant(count));
const rootRenewal = (at: number) => onBoth('mtls_operator_root_renewal_seconds', byDefault, constant(at));
const rootExpiry = (at: number) => onBoth('mtls_operator_root_expiry_seconds', byDefault, constant(at));
const withoutRootRenewal = Object.fromEntries(
  Object.keys(rootRenewal(0)).map((name) => [name, undefined]),
) satisfies Change;
const oldPods = (until: number) =>
  onBoth('mtls_operator_pod_certificates_of_old_roots_expiry_seconds', byDefault, constant(until));
const waiting = on('a', 'mtls_operator_pod_certificates_pending', `${byDefault},reason="ServiceNotFound"`);
const notReady = (reason: string, count: number) =>
  onBoth('mtls_operator_certificates', `ready="False",reason="${reason}"`, constant(count));

const cases: readonly Case[] = [
  {
    when: 'an MtlsCertificate is not Ready for 15 minutes',
    change: { ...onBoth('mtls_operator_certificate_ready', payments, constant(0)), ...notReady('Denied', 1) },
    at: { '14m': [], '15m': [warning('MtlsCertificateNotReady', payments)] },
  },
  {
    when: 'MtlsCertificates are not Ready, and only their number is known',
    change: notReady('Denied', 3),
    isWithoutCertificates: true,
    at: { '14m': [], '15m': [warning('MtlsCertificateNotReady', 'reason="Denied"')] },
  },
  {
    when: 'a tenth of the time between the renewal and the expiry of a certificate has passed, and again when half of it has',
    change: { ...renewal(hour), ...expiry(11 * hour), ...overdue(1) },
    at: {
      '130m': [],
      '131m': [warning('MtlsCertificateNotRenewed', server)],
      '365m': [warning('MtlsCertificateNotRenewed', server)],
      '366m': [warning('MtlsCertificateNotRenewed', server), critical('MtlsCertificateNotRenewed', server)],
    },
  },
  {
    when: 'a certificate of an hour is overdue for two minutes, and again when ten minutes are left',
    change: { ...renewal(40 * minute), ...expiry(60 * minute), ...overdue(1), ...notReady('Expired', 1) },
    at: {
      '52m': [],
      '56m': [warning('MtlsCertificateNotRenewed', server), critical('MtlsCertificateNotRenewed', server)],
    },
  },
  {
    when: 'certificates are overdue or have expired, and only their number is known',
    change: {
      ...overdue(2),
      ...notReady('Expired', 1),
    },
    isWithoutCertificates: true,
    at: {
      '4m': [],
      '15m': [
        warning('MtlsCertificateNotRenewed'),
        critical('MtlsCertificateNotRenewed'),
        warning('MtlsCertificateNotReady', 'reason="Expired"'),
      ],
    },
  },
  {
    when: 'a Secret is contested',
    change: notReady('SecretContested', 1),
    at: { '4m': [], '5m': [warning('MtlsSecretContested')] },
  },
  {
    when: 'an authority is not Ready',
    change: onBoth('mtls_operator_authority_ready', byDefault, constant(0)),
    at: { '9m': [], '10m': [critical('MtlsAuthorityNotReady', byDefault)] },
  },
  {
    when: 'the roots are not published',
    change: onBoth('mtls_operator_trust_published', byDefault, constant(0)),
    at: { '14m': [], '15m': [warning('MtlsTrustNotPublished', byDefault)] },
  },
  {
    when: 'roots of other CAs are left out',
    change: onBoth('mtls_operator_authority_additional_roots_accepted', byDefault, constant(0)),
    at: { '14m': [], '15m': [warning('MtlsAdditionalRootsRefused', byDefault)] },
  },
  {
    when: 'a tenth of the time between the planned rotation and the expiry of a root has passed, and again when half of it has',
    change: { ...rootRenewal(hour), ...rootExpiry(11 * hour) },
    at: {
      '180m': [],
      '181m': [warning('MtlsRootExpiring', byDefault)],
      '420m': [warning('MtlsRootExpiring', byDefault)],
      '421m': [warning('MtlsRootExpiring', byDefault), critical('MtlsRootExpiring', byDefault)],
    },
  },
  {
    when: 'a root that only a person can replace expires in less than 90 days',
    change: { ...withoutRootRenewal, ...rootExpiry(90 * day + 30 * minute) },
    at: { '90m': [], '91m': [warning('MtlsRootExpiring', byDefault)] },
  },
  {
    when: 'a root that only a person can replace expires in less than 30 days',
    change: { ...withoutRootRenewal, ...rootExpiry(30 * day) },
    at: { '59m': [], '61m': [warning('MtlsRootExpiring', byDefault), critical('MtlsRootExpiring', byDefault)] },
  },
  {
    when: 'an intermediate expires in less than 90 days, before its root is rotated',
    change: rootExpiry(80 * day),
    at: { '59m': [], '60m': [warning('MtlsRootExpiring', byDefault)] },
  },
  {
    when: 'a phase of a rotation lasts for 6 hours, although the leader changes',
    change: {
      [on('a', 'mtls_operator_rotation_phase', `${byDefault},phase="Draining"`)]: '1x120 stale',
      [on('b', 'mtls_operator_rotation_phase', `${byDefault},phase="Draining"`)]: `_x124 1x${minutes - 125}`,
      [on('b', 'mtls_operator_rotation_phase', `${byDefault},phase="Retiring"`)]: `_x124 0x${minutes - 125}`,
    },
    at: { '359m': [], '360m': [warning('MtlsRootRotationStuck', `${byDefault},phase="Draining"`)] },
  },
  {
    when: 'the phase Draining lasts for 6 hours after the last certificate of a pod from the old root has expired',
    change: {
      [on('a', 'mtls_operator_rotation_phase', `${byDefault},phase="Draining"`)]: constant(1),
      ...oldPods(5 * hour),
    },
    at: { '659m': [], '660m': [warning('MtlsRootRotationStuck', `${byDefault},phase="Draining"`)] },
  },
  {
    when: 'the phase Switching lasts for 6 hours, although pods hold certificates of the old root for a day',
    change: {
      [on('a', 'mtls_operator_rotation_phase', `${byDefault},phase="Switching"`)]: constant(1),
      ...oldPods(day),
    },
    at: { '359m': [], '360m': [warning('MtlsRootRotationStuck', `${byDefault},phase="Switching"`)] },
  },
  {
    when: 'an authority does not answer the requests of pods',
    change: onBoth('mtls_operator_pod_certificates_served', byDefault, constant(0)),
    at: { '14m': [], '15m': [critical('MtlsPodCertificatesNotServed', byDefault)] },
  },
  {
    when: 'the request of a pod waits for 10 minutes',
    change: { [waiting]: constant(2) },
    at: { '9m': [], '10m': [warning('MtlsPodCertificatesPending', `${byDefault},reason="ServiceNotFound"`)] },
  },
  {
    when: 'the CRL ends in less than 14 days',
    change: onBoth('mtls_operator_crl_next_update_seconds', byDefault, constant(14 * day)),
    at: { '60m': [], '61m': [warning('MtlsCrlEnding', byDefault)] },
  },
  {
    when: 'the CRL ends in less than 3 days',
    change: onBoth('mtls_operator_crl_next_update_seconds', byDefault, constant(3 * day)),
    at: { '59m': [], '61m': [warning('MtlsCrlEnding', byDefault), critical('MtlsCrlEnding', byDefault)] },
  },
  {
    when: 'the CRL is full to 80 %',
    change: onBoth('mtls_operator_crl_entries', byDefault, constant(4000)),
    at: { '14m': [], '15m': [warning('MtlsCrlNearlyFull', byDefault)] },
  },
  {
    when: 'Prometheus finds no replica',
    change: Object.fromEntries(Object.keys(healthy).map((name) => [name, undefined])),
    at: { '9m': [], '10m': [critical('MtlsOperatorAbsent')] },
  },
  {
    when: 'Prometheus cannot read the metrics of a replica',
    change: {
      [on('b', 'up')]: constant(0),
      [on('b', 'leader_election_master_status', 'name="mtls-operator"')]: undefined,
    },
    at: { '9m': [], '10m': [warning('MtlsOperatorReplicaDown', 'job="mtls-operator",instance="b"')] },
  },
  {
    when: 'no replica leads',
    change: { [on('a', 'leader_election_master_status', 'name="mtls-operator"')]: constant(0) },
    at: { '4m': [], '5m': [critical('MtlsOperatorNoLeader')] },
  },
  {
    when: 'the clock of a replica is more than a minute behind that of the API server',
    change: { [on('b', 'mtls_operator_clock_ahead_seconds')]: constant(-61) },
    at: { '9m': [], '10m': [warning('MtlsOperatorClockDiffers', 'job="mtls-operator",instance="b"')] },
  },
  {
    when: 'the clock of a replica is more than four minutes ahead',
    change: { [on('a', 'mtls_operator_clock_ahead_seconds')]: constant(241) },
    at: {
      '1m': [],
      '2m': [critical('MtlsOperatorClockDiffers', 'job="mtls-operator",instance="a"')],
      '10m': [warning, critical].map((alert) => alert('MtlsOperatorClockDiffers', 'job="mtls-operator",instance="a"')),
    },
  },
  {
    when: 'more than a tenth of the requests get no answer',
    change: onBoth('rest_client_requests_total', 'verb="get",resource="secrets",code="Network"', counter(4)),
    at: { '15m': [], '16m': [warning('MtlsOperatorApiErrors', 'job="mtls-operator"')] },
  },
  {
    when: 'the operator may not watch a resource',
    change: onBoth('mtls_operator_watch_errors_total', 'resource="namespaces",code="Forbidden"', counter(2)),
    at: { '15m': [], '16m': [warning('MtlsOperatorApiErrors', 'resource="namespaces",code="Forbidden"')] },
  },
  {
    when: 'the reconcile of one object fails every 5 minutes',
    change: {
      [on('a', 'controller_runtime_reconcile_errors_total', 'controller="trust"')]: perMinute((at) =>
        Math.floor(at / 5),
      ),
    },
    at: { '45m': [], '75m': [warning('MtlsOperatorReconcileErrors', 'controller="trust"')] },
  },
];

const changed = (change: Change, isWithoutCertificates: boolean): Series => {
  const entries = Object.entries({ ...healthy, ...change }).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  const series = Object.fromEntries(entries);
  return isWithoutCertificates ? withoutCertificates(series) : series;
};

const firedIn = (at: Case['at']): readonly string[] => Object.values(at).flat();

const everFiring = 'count_over_time(ALERTS{alertstate="firing"}[12h])';

describe('the shipped alerts', () => {
  test('are rules that promtool accepts', { skip }, async () => {
    assert.match(await promtool('check', 'rules', rulesFile), new RegExp(`SUCCESS: ${alerts.length} rules found`));
  });

  for (const { when, change, at, isWithoutCertificates = false } of cases) {
    const names = [...new Set(firedIn(at).map((labels) => /alertname="(\w+)"/.exec(labels)?.[1]))].join(', ');
    test(`${names}: fires when ${when}, and no other alert does`, { skip }, async () => {
      await testRules(
        changed(change, isWithoutCertificates),
        Object.entries(at).map(([time, labels]) => ({ expr: 'ALERTS{alertstate="firing"}', at: time, labels })),
      );
    });
  }

  test('have a case for each severity', () => {
    const tested = new Set(
      cases.flatMap(({ at }) =>
        firedIn(at).map((text) => /alertname="(\w+)".*severity="(\w+)"/.exec(text)?.slice(1).join()),
      ),
    );
    assert.deepEqual(new Set(alerts.map(({ alert, labels: { severity } }) => `${alert},${severity}`)), tested);
  });

  test('use only labels that they have', () => {
    for (const { alert, labels, annotations } of alerts) {
      const fired = cases
        .flatMap(({ at }) => firedIn(at))
        .filter((text) => text.includes(`"${alert}"`) && text.includes(labels.severity));
      for (const [, label] of JSON.stringify(annotations).matchAll(/\$labels\.(\w+)/g))
        assert.ok(
          fired.some((text) => text.includes(`${label}="`)),
          `${alert} has no label ${label}`,
        );
    }
  });

  test('read every series of the operator by the label job, which the chart replaces', () => {
    for (const { alert, expr } of alerts)
      for (const [selector, labels = ''] of expr.matchAll(
        /\b(?:up|mtls_operator|leader_|rest_|controller_)\w*(\{[^}]*\})?/g,
      ))
        assert.ok(labels.includes('job="mtls-operator"'), `${alert}: ${selector}`);
  });

  test('have two limits in days, which the chart replaces', () => {
    const text = readFileSync(rulesFile, 'utf8');
    for (const limit of ['90 * 86400', '30 * 86400']) assert.equal(text.split(limit).length, 2, limit);
  });

  test('are silent just below their limits', { skip }, async () => {
    await testRules(changed(justBelow(), false), [{ expr: everFiring, at: '5h', labels: [] }]);
  });

  for (const isWithoutCertificates of [false, true])
    test(`are silent on a healthy day${isWithoutCertificates ? ' without series for each certificate' : ''}`, {
      skip,
    }, async () => {
      await testRules(changed(healthyDay(), isWithoutCertificates), [
        { expr: everFiring, at: `${minutes}m`, labels: [] },
      ]);
    });
});

/** Five hours in which everything is as bad as it may be. */
function justBelow(): Change {
  const short = (from: number, forMinutes: number, bad: number, good: number): string =>
    perMinute((at) => (at >= from && at < from + forMinutes ? bad : good));
  return {
    // One replica does not see the newest state.
    [on('b', 'mtls_operator_certificate_ready', payments)]: constant(0),
    [on('b', 'mtls_operator_authority_ready', byDefault)]: constant(0),
    [on('b', 'mtls_operator_trust_published', byDefault)]: constant(0),
    [on('b', 'mtls_operator_authority_additional_roots_accepted', byDefault)]: constant(0),
    [on('b', 'mtls_operator_pod_certificates_served', byDefault)]: constant(0),
    [waiting]: short(60, 10, 3, 0),
    [on('b', 'mtls_operator_certificate_renewal_seconds', server)]: constant(0),
    [on('b', 'mtls_operator_certificate_expiry_seconds', server)]: constant(6 * hour),
    [on('a', 'mtls_operator_certificate_renewal_seconds', server)]: constant(hour),
    [on('a', 'mtls_operator_certificate_expiry_seconds', server)]: constant(51 * hour),
    ...onBoth('mtls_operator_certificates', 'ready="False",reason="SecretContested"', short(60, 5, 1, 0)),
    ...rootRenewal(hour),
    ...rootExpiry(51 * hour),
    [on('b', 'mtls_operator_root_renewal_seconds', byDefault)]: constant(0),
    [on('b', 'mtls_operator_root_expiry_seconds', byDefault)]: constant(6 * hour),
    [on('a', 'mtls_operator_root_expiry_seconds', 'authority="own"')]: constant(90 * day + 6 * hour),
    [on('b', 'mtls_operator_root_expiry_seconds', 'authority="own"')]: constant(80 * day),
    ...onBoth('mtls_operator_crl_next_update_seconds', byDefault, constant(14 * day + 6 * hour)),
    ...onBoth('mtls_operator_crl_entries', byDefault, constant(3999)),
    [on('a', 'mtls_operator_rotation_phase', `${byDefault},phase="Draining"`)]: constant(1),
    [on('a', 'leader_election_master_status', 'name="mtls-operator"')]: short(100, 5, 0, 1),
    ...onBoth('up', '', short(150, 10, 0, 1)),
    ...onBoth('rest_client_requests_total', 'verb="get",resource="secrets",code="500"', counter(3)),
    [on('a', 'controller_runtime_reconcile_errors_total', 'controller="trust"')]: perMinute((at) =>
      Math.floor(at / 15),
    ),
  };
}

/** Twelve hours with a rotation of the root, renewals, a new leader, a new pod, and nine minutes without an API server. */
function healthyDay(): Change {
  const lifetime = hour;
  const used = 40 * minute;
  /** When the current certificate was issued: up to two minutes late. */
  const issuedAt = (at: number): number => Math.max(0, Math.floor((at * minute - 2 * minute) / used)) * used;
  const failOver = 240;
  const outage = { from: 300, until: 309 };
  const phases = ['Distributing', 'Switching', 'Draining', 'Retiring'];
  const startOfRotation = 60;
  const phaseMinutes = 100;
  const phaseAt = (at: number): number => Math.floor((at - startOfRotation) / phaseMinutes);
  const isRotating = (at: number): boolean => phaseAt(at) >= 0 && phaseAt(at) < phases.length;
  const phaseOn = (replica: 'a' | 'b', index: number): string =>
    perMinute((at) => {
      const leads = replica === 'a' ? at < failOver : at > failOver;
      return leads && isRotating(at) ? Number(phaseAt(at) === index) : '_';
    });
  const renewed = isRotating;
  return {
    ...onBoth(
      'mtls_operator_certificate_renewal_seconds',
      server,
      perMinute((at) => issuedAt(at) + used),
    ),
    ...onBoth(
      'mtls_operator_certificate_expiry_seconds',
      server,
      perMinute((at) => issuedAt(at) + lifetime),
    ),
    // A large RSA key: Pending for three minutes after each renewal.
    ...onBoth(
      'mtls_operator_certificate_ready',
      payments,
      perMinute((at) => Number(at % 40 > 3)),
    ),
    ...onBoth(
      'mtls_operator_certificates',
      'ready="True",reason="Issued"',
      perMinute((at) => Number(at % 40 > 3)),
    ),
    ...onBoth(
      'mtls_operator_certificates',
      'ready="False",reason="Pending"',
      perMinute((at) => (at % 40 > 3 ? '_' : 1)),
    ),
    ...onBoth(
      'mtls_operator_certificates_overdue',
      '',
      perMinute((at) => Number(at % 40 < 2)),
    ),
    // The root was due at the start of the rotation, and is replaced when it ends.
    ...onBoth(
      'mtls_operator_root_renewal_seconds',
      byDefault,
      perMinute((at) => (at < startOfRotation + phaseMinutes ? startOfRotation * minute : 90 * day)),
    ),
    ...onBoth(
      'mtls_operator_root_expiry_seconds',
      byDefault,
      perMinute((at) => (at < startOfRotation + phaseMinutes ? startOfRotation * minute + day : 100 * day)),
    ),
    ...onBoth(
      'mtls_operator_trust_published',
      byDefault,
      perMinute((at) => Number(!(renewed(at) && at % 100 > 95))),
    ),
    // Pods wait for Services, and the root is being repaired.
    [waiting]: perMinute((at) => (at % 20 > 11 ? 5 : 'stale')),
    ...onBoth(
      'mtls_operator_pod_certificates_served',
      byDefault,
      perMinute((at) => Number(at % 60 > 13)),
    ),
    // A source is deleted and created again every 20 minutes.
    ...onBoth(
      'mtls_operator_authority_additional_roots_accepted',
      byDefault,
      perMinute((at) => Number(at % 20 > 9)),
    ),
    ...onBoth(
      'mtls_operator_crl_next_update_seconds',
      byDefault,
      perMinute((at) => (at < 100 ? 20 : 30) * day),
    ),
    ...Object.fromEntries(
      phases.flatMap((phase, index) =>
        (['a', 'b'] as const).map((replica) => [
          on(replica, 'mtls_operator_rotation_phase', `${byDefault},phase="${phase}"`),
          phaseOn(replica, index),
        ]),
      ),
    ),
    [on('a', 'leader_election_master_status', 'name="mtls-operator"')]: perMinute((at) => Number(at < failOver)),
    [on('b', 'leader_election_master_status', 'name="mtls-operator"')]: perMinute((at) => Number(at > failOver)),
    // The pod of replica `a` is replaced.
    [on('a', 'up')]: perMinute((at) => Number(at < failOver || at > failOver + 3)),
    ...onBoth('rest_client_requests_total', 'verb="get",resource="secrets",code="Network"', counter(200, outage)),
    ...onBoth('mtls_operator_watch_errors_total', 'resource="secrets",code="Network"', counter(3, outage)),
    ...onBoth('mtls_operator_watch_errors_total', 'resource="secrets",code="Gone"', counter(1)),
    [on('a', 'controller_runtime_reconcile_errors_total', 'controller="certificate"')]: counter(50, outage),
  };
}

test('every alert has a section in the runbooks, every section is about an alert, and the alert links to it', () => {
  const page = 'docs/operations/runbooks.md';
  const sections = [...readFileSync(join(ROOT, page), 'utf8').matchAll(/^## (Mtls\w+)$/gm)].map(([, name]) => name);
  assert.deepEqual(sections, [...new Set(alerts.map(({ alert }) => alert))]);
  for (const { alert, annotations } of alerts) assert.equal(annotations.runbook, `${page}#${alert.toLowerCase()}`);
});
