import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Permission } from './effective.ts';

/** The content of permissions.yaml, which explains its keys. */
export interface PermissionTable {
  readonly operator: readonly OperatorEntry[];
  readonly users: readonly UserEntry[];
}

/** Permissions of the operator on one resource. */
export interface OperatorEntry {
  readonly resource: string;
  readonly names?: readonly string[];
  readonly if?: Condition;
  readonly scope: readonly string[];
  readonly namespaced?: readonly string[];
  /** The reason for each verb. */
  readonly verbs: Readonly<Record<string, string>>;
}

/** Permissions of people on one resource. */
export interface UserEntry {
  readonly roles: readonly string[];
  readonly resource: string;
  readonly verbs: readonly string[];
  readonly why: string;
}

/** What the values of the chart have to request for a permission. */
export type Condition =
  | 'authorities'
  | 'injectCA'
  | 'metricsAuthorization'
  | 'metricsCertificate'
  | 'podCertificates'
  | 'podEvidence'
  | 'restartWorkloads';

/** A release of the chart, and what its values request. */
export interface Release {
  /** The operator's namespace. */
  readonly namespace: string;
  /** watchNamespaces. */
  readonly watched: readonly string[];
  readonly conditions: readonly Condition[];
}

/** Reads permissions.yaml. */
export function permissionTable(): PermissionTable {
  return parse(readFileSync(new URL('permissions.yaml', import.meta.url), 'utf8')) as PermissionTable;
}

/** The permissions that the table gives to the operator of a release. */
export function operatorPermissions(
  { operator }: PermissionTable,
  { namespace, watched, conditions }: Release,
): readonly Permission[] {
  const isNamespaced = watched.length > 0;
  const places = new Map([
    ['own', [namespace]],
    ['watched', watched.filter((name) => name !== namespace)],
    ['default', [...watched, namespace].includes('default') ? [] : ['default']],
  ]);
  const placed = (words: readonly string[]): readonly string[] => words.flatMap((word) => places.get(word) ?? [word]);
  return operator
    .filter((entry) => entry.if === undefined || conditions.includes(entry.if))
    .flatMap(({ resource, names = [], scope, namespaced = [], verbs }) =>
      placed(isNamespaced ? namespaced : scope).flatMap((place) =>
        Object.keys(verbs).map((verb) => ({ scope: place, resource, verb, names: [...placed(names)].sort() })),
      ),
    );
}

/** The permissions that the table adds to the roles of people. The scope is the role. */
export const userPermissions = ({ users }: PermissionTable): readonly Permission[] =>
  users.flatMap(({ roles, resource, verbs }) =>
    roles.flatMap((scope) => verbs.map((verb) => ({ scope, resource, verb, names: [] }))),
  );
