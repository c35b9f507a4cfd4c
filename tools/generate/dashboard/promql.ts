/** The series of the chosen operator. */
export const own = 'job="$job"';
export const inNamespace = `${own}, namespace=~"$namespace"`;
export const ofAuthority = `${own}, authority=~"$authority"`;
export const day = 86_400;

/** The newest value that a replica reports. */
export const newest = (labels: string, series: string): string => `max by (${labels}) (${series})`;

export const perAuthority = (metric: string): string => newest('authority', `mtls_operator_${metric}{${ofAuthority}}`);
export const perCertificate = (metric: string): string =>
  newest('namespace, name, role', `mtls_operator_certificate_${metric}{${inNamespace}}`);
export const rate = (labels: string, series: string): string =>
  `sum by (${labels}) (rate(${series}[$__rate_interval]))`;
export const p99 = (histogram: string): string =>
  `histogram_quantile(0.99, ${rate('le, controller', `${histogram}_bucket{${own}}`)})`;
