import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Agent, request } from 'undici';

import { parse } from 'yaml';

import { type Api, paths } from '../../support/api.ts';
import { type ChartCluster, CRDS, startChartCluster } from '../../support/chart/chart-cluster.ts';
import { CHART } from '../../support/chart/helm.ts';
import type { Pod } from '../../support/chart/pod.ts';
import { prometheusCrds } from '../../support/chart/prometheus-operator.ts';
import { type Kubeconform, openKubeconform } from '../../support/chart/schemas.ts';
import { VALUE_SETS, type ValueSet, valuesOf } from '../../support/chart/value-sets.ts';
import type { TestCluster } from '../../support/cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { tenantOf } from '../../support/installation.ts';
import { issuedTo, openPods } from '../../support/pods/pods.ts';

describe('the chart with each set of values', () => {
  let world: ChartCluster;
  let kubeconform: Kubeconform;

  before(async () => {
    world = await startChartCluster();
    const { cluster, api } = world;
    await cluster.kubectl(['apply', '--server-side', ...(await prometheusCrds()).map((file) => `--filename=${file}`)]);
    await cluster.kubectl(['apply', '--server-side', '-k', CRDS]);
    kubeconform = await openKubeconform(api, CUSTOM_KINDS);
    await world.deleteCrds();
  });
  after(() => world?.stop());

  test('is checked strictly: a misspelt field of a manifest is found', async () => {
    const manifests = await world.helm.renderText();
    const { code, stdout } = await kubeconform(manifests.replace('replicas:', 'replicaCount:'));
    assert.equal(code, 1);
    assert.match(stdout, /Deployment mtls-operator is invalid: .*'replicaCount' not allowed/);
  });

  for (const set of VALUE_SETS) {
    const { name, release, namespace } = set;

    test(`has only fields that the API server knows, on an empty cluster and on one with its CRDs: ${name}`, async () => {
      for (const apis of [[], ['mtls-operator.io/v1alpha1/MtlsAuthority']]) {
        const { code, stdout, stderr } = await kubeconform(
          await world.helm.renderText(valuesOf(set), { release, namespace, apis }),
        );
        assert.equal(code, 0, `${stdout}${stderr}`);
        assert.match(stdout, /Invalid: 0, Errors: 0, Skipped: 0/);
      }
    });

    test(`installs an operator whose own rights are enough for a certificate: ${name}`, async (context) => {
      const { helm, api } = world;
      for (const tenant of set.tenants) await world.createNamespace(tenant);
      if (set.hasOwnCrds) {
        await world.cluster.kubectl(['apply', '--server-side', '-k', CRDS]);
        await world.crdsAreServed();
        await api.create(paths.authorities(), authority('default'));
      }
      const started = performance.now();
      const install = ['install', release, CHART, `--namespace=${namespace}`, '--create-namespace'];
      const notes = await helm.run(install, valuesOf(set));
      assert.doesNotMatch(notes, /this cluster does not serve/);
      const pod = await world.startPod(namespace, set.deployment);
      // Also after a failure, so that the next set starts in an empty cluster.
      context.after(async () => {
        await pod.operator.stop();
        await helm.run(['uninstall', release, `--namespace=${namespace}`]);
        await world.deleteCrds();
      });

      const tenant = tenantOf(api, set.tenants[0]);
      await world.crdsAreServed();
      await tenant.issue('payments', { server: { service: 'payments' }, client: { serviceAccount: 'checkout' } });
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      if (set === VALUE_SETS[0]) context.diagnostic(`${seconds} s from helm install to the first Ready certificate`);
      assert.deepEqual(await tenant.secretNames(), ['payments-client-tls', 'payments-server-tls']);
      if (hasMetricsTls(set)) await tenantOf(api, namespace).ready(`${set.deployment}-metrics`);

      await FURTHER[name]?.(world, pod, namespace);
    });
  }
});

