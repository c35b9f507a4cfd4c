import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';

import { mountSecret, secretFiles } from '../../../tools/secret-volume.ts';
import { selectorsIn, shippedDashboard, withVariables } from '../../support/alerts/dashboard.ts';
import { type Prometheus, startPrometheus } from '../../support/alerts/prometheus.ts';
import { shippedAlerts } from '../../support/alerts/rules.ts';
import { type MountedFiles, type ServiceMonitor, scrapeJobOf } from '../../support/alerts/service-monitor.ts';
import { operatorNamespace } from '../../support/api.ts';
import { type Manifest, openHelm } from '../../support/chart/helm.ts';
import { keepContesting } from '../../support/contest.ts';
import { runPage } from '../../support/docs/run-page.ts';
import { eventually } from '../../support/eventually.ts';
import { installation } from '../../support/installation.ts';
import { missing } from '../../support/missing.ts';
import type { Operator } from '../../support/operator.ts';
import { openPods, type PodWorld } from '../../support/pods/pods.ts';
import { scratchFolder } from '../../support/scratch.ts';

const prometheusName = 'spiffe://cluster.local/ns/monitoring/sa/prometheus';
const skip = missing.prometheus() ?? false;

let leader: Operator;
let standby: Operator;
let prometheus: Prometheus | undefined;
let endContest: (() => Promise<void>) | undefined;
let pods: PodWorld | undefined;

const world = installation({ operator: false }, async () => {
  const mounted = await scratchFolder('metrics-server');
  const shipped = await chart(monitoringValues);
  await applyRoles(shipped);
  const start = async (pod: string, server?: string): Promise<Operator> =>
    world.start({
      args: [
        '--metrics-listen-address=127.0.0.1:0',
        `--metrics-tls-directory=${mounted}`,
        '--metrics-authorization',
        '--metrics-service=mtls-operator',
        `--metrics-client=${prometheusName}`,
        '--pod-certificates',
      ],
      env: { POD_NAME: pod },
      ...(server === undefined ? {} : { server }),
    });
  leader = await start('leader');
  await world.authorityIs('default', 'True');
  standby = await start('standby', world.proxy.server);
  await Promise.all([causeProblems(), requestCredentials(mounted)]);
  if (skip === false) prometheus = await startScraping(shipped);
});
after(async () => {
  await endContest?.();
  await pods?.close();
  await prometheus?.stop();
});

/** What the alerts and the dashboard show: a contested Secret, a bad authority, a missing source of roots, a revoked certificate, a rotation and requests of pods. */
async function causeProblems(): Promise<void> {
  const { cluster } = world;
  await cluster.kubectl(['create', 'namespace', 'shop']);
  const shop = world.tenantOf('shop');
  await world.patchAuthority('default', {
    spec: {
      podCertificates: {},
      trustBundle: { configMap: {}, additional: [{ configMap: { name: 'partner-roots' } }] },
    },
  });
  await world.createAuthority('own', { secretName: 'own-root' });
  await Promise.all([
    shop.issue('payments', { server: { service: 'payments' }, client: { serviceAccount: 'checkout' } }),
    shop.issue('catalog', { server: { service: 'catalog' } }),
    world.authorityIs('own', 'False', 'RootMissing'),
  ]);
  await shop.revoke('catalog', 'stolen');
  await world.rotateRoot('default', 'dashboard');
  await eventually(async () =>
    assert.equal((await world.authority('default')).status?.rotation?.phase, 'Distributing'),
  );
  await requestForPod({});
  await requestForPod({ 'example.com/unknown': 'denied' });
  await requestForPod({ 'mtls-operator.io/services': 'missing' });
  endContest = await keepContesting(shop, 'payments', 'payments-server-tls');
}

/** A new pod requests a certificate with these userAnnotations. */
async function requestForPod(userAnnotations: Readonly<Record<string, string>>): Promise<void> {
  pods ??= await openPods(world.cluster);
  await pods.request(await pods.create('shop', { certificates: [{ userAnnotations }] }));
}

/** The files in the pod of Prometheus. */
let files: MountedFiles & Required<Pick<MountedFiles, 'client'>>;

/** Lets Prometheus read the metrics by its token or by its certificate, as docs/operations/monitoring.md says. */
async function requestCredentials(mounted: string): Promise<void> {
  const { cluster } = world;
  await cluster.kubectl(['create', 'namespace', 'monitoring']);
  await cluster.kubectl(['-n', 'monitoring', 'create', 'serviceaccount', 'prometheus']);
  const [own, monitoring] = [world.tenantOf(operatorNamespace), world.tenantOf('monitoring')];
  await Promise.all([
    own.ready('mtls-operator-metrics'),
    monitoring.issue('prometheus', { client: { serviceAccount: 'prometheus' } }),
  ]);
  await mountSecret(mounted, secretFiles(await own.secret('mtls-operator-metrics-server-tls')));
  const folder = await scratchFolder('prometheus-client');
  await mountSecret(folder, secretFiles(await monitoring.secret('prometheus-client-tls')));
  const token = join(await scratchFolder('prometheus-token'), 'token');
  await writeFile(token, (await cluster.kubectl(['-n', 'monitoring', 'create', 'token', 'prometheus'])).trim());
  const path = (name: string): string => join(folder, name);
  files = { ca: path('ca.crt'), client: { cert: path('tls.crt'), key: path('tls.key') }, token };
}

