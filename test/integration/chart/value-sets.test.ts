import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { parse } from 'yaml';

import { paths } from '../../support/api.ts';
import { type ChartCluster, CRDS, startChartCluster } from '../../support/chart/chart-cluster.ts';
import { CHART } from '../../support/chart/helm.ts';
import { prometheusCrds } from '../../support/chart/prometheus-operator.ts';
import { type Kubeconform, openKubeconform } from '../../support/chart/schemas.ts';
import { VALUE_SETS, type ValueSet, valuesOf } from '../../support/chart/value-sets.ts';
import { tenantOf } from '../../support/installation.ts';

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
      await helm.run(['install', release, CHART, `--namespace=${namespace}`, '--create-namespace'], valuesOf(set));
      const { operator } = await world.startPod(namespace, set.deployment);

      const tenant = tenantOf(api, set.tenants[0]);
      await world.crdsAreServed();
      await tenant.issue('payments', { server: { service: 'payments' }, client: { serviceAccount: 'checkout' } });
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      if (set === VALUE_SETS[0]) context.diagnostic(`${seconds} s from helm install to the first Ready certificate`);
      assert.deepEqual(await tenant.secretNames(), ['payments-client-tls', 'payments-server-tls']);
      if (hasMetricsTls(set)) await tenantOf(api, namespace).ready(`${set.deployment}-metrics`);

      await operator.stop();
      await helm.run(['uninstall', release, `--namespace=${namespace}`]);
      await world.deleteCrds();
    });
  }
});

function hasMetricsTls(set: ValueSet): boolean {
  const values = parse(valuesOf(set)) as {
    readonly metrics?: { readonly tls?: { readonly enabled?: boolean } };
  } | null;
  return values?.metrics?.tls?.enabled === true;
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
