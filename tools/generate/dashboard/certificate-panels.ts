import { redFrom, stat, table, timeSeries } from './grafana.ts';
import { day, inNamespace, newest, own, perCertificate, rate } from './promql.ts';

export const notReady = stat(
  { title: 'Not ready', description: 'MtlsCertificates whose condition Ready is not True.' },
  `sum(max by (ready, reason) (mtls_operator_certificates{${own}, ready!="True"})) or vector(0)`,
  redFrom(1),
);

export const overdue = stat(
  {
    title: 'Overdue',
    description:
      'MtlsCertificates with a certificate that should have been renewed and was not. It still works until it expires.',
  },
  `max(mtls_operator_certificates_overdue{${own}})`,
  redFrom(1),
);

export const reasons = timeSeries(
  {
    title: 'MtlsCertificates that are not ready, by reason',
    description: 'The reason of the condition Ready. docs/reference/conditions.md says what to do about each.',
  },
  'short',
  [
    {
      expr: newest('reason', `mtls_operator_certificates{${own}, ready!="True"}`),
      legend: '{{reason}}',
    },
  ],
  true,
);

export const notReadyNames = table(
  {
    title: 'MtlsCertificates that are not ready',
    description: 'Empty when all are ready, and without series for each certificate.',
  },
  'none',
  `${newest('namespace, name', `mtls_operator_certificate_ready{${inNamespace}}`)} == 0`,
  { namespace: 'Namespace', name: 'Certificate' },
);

export const firstToExpire = table(
  {
    title: 'Certificates that expire first',
    description:
      'The time that the 20 certificates with the earliest expiry have left. A certificate is renewed when a third of its lifetime is left, unless its spec says otherwise.',
  },
  's',
  `bottomk(20, ${perCertificate('expiry_seconds')} - time())`,
  { namespace: 'Namespace', name: 'Certificate', role: 'Role', '': 'Expires in' },
);

export const nextToRenew = table(
  {
    title: 'Certificates that are renewed next',
    description:
      'The 20 certificates with the earliest planned renewal. A negative time means that the renewal is overdue.',
  },
  's',
  `bottomk(20, ${perCertificate('renewal_seconds')} - time())`,
  { namespace: 'Namespace', name: 'Certificate', role: 'Role', '': 'Renewed in' },
);

export const renewals = timeSeries(
  {
    title: 'Planned renewals',
    description: 'Certificates whose planned renewal is in the next hour, day and week.',
  },
  'short',
  [
    ['hour', 3600],
    ['day', day],
    ['week', 7 * day],
  ].map(([name, seconds]) => ({
    expr: `count(${perCertificate('renewal_seconds')} - time() < ${seconds}) or vector(0)`,
    legend: `in a${name === 'hour' ? 'n' : ''} ${name}`,
  })),
);

export const issued = timeSeries(
  {
    title: 'Certificates issued, by reason',
    description:
      'RenewalDue is normal. SecretCorrupted and SecretMissing mean that another client changes Secrets. docs/reference/metrics.md has all reasons.',
  },
  'cps',
  [{ expr: rate('reason', `mtls_operator_issued_total{${own}}`), legend: '{{reason}}' }],
  true,
);

export const ready = timeSeries(
  { title: 'MtlsCertificates', description: 'All MtlsCertificates, by the status of the condition Ready.' },
  'short',
  [
    {
      expr: `sum by (ready) (max by (ready, reason) (mtls_operator_certificates{${own}}))`,
      legend: 'Ready: {{ready}}',
    },
  ],
  true,
);

export const byNamespace = timeSeries(
  {
    title: 'MtlsCertificates of the largest namespaces',
    description: 'The ten namespaces with the most MtlsCertificates.',
  },
  'short',
  [
    {
      expr: `topk(10, count by (namespace) (${newest('namespace, name', `mtls_operator_certificate_ready{${inNamespace}}`)}))`,
      legend: '{{namespace}}',
    },
  ],
);
