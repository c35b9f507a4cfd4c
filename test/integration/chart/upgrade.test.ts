import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { type Api, paths } from '../../support/api.ts';
import { type ChartCluster, startChartCluster } from '../../support/chart/chart-cluster.ts';
import { CHART, type Helm, openHelm, type Values } from '../../support/chart/helm.ts';
import type { Pod } from '../../support/chart/pod.ts';
import { type SecretVersions, secretVersions } from '../../support/chart/secrets.ts';
import { eventually } from '../../support/eventually.ts';
import { type Authority, assertReadyIs, type Tenant, tenantOf } from '../../support/installation.ts';

/** The chart of the version before, as `helm package` wrote it. While there is no release, it is the first version of the chart. */
const [BEFORE = ''] = globSync(join(import.meta.dirname, '../../support/chart/before/*.tgz'));
const DEPLOY = fileURLToPath(new URL('../../../deploy', import.meta.url));

const RELEASE = 'mtls-operator';

/** With one worker, the operator reconciles in the order of the requests. */
const VALUES = { workers: 1 };

describe('helm', () => {
  let world: ChartCluster;
  let api: Api;
  let helm: Helm;
  let helm3: Helm;
  let pod: Pod | undefined;

  before(async () => {
    world = await startChartCluster();
    ({ api, helm } = world);
    helm3 = await openHelm('helm3', world.cluster.kubeconfig);
  });
  after(() => world?.stop());

  const stopOperator = async (): Promise<void> => {
    await pod?.operator.stop();
    pod = undefined;
  };

  /** The operator of the installed Deployment, in place of the one before. */
  const startOperator = async (namespace: string): Promise<void> => {
    await stopOperator();
    pod = await world.startPod(namespace, RELEASE);
  };

  /** Removes the release and its CRDs, so that another one can be installed. */
  const uninstall = async (namespace: string): Promise<void> => {
    await stopOperator();
    await helm.run(['uninstall', RELEASE, `--namespace=${namespace}`]);
    await world.deleteCrds();
  };

  const tenantWithCertificates = async (name: string): Promise<Tenant> => {
    await world.createNamespace(name);
    await world.crdsAreServed();
    const tenant = tenantOf(api, name);
    await tenant.issue('payments', { server: { service: 'payments' }, client: { serviceAccount: 'checkout' } });
    await tenant.issue('db', { peer: { service: 'db' } });
    return tenant;
  };

  /** The Secrets of one installation. The garbage collector may still delete those of an earlier one. */
  const versionsIn = (namespace: string, tenant: Tenant): Promise<SecretVersions> =>
    secretVersions(api, [namespace, tenant.namespace]);

  /** Asserts that the operator has reconciled everything, and that no Secret has been written since then. */
  const assertUnwritten = async (expected: SecretVersions, namespace: string, tenant: Tenant): Promise<void> => {
    await tenant.reconcileAgain('payments');
    for (const name of ['payments', 'db']) await tenant.ready(name);
    const versions = await versionsIn(namespace, tenant);
    const kept = Object.fromEntries(Object.keys(expected).map((name) => [name, versions[name]]));
    assert.deepEqual(kept, expected);
  };

  const run = (helmOf: Helm, command: readonly string[], namespace: string, values: Values = VALUES): Promise<string> =>
    helmOf.run([...command, `--namespace=${namespace}`], values);

  describe('upgrades a release', () => {
    const namespace = 'pki-upgraded';
    let tenant: Tenant;
    let versions: SecretVersions;
    before(async () => {
      await run(helm3, ['install', RELEASE, BEFORE, '--create-namespace'], namespace);
      await startOperator(namespace);
      tenant = await tenantWithCertificates('upgraded');
      versions = await versionsIn(namespace, tenant);
      assert.deepEqual(Object.keys(versions).toSorted(), [
        `${namespace}/mtls-root`,
        'upgraded/db-peer-tls',
        'upgraded/payments-client-tls',
        'upgraded/payments-server-tls',
      ]);
    });

    test('from the version before, without a write to a Secret', async () => {
      await run(helm3, ['upgrade', RELEASE, CHART], namespace);
      await startOperator(namespace);
      await assertUnwritten(versions, namespace, tenant);
    });

    test('of Helm 3 with Helm 4, and turns on what pods need, without a write to a Secret', async () => {
      const podEvidence = { enabled: true, restartWorkloads: true };
      const values = { ...VALUES, log: { level: 'debug' }, podCertificates: { enabled: true }, podEvidence };
      await run(helm, ['upgrade', RELEASE, CHART], namespace, values);
      await startOperator(namespace);
      await assertUnwritten(versions, namespace, tenant);
    });

    test('and uninstalls it, without deleting a CRD, a certificate or the root', async () => {
      await stopOperator();
      await helm.run(['uninstall', RELEASE, `--namespace=${namespace}`]);
      const [deployments, certificates] = await Promise.all([
        api.list(`/apis/apps/v1/namespaces/${namespace}/deployments`),
        tenant.list(),
      ]);
      assert.deepEqual(deployments, []);
      assert.ok(certificates.length >= 2);
      const kept = await versionsIn(namespace, tenant);
      assert.deepEqual({ ...kept, ...versions }, kept);
    });

    test('and installs it again, with the same root and the same certificates', async () => {
      await run(helm, ['install', RELEASE, CHART], namespace);
      await startOperator(namespace);
      await assertUnwritten(versions, namespace, tenant);
    });

    after(() => uninstall(namespace));
  });

  describe('takes over an installation of kubectl apply -k deploy', () => {
    const namespace = 'mtls-operator';
    let tenant: Tenant;
    before(async () => {
      await world.cluster.kubectl(['apply', '--server-side', '-k', DEPLOY]);
      await startOperator(namespace);
      tenant = await tenantWithCertificates('taken-over');
    });

    test('without a write to a Secret, once the Deployment is deleted', async () => {
      const versions = await versionsIn(namespace, tenant);
      // The selector of a Deployment cannot change, and that of the chart has the name of the release.
      await world.cluster.kubectl(['delete', 'deployment', RELEASE, `--namespace=${namespace}`]);
      await run(helm, ['install', RELEASE, CHART, '--take-ownership', '--force-conflicts'], namespace);
      await startOperator(namespace);
      await assertUnwritten(versions, namespace, tenant);
    });

    after(() => uninstall(namespace));
  });

  describe('has authorities as values', () => {
    const namespace = 'pki-authorities';
    const ROOT = { secretName: 'mtls-root', root: { commonName: 'Example Org mTLS Root' } };
    const valuesWith = (...authorities: readonly object[]): object => ({ ...VALUES, authorities });
    const authority = (name: string): Promise<Authority> => api.get<Authority>(paths.authorities(name));
    let tenant: Tenant;
    let uid: string;

    test('which a first installation creates through the operator', async () => {
      const values = valuesWith({ name: 'default', spec: ROOT });
      await run(helm, ['install', RELEASE, CHART, '--create-namespace'], namespace, values);
      await startOperator(namespace);
      tenant = await tenantWithCertificates('authorities');
      const { metadata, spec, status } = await authority('default');
      uid = metadata.uid;
      assert.equal(spec.root?.commonName, 'Example Org mTLS Root');
      assert.match(status?.activeRoot?.subject ?? '', /Example Org mTLS Root/);
    });

    test('which an upgrade adopts, changes and adds, without a write to a Secret', async () => {
      // The operator created the authority and owns its fields. Helm 3 has no field managers.
      const versions = await versionsIn(namespace, tenant);
      const values = valuesWith(
        { name: 'default', spec: { ...ROOT, rotation: { reissuesPerSecond: 7 } } },
        { name: 'partners', spec: { secretName: 'partners-root', root: {} } },
      );
      await assert.rejects(
        run(helm, ['upgrade', RELEASE, CHART], namespace, values),
        /conflict with \\?"mtls-operator\\?"/,
      );
      await run(helm, ['upgrade', RELEASE, CHART, '--force-conflicts'], namespace, values);
      await startOperator(namespace);
      await eventually(async () => assertReadyIs(await authority('partners'), 'True'));
      const { metadata, spec } = await authority('default');
      assert.equal(metadata.uid, uid);
      assert.equal(spec.rotation?.reissuesPerSecond, 7);
      await assertUnwritten(versions, namespace, tenant);
    });

    test('and refuses a second release, whose operator would replace the roots of the first', async () => {
      const { code, stderr } = await helm.attempt(
        ['install', 'second', CHART, '--namespace=pki-second', '--create-namespace'],
        { crds: { enabled: false } },
      );
      assert.equal(code, 1);
      assert.ok(
        stderr.includes(`the release ${RELEASE} in the namespace ${namespace} runs this operator already`),
        stderr,
      );
      assert.ok(stderr.includes(`helm uninstall ${RELEASE} --namespace ${namespace}`), stderr);
    });

    test('and refuses a watched namespace that does not exist, before it changes anything', async () => {
      const revisions = () => helm.run(['history', RELEASE, `--namespace=${namespace}`]);
      const before = await revisions();
      const { code, stderr } = await helm.attempt(['upgrade', RELEASE, CHART, `--namespace=${namespace}`], {
        watchNamespaces: [namespace, 'missing'],
      });
      assert.equal(code, 1);
      assert.ok(stderr.includes('watchNamespaces: the namespace missing does not exist'), stderr);
      assert.equal(await revisions(), before);
    });

    test('which Helm keeps when they are no longer values', async () => {
      await run(helm, ['upgrade', RELEASE, CHART], namespace, VALUES);
      assert.equal((await authority('default')).metadata.uid, uid);
      await authority('partners');
    });
  });
});
