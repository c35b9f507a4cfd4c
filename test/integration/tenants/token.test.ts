import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { type Api, openApi, paths } from '../../support/api.ts';
import { openHelm } from '../../support/chart/helm.ts';
import { eventually } from '../../support/eventually.ts';
import { installation, type Tenant } from '../../support/installation.ts';
import { isAllowed, userName } from '../../support/permissions/granted.ts';
import { openPods, type Pod, type PodCertificateRequest, type PodWorld } from '../../support/pods/pods.ts';
import {
  allowedAttempts,
  type Confined,
  forbiddenAttempts,
  prepareRelease,
  prepareTenants,
} from '../../support/theft/attempts.ts';

const dryRun = '?dryRun=All';

interface Release extends Confined {
  readonly title: string;
  /** Applies the admission policies again. */
  readonly confine: () => Promise<unknown>;
}

/** The release in `deploy/`. */
const deployed: Release = {
  title: 'the manifests of deploy',
  namespace: 'mtls-operator',
  account: 'mtls-operator',
  authorities: ['default'],
  confine: () => world.cluster.kubectl(['apply', '--server-side', '-f', join(deploy, 'admission-policy.yaml')]),
};

/** A release of the chart in which every name is another. */
const renamed: Release = {
  title: 'a release with other names',
  namespace: 'platform-pki',
  account: 'issuer',
  authorities: ['edge', 'partners'],
  metricsCertificate: 'certificates-metrics',
  restartsWorkloads: true,
  confine: applyRenamed,
};

const renamedAccount = { namespace: renamed.namespace, name: renamed.account };
const releases = [deployed, renamed];
const deploy = join(import.meta.dirname, '../../../deploy');

const world = installation({ operator: false }, async ({ api }) => {
  await api.create(paths.namespaces(), { metadata: { name: renamed.namespace } });
  await renamed.confine();
  await prepareTenants(world);
  for (const release of releases) await prepareRelease(api, release);
});

/** Applies everything of the chart that decides what the operator may do. */
async function applyRenamed(): Promise<void> {
  const helm = await openHelm('helm');
  const { namespace, account, authorities } = renamed;
  const values = {
    fullnameOverride: 'certificates',
    serviceAccount: { name: account },
    metrics: { tls: { enabled: true } },
    podCertificates: { enabled: true },
    podEvidence: { enabled: true, restartWorkloads: true },
    authorities: authorities.map((name) => ({ name, spec: { secretName: `${name}-root`, root: {} } })),
  };
  const rendered = await helm.render(values, { release: 'pki', namespace });
  const kinds = /^(ServiceAccount|(Cluster)?Role(Binding)?|ValidatingAdmissionPolicy(Binding)?)$/;
  const items = rendered.filter(({ kind }) => kinds.test(kind));
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  await world.cluster.kubectl(['apply', '--server-side', '-f', '-'], { input });
}

test('the policies refer only to existing fields', async () => {
  await eventually(async () => {
    const found = await world.api.list<Policy>('/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies');
    assert.equal(found.length, 8);
    for (const { metadata, status } of found) {
      assert.equal(status?.observedGeneration, metadata.generation, metadata.name);
      assert.deepEqual(status?.typeChecking?.expressionWarnings ?? [], [], metadata.name);
    }
  });
});

interface Policy {
  readonly metadata: { readonly name: string; readonly generation: number };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly typeChecking?: { readonly expressionWarnings?: readonly unknown[] };
  };
}

