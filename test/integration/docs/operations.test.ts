import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { parse } from 'yaml';

import { type Config, readConfig } from '../../../src/config/config.ts';
import { mountSecret, secretFiles } from '../../../tools/secret-volume.ts';
import { promtool } from '../../support/alerts/rules.ts';
import { paths, type Secret } from '../../support/api.ts';
import { type Reader, runPage } from '../../support/docs/run-page.ts';
import { eventually } from '../../support/eventually.ts';
import { installation } from '../../support/installation.ts';

// These pages share an installation: the first one installs the chart, and the last one the manifests.
const world = installation({ operator: false, manifests: false });

const noKubelet = 'there is no kubelet: no pod becomes ready';

/** Starts the operator, which is no pod here, with the ServiceAccount that was just installed. */
const start = (): Promise<unknown> => world.start();

/** The reader has the file since the installation. */
const writeValues = ({ folder }: Reader): Promise<void> =>
  writeFile(join(folder, 'values.yaml'), 'image:\n  repository: registry.example.com/mtls-operator\n');

runPage('docs/operations/install.md', world, {
  notRun: {
    'docker build': 'needs a container builder',
    'docker push': 'needs a registry',
  },
  instead: { 'rollout status': start },
});

runPage('docs/operations/monitoring.md', world, {
  instead: { 'promtool check config': checkScrapeConfig, 'rollout status': rollOutMetrics },
  after: {
    Alerts: checkRenderedAlerts,
    'Serve the metrics over TLS': scrapeWithToken,
    async 'Client certificates'(reader) {
      const { metrics } = readConfig(await metricsFlags(reader), {}) as Config;
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
  async before(reader) {
    const { run } = reader;
    await writeValues(reader);
    // Another page has created it.
    await run('kubectl delete namespace monitoring');
    await world.patchAuthority('default', { spec: { trustBundle: { configMap: {} } } });
    await run('kubectl wait mauth default --for=condition=TrustPublished --timeout=60s');
    kept = await dataOfSecrets();
  },
  after: {
    // The operator of a test is no pod, which the command would stop.
    'Stop the operator and keep everything': () => world.operator.stop(),
    async 'Remove the operator and keep everything else'({ run }) {
      await run('kubectl wait mauth default --for=condition=Ready --timeout=60s');
      assert.deepEqual(await dataOfSecrets(), kept);
      await world.operator.stop();
    },
    async 'Remove the kinds and keep the Secrets'({ world: { cluster } }) {
      await eventually(async () => {
        const { stdout } = await cluster.tryKubectl(['get', 'crd', '--output=name']);
        assert.doesNotMatch(stdout, /mtls-operator/);
      });
      assert.deepEqual(await dataOfSecrets(), []);
    },
  },
  instead: {
    'rollout status': start,
    async 'kubectl delete secrets,configmaps'({ run }, command) {
      assert.equal(kept.length, 2);
      assert.deepEqual(await dataOfSecrets(), kept);
      await run(command);
    },
  },
});

runPage('docs/operations/kustomize.md', world, {
  notRun: { '--timeout=180s': noKubelet },
  instead: {
    'rollout status': start,
    async 'scale deployment'({ run }, command) {
      await run(command);
      await world.operator.stop();
    },
  },
});

let kept: readonly unknown[] = [];

const dataOfSecrets = async (): Promise<readonly unknown[]> =>
  (await world.api.list<Secret>(paths.secrets('shop'))).map(({ data }) => data);

/** The flags of the Deployment for the metrics. */
async function metricsFlags({ run }: Reader): Promise<readonly string[]> {
  const args = "jsonpath='{.spec.template.spec.containers[0].args}'";
  const flags = await run(`kubectl -n mtls-operator get deployment mtls-operator -o ${args}`);
  return (JSON.parse(flags) as string[]).filter((flag) => flag.startsWith('--metrics-'));
}

const metricsFolder = ({ folder }: Reader): string => join(folder, 'metrics-tls');

/** Starts the operator again with the flags of the Deployment, as a new pod. */
async function rollOutMetrics(reader: Reader): Promise<void> {
  const args = (await metricsFlags(reader)).map((flag) =>
    flag
      .replace(/^(--metrics-listen-address=).*/, '$1127.0.0.1:0')
      .replace(/^(--metrics-tls-directory=).*/, `$1${metricsFolder(reader)}`),
  );
  // kubelet creates the folder of a Secret that does not exist yet.
  await mkdir(metricsFolder(reader), { recursive: true });
  await world.operator.stop();
  await world.start({ args });
}

/** Mounts the Secret of the metrics server, as kubelet does, and reads the metrics with the token of the ServiceAccount. */
async function scrapeWithToken(reader: Reader): Promise<void> {
  const secret = await world.tenantOf('mtls-operator').secret('mtls-operator-metrics-server-tls');
  const files = secretFiles(secret);
  await mountSecret(metricsFolder(reader), files);
  const token = (await reader.run('kubectl -n monitoring create token prometheus')).trim();
  await eventually(async () => {
    const line = world.operator.logs.find(({ message }) => message === 'serving metrics over TLS');
    const { port } = new URL(`https://${String(line?.['address'])}`);
    const outgoing = request({
      host: '127.0.0.1',
      port,
      path: '/metrics',
      servername: 'mtls-operator.mtls-operator.svc',
      ca: Buffer.from(files['ca.crt'] ?? ''),
      headers: { authorization: `Bearer ${token}` },
      agent: false,
    }).end();
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    assert.equal(response.statusCode, 200);
    assert.match(await text(response), /^mtls_operator_certificates\{ready="True",reason="Issued"\} [1-9]/m);
  });
}

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

/** The values on the page change the alerts as the page says, and Prometheus accepts the result. */
async function checkRenderedAlerts({ folder, run }: Reader): Promise<void> {
  const rendered = await run(
    'helm template mtls-operator deploy/helm/mtls-operator -f alert-values.yaml --show-only templates/prometheus-rule.yaml',
  );
  const { metadata, spec } = parse(rendered) as PrometheusRule;
  assert.equal(metadata.labels['release'], 'prometheus');
  const rules = spec.groups.flatMap((group) => group.rules);
  assert.ok(
    rules.every(
      ({ labels, annotations }) => labels['team'] === 'platform' && labels['severity'] && annotations['runbook_url'],
    ),
  );
  const alert = (name: string) => rules.filter((rule) => rule.alert === name);
  assert.deepEqual(alert('MtlsOperatorReplicaDown'), []);
  assert.deepEqual(
    alert('MtlsRootRotationStuck').map((rule) => rule.for),
    ['24h'],
  );
  assert.deepEqual(
    alert('MtlsRootExpiring').map(({ expr }) => /86400 \* (\d+)/.exec(expr)?.[1]),
    ['180', '60'],
  );
  const file = join(folder, 'rendered.yaml');
  await writeFile(file, JSON.stringify(spec));
  await promtool('check', 'rules', file);
}

interface PrometheusRule {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: {
    readonly groups: readonly {
      readonly rules: readonly {
        readonly alert: string;
        readonly expr: string;
        readonly for: string;
        readonly labels: Readonly<Record<string, string>>;
        readonly annotations: Readonly<Record<string, string>>;
      }[];
    }[];
  };
}
