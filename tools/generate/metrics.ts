import type { MetricDescription } from '../../src/telemetry/metric-registry.ts';
import { unionMembers } from './doc-comments.ts';
import { table } from './reasons.ts';

const header = `<!-- Generated from src/telemetry by \`npm run generate\`. Do not edit. -->

# Metrics

Every replica serves \`/metrics\` in the text format of Prometheus on port 8080 of its pod, or [over TLS](../operations/monitoring.md#serve-the-metrics-over-tls).
[Monitoring](../operations/monitoring.md) has the scrape configuration and the alerts.

\`workqueue_*\`, \`controller_runtime_*\`, \`rest_client_*\` and \`leader_election_*\` have the names and labels of controller-runtime and
client-go, so dashboards for operators work. Gauges about certificates and authorities have the same values on every replica: use
\`max\`. Gauges about rotations, queues and workers exist on the leader only. Counters and histograms keep their values when a replica
stops leading. The metrics of the Node.js process (\`process_*\`, \`nodejs_*\`) follow those below. With \`--no-metrics-per-certificate\`, the
metrics \`mtls_operator_certificate_*\` are absent.
`;

/** The text of docs/reference/metrics.md. `issueReasons` is the source of the type IssueReason. */
export function metricsFile(metrics: readonly MetricDescription[], issueReasons: string): string {
  const rows = metrics.map(
    ({ name, type, labels, help }) =>
      `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`,
  );
  return [
    header,
    '| Metric | Type | Labels | Meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    '## Values of labels\n',
    '| Label | Values |',
    '| --- | --- |',
    '| `role` | `server`, `client`, `peer` |',
    '| `phase` | `Distributing`, `Switching`, `Draining`, `Retiring` |',
    '| `controller`, `name` of `workqueue_*` | `authority`, `certificate`, `trust`, `pods` |',
    '| `result` | `success`; `requeue_after`: the controller asked for another reconcile at a later time; `requeue`: interrupted, because the replica stopped leading; `error` |',
    '| `code` | the HTTP status; without an answer, the kind of the error, for example `Network` or `Timeout` |',
    '| `ready` | the status of the condition `Ready`: `True`, `False`, `Unknown` |',
    '| `reason` of `mtls_operator_pod_certificates_*` | why a request was denied or waits: [events of a pod](events.md#events-of-a-pod) |',
    '| `reason` of `mtls_operator_certificates` | the reason of the condition `Ready`: [conditions](conditions.md) |',
    '',
    '`reason` of `mtls_operator_issued_total` is also the field `reason` of the log line `issued a certificate`:\n',
    table(unionMembers(issueReasons, 'IssueReason')),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n');
}