function hasMetricsTls(set: ValueSet): boolean {
  const values = parse(valuesOf(set)) as {
    readonly metrics?: { readonly tls?: { readonly enabled?: boolean } };
  } | null;
  return values?.metrics?.tls?.enabled === true;
}

/** What a set promises beyond certificates. */
const FURTHER: Readonly<Record<string, (world: ChartCluster, pod: Pod, namespace: string) => Promise<void>>> = {
  metrics: servesMetricsToToken,
  everything: ({ cluster, api }) => signsForPod(cluster, api, 'everything-tenant'),
  namespaced: ({ cluster, api }) => signsForPod(cluster, api, 'namespaced-other'),
};

/** A pod gets a certificate with the names of a Service. The rights of the chart are enough, and its policy permits the request. */
async function signsForPod(cluster: TestCluster, api: Api, namespace: string): Promise<void> {
  const pods = await openPods(cluster);
  try {
    await api.patch(paths.authorities('default'), { spec: { podCertificates: {} } });
    const labels = { app: 'web' };
    await api.create(paths.services(namespace), {
      metadata: { name: 'web' },
      spec: { selector: labels, ports: [{ port: 443 }] },
    });
    const certificates = [{ userAnnotations: { 'mtls-operator.io/services': 'web' } }];
    const pod = await pods.create(namespace, { labels, certificates });
    const { subjectAltName } = issuedTo(await pods.answered(await pods.request(pod)));
    assert.match(subjectAltName ?? '', new RegExp(`DNS:web\\.${namespace}\\.svc\\b`));
  } finally {
    await pods.close();
  }
}

/** The metrics over TLS, with the certificate that the operator requests itself, for a token that the role of the chart admits. */
async function servesMetricsToToken({ cluster, api }: ChartCluster, pod: Pod, namespace: string): Promise<void> {
  const own = tenantOf(api, namespace);
  await eventually(() => own.get('mtls-operator-metrics'));
  await own.ready('mtls-operator-metrics');
  await pod.syncVolumes();
  await cluster.kubectl(['create', 'serviceaccount', 'prometheus', `--namespace=${namespace}`]);
  const binding = ['--clusterrole=mtls-operator-metrics-reader', `--serviceaccount=${namespace}:prometheus`];
  await cluster.kubectl(['create', 'clusterrolebinding', 'prometheus', ...binding]);
  const token = (await cluster.kubectl(['create', 'token', 'prometheus', `--namespace=${namespace}`])).trim();

  const { 'ca.crt': ca = '' } = (await own.secret('mtls-operator-metrics-server-tls')).data ?? {};
  const connect = { ca: Buffer.from(ca, 'base64'), servername: `mtls-operator.${namespace}.svc` };
  const dispatcher = new Agent({ connect });
  const line = pod.operator.logs.find(({ message }) => message === 'serving metrics over TLS');
  const read = (headers: Readonly<Record<string, string>>) =>
    request(`https://${String(line?.['address'])}/metrics`, { dispatcher, headers });
  try {
    // The operator loads changed files within seconds, and remembers a refusal for some.
    await eventually(async () => {
      const { statusCode, body } = await read({ authorization: `Bearer ${token}` });
      assert.match(await body.text(), /^mtls_operator_certificates\{ready="True",reason="Issued"\} [1-9]/m);
      assert.equal(statusCode, 200);
    });
    const { statusCode, body } = await read({});
    await body.dump();
    assert.equal(statusCode, 401);
  } finally {
    await dispatcher.close();
  }
}

const CUSTOM_KINDS = [
  'mtls-operator.io/v1alpha1/MtlsAuthority',
  'mtls-operator.io/v1alpha1/MtlsCertificate',
  'monitoring.coreos.com/v1/ServiceMonitor',
  'monitoring.coreos.com/v1/PodMonitor',
  'monitoring.coreos.com/v1/PrometheusRule',
];

const authority = (name: string): object => ({
  apiVersion: 'mtls-operator.io/v1alpha1',
  kind: 'MtlsAuthority',
  metadata: { name },
  spec: { secretName: `${name}-root`, root: {} },
});
