import type { MetricDescription } from '../../src/telemetry/metrics.ts';
import { unionMembers } from './doc-comments.ts';
import { table } from './reasons.ts';

const header = `<!-- Generated from src/telemetry/metrics.ts by \`npm run generate\`. Do not edit. -->

# Metrics

Every replica serves \`/metrics\` in the text format of Prometheus on port 8080 of its pod, or [over TLS](../operations/monitoring.md#serve-the-metrics-over-tls).
[Monitoring](../operations/monitoring.md) has the scrape configuration and the alerts.

Gauges about certificates and roots have the same values on every replica: use \`max\`. Those about rotations and queues exist on the
leader only. The metrics of the Node.js process (\`process_*\`, \`nodejs_*\`) follow those below.
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
    '| `controller` | `authority`, `certificate`, `trust` |',
    '| `outcome` | `success`; `requeued`: the controller asked for another reconcile; `error`: retried with backoff; `terminal`: not retried before the object changes; `interrupted`: the replica stopped leading |',
    '| `code` | the HTTP status, or the kind of the error |',
    '',
    '`reason` of `mtls_operator_issued_total` is also the field `reason` of the log line `issued a certificate`:\n',
    table(unionMembers(issueReasons, 'IssueReason')),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n');
}
