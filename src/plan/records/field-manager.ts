import { annotations, group, labels, managerName } from '../../api/constants.ts';

/** Limits for one message. */
const mostFields = 3;
const longestName = 128;

/**
 * The client other than the operator that last changed the operator's part of a Secret, and the changed fields, for
 * messages: `kubectl-edit (data.tls.crt)`. Undefined when managedFields name no such client. They do not record deleted
 * fields.
 * @param managedFields metadata.managedFields as the API server returned it, not trusted
 * @param field only clients that set a field of this name, wherever it is. Default: the operator's part of a Secret or bundle
 */
export function lastWriter(managedFields: unknown, field?: string): string | undefined {
  if (!Array.isArray(managedFields)) return undefined;
  const writers = managedFields
    .map(asObject)
    .filter(({ manager, subresource }) => manager !== managerName && subresource === undefined)
    .map(({ manager, time, fieldsV1 }) => ({
      manager: textOf(manager),
      time: textOf(time),
      fields: field === undefined ? ownFieldsIn(asObject(fieldsV1)) : setsField(fieldsV1, field) ? [field] : [],
    }))
    .filter(({ fields }) => fields.length > 0)
    .sort((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : 0));
  const [last] = writers;
  if (last === undefined) return undefined;
  const more = last.fields.length > mostFields ? ', ...' : '';
  return `${nameOf(last.manager)} (${last.fields.slice(0, mostFields).join(', ')}${more})`;
}

/** When the content of an object was last written, by the clock of the API server. */
export interface ContentWrite {
  /** Milliseconds since the epoch, rounded down to seconds as all times of the API server. */
  readonly atMs: number;
  /** The object has had no other content since it was created. */
  readonly isFirst: boolean;
}

/**
 * When any client last wrote one of these fields of an object. Later than that, if a client wrote the field and another
 * one in the same request. Undefined when managedFields do not show it.
 * @param managedFields metadata.managedFields as the API server returned it, not trusted
 */
export function lastContentWrite(
  metadata: { readonly managedFields?: unknown; readonly creationTimestamp?: string | undefined },
  fields: readonly string[],
): ContentWrite | undefined {
  const { managedFields, creationTimestamp } = metadata;
  if (!Array.isArray(managedFields)) return undefined;
  const times = managedFields
    .map(asObject)
    .filter(({ fieldsV1 }) => fields.some((field) => `f:${field}` in asObject(fieldsV1)))
    .map(({ time }) => Date.parse(textOf(time)))
    .filter((atMs) => !Number.isNaN(atMs));
  if (times.length === 0) return undefined;
  const atMs = Math.max(...times);
  return { atMs, isFirst: atMs === Date.parse(creationTimestamp ?? '') };
}

/**
 * Any client can choose its name, and administrators read the message. A sentence as a name could pass for advice of
 * the operator, with a command to copy.
 */
function nameOf(manager: string): string {
  if (manager === '') return 'a client without a name';
  return plainName.test(manager) ? manager : 'a client whose name has unusual characters';
}

/** Names as clients usually set them: `kubectl-edit`, `argocd-controller`, `Go-http-client`. */
const plainName = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,62}$/;

function ownFieldsIn(fields: Fields): string[] {
  const metadata = asObject(fields['f:metadata']);
  const marks = ['labels', 'annotations'].flatMap((kind) =>
    keysIn(metadata[`f:${kind}`])
      .filter(isOwnMark)
      .map((key) => `metadata.${kind}.${key}`),
  );
  const data = keysIn(fields['f:data']).map((key) => `data.${key}`);
  const others = ['type', 'immutable'].filter((key) => `f:${key}` in fields);
  return [...data, ...marks, ...others];
}

const setsField = (fields: unknown, field: string): boolean => (JSON.stringify(fields) ?? '').includes(`"f:${field}":`);

const isOwnMark = (key: string): boolean =>
  key === labels.managedBy ||
  (key.startsWith(`${group}/`) && Object.values<string>({ ...labels, ...annotations }).includes(key));

const keysIn = (fields: unknown): string[] =>
  Object.keys(asObject(fields))
    .filter((key) => key.startsWith('f:'))
    .map((key) => textOf(key.slice(2)))
    .filter((key) => /^[-._a-zA-Z0-9/]+$/.test(key));

type Fields = Readonly<Record<string, unknown>>;

const asObject = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};

const textOf = (value: unknown): string =>
  typeof value === 'string' ? value.slice(0, longestName).toWellFormed() : '';
