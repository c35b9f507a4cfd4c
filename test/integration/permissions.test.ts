import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  type GrantedPermission,
  type Permission,
  permissionLine,
  permissionLines,
} from '../../tools/permissions/effective.ts';
import { type Condition, operatorPermissions, permissionTable } from '../../tools/permissions/table.ts';
import { operatorNamespace, paths } from '../support/api.ts';
import { type AuditedRequest, auditedRequests } from '../support/audit.ts';
import { openHelm } from '../support/chart/helm.ts';
import { eventually } from '../support/eventually.ts';
import { installation } from '../support/installation.ts';
import { grantedPermissions, permissionFor, userName, withoutPermission } from '../support/permissions/granted.ts';
import { occasionFor, type Place, prepareOccasions } from '../support/permissions/occasions.ts';
import { openPods, type PodWorld } from '../support/pods/pods.ts';
import { scratchFolder } from '../support/scratch.ts';

/** A way to run the operator. It decides about its permissions. */
interface Mode {
  /** The namespace of the tenant. */
  readonly namespace: string;
  /** watchNamespaces of the chart. */
  readonly watched: readonly string[];
  /** Whether it serves metrics over TLS to clients with a token. */
  readonly servesMetrics: boolean;
  /** Whether it injects roots. */
  readonly injectsRoots: boolean;
  /** Whether it issues certificates to pods, watches them, and restarts their workloads. */
  readonly servesPods: boolean;
}

const account = { namespace: operatorNamespace, name: 'mtls-operator' };

const world = installation(
  {
    operator: false,
    watched: false,
    args: ['--retry-period=500ms'],
    auditedGroups: [`system:serviceaccounts:${operatorNamespace}`],
  },
  async ({ api }) => {
    // Kubernetes lets every ServiceAccount read ClusterTrustBundles. An administrator may not want that.
    const binding = 'system:cluster-trust-bundle-discovery';
    await api.delete(`/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/${binding}`);
  },
);

describe('the operator', () => {
  usesEveryPermission({ namespace: 'shop', watched: [], servesMetrics: false, injectsRoots: false, servesPods: false });

  test('needs no other permission to revoke, to repair, to rotate a root and to hand over its work', async () => {
    const tenant = world.tenantOf('shop');
    const mark = requests().length;
    await tenant.revoke('keystore', 'stolen');
    await tenant.patchSecret('rotated-server-tls', { metadata: { labels: { 'mtls-operator.io/certificate': null } } });
    await eventually(async () => {
      const { metadata } = await tenant.secret('rotated-server-tls');
      assert.equal(metadata.labels?.['mtls-operator.io/certificate'], 'rotated');
    });
    const old = (await world.authority('default')).status?.activeRoot?.fingerprint;
    await world.patchAuthority('default', { spec: { rotation: { propagationDelay: '1s' } } });
    await world.rotateRoot('default', 'again');
    const first = world.operator;
    await world.start();
    await first.stop();
    await eventually(
      async () => {
        const { status } = await world.authority('default');
        assert.equal(status?.rotation, undefined, JSON.stringify(status?.rotation));
        assert.notEqual(status?.activeRoot?.fingerprint, old);
      },
      { timeoutMs: 90_000, message: 'the second operator does not finish the rotation of the root' },
    );
    const refused = requests()
      .slice(mark)
      .filter(({ isAllowed }) => !isAllowed);
    assert.deepEqual(refused, []);
  });
});

describe('the operator with --watch-namespaces, metrics over TLS, --inject-ca, --pod-certificates, --pod-evidence and --restart-workloads', () => {
  const namespace = 'watched';
  before(async () => {
    await world.operator.stop();
    await world.cluster.kubectl(['delete', 'mcert', '--all', '--all-namespaces']);
    await world.cluster.kubectl(['delete', 'mauth', '--all']);
  });
  usesEveryPermission({ namespace, watched: [namespace], servesMetrics: true, injectsRoots: true, servesPods: true });
});

