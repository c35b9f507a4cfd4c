import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Permission } from './effective.ts';

/** An entry of permissions.yaml. */
export interface PermissionEntry {
  readonly resource: string;
  readonly names?: readonly string[];
  readonly if?: Condition;
  readonly scope: readonly string[];
  readonly namespaced?: readonly string[];
  /** The reason for each verb. */
  readonly verbs: Readonly<Record<string, string>>;
}

/** What the values of the chart have to request for a permission. */
export type Condition = 'authorities';

/** A release of the chart, and what its values request. */
export interface Release {
  /** The operator's namespace. */
  readonly namespace: string;
  /** Empty without watchNamespaces. */
  readonly watched: readonly string[];
  readonly conditions: readonly Condition[];
}

/** The entries of permissions.yaml. */
export function permissionTable(): readonly PermissionEntry[] {
  return parse(readFileSync(new URL('permissions.yaml', import.meta.url), 'utf8')) as PermissionEntry[];
}

/** The permissions that the table gives to the operator of a release. */
export function expectedPermissions(
  table: readonly PermissionEntry[],
  { namespace, watched, conditions }: Release,
): readonly Permission[] {
  const isNamespaced = watched.length > 0;
  const places = new Map([
    ['own', [namespace]],
    ['watched', watched.filter((name) => name !== namespace)],
    ['default', watched.includes('default') || namespace === 'default' ? [] : ['default']],
  ]);
  const placed = (words: readonly string[]): readonly string[] =>
    words.flatMap((word) => (isNamespaced || word === 'own' ? (places.get(word) ?? [word]) : [word]));
  return table
    .filter((entry) => entry.if === undefined || conditions.includes(entry.if))
    .flatMap(({ resource, names = [], scope, namespaced = [], verbs }) =>
      placed(isNamespaced ? namespaced : scope).flatMap((place) =>
        Object.keys(verbs).map((verb) => ({ scope: place, resource, verb, names: [...placed(names)].sort() })),
      ),
    );
}
