import { annotations, labels } from '../../api/constants.ts';
import { compactValue, templateKeys } from './secret-metadata.ts';

type Entries = Readonly<Record<string, string>>;

/** The operator's own, by which a Secret says whose it is. */
const ownLabels: readonly string[] = [labels.managedBy, labels.certificate, labels.role];
const ownAnnotations: readonly string[] = Object.values(annotations);

/** The API server allows 253 characters, a slash and 63; 63 for the value of a label. */
const longestKey = 317;
const longestLabel = 63;
/** The longest values that the operator writes: a token, the record of outputs. The annotation `template` names keys. */
const longestOwnValue = 2048;
const longestTemplateNote = 10_000;
/** secretTemplate takes no more. */
const mostTemplateKeys = 32;

/**
 * The labels and annotations to keep of a Secret: the operator's own, and those that its annotation `template` names. Anyone can
 * write thousands of others, or long ones, into a namespace of theirs: what is kept has at most 30 KB.
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
