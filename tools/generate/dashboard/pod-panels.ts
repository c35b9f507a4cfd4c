import { timeline, timeSeries } from './grafana.ts';
import { newest, ofAuthority, own, perAuthority, rate } from './promql.ts';

export const podCertificates = timeSeries(
  {
    title: 'Certificates of pods',
    description:
      'Certificates that pods got without a Secret. After a restart of kubelet, all pods of its node request new ones.',
  },
  'cps',
  [{ expr: rate('authority', `mtls_operator_pod_certificates_issued_total{${ofAuthority}}`), legend: '{{authority}}' }],
);

export const waitingPods = timeSeries(
  {
    title: 'Requests of pods that wait',
    description: 'By reason. docs/reference/events.md says what to do about each. New pods wait with their start.',
  },
  'short',
  [
    {
      expr: newest('authority, reason', `mtls_operator_pod_certificates_pending{${ofAuthority}}`),
      legend: '{{authority}}: {{reason}}',
    },
  ],
  true,
);

export const deniedPods = timeSeries(
  {
    title: 'Requests of pods that were denied',
    description: 'By reason. A denied pod never gets its certificate: its author has to create it again.',
  },
  'cps',
  [
    {
      expr: rate('authority, reason', `mtls_operator_pod_certificates_denied_total{${ofAuthority}}`),
      legend: '{{authority}}: {{reason}}',
    },
  ],
);

export const podTime = timeSeries(
  {
    title: 'Time to a certificate (99th percentile)',
    description:
      'How long 99 of 100 requests of pods wait for their certificate at most. Requests that wait for a person are included.',
  },
  's',
  [
    {
      expr: `histogram_quantile(0.99, ${rate('le', `mtls_operator_pod_certificate_issue_seconds_bucket{${own}}`)})`,
      legend: 'all authorities',
    },
  ],
);

export const servedPods = timeline(
  {
    title: 'Requests of pods are answered',
    description: 'The condition PodCertificatesServed of each authority with spec.podCertificates.',
  },
  { expr: perAuthority('pod_certificates_served'), legend: '{{authority}}' },
  { 0: ['no', 'red'], 1: ['yes', 'green'] },
);
