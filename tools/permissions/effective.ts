import { parseAllDocuments } from 'yaml';

/** One verb on one resource in one place: the smallest part of a role. */
export interface Permission {
  /** The namespace in which it holds; `cluster` if a ClusterRoleBinding grants it. */
  readonly scope: string;
  /** As kubectl writes it, with the subresource and the group: `mtlscertificates/status.mtls-operator.io`, `secrets`. */
  readonly resource: string;
  readonly verb: string;
  /** The names of the objects, sorted; empty if it holds for all of them. */
  readonly names: readonly string[];
}

/** A permission, and the role that grants it. */
export interface GrantedPermission extends Permission {
  readonly role: RoleRef;
}

/** The role of a permission. The namespace of a ClusterRole is empty. */
export interface RoleRef {
  readonly kind: 'ClusterRole' | 'Role';
  readonly namespace: string;
  readonly name: string;
}

/** A rule of a role, as in rbac.authorization.k8s.io/v1. */
export interface PolicyRule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
  readonly verbs: readonly string[];
}

/** A manifest; only the fields that are used here. */
export interface Manifest {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly rules?: readonly PolicyRule[];
  readonly roleRef?: { readonly kind: RoleRef['kind']; readonly name: string };
  readonly subjects?: readonly { readonly kind: string; readonly name: string; readonly namespace?: string }[];
}

/** The manifests in a YAML text. Throws if the YAML is invalid. */
export function parseManifests(text: string): readonly Manifest[] {
  const documents = parseAllDocuments(text);
  return documents.map((document) => document.toJS() as Manifest | null).filter((manifest) => manifest !== null);
}

/** The permissions that the bindings among the manifests give to a ServiceAccount. Throws if a role is missing. */
export function permissionsOf(
  manifests: readonly Manifest[],
  account: { readonly namespace: string; readonly name: string },
): readonly GrantedPermission[] {
  return manifests.flatMap(({ kind, metadata, roleRef, subjects = [] }) => {
    const isBound = subjects.some(
      (subject) =>
        subject.kind === 'ServiceAccount' && subject.name === account.name && subject.namespace === account.namespace,
    );
    if (roleRef === undefined || !isBound) return [];
    const namespace = metadata.namespace ?? '';
    const role = { ...roleRef, namespace: roleRef.kind === 'Role' ? namespace : '' };
    const found = manifests.find(
      (manifest) =>
        manifest.kind === role.kind &&
        manifest.metadata.name === role.name &&
        (manifest.metadata.namespace ?? '') === role.namespace,
    );
    if (found === undefined) throw new Error(`${kind} ${metadata.name} refers to a missing ${role.kind} ${role.name}`);
    const scope = kind === 'ClusterRoleBinding' ? 'cluster' : namespace;
    return permissionsIn(found.rules ?? []).map((permission) => ({ ...permission, scope, role }));
  });
}

/** The permissions in the rules of a role, one for each verb and resource. */
export function permissionsIn(rules: readonly PolicyRule[]): readonly Omit<Permission, 'scope'>[] {
  return rules.flatMap(({ apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [], verbs }) => {
    const kinds = resources.flatMap((resource) =>
      apiGroups.map((group) => (group === '' ? resource : `${resource}.${group}`)),
    );
    const names = [...resourceNames].sort();
    return [...kinds, ...nonResourceURLs].flatMap((resource) => verbs.map((verb) => ({ resource, verb, names })));
  });
}

/** One line for each permission, sorted. */
export const permissionLines = (permissions: readonly Permission[]): readonly string[] =>
  permissions.map(permissionLine).sort();

/** A permission in one line: `cluster: get secrets`, `mtls-operator: get leases.coordination.k8s.io (mtls-operator)`. */
export const permissionLine = ({ scope, resource, verb, names }: Permission): string =>
  `${scope}: ${verb} ${resource}${names.length === 0 ? '' : ` (${names.join(', ')})`}`;

/**
 * The permissions that ClusterRoles without a binding give to people: under the name of the role of Kubernetes to which they are
 * added, otherwise under their own name. The scope is that name.
 */
export function userPermissionsOf(manifests: readonly Manifest[]): readonly Permission[] {
  const bound = new Set(manifests.map(({ roleRef }) => roleRef?.name));
  return manifests
    .filter(({ kind, metadata }) => kind === 'ClusterRole' && !bound.has(metadata.name))
    .flatMap(({ metadata, rules = [] }) => {
      const added = ['view', 'edit', 'admin'].filter(
        (role) => metadata.labels?.[`rbac.authorization.k8s.io/aggregate-to-${role}`] === 'true',
      );
      const scopes = added.length > 0 ? added : [metadata.name];
      return scopes.flatMap((scope) => permissionsIn(rules).map((permission) => ({ ...permission, scope })));
    });
}