for (const release of releases) {
  describe(`a stolen token of the operator, with ${release.title},`, () => {
    const forbidden = forbiddenAttempts(release);
    let thief: Api;
    before(async () => {
      const kubeconfig = join(world.cluster.dir, `${release.account}.kubeconfig`);
      await writeKubeconfig(kubeconfig, release);
      thief = openApi({ ...world.cluster, kubeconfig });
    });
    after(() => thief.close());

    test('could do all of this without the policies', async () => {
      await world.cluster.kubectl(['delete', 'validatingadmissionpolicybindings', '--all']);
      for (const { what, write } of forbidden) {
        await eventually(() => write(thief, dryRun), { message: `${what} is refused even without the policies` });
      }
      for (const { confine } of releases) await confine();
      for (const { what, write } of forbidden) {
        await eventually(() => assert.rejects(write(thief, dryRun)), { message: `${what} is not refused` });
      }
    });

    for (const { what, refused, write } of forbidden) {
      test(`cannot write ${what}`, async () => {
        await assert.rejects(write(thief, ''), ({ message }: Error) => {
          assert.ok(message.includes(refused), `expected a message with "${refused}", got: ${message}`);
          return true;
        });
      });
    }

    for (const { what, write } of allowedAttempts(release)) {
      test(`can write ${what}, because the operator needs it`, async () => void (await write(thief, dryRun)));
    }

    test('can neither run programs nor grant rights', async () => {
      const account = { namespace: release.namespace, name: release.account };
      for (const [verb, resource] of [...powers, ...otherPowers]) {
        // It may patch Deployments, and the policy permits only restarts.
        if (release.restartsWorkloads === true && verb === 'patch' && resource === 'deployments.apps') continue;
        // With metrics over TLS, the operator asks for reviews of tokens, and creates one MtlsCertificate.
        const isForMetrics = /^(mtlscertificates|tokenreviews|subjectaccessreviews)\./.test(resource);
        if (isForMetrics && release.metricsCertificate !== undefined) continue;
        for (const scope of ['cluster', 'shop', release.namespace]) {
          const allowed = await isAllowed(world.api, account, { scope, resource, verb, names: [] });
          assert.equal(allowed, false, `it can ${verb} ${resource} in ${scope}`);
        }
      }
    });
  });
}

/** Rights that no permission of the operator may include. */
const powers = [
  'pods',
  'pods/exec',
  'deployments.apps',
  'serviceaccounts',
  'serviceaccounts/token',
  'namespaces',
  'nodes',
  ...['roles', 'rolebindings', 'clusterroles', 'clusterrolebindings'].map(
    (role) => `${role}.rbac.authorization.k8s.io`,
  ),
  'validatingadmissionpolicies.admissionregistration.k8s.io',
  'validatingadmissionpolicybindings.admissionregistration.k8s.io',
  'mtlscertificates.mtls-operator.io',
].flatMap((resource) => ['create', 'update', 'patch', 'delete'].map((verb) => [verb, resource] as const));
const otherPowers = [
  ['deletecollection', 'secrets'],
  ['deletecollection', 'configmaps'],
  ['impersonate', 'users'],
  ['impersonate', 'serviceaccounts'],
  ['create', 'tokenreviews.authentication.k8s.io'],
  ['create', 'subjectaccessreviews.authorization.k8s.io'],
  ['patch', 'leases.coordination.k8s.io'],
  ['delete', 'leases.coordination.k8s.io'],
  ['patch', 'events.events.k8s.io'],
  ['patch', 'mtlsauthorities.mtls-operator.io'],
  ['delete', 'mtlsauthorities.mtls-operator.io'],
] as const;

/** Writes a kubeconfig with a token of the operator's ServiceAccount. */
async function writeKubeconfig(path: string, { namespace, account }: Confined): Promise<void> {
  const config = JSON.parse(readFileSync(world.cluster.kubeconfig, 'utf8')) as { users: { user: object }[] };
  const token = await world.cluster.kubectl(['create', 'token', account, `--namespace=${namespace}`]);
  for (const user of config.users) user.user = { token: token.trim() };
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
}

