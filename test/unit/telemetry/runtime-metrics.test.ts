import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { MetricRegistry } from '../../../src/telemetry/metric-registry.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { RuntimeMetrics } from '../../../src/telemetry/runtime-metrics.ts';
import { mirrorOf } from '../../support/metrics.ts';
import { missing } from '../../support/missing.ts';

function harness() {
  const registry = new MetricRegistry();
  const runtime = new RuntimeMetrics(registry);
  /** The lines of a metric. */
  const lines = async (name: string): Promise<string[]> =>
    [...(await registry.expose()).body]
      .join('')
      .split('\n')
      .filter((line) => line.startsWith(name));
  return { runtime, lines };
}

describe('the metrics of the runtime', () => {
  test('have the results of controller-runtime, and count errors and terminal errors', async () => {
    const { runtime, lines } = harness();
    const ends = ['success', 'success', 'requeued', 'interrupted', 'error', 'terminal'] as const;
    for (const outcome of ends) runtime.onReconcile('trust', { outcome, seconds: 0.02 });
    assert.deepEqual(await lines('controller_runtime_reconcile_total{'), [
      'controller_runtime_reconcile_total{controller="trust",result="success"} 2',
      'controller_runtime_reconcile_total{controller="trust",result="requeue_after"} 1',
      'controller_runtime_reconcile_total{controller="trust",result="requeue"} 1',
      'controller_runtime_reconcile_total{controller="trust",result="error"} 2',
    ]);
    assert.deepEqual(
      [
        ...(await lines('controller_runtime_reconcile_errors_total{')),
        ...(await lines('controller_runtime_terminal_reconcile_errors_total{')),
        ...(await lines('controller_runtime_reconcile_time_seconds_count')),
      ],
      [
        'controller_runtime_reconcile_errors_total{controller="trust"} 2',
        'controller_runtime_terminal_reconcile_errors_total{controller="trust"} 1',
        'controller_runtime_reconcile_time_seconds_count{controller="trust"} 6',
      ],
    );
  });

  test('count the errors of a controller from 0, so that a rate shows the first one', async () => {
    const { runtime, lines } = harness();
    runtime.expectController('trust');
    const counted = async () => [
      ...(await lines('controller_runtime_reconcile_total{')),
      ...(await lines('controller_runtime_reconcile_errors_total{')),
    ];
    const series = (await counted()).map((line) => line.split(' '));
    assert.equal(series.length, 5);
    for (const [, value] of series) assert.equal(value, '0');
    runtime.onReconcile('trust', { outcome: 'error', seconds: 1 });
    assert.equal((await counted()).length, 5);
  });

  test('have the keys, waits and durations of each queue, and continue when a second term has new queues', async () => {
    const { runtime, lines } = harness();
    for (let term = 0; term < 2; term += 1) {
      const queue = runtime.queueObserver('trust');
      queue.onAdd();
      queue.onGet(0.02);
      queue.onDone(2);
      queue.onRetry();
    }
    const labels = '{name="trust",controller="trust"}';
    assert.deepEqual(
      [
        ...(await lines('workqueue_adds_total{')),
        ...(await lines('workqueue_retries_total{')),
        ...(await lines('workqueue_queue_duration_seconds_sum')),
        ...(await lines('workqueue_work_duration_seconds_sum')),
      ],
      [
        `workqueue_adds_total${labels} 2`,
        `workqueue_retries_total${labels} 2`,
        `workqueue_queue_duration_seconds_sum${labels} 0.04`,
        `workqueue_work_duration_seconds_sum${labels} 4`,
      ],
    );
  });

  test('show whether the replica leads, also before it has ever led', async () => {
    const { runtime, lines } = harness();
    const leads = () => lines('leader_election_master_status{');
    for (const [isLeader, value] of [
      [false, 0],
      [true, 1],
      [false, 0],
    ] as const) {
      runtime.onTransition('mtls-operator', isLeader);
      assert.deepEqual(await leads(), [`leader_election_master_status{name="mtls-operator"} ${value}`]);
    }
  });
});

/** What the linter of Prometheus says about an exposition. */
async function lint(metrics: Metrics): Promise<string> {
  const checking = promisify(execFile)('promtool', ['check', 'metrics']);
  checking.child.stdin?.end([...(await metrics.expose()).body].join(''));
  const { stdout, stderr } = await checking;
  return stdout + stderr;
}

const skip = process.env['CI'] === 'true' ? false : (missing.promtool() ?? false);

describe('the linter of Prometheus accepts the metrics', { skip }, () => {
  test('of a replica that has just started', async () => {
    const metrics = new Metrics({ version: '1.2.3', perCertificate: true });
    metrics.mirror(mirrorOf());
    assert.equal(await lint(metrics), '');
  });

  test('with samples in each of them', async () => {
    const metrics = new Metrics({ version: '1.2.3', perCertificate: true });
    metrics.mirror(mirrorOf([{ labels: ['a', 'b', 'c'], value: 1.5 }]));
    const { runtime } = metrics;
    runtime.expectController('certificate');
    const queue = runtime.queueObserver('certificate');
    queue.onAdd();
    queue.onGet(1);
    queue.onDone(1);
    queue.onRetry();
    runtime.onReconcile('certificate', { outcome: 'terminal', seconds: 1 });
    runtime.onRequest({ verb: 'list', method: 'GET', host: '[::1]:6443', resource: 'secrets', code: '200' });
    runtime.onTransition('mtls-operator', true);
    metrics.issued.inc({ role: 'server', reason: 'RenewalDue' });
    metrics.watchErrors.inc({ resource: 'secrets', code: '410' });
    metrics.podCertificatesIssued.inc({ authority: 'default' });
    metrics.podCertificatesDenied.inc({ authority: 'default', reason: 'VolumeMismatch' });
    metrics.podCertificateSeconds.observe({}, 0.5);
    assert.equal(await lint(metrics), '');
    const text = [...(await metrics.expose()).body].join('');
    for (const { name } of metrics.describe())
      assert.match(text, new RegExp(`^${name}(_count)?[{ ]`, 'm'), `${name} has no sample`);
  });
});
