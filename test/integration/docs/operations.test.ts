import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';

import { type Config, readConfig } from '../../../src/config.ts';
import { paths, type Secret } from '../../support/api.ts';
import { type Reader, runPage } from '../../support/docs/run-page.ts';
import { eventually } from '../../support/eventually.ts';
import { installation } from '../../support/installation.ts';

// These pages share an installation, and uninstalling comes last.
const world = installation();

const noKubelet = 'there is no kubelet: no pod becomes ready';

runPage('docs/operations/install.md', world, {
  notRun: {
    'docker build': 'needs a container builder',
    'docker push': 'needs a registry',
    'rollout status': noKubelet,
  },
});

runPage('docs/operations/monitoring.md', world, {
  slow: { Alerts: '30 s: the rules are evaluated for months' },
  instead: { 'promtool check config': checkScrapeConfig },
  after: {
    Alerts: testAlerts,
    async 'Serve the metrics over TLS'({ run }) {
      const args = await run(
        "kubectl -n mtls-operator get deployment mtls-operator -o jsonpath='{.spec.template.spec.containers[0].args}'",
      );
      const flags = (JSON.parse(args) as string[]).filter((flag) => flag.startsWith('--metrics-'));
      const { metrics } = readConfig(flags, {}) as Config;
      assert.deepEqual(metrics?.clients, ['spiffe://cluster.local/ns/monitoring/sa/prometheus']);
    },
  },
});

runPage('docs/operations/capacity.md', world);

runPage('docs/operations/security.md', world);

runPage('docs/operations/fail-over.md', world, {
  notRun: { 'delete pod': 'the operator of a test is no pod' },
});

runPage('docs/operations/upgrade.md', world, { notRun: { 'rollout status': noKubelet } });

runPage('docs/operations/uninstall.md', world, {
  async before({ run }) {
    // The other pages have created these.
    await run('kubectl -n mtls-operator delete mcert metrics && kubectl delete namespace monitoring');
    await world.patchAuthority('default', { spec: { trustBundle: { configMap: {} } } });
    await run('kubectl wait mauth default --for=condition=TrustPublished --timeout=60s');
    kept = await dataOfSecrets();
  },
  after: {
    // The operator of a test is no pod, which the command would stop.
    'Stop the operator and keep everything': () => world.operator.stop(),
    async 'Remove the operator and keep the Secrets'({ world: { cluster } }) {
      await eventually(async () => {
        const { stdout } = await cluster.tryKubectl(['get', 'crd', '--output=name']);
        assert.doesNotMatch(stdout, /mtls-operator/);
      });
      assert.deepEqual(await dataOfSecrets(), []);
    },
  },
  instead: {
    async 'kubectl delete secrets,configmaps'({ run }, command) {
      assert.equal(kept.length, 2);
      assert.deepEqual(await dataOfSecrets(), kept);
      await run(command);
    },
  },
});

let kept: readonly unknown[] = [];

const dataOfSecrets = async (): Promise<readonly unknown[]> =>
  (await world.api.list<Secret>(paths.secrets('shop'))).map(({ data }) => data);

/** Debian builds promtool without the discovery of Kubernetes, so the rest of the file is checked. */
async function checkScrapeConfig({ folder }: Reader, command: string): Promise<void> {
  const file = join(folder, command.split(' ').at(-1) ?? '');
  const { scrape_configs: jobs } = parse(await readFile(file, 'utf8')) as {
    readonly scrape_configs: readonly { readonly kubernetes_sd_configs: readonly object[] }[];
  };
  assert.equal(jobs.length, 1);
  const without = jobs.map(({ kubernetes_sd_configs: discovery, ...job }) => {
    assert.deepEqual(discovery, [{ role: 'pod', namespaces: { names: ['mtls-operator'] } }]);
    return job;
  });
  await writeFile(file, JSON.stringify({ scrape_configs: without }));
  await promisify(execFile)('promtool', ['check', 'config', '--syntax-only', file]);
}

