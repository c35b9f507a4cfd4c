import type { Series } from './rules.ts';

export const minute = 60;
export const hour = 60 * minute;
export const day = 24 * hour;

/** How long the series below last, in minutes. */
export const minutes = 720;

const job = 'job="mtls-operator"';
/** A series of one replica. */
export const on = (replica: 'a' | 'b', name: string, labels = ''): string =>
  `${name}{${[job, `instance="${replica}"`, labels].filter((text) => text !== '').join(',')}}`;

/** The same series on both replicas. */
export const onBoth = (name: string, labels: string, values: string): Series => ({
  [on('a', name, labels)]: values,
  [on('b', name, labels)]: values,
});

/** A value that does not change. */
export const constant = (value: number): string => `${value}x${minutes}`;

/** One value a minute. */
export const perMinute = (value: (minute: number) => number | '_' | 'stale'): string =>
  Array.from({ length: minutes + 1 }, (_, index) => value(index)).join(' ');

/** A counter that grows by `step` a minute, by default always. */
export function counter(step: number, { from, until } = { from: 0, until: minutes + 1 }): string {
  let total = 0;
  return perMinute((at) => {
    if (at >= from && at < until) total += step;
    return total;
  });
}

export const payments = 'namespace="shop",name="payments"';
export const server = `${payments},role="server"`;
export const byDefault = 'authority="default"';

/** Two replicas, of which `a` leads, and a certificate of 90 days. */
export const healthy: Series = {
  ...onBoth('up', '', constant(1)),
  [on('a', 'leader_election_master_status', 'name="mtls-operator"')]: constant(1),
  [on('b', 'leader_election_master_status', 'name="mtls-operator"')]: constant(0),
  ...onBoth('mtls_operator_certificate_ready', payments, constant(1)),
  ...onBoth('mtls_operator_certificate_renewal_seconds', server, constant(60 * day)),
  ...onBoth('mtls_operator_certificate_expiry_seconds', server, constant(90 * day)),
  ...onBoth('mtls_operator_certificates', 'ready="True",reason="Issued"', constant(1)),
  ...onBoth('mtls_operator_certificates_overdue', '', constant(0)),
  ...onBoth('mtls_operator_authority_ready', byDefault, constant(1)),
  ...onBoth('mtls_operator_trust_published', byDefault, constant(1)),
  ...onBoth('mtls_operator_authority_additional_roots_accepted', byDefault, constant(1)),
  ...onBoth('mtls_operator_pod_certificates_served', byDefault, constant(1)),
  ...onBoth('mtls_operator_root_renewal_seconds', byDefault, constant(3285 * day)),
  ...onBoth('mtls_operator_root_expiry_seconds', byDefault, constant(3650 * day)),
  ...onBoth('mtls_operator_crl_next_update_seconds', byDefault, constant(30 * day)),
  ...onBoth('mtls_operator_crl_entries', byDefault, constant(7)),
  ...onBoth('mtls_operator_crl_entries_limit', byDefault, constant(5000)),
  ...onBoth('mtls_operator_clock_ahead_seconds', '', constant(1)),
  ...onBoth('rest_client_requests_total', 'verb="update",resource="leases",code="200"', counter(30)),
  [on('a', 'controller_runtime_reconcile_errors_total', 'controller="certificate"')]: constant(4),
};

/** What remains of series with --no-metrics-per-certificate. */
export const withoutCertificates = (series: Series): Series =>
  Object.fromEntries(Object.entries(series).filter(([name]) => !name.startsWith('mtls_operator_certificate_')));
