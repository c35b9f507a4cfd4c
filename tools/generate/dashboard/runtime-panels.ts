import { stat, table, timeline, timeSeries } from './grafana.ts';
import { newest, own, p99, rate } from './promql.ts';

export const leaders = stat(
  {
    title: 'Leaders',
    description: 'Replicas that lead. One is right. With 0, no certificate is issued or renewed.',
  },
  `sum(leader_election_master_status{${own}})`,
  [
    { from: null, color: 'red' },
    { from: 1, color: 'green' },
    { from: 2, color: 'red' },
  ],
);

export const replicas = stat(
  {
    title: 'Replicas',
    description: 'Replicas whose metrics Prometheus can read. With one replica, a fail-over waits for a new pod.',
  },
  `sum(up{${own}})`,
  [
    { from: null, color: 'red' },
    { from: 1, color: 'orange' },
    { from: 2, color: 'green' },
  ],
);

export const alerts = table(
  {
    title: 'Alerts',
    description: 'The alerts of the chart that fire. Empty when all is well, and when the rules are not loaded.',
  },
  'none',
  'max by (alertname, severity, namespace, name, role, authority, reason, instance) (ALERTS{alertname=~"Mtls.+", alertstate="firing"})',
  {
    alertname: 'Alert',
    severity: 'Severity',
    namespace: 'Namespace',
    name: 'Certificate',
    role: 'Role',
    authority: 'Authority',
    reason: 'Reason',
    instance: 'Replica',
  },
);

export const reconciles = timeSeries(
  {
    title: 'Reconciles, by result',
    description:
      'A key with an error is tried again, with a growing delay. Some errors are normal: another client was faster.',
  },
  'ops',
  [
    {
      expr: rate('controller, result', `controller_runtime_reconcile_total{${own}}`),
      legend: '{{controller}}: {{result}}',
    },
  ],
);

export const reconcileTime = timeSeries(
  {
    title: 'Time of a reconcile (99th percentile)',
    description: 'How long 99 of 100 reconciles take at most. It includes requests to the API server.',
  },
  's',
  [{ expr: p99('controller_runtime_reconcile_time_seconds'), legend: '{{controller}}' }],
);

export const queueTime = timeSeries(
  {
    title: 'Time in the queue (99th percentile)',
    description:
      'How long 99 of 100 keys wait for a worker at most. If it grows, the operator has too few workers or the API server is slow.',
  },
  's',
  [{ expr: p99('workqueue_queue_duration_seconds'), legend: '{{controller}}' }],
);

export const depth = timeSeries(
  { title: 'Keys in the queue', description: 'Keys that wait to be reconciled, on the leader.' },
  'short',
  [{ expr: `sum by (controller) (workqueue_depth{${own}})`, legend: '{{controller}}' }],
);

export const workers = timeSeries(
  {
    title: 'Busy workers',
    description: 'The share of the workers of each controller that reconcile now, on the leader.',
  },
  'percentunit',
  [
    {
      expr: `sum by (controller) (controller_runtime_active_workers{${own}}) / sum by (controller) (controller_runtime_max_concurrent_reconciles{${own}})`,
      legend: '{{controller}}',
    },
  ],
);

export const leaderOverTime = timeline(
  { title: 'Leader', description: 'Which replica leads. A change of the leader takes seconds.' },
  { expr: newest('instance', `leader_election_master_status{${own}}`), legend: '{{instance}}' },
  { 0: ['standby', 'transparent'], 1: ['leader', 'green'] },
);

export const memory = timeSeries(
  {
    title: 'Memory',
    description:
      'Resident memory of each replica. docs/operations/capacity.md says how much a number of certificates needs.',
  },
  'bytes',
  [{ expr: newest('instance', `process_resident_memory_bytes{${own}}`), legend: '{{instance}}' }],
);

export const cpu = timeSeries(
  { title: 'CPU', description: 'Cores that each replica uses. The operator decides and signs on one core.' },
  'none',
  [{ expr: rate('instance', `process_cpu_seconds_total{${own}}`), legend: '{{instance}}' }],
);

export const eventLoop = timeSeries(
  {
    title: 'Delay of the event loop (99th percentile)',
    description: 'How long the process cannot react. Above a second, renewals of the Lease come late.',
  },
  's',
  [{ expr: newest('instance', `nodejs_eventloop_lag_p99_seconds{${own}}`), legend: '{{instance}}' }],
);

export const versions = table(
  { title: 'Versions', description: 'The version of each replica.' },
  'none',
  newest('instance, version', `mtls_operator_build_info{${own}}`),
  { instance: 'Replica', version: 'Version' },
);

export const requests = timeSeries(
  {
    title: 'Requests, by verb',
    description: 'Requests to the API server. In a steady state only the Lease is renewed.',
  },
  'reqps',
  [{ expr: rate('verb', `rest_client_requests_total{${own}}`), legend: '{{verb}}' }],
  true,
);

export const failedRequests = timeSeries(
  {
    title: 'Requests that did not succeed',
    description:
      'The codes 404 and 409 are normal. Others say what the API server refuses. A word instead of a number means that there was no answer.',
  },
  'reqps',
  [
    {
      expr: rate('verb, resource, code', `rest_client_requests_total{${own}, code!~"2.."}`),
      legend: '{{verb}} {{resource}}: {{code}}',
    },
  ],
);

export const watchErrors = timeSeries(
  {
    title: 'Lists and watches that failed',
    description: 'Without its watches the operator acts on an old view of the cluster. Gone is normal.',
  },
  'ops',
  [
    {
      expr: rate('resource, code', `mtls_operator_watch_errors_total{${own}}`),
      legend: '{{resource}}: {{code}}',
    },
  ],
);