/** Alerts whose delay the values of the chart shorten, so that they fire in the test. */
const impatient = [
  'MtlsCertificateNotReady',
  'MtlsSecretContested',
  'MtlsAuthorityNotReady',
  'MtlsAdditionalRootsRefused',
];

/** The values of the chart with which Prometheus watches the operator. */
const monitoringValues = {
  podCertificates: { enabled: true },
  metrics: {
    tls: { enabled: true },
    serviceMonitor: { enabled: true },
    prometheusRule: {
      enabled: true,
      runbookBaseUrl: 'https://wiki.example.com/mtls',
      rules: Object.fromEntries(impatient.map((alert) => [alert, { for: '1s' }])),
    },
  },
};

/** The same for a Prometheus that presents a certificate instead of its token. */
const clientValues = {
  ...monitoringValues,
  metrics: { ...monitoringValues.metrics, authorization: { enabled: false }, clients: [prometheusName] },
};

const chart = async (values: object): Promise<readonly Manifest[]> => (await openHelm('helm')).render(values);

/** Gives the operator the roles of the chart, and Prometheus the right to read the metrics. */
async function applyRoles(shipped: readonly Manifest[]): Promise<void> {
  const { cluster } = world;
  const items = shipped.filter(({ apiVersion }) => apiVersion.startsWith('rbac.'));
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  await cluster.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], { input });
  const reader = ['--clusterrole=mtls-operator-metrics-reader', '--serviceaccount=monitoring:prometheus'];
  await cluster.kubectl(['create', 'clusterrolebinding', 'prometheus-mtls-operator', ...reader]);
}

/** Starts Prometheus with the rules of the chart, and with the settings that the ServiceMonitor of the chart has. */
async function startScraping(shipped: readonly Manifest[]): Promise<Prometheus> {
  const targets = await Promise.all(
    Object.entries({ leader, standby }).map(async ([pod, operator]) => ({
      pod,
      address: await metricsAddress(operator),
    })),
  );
  const { client: _, ...withoutCertificate } = files;
  const byToken = scrapeJobOf(only(shipped, 'ServiceMonitor') as ServiceMonitor, targets, withoutCertificate);
  const byCertificate = scrapeJobOf(
    only(await chart(clientValues), 'ServiceMonitor') as ServiceMonitor,
    targets,
    files,
  );
  const { authorization: __, ...withoutCredentials } = byToken;
  const rule = only(shipped, 'PrometheusRule') as Manifest & { readonly spec: object };
  return startPrometheus(
    [
      byToken,
      { ...byCertificate, job_name: 'with-certificate' },
      { ...withoutCredentials, job_name: 'without-credentials' },
    ],
    rule.spec,
  );
}

/** The only object of a kind. */
function only(manifests: readonly Manifest[], kind: string): Manifest {
  const [found, ...others] = manifests.filter((manifest) => manifest.kind === kind);
  assert.ok(found !== undefined && others.length === 0, kind);
  return found;
}

const metricsAddress = ({ logs }: Operator): Promise<string> =>
  eventually(() => {
    const line = logs.find(({ message }) => message === 'serving metrics over TLS');
    assert.ok(line !== undefined, 'the operator does not serve metrics over TLS');
    return String(line['address']);
  });

const started = (): Prometheus => {
  assert.ok(prometheus !== undefined);
  return prometheus;
};