/** Compares the permissions of the operator with the table and with its requests, and removes each of them in turn. */
function usesEveryPermission({ namespace, watched, servesMetrics, injectsRoots, servesPods }: Mode): void {
  const isNamespaced = watched.length > 0;
  const metrics: readonly Condition[] = servesMetrics ? ['metricsAuthorization', 'metricsCertificate'] : [];
  const injection: readonly Condition[] = injectsRoots ? ['injectCA'] : [];
  const ofPods: readonly Condition[] = servesPods ? ['podCertificates', 'podEvidence', 'restartWorkloads'] : [];
  const conditions = ['authorities', ...metrics, ...injection, ...ofPods] as const;
  const release = { namespace: operatorNamespace, watched, conditions };
  const expected = operatorPermissions(permissionTable(), release);
  let metricsFolder = '';
  let pods: PodWorld | undefined;
  const start: Place['start'] = () => {
    const args = [
      ...(isNamespaced ? [`--watch-namespaces=${watched.join(',')}`] : []),
      ...(servesMetrics ? metricsArguments(metricsFolder) : []),
      ...(injectsRoots ? ['--inject-ca'] : []),
      ...(servesPods ? ['--pod-certificates', '--pod-evidence', '--restart-workloads'] : []),
    ];
    return world.start({ server: world.proxy.server, args });
  };
  const placeIn = (scope: string): Place => ({
    world,
    tenant: world.tenantOf(scope === operatorNamespace ? scope : namespace),
    start,
    metricsFolder,
    ...(pods === undefined ? {} : { pods }),
  });
  /** How many requests were there before this mode. */
  let mark: number;
  let granted: readonly GrantedPermission[];
  let prepared: Promise<unknown> | undefined;

  const isGrantedIn = (scope: string, { resource, verb }: Permission): boolean =>
    expected.some((other) => other.scope === scope && other.resource === resource && other.verb === verb);

  before(async () => {
    mark = requests().length;
    await world.api.create(paths.namespaces(), { metadata: { name: namespace } });
    metricsFolder = await scratchFolder('metrics');
    const values = {
      metrics: { tls: { enabled: servesMetrics } },
      injectCA: { enabled: injectsRoots },
      podCertificates: { enabled: servesPods },
      podEvidence: { enabled: servesPods, restartWorkloads: servesPods },
    };
    if (isNamespaced) await applyRoles({ watchNamespaces: watched, ...values });
    granted = await grantedPermissions(world.api, account);
    if (servesPods) pods = await openPods(world.cluster);
  });
  after(() => pods?.close());

  test('has the permissions in tools/permissions/permissions.yaml', () => {
    assert.deepEqual(permissionLines(granted), permissionLines(expected));
  });

  for (const permission of inOrder(expected)) {
    const line = permissionLine(permission);
    // The role in the operator's own namespace has the rules of those in the watched namespaces.
    if (isNamespaced && permission.scope === operatorNamespace && isGrantedIn(namespace, permission)) continue;
    test(`fails without the permission "${line}"`, async () => {
      const rule = granted.find((other) => permissionLine(other) === line);
      assert.ok(rule !== undefined, 'the operator does not have this permission');
      const occasion = occasionFor(permission);
      assert.ok(occasion !== undefined, `test/support/permissions/occasions.ts says nothing about ${line}`);
      const place = placeIn(permission.scope);
      if (!isStart(line)) await (prepared ??= prepareOccasions(placeIn(namespace), isNamespaced));
      const before = requests().length;
      await withoutPermission(world.api, account, rule, async () => {
        await occasion(place);
        await eventually(
          () =>
            assert.ok(
              requests()
                .slice(before)
                .some((request) => isRefused(request, rule)),
            ),
          {
            message: `the operator does not need ${line}`,
          },
        );
      });
    });
  }

  if (isNamespaced) {
    test('works in its own namespace as in the others, and serves its metrics', async () => {
      const place = placeIn(operatorNamespace);
      await prepareOccasions(place, isNamespaced);
      for (const permission of expected) {
        const isInOwn = permission.scope === operatorNamespace && isGrantedIn(namespace, permission);
        const isReview = permission.resource.includes('reviews.');
        if (isInOwn || isReview) await occasionFor(permission)?.(place);
      }
    });
  }

  test('has used every permission, those for the cluster outside its own namespace, and has requested nothing else', async () => {
    await eventually(() => {
      const used = new Set<string>();
      for (const request of requests().slice(mark)) {
        const permission = permissionFor(expected, request);
        assert.ok(permission !== undefined, `the operator requested ${JSON.stringify(request)}`);
        const isOwn = request.namespace === operatorNamespace && permission.scope === 'cluster';
        if (request.isAllowed && !isOwn) used.add(permissionLine(permission));
      }
      // The audit log does not show the verbs that the API server checks while it admits the object of a signer.
      assert.deepEqual([...used].sort(), permissionLines(expected.filter(({ verb }) => !signerVerbs.has(verb))));
    });
  });
}

const signerVerbs: ReadonlySet<string> = new Set(['attest', 'sign']);

const metricsArguments = (folder: string): readonly string[] => [
  '--metrics-listen-address=127.0.0.1:0',
  `--metrics-tls-directory=${folder}`,
  '--metrics-authorization',
  '--metrics-service=mtls-operator',
];

/** The requests of the operator so far. */
function requests(): readonly AuditedRequest[] {
  return auditedRequests(world.cluster).filter(({ user }) => user === userName(account));
}

/** The permission that the operator uses when it starts to lead an empty cluster. */
function isStart(line: string): boolean {
  return line.includes('create mtlsauthorities');
}

/** The permissions, first the one that the start needs, and last the one whose removal ends the leadership. */
function inOrder(permissions: readonly Permission[]): readonly Permission[] {
  const rank = (permission: Permission): number => {
    const line = permissionLine(permission);
    return isStart(line) ? -1 : line.includes('create leases') ? 1 : 0;
  };
  return [...permissions].sort((a, b) => rank(a) - rank(b));
}

/** Whether the API server refused a request for lack of the permission. */
function isRefused(request: AuditedRequest, permission: GrantedPermission): boolean {
  const { verb } = permission;
  if (verb === 'attest') {
    return request.resource === 'clustertrustbundles' && request.isAllowed && request.status === 403;
  }
  if (verb === 'sign') {
    return request.resource === 'podcertificaterequests/status' && request.isAllowed && request.status === 422;
  }
  return !request.isAllowed && permissionFor([permission], request) !== undefined;
}

/** Replaces the roles of `deploy/` with those of the chart with these values. */
async function applyRoles(values: object): Promise<void> {
  const rendered = await (await openHelm('helm')).render(values);
  const items = rendered.filter(({ kind }) => /^(Cluster)?Role(Binding)?$/.test(kind));
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  await world.cluster.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], { input });
}
