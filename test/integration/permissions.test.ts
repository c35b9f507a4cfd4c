import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';

import { type GrantedPermission, permissionLine, permissionLines } from '../../tools/permissions/effective.ts';
import { operatorPermissions, permissionTable } from '../../tools/permissions/table.ts';
import { operatorNamespace } from '../support/api.ts';
import { type AuditedRequest, auditedRequests } from '../support/audit.ts';
import { eventually } from '../support/eventually.ts';
import { type Installation, installation, type Tenant } from '../support/installation.ts';
import { grantedPermissions, permissionFor, userName, withoutPermission } from '../support/permissions/granted.ts';
import { occasionFor, prepareOccasions } from '../support/permissions/occasions.ts';

const account = { namespace: operatorNamespace, name: 'mtls-operator' };
const clusterRoleBindings = '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings';
/** The first test starts the operator. The last one takes its Lease away. */
const placeOf = (line: string): number =>
  line.includes('create mtlsauthorities') ? -1 : line.includes('create leases') ? 1 : 0;

describe('the operator with access to every namespace', () => {
  const world = installation({
    operator: false,
    watched: false,
    args: ['--retry-period=500ms'],
    auditedGroups: [`system:serviceaccounts:${operatorNamespace}`],
  });
  usesEveryPermission(world, []);
});

/** Compares the permissions of the operator with the table and with its requests, and removes each of them in turn. */
function usesEveryPermission(world: Installation, watched: readonly string[]): void {
  const requests = (): readonly AuditedRequest[] =>
    auditedRequests(world.cluster).filter(({ user }) => user === userName(account));
  const expected = operatorPermissions(permissionTable(), {
    namespace: operatorNamespace,
    watched,
    conditions: ['authorities'],
  });
  let granted: readonly GrantedPermission[];
  let tenant: Tenant;

  // Kubernetes lets every ServiceAccount read ClusterTrustBundles. An administrator may not want that.
  before(() => world.api.delete(`${clusterRoleBindings}/system:cluster-trust-bundle-discovery`));

  test('has the permissions in tools/permissions/permissions.yaml', async () => {
    granted = await grantedPermissions(world.api, account);
    assert.deepEqual(permissionLines(granted), permissionLines(expected));
  });

  const lines = permissionLines(expected);
  for (const line of [...lines].sort((a, b) => placeOf(a) - placeOf(b))) {
    test(`fails without the permission "${line}"`, async () => {
      const permission = granted.find((other) => permissionLine(other) === line);
      assert.ok(permission !== undefined, 'the operator does not have this permission');
      const occasion = occasionFor(permission);
      assert.ok(occasion !== undefined, `test/support/permissions/occasions.ts says nothing about ${line}`);
      if (placeOf(line) >= 0) tenant ??= await prepared(world, watched);
      const before = requests().length;
      await withoutPermission(world.api, account, permission, async () => {
        await occasion(world, tenant);
        await eventually(
          () =>
            assert.ok(
              requests()
                .slice(before)
                .some((request) => isRefused(request, permission)),
            ),
          {
            message: `the operator does not need ${line}`,
          },
        );
      });
    });
  }

  test('needs nothing else to renew, repair, adopt, revoke and hand over its work', async () => {
    tenant ??= await prepared(world, watched);
    await tenant.revoke('keystore', 'stolen');
    await tenant.patchSecret('rotated-server-tls', { metadata: { labels: { 'mtls-operator.io/certificate': null } } });
    await eventually(async () => {
      const { metadata } = await tenant.secret('rotated-server-tls');
      assert.equal(metadata.labels?.['mtls-operator.io/certificate'], 'rotated');
    });
    const before = (await world.authority('default')).status?.activeRoot?.fingerprint;
    await world.patchAuthority('default', { spec: { rotation: { propagationDelay: '1s' } } });
    await world.rotateRoot('default', 'again');
    const first = world.operator;
    await world.start({ server: world.proxy.server });
    await first.stop();
    await eventually(
      async () => {
        const { status } = await world.authority('default');
        assert.equal(status?.rotation, undefined, JSON.stringify(status?.rotation));
        assert.notEqual(status?.activeRoot?.fingerprint, before);
      },
      { timeoutMs: 90_000, message: 'the second operator does not finish the rotation of the root' },
    );
  });

  test('has used every permission, none of them only in its own namespace, and has requested nothing else', async () => {
    await eventually(() => {
      const used = new Set<string>();
      for (const request of requests()) {
        const permission = permissionFor(expected, request);
        assert.ok(permission !== undefined, `the operator requested ${JSON.stringify(request)}`);
        const isOwn = request.namespace === operatorNamespace && permission.scope === 'cluster';
        if (request.isAllowed && !isOwn) used.add(permissionLine(permission));
      }
      assert.deepEqual(
        [...used].sort(),
        lines.filter((line) => !line.includes(' attest ')),
      );
    });
  });
}

async function prepared(world: Installation, watched: readonly string[]): Promise<Tenant> {
  const tenant = await world.tenant('shop');
  await prepareOccasions(world, tenant, watched.length > 0);
  return tenant;
}

/** Whether the API server refused a request for lack of the permission. */
function isRefused(request: AuditedRequest, permission: GrantedPermission): boolean {
  if (permission.verb === 'attest') {
    return request.resource === 'clustertrustbundles' && request.isAllowed && request.status === 403;
  }
  return !request.isAllowed && permissionFor([permission], request) !== undefined;
}