describe('a Prometheus with the ServiceMonitor and the alerts of the chart', { skip }, () => {
  test('reads the metrics of both replicas over TLS by its token or its certificate, and not without', async () => {
    await eventually(async () => {
      for (const [job, value] of Object.entries({
        'mtls-operator': 1,
        'with-certificate': 1,
        'without-credentials': 0,
      })) {
        // On a slow machine, a scrape can take longer than its second.
        const up = await started().query(`max_over_time(up{job="${job}"}[1h])`);
        const byPod = Object.fromEntries(up.map((sample) => [sample.metric['pod'], sample.value]));
        assert.deepEqual(byPod, { leader: value, standby: value }, job);
      }
    });
  });

  test('sees certificates by their own namespace, and gauges of the leader only there', async () => {
    const podsOf = async (series: string): Promise<readonly string[]> =>
      [
        ...new Set((await started().query(`last_over_time(${series}[1h])`)).map(({ metric }) => String(metric['pod']))),
      ].toSorted();
    await eventually(async () => {
      for (const series of [
        'mtls_operator_certificate_ready{job="mtls-operator", namespace="shop"}',
        'leader_election_master_status',
      ])
        assert.deepEqual(await podsOf(series), ['leader', 'standby'], series);
      for (const series of leaderOnly) assert.deepEqual(await podsOf(series), ['leader'], series);
    });
  });

  test('has an alert for each problem, and no other', async () => {
    const expected = [
      'MtlsAdditionalRootsRefused firing',
      'MtlsAuthorityNotReady firing',
      'MtlsCertificateNotReady firing',
      'MtlsPodCertificatesPending pending',
      'MtlsRootRotationStuck pending',
      'MtlsSecretContested firing',
    ];
    await eventually(async () => {
      const alerts = await started().alerts();
      const seen = alerts.map(({ labels, state }) => `${labels['alertname']} ${state}`).toSorted();
      // A slow scrape or a failed request makes another alert pending for a moment. It must not fire.
      const relevant = seen.filter((alert) => expected.includes(alert) || alert.endsWith(' firing'));
      assert.deepEqual(relevant, expected, seen.join(', '));
      const summaries = new Set(alerts.map(({ annotations }) => annotations['summary']));
      assert.ok(summaries.has('MtlsCertificate shop/payments is not Ready'));
      assert.ok(summaries.has('MtlsCertificates whose Secrets another client keeps changing: 1'));
      for (const { annotations } of alerts) {
        assert.doesNotMatch(JSON.stringify(annotations), /no value|error expanding/);
        assert.equal(annotations['runbook_url'], `https://wiki.example.com/mtls/${annotations['runbook']}`);
      }
    });
    const rules = await started().rules();
    assert.equal(rules.length, shippedAlerts().length);
    for (const { name, health, lastError } of rules) assert.equal(health, 'ok', `${name}: ${lastError}`);
  });

  test('has data for every query of the dashboard, and for every series in it', async () => {
    const { panels, templating } = shippedDashboard();
    await breakWatches();
    // A percentile needs an observation between two scrapes.
    await requestForPod({});
    const values: Record<string, string> = { __rate_interval: '5m' };
    for (const { name, definition, allValue } of templating.list) {
      if (definition === undefined) continue;
      const [, selector = '', label = ''] =
        /^label_values\((.*), (\w+)\)$/.exec(withVariables(definition, values)) ?? [];
      const found = await eventually(async () => {
        const all = await started().labelValues(label, selector);
        assert.ok(all.length > 0, `${name}: ${definition}`);
        return all;
      });
      values[name] = allValue ?? found[0] ?? '';
    }
    const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => withVariables(expr, values)));
    assert.ok(queries.length > 30);
    for (const expr of new Set(queries.flatMap((query) => [query, ...selectorsIn(query)])))
      await eventually(async () => {
        const samples = await started().query(expr);
        assert.ok(
          samples.some(({ value }) => Number.isFinite(value)),
          `no data: ${expr}`,
        );
      });
  });
});

const leaderOnly = [
  'workqueue_depth',
  'workqueue_unfinished_work_seconds',
  'workqueue_longest_running_processor_seconds',
  'controller_runtime_active_workers',
  'controller_runtime_max_concurrent_reconciles',
  'mtls_operator_rotation_phase',
  'mtls_operator_rotation_remaining',
];

/** The standby cannot watch until Prometheus has seen an error. */
async function breakWatches(): Promise<void> {
  const { proxy } = world;
  proxy.faults = { onRequest: ({ isWatch }) => (isWatch ? 'break' : 'pass') };
  proxy.cut();
  await eventually(async () => {
    const errors = await started().query('mtls_operator_watch_errors_total');
    assert.ok(
      errors.some(({ metric }) => metric['pod'] === 'standby'),
      'Prometheus has not seen an error',
    );
  });
  proxy.faults = {};
}

runPage('docs/operations/runbooks.md', world, {
  notRun: { ' logs ': 'there is no kubelet: the operator of a test is no pod' },
});

describe('a new leader', { skip }, () => {
  test('does not reset the alert about a rotation that waits', async () => {
    const stuck = async () => {
      const alerts = await started().alerts();
      return alerts.find(({ labels }) => labels['alertname'] === 'MtlsRootRotationStuck')?.activeAt;
    };
    const before = await stuck();
    assert.ok(before !== undefined);
    await leader.stop();
    await eventually(async () => {
      const phases = await started().query('mtls_operator_rotation_phase{job="mtls-operator"} == 1');
      assert.deepEqual(
        phases.map(({ metric }) => metric['pod']),
        ['standby'],
      );
    });
    assert.equal(await stuck(), before);
  });
});
