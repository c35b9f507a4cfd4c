import { hash } from 'node:crypto';
import { annotations, labels, managerName, secretKeys } from '../../api/constants.ts';
import { sha256Hex } from '../../pki/index.ts';
import {
  type ManagedMetadata,
  type MetadataTemplate,
  removed,
  templateKeys,
  templateMetadata,
} from '../records/metadata-template.ts';

type Entries = Readonly<Record<string, string | null>>;

/** A PKCS#12 truststore under its key in binaryData. */
export interface Truststore {
  readonly key: string;
  readonly base64: string;
}

/** The record of the truststore in an object, an annotation that is written together with it. */
export interface TruststoreRecord {
  readonly key: string;
  /** See truststoreDigest. */
  readonly digest: string;
}

/**
 * The labels and annotations of an object with a published bundle. A key is null when an earlier spec set it.
 * @param current the object with its annotation `template`; undefined for a new object
 */
export function trustMetadata(
  {
    authority,
    bundle: { pem },
    truststore,
    template,
  }: {
    readonly authority: string;
    readonly bundle: { readonly pem: string };
    readonly truststore?: Truststore;
    readonly template?: MetadataTemplate;
  },
  current?: { readonly template?: string },
): ManagedMetadata {
  const requested = templateMetadata(template, current);
  const record = truststore && { keys: [truststore.key], digest: truststoreDigest(pem, truststore) };
  return {
    labels: {
      ...requested.labels,
      [labels.managedBy]: managerName,
      [labels.authority]: authorityLabel(authority),
    },
    annotations: {
      ...requested.annotations,
      ...(current === undefined ? {} : removed([annotations.outputs])),
      ...(record === undefined ? {} : { [annotations.outputs]: JSON.stringify(record) }),
    },
  };
}

/** Shows that truststore and bundle were written together, and that neither was changed since. */
export const truststoreDigest = (pem: string, { key, base64 }: Truststore): string =>
  sha256Hex(`${secretKeys.bundle}=${pem}\n${key}=${base64}\n`);

/** Parses the annotation `outputs` of a published ConfigMap. Undefined when it is absent or not valid. */
export function parseTruststoreRecord(annotation: string | undefined): TruststoreRecord | undefined {
  if (annotation === undefined || annotation.length > longestRecord) return undefined;
  try {
    const value = JSON.parse(annotation) as { keys?: unknown; digest?: unknown } | null;
    const [key] = Array.isArray(value?.keys) ? (value.keys as unknown[]) : [];
    if (typeof key !== 'string' || !truststoreKeys.test(key) || typeof value?.digest !== 'string') return undefined;
    return { key, digest: value.digest };
  } catch {
    return undefined;
  }
}

/** The keys that the schema allows. The operator removes no other key, whatever the annotation says. */
const truststoreKeys = /^[-._a-zA-Z0-9]{1,249}\.(p12|pfx|jks)$/;
const longestRecord = 512;

/**
 * Identifies all labels and annotations that the operator manages on an object: its own, and those that the annotation `template`
 * lists. A short digest, because any client may write long ones. 132 bits in base64url.
 */
export function trustMetadataDigest(all: {
  readonly labels?: Entries | undefined;
  readonly annotations?: Entries | undefined;
}): string {
  const { labels: labelsOf = {}, annotations: annotationsOf = {} } = all;
  const template = templateKeys(annotationsOf[annotations.template] ?? undefined);
  const managed = [
    pick(labelsOf, [labels.managedBy, labels.authority, ...template.labels]),
    pick(annotationsOf, [annotations.template, annotations.outputs, ...template.annotations]),
  ];
  return hash('sha256', JSON.stringify(managed), 'base64url').slice(0, 22);
}

const pick = (entries: Entries, keys: readonly string[]): unknown[] =>
  keys.map((key) => (Object.hasOwn(entries, key) ? [key, entries[key]] : [key]));

/**
 * The text of an object's annotation `template` as the cache keeps it: absent if it is longer than the schema of
 * `configMap.labels` and `.annotations` permits.
 */
export const keptTemplate = (annotation: string | undefined): string | undefined =>
  annotation !== undefined && annotation.length <= longestTemplate ? annotation : undefined;

/** Two lists of 32 keys with 1024 characters together, in JSON. */
const longestTemplate = 2304;

/** The longest value of a label. The name of an authority can have 253 characters. */
const longestLabel = 63;

/** The label `authority` of published objects: the name, or the start of a long name and its digest. */
export const authorityLabel = (name: string): string =>
  name.length <= longestLabel ? name : `${name.slice(0, longestLabel - 17)}-${sha256Hex(name).slice(0, 16)}`;
