import type { Fields } from './source-objects.ts';

/** Names, attributes and usages that a namespace needs a grant for. The keys are the fields of a grant. */
export interface NeededGrants {
  readonly dnsNames: readonly string[];
  readonly ipRanges: readonly string[];
  readonly uris: readonly string[];
  readonly emailAddresses: readonly string[];
  readonly commonNames: readonly string[];
  readonly usages: readonly string[];
  readonly otherNames: ReadonlyArray<{ readonly oid: string; readonly utf8Value: string }>;
  /** By the field of a subject grant. */
  readonly subject: Readonly<Record<string, readonly string[]>>;
}

const mostPatterns = 64;
/** The limit of issuance.allow. */
export const mostGrants = 64;

/** The label by which Kubernetes names each namespace. */
export const namespaceLabels = (namespace: string): { readonly 'kubernetes.io/metadata.name': string } => ({
  'kubernetes.io/metadata.name': namespace,
});

/** The entries of issuance.allow for one namespace. A list of more patterns than an entry may have continues in the next entry. */
export function grantsOf(namespace: string, needs: readonly NeededGrants[]): Fields[] {
  const lists = new Map<string, string[]>();
  const add = (field: string, values: readonly string[]) => lists.set(field, [...(lists.get(field) ?? []), ...values]);
  const otherNames: { oid: string; utf8Value: string }[] = [];
  for (const { subject, otherNames: others, ...simple } of needs) {
    for (const [field, values] of Object.entries(simple)) add(field, values);
    for (const [field, values] of Object.entries(subject)) add(`subject.${field}`, values);
    otherNames.push(...others);
  }
  const entries: Record<string, unknown>[] = [];
  const entry = (i: number): Record<string, unknown> =>
    (entries[i] ??= { namespaceSelector: { matchLabels: namespaceLabels(namespace) } });
  for (const [path, values] of lists) {
    const [field = '', attribute] = path.split('.');
    for (const [i, chunk] of chunks([...new Set(values)].sort(), mostPatterns).entries()) {
      if (attribute === undefined) entry(i)[field] = chunk;
      else entry(i)[field] = { ...(entry(i)[field] as Fields | undefined), [attribute]: chunk };
    }
  }
  const byType = Map.groupBy(otherNames, ({ oid }) => oid);
  const granted = [...byType].flatMap(([oid, names]) =>
    chunks([...new Set(names.map(({ utf8Value }) => utf8Value))].sort(), mostPatterns).map((utf8Values) => ({
      oid,
      utf8Values,
    })),
  );
  for (const [i, chunk] of chunks(granted, 16).entries()) entry(i)['otherNames'] = chunk;
  return entries;
}

const chunks = <T>(list: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));