describe('a PodCertificateRequest', () => {
  let pods: PodWorld;
  let pod: Pod;
  before(async () => {
    pods = await openPods(world.cluster);
    pod = await pods.create('shop', { node: 'node-a' });
  });
  after(() => pods?.close());

  const onlyNodes = /only the node of a pod requests a certificate for it/;

  test('of our signer can be created by the node of the pod', async () => void (await pods.request(pod)));

  test('of our signer cannot be created by another node', async () => {
    const { api } = await pods.node('node-b');
    await assert.rejects(pods.requestAs(api, 'shop', await pods.specFor(pod)), onlyNodes);
  });

  test('of our signer cannot be created by an administrator of the namespace, one of another signer can', async () => {
    const api = await pods.namespaceAdmin('shop');
    const spec = await pods.specFor(pod);
    await assert.rejects(pods.requestAs(api, 'shop', spec), onlyNodes);
    await pods.requestAs(api, 'shop', { ...spec, signerName: 'example.com/other' });
  });

  test('can be answered by a stolen token of the operator only if it is of our signer', async () => {
    const [ours, theirs] = await Promise.all(
      ['mtls-operator.io/default', 'example.com/other'].map((signerName) => pods.request(pod, { signerName })),
    );
    const now = new Date().toISOString();
    const denied = { type: 'Denied', status: 'True', reason: 'Attempt', message: 'attempt', lastTransitionTime: now };
    const answer = ({ metadata, ...request }: PodCertificateRequest): Promise<string> => {
      const path = `${paths.podCertificateRequests('shop', metadata.name)}/status`;
      const input = JSON.stringify({ ...request, metadata, status: { conditions: [denied] } });
      return world.cluster.kubectl(['replace', '--raw', path, '-f', '-', `--as=${userName(renamedAccount)}`], {
        input,
      });
    };
    assert.ok(ours !== undefined && theirs !== undefined);
    await answer(ours);
    await assert.rejects(answer(theirs), /not permitted to \\*"sign\\*" for signer \\*"example.com\/other/);
  });
});

describe('the operator, restricted by its policies,', () => {
  let tenant: Tenant;
  before(async () => {
    await world.start();
    tenant = await world.tenant('tenant');
  });

  test('reports why it cannot issue an MtlsCertificate in kube-system, and issues others', async () => {
    const system = world.tenantOf('kube-system');
    await system.create('metrics', { server: { service: 'metrics' } });
    const { message } = await system.notReady('metrics', 'IssuanceFailed');
    assert.match(message, /writes no Secrets in kube-system/);
    await tenant.issue('payments', { server: { service: 'payments' } });
    assert.ok((await system.findSecret('metrics-server-tls')) === undefined);
  });

  test('publishes roots in every namespace, including kube-system', async () => {
    const trustBundle = { configMap: { name: 'mtls-trust', namespaceSelector: {} }, clusterTrustBundle: true };
    await world.patchAuthority('default', { spec: { trustBundle } });
    await eventually(async () => {
      const { status } = await world.authority('default');
      const published = status?.conditions?.find(({ type }) => type === 'TrustPublished');
      assert.equal(published?.status, 'True', published?.message ?? 'no condition yet');
      await world.api.get(paths.configMaps('kube-system', 'mtls-trust'));
    });
  });

  test('rotates a certificate and a root, and repairs removed labels', async () => {
    await tenant.rotate('payments', 'again');
    await tenant.ready('payments');
    await tenant.patchSecret('payments-server-tls', {
      metadata: { labels: { 'app.kubernetes.io/managed-by': null, 'mtls-operator.io/certificate': null } },
    });
    await eventually(async () => {
      const { metadata } = await tenant.secret('payments-server-tls');
      assert.equal(metadata.labels?.['mtls-operator.io/certificate'], 'payments');
    });
    const { status } = await world.authority('default');
    await world.patchAuthority('default', {
      metadata: { annotations: { 'mtls-operator.io/rotate-root': 'again' } },
      spec: { rotation: { propagationDelay: '1s', clusterTrustBundleDelay: '1s' } },
    });
    await eventually(
      async () => {
        const now = (await world.authority('default')).status;
        assert.notEqual(now?.activeRoot?.fingerprint, status?.activeRoot?.fingerprint);
        assert.equal(now?.rotation, undefined, JSON.stringify(now?.rotation));
      },
      { timeoutMs: 90_000, message: 'the root was not rotated' },
    );
  });
});

test('the API server measures the cost of the policies for a write', async (t) => {
  const metrics = await world.cluster.kubectl(['get', '--raw', '/metrics']);
  const name = 'apiserver_validating_admission_policy_check_duration_seconds';
  for (const policy of ['mtls-operator-secrets', 'mtls-operator-configmaps', 'mtls-operator-names']) {
    const value = (kind: string): number =>
      metrics
        .split('\n')
        .filter((line) => line.startsWith(`${name}_${kind}{`) && line.includes(`policy="${policy}"`))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
    const count = value('count');
    assert.ok(count > 0, `${policy} has not checked any write`);
    t.diagnostic(`${policy}: ${((1000 * value('sum')) / count).toFixed(2)} ms a check, ${count} checks`);
  }
});