/** Each alert fires for series that ask for it, and for no others. */
async function testAlerts({ folder }: Reader): Promise<void> {
  const day = 86_400;
  const cases: Readonly<Record<string, readonly [series: string, quiet: string, loud: string]>> = {
    MtlsCertificateNotReady: ['mtls_operator_certificate_ready{namespace="shop",name="payments"}', '1', '0'],
    MtlsRootExpiresSoon: ['mtls_operator_root_expiry_seconds{authority="default"}', `${365 * day}`, `${200 * day}`],
    MtlsRootRotationStuck: ['mtls_operator_rotation_phase{authority="default",phase="Draining"}', '0', '1'],
    MtlsCrlEndsSoon: ['mtls_operator_crl_next_update_seconds{authority="default"}', `${20 * day}`, `${5 * day}`],
    MtlsOperatorHasNoLeader: ['leader_election_master_status{name="mtls-operator",pod="a"}', '1', '0'],
    MtlsOperatorReplicaDown: ['up{job="mtls-operator",instance="a"}', '1', '0'],
    MtlsOperatorFails: [
      'controller_runtime_reconcile_errors_total{job="mtls-operator",controller="certificate"}',
      '1',
      '1+60',
    ],
  };
  const leader = { series: 'leader_election_master_status{name="mtls-operator",pod="b"}', values: '1x600' };
  const limit = { series: 'mtls_operator_crl_entries_limit{authority="default"}', values: '5000x600' };
  const entries = (values: string) => ({ series: 'mtls_operator_crl_entries{authority="default"}', values });
  const test = (alertname: string, isFiring: boolean, input: readonly object[]) => ({
    interval: '1m',
    input_series: input,
    promql_expr_test: [
      {
        expr: `count(ALERTS{alertname="${alertname}",alertstate="firing"}) or vector(0)`,
        eval_time: '8h',
        exp_samples: [{ value: isFiring ? 1 : 0, labels: '{}' }],
      },
    ],
  });
  const tests = Object.entries(cases).flatMap(([alert, [series, quiet, loud]]) => [
    test(alert, false, [{ series, values: `${quiet}x600` }, ...(alert === 'MtlsOperatorHasNoLeader' ? [] : [leader])]),
    test(alert, true, [{ series, values: `${loud}x600` }, ...(alert === 'MtlsOperatorHasNoLeader' ? [] : [leader])]),
  ]);
  const full = [
    test('MtlsCrlNearlyFull', false, [limit, entries('3999x600')]),
    test('MtlsCrlNearlyFull', true, [limit, entries('4000x600')]),
  ];
  const file = join(folder, 'rules-test.yaml');
  await writeFile(
    file,
    JSON.stringify({ rule_files: ['rules.yaml'], evaluation_interval: '1m', tests: [...tests, ...full] }),
  );
  const { stdout } = await promisify(execFile)('promtool', ['test', 'rules', file]);
  assert.match(stdout, /SUCCESS/);
  await testExpiryAlert(folder);
}

/** The alert is silent for a certificate that is renewed when a third of its lifetime is left, and fires before an overdue one expires. */
async function testExpiryAlert(folder: string): Promise<void> {
  const half = 1800;
  const hour = 3600;
  const expiryAt = (time: number, lifetime: number): number =>
    lifetime + Math.floor(time / ((lifetime * 2) / 3)) * ((lifetime * 2) / 3);
  const tests = [12, 24, 7 * 24, 60 * 24, 90 * 24].flatMap((hours) => {
    const lifetime = hours * hour;
    const endsAt = Math.floor((lifetime * 0.98) / half) * half;
    const times = Array.from({ length: endsAt / half + 1 }, (_, index) => index * half);
    return [false, true].map((isOverdue) => ({
      interval: '30m',
      input_series: [
        {
          series: 'mtls_operator_certificate_expiry_seconds{namespace="shop",name="payments",role="server"}',
          values: times.map((time) => (isOverdue ? lifetime : expiryAt(time, lifetime))).join(' '),
        },
      ],
      promql_expr_test: [
        {
          expr: 'count(count_over_time(ALERTS{alertname="MtlsCertificateExpiresSoon"}[90d])) or vector(0)',
          eval_time: `${endsAt}s`,
          exp_samples: [{ value: isOverdue ? 1 : 0, labels: '{}' }],
        },
      ],
    }));
  });
  const { groups } = parse(await readFile(join(folder, 'rules.yaml'), 'utf8')) as {
    readonly groups: readonly { readonly rules: readonly object[] }[];
  };
  const rules = groups[0]?.rules.filter((rule) => JSON.stringify(rule).includes('mtls:expiry_seconds'));
  assert.equal(rules?.length, 2);
  await writeFile(join(folder, 'expiry-rules.yaml'), JSON.stringify({ groups: [{ name: 'expiry', rules }] }));
  const file = join(folder, 'expiry-test.yaml');
  await writeFile(file, JSON.stringify({ rule_files: ['expiry-rules.yaml'], evaluation_interval: '30m', tests }));
  const { stdout } = await promisify(execFile)('promtool', ['test', 'rules', file]);
  assert.match(stdout, /SUCCESS/);
}
