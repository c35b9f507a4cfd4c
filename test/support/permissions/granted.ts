import assert from 'node:assert/strict';

import {
  type GrantedPermission,
  type Manifest,
  type Permission,
  type PolicyRule,
  permissionLine,
  permissionsOf,
  type RoleRef,
} from '../../../tools/permissions/effective.ts';
import type { Api } from '../api.ts';
import type { AuditedRequest } from '../audit.ts';
import { eventually } from '../eventually.ts';

/** A ServiceAccount. */
export interface Account {
  readonly namespace: string;
  readonly name: string;
}

const rbac = '/apis/rbac.authorization.k8s.io/v1';
const kinds = ['ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding'] as const;

export const userName = ({ namespace, name }: Account): string => `system:serviceaccount:${namespace}:${name}`;

/** The permissions that the roles in a cluster give to a ServiceAccount. */
export async function grantedPermissions(api: Api, account: Account): Promise<readonly GrantedPermission[]> {
  const lists = await Promise.all(
    kinds.map(async (kind) => {
      const found = await api.list<Omit<Manifest, 'kind'>>(`${rbac}/${kind.toLowerCase()}s`);
      return found.map((object) => ({ ...object, kind }));
    }),
  );
  return permissionsOf(lists.flat(), account);
}

/** The permission that allows a request; undefined if none does. */
export function permissionFor<P extends Permission>(
  permissions: readonly P[],
  { verb, group, resource, namespace, name }: AuditedRequest,
): P | undefined {
  const wanted = group === '' ? resource : `${resource}.${group}`;
  const isCovered = ({ scope, names }: Permission): boolean =>
    (scope === 'cluster' || scope === namespace) && (names.length === 0 || names.includes(name));
  return permissions.find(
    (permission) => permission.resource === wanted && permission.verb === verb && isCovered(permission),
  );
}

/** Removes a permission from its role while `body` runs. */
export async function withoutPermission(
  api: Api,
  account: Account,
  permission: GrantedPermission,
  body: () => Promise<unknown>,
): Promise<void> {
  const path = pathOf(permission.role);
  const { rules } = await api.get<{ rules: readonly PolicyRule[] }>(path);
  await api.patch(path, { rules: rules.flatMap((rule) => ruleWithout(rule, permission)) });
  try {
    await eventually(async () => assert.equal(await isAllowed(api, account, permission), false), {
      message: `${permissionLine(permission)} is still allowed without its rule`,
    });
    await body();
  } finally {
    await api.patch(path, { rules });
  }
}

const pathOf = ({ kind, namespace, name }: RoleRef): string =>
  kind === 'Role' ? `${rbac}/namespaces/${namespace}/roles/${name}` : `${rbac}/clusterroles/${name}`;

/** The rule, split so that it no longer grants the permission. */
function ruleWithout(rule: PolicyRule, { resource, verb, names }: Permission): readonly PolicyRule[] {
  const { apiGroups = [], resources = [], resourceNames = [] } = rule;
  const [plural, ...group] = resource.split('.');
  const grants =
    apiGroups.includes(group.join('.')) &&
    resources.includes(plural ?? '') &&
    rule.verbs.includes(verb) &&
    [...resourceNames].sort().join() === names.join();
  if (!grants) return [rule];
  const rest = [
    { ...rule, resources: resources.filter((other) => other !== plural) },
    { ...rule, resources: [plural ?? ''], verbs: rule.verbs.filter((other) => other !== verb) },
  ];
  return rest.filter(({ resources: some, verbs }) => some.length > 0 && verbs.length > 0);
}

/** Whether the API server would allow a ServiceAccount what the permission says. */
export async function isAllowed(
  api: Api,
  account: Account,
  { scope, resource, verb, names }: Permission,
): Promise<boolean> {
  const [plural = '', ...group] = resource.split('.');
  const [name, subresource = ''] = plural.split('/');
  const namespace = scope === 'cluster' ? '' : scope;
  const object = { namespace, verb, group: group.join('.'), resource: name, subresource, name: names[0] ?? '' };
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${account.namespace}`, 'system:authenticated'];
  const { status } = await api.create<{ status: { allowed: boolean } }>(
    '/apis/authorization.k8s.io/v1/subjectaccessreviews',
    {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user: userName(account), groups, resourceAttributes: object },
    },
  );
  return status.allowed;
}
