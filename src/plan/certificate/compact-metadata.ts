import { annotations, labels } from '../../api/constants.ts';
import { templateKeys } from '../records/metadata-template.ts';
import { compactValue } from './secret-metadata.ts';

type Entries = Readonly<Record<string, string>>;

/** The operator's own labels: they say which resource owns the Secret. */
const ownLabels: readonly string[] = [labels.managedBy, labels.certificate, labels.role];
const ownAnnotations: readonly string[] = Object.values(annotations);

/** The API server allows keys of 253 characters, a slash and 63 characters, and label values of 63 characters. */
const longestKey = 317;
const longestLabel = 63;
/**
 * The longest values that the operator writes: a token, and the record of outputs. The annotation `template` lists
 * keys.
 */
const longestOwnValue = 2048;
const longestTemplateNote = 10_000;
/** The largest number of keys in the schema of secretTemplate. */
const mostTemplateKeys = 32;

/**
 * The labels and annotations of a Secret that the cache keeps: the operator's own, and those that the annotation
 * `template` lists. Any client may write thousands of others, or long ones, in its own namespace, so the result is
 * limited to 30 KB.
 */
export function compactMetadata(all: { readonly labels: Entries; readonly annotations: Entries }): {
  readonly labels: Entries;
  readonly annotations: Entries;
} {
  const own = pick(all.annotations, ownAnnotations, (value, key) =>
    value.length <= (key === annotations.template ? longestTemplateNote : longestOwnValue) ? value : undefined,
  );
  const template = templateKeys(own[annotations.template]);
  return {
    labels: pick(all.labels, [...ownLabels, ...bounded(template.labels)], (value) =>
      value.length <= longestLabel ? value : undefined,
    ),
    annotations: { ...pick(all.annotations, bounded(template.annotations), compactValue), ...own },
  };
}

const bounded = (keys: readonly string[]): string[] =>
  keys.slice(0, mostTemplateKeys).filter((key) => key.length <= longestKey);

function pick(
  entries: Entries,
  keys: readonly string[],
  kept: (value: string, key: string) => string | undefined,
): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const key of keys) {
    const value = Object.hasOwn(entries, key) ? entries[key] : undefined;
    const text = value === undefined ? undefined : kept(value, key);
    if (text !== undefined) picked[key] = text;
  }
  return picked;
}
