import { annotations, labels } from '../../api/constants.ts';

/** Labels and annotations by key; null takes a key off. */
export type MetadataPatch = Record<string, string | null>;

/** The labels and annotations that the operator sets on an object. Other clients may add more. */
export interface ManagedMetadata {
  readonly labels: MetadataPatch;
  readonly annotations: MetadataPatch;
}

/** Labels and annotations that a user requests in spec, for the objects that the operator writes. */
export interface MetadataTemplate {
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/**
 * The entries of a template, and the annotation `template`, which lists their keys. A key is null when an earlier template set it
 * and the current one does not.
 * @param current the object with its annotation `template`; undefined when the object does not exist
 */
export function templateMetadata(
  template: MetadataTemplate | undefined,
  current: { readonly template?: string | undefined } | undefined,
): ManagedMetadata {
  const requested = { labels: unreserved(template?.labels), annotations: unreserved(template?.annotations) };
  const keys = { labels: Object.keys(requested.labels).sort(), annotations: Object.keys(requested.annotations).sort() };
  const isEmpty = keys.labels.length + keys.annotations.length === 0;
  const before = templateKeys(current?.template);
  return {
    labels: { ...removed(before.labels), ...requested.labels },
    annotations: {
      ...removed(before.annotations),
      ...requested.annotations,
      ...(isEmpty
        ? removed(current === undefined ? [] : [annotations.template])
        : { [annotations.template]: JSON.stringify(keys) }),
    },
  };
}

/** A patch that removes keys. */
export const removed = (keys: readonly string[]): MetadataPatch => Object.fromEntries(keys.map((key) => [key, null]));

/** The keys that the annotation `template` lists. Empty when it is absent or not valid. */
export function templateKeys(annotation: string | undefined): { labels: string[]; annotations: string[] } {
  const strings = (value: unknown): string[] =>
    Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string' && !isReserved(item)) : [];
  try {
    const value = JSON.parse(annotation ?? '{}') as Record<string, unknown> | null;
    return { labels: strings(value?.['labels']), annotations: strings(value?.['annotations']) };
  } catch {
    return { labels: [], annotations: [] };
  }
}

/**
 * True for keys that a template may neither set nor remove. Of the labels that Kubernetes recommends (app.kubernetes.io),
 * only managed-by is the operator's.
 */
const isReserved = (key: string): boolean =>
  /^([^/]*\.)?(kubernetes\.io|k8s\.io|mtls-operator\.io)\//.test(key) &&
  (!key.startsWith('app.kubernetes.io/') || key === labels.managedBy);

/**
 * The entries that a template may set. The CRD's schema rejects the others, but a resource may be older than its
 * schema.
 */
const unreserved = (entries: Readonly<Record<string, string>> | undefined): Record<string, string> =>
  Object.fromEntries(Object.entries(entries ?? {}).filter(([key]) => !isReserved(key)));
