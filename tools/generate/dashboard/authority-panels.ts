import { bars, redFrom, stat, timeline, timeSeries } from './grafana.ts';
import { day, newest, ofAuthority, perAuthority } from './promql.ts';

export const authoritiesNotReady = stat(
  { title: 'Authorities not ready', description: 'MtlsAuthorities that cannot sign.' },
  `sum(${perAuthority('authority_ready')} == bool 0)`,
  redFrom(1),
);

export const rotations = stat(
  { title: 'Rotations', description: 'Rotations of roots that are in progress.' },
  `count(max by (authority) (mtls_operator_rotation_phase{${ofAuthority}})) or vector(0)`,
  [
    { from: null, color: 'green' },
    { from: 1, color: 'blue' },
  ],
);

const daysLeft = [
  { from: null, color: 'red' },
  { from: 30 * day, color: 'orange' },
  { from: 90 * day, color: 'green' },
] as const;

export const roots = bars(
  {
    title: 'Roots expire in',
    description:
      'The earliest expiry among the signing root and its intermediates. All certificates of an authority expire with its root.',
  },
  's',
  { expr: `${perAuthority('root_expiry_seconds')} - time()`, legend: '{{authority}}' },
  daysLeft,
);

export const crls = bars(
  {
    title: 'CRLs end in',
    description: 'The operator renews a CRL when 20 of its 30 days are left.',
  },
  's',
  { expr: `${perAuthority('crl_next_update_seconds')} - time()`, legend: '{{authority}}' },
  [
    { from: null, color: 'red' },
    { from: 3 * day, color: 'orange' },
    { from: 14 * day, color: 'green' },
  ],
);

export const crlEntries = bars(
  {
    title: 'CRL entries in use',
    description: 'Revoked certificates that have not expired, as a share of the most that a CRL can hold.',
  },
  'percentunit',
  {
    expr: `${perAuthority('crl_entries')} / ${perAuthority('crl_entries_limit')}`,
    legend: '{{authority}}',
  },
  [
    { from: null, color: 'green' },
    { from: 0.6, color: 'orange' },
    { from: 0.8, color: 'red' },
  ],
);

export const phases = timeline(
  {
    title: 'Phase of the rotation',
    description: 'The phase of each rotation of a root. Handshakes work in every phase. Empty without a rotation.',
  },
  {
    expr: newest('authority, phase', `mtls_operator_rotation_phase{${ofAuthority}}`),
    legend: '{{authority}}: {{phase}}',
  },
  { 0: ['other phase', 'transparent'], 1: ['current phase', 'blue'] },
);

export const remaining = timeSeries(
  {
    title: 'What the phase waits for',
    description:
      'Secrets and bundles that the current phase still waits for. The names of the last ones are in status.rotation.blockers.',
  },
  'short',
  [
    {
      expr: newest('authority', `mtls_operator_rotation_remaining{${ofAuthority}}`),
      legend: '{{authority}}',
    },
  ],
);

export const trust = timeline(
  {
    title: 'Roots are published',
    description: 'The condition TrustPublished of each authority. A rotation waits until it is True.',
  },
  { expr: perAuthority('trust_published'), legend: '{{authority}}' },
  { 0: ['no', 'red'], 1: ['yes', 'green'] },
);

export const additionalRoots = timeline(
  {
    title: 'Roots of other CAs are accepted',
    description:
      'The condition AdditionalRootsAccepted of each authority with spec.trustBundle.additional. Otherwise some are left out.',
  },
  { expr: perAuthority('authority_additional_roots_accepted'), legend: '{{authority}}' },
  { 0: ['no', 'red'], 1: ['yes', 'green'] },
);
