import { annotations, labels, managerName } from '../../api/constants.ts';
import { type Role, sha256Hex } from '../../pki/index.ts';
import type { CertificateRecord } from '../records/certificate-record.ts';
import { retainsSecrets } from '../records/ownership.ts';
import { secretNameOf } from '../records/roles.ts';
import type { SecretRecord } from '../records/secret-record.ts';

/** Labels and annotations by key; null takes a key off. */
export type MetadataPatch = Record<string, string | null>;

/** The labels and annotations that the operator sets on a Secret. Other clients may add more. */
export interface SecretMetadata {
  readonly labels: MetadataPatch;
  readonly annotations: MetadataPatch;
}

/**
 * The requests that the content of a Secret answers. It is written together with the content, so that a crash cannot
 * separate them.
 */
export interface IssuanceRecord {
  readonly revision: number;
  readonly rotateToken?: string;
  readonly revokeToken?: string;
}

/**
 * The metadata of a role's Secret. A key is null when an earlier secretTemplate set it and the current one does not.
 */
export function secretMetadata(
  certificate: CertificateRecord,
  role: Role,
  marks: IssuanceRecord,
  secret: SecretRecord | undefined,
): SecretMetadata {
  const { spec } = certificate;
  const owned = ownershipMetadata(certificate, role, secret);
  const template = {
    labels: unreserved(spec.secretTemplate?.labels),
    annotations: unreserved(spec.secretTemplate?.annotations),
  };
  const keys = { labels: Object.keys(template.labels).sort(), annotations: Object.keys(template.annotations).sort() };
  const templateIsEmpty = keys.labels.length + keys.annotations.length === 0;
  const earlier = templateKeys(secret?.annotations[annotations.template]);
  return {
    labels: {
      ...removed(earlier.labels),
      ...template.labels,
      ...owned.labels,
    },
    annotations: {
      ...removed(earlier.annotations),
      ...template.annotations,
      ...(templateIsEmpty
        ? removed(secret === undefined ? [] : [annotations.template])
        : { [annotations.template]: JSON.stringify(keys) }),
      ...owned.annotations,
      [annotations.revision]: String(marks.revision),
      ...tokenAnnotation(annotations.rotate, marks.rotateToken, secret),
      ...tokenAnnotation(annotations.revoke, marks.revokeToken, secret),
    },
  };
}

/** The annotation for a token. An annotation without a token was written by another client, so it is removed. */
function tokenAnnotation(
  annotation: string,
  token: string | undefined,
  secret: SecretRecord | undefined,
): MetadataPatch {
  if (token !== undefined) return { [annotation]: token };
  return secret?.annotations[annotation] === undefined ? {} : removed([annotation]);
}

/** The metadata that says which resource and role a Secret belongs to. */
export function ownershipMetadata(
  certificate: CertificateRecord,
  role: Role,
  secret: SecretRecord | undefined,
): SecretMetadata {
  const { name, uid, spec } = certificate;
  const hasUid = secret?.annotations[annotations.certificateUid] !== undefined;
  return {
    labels: { [labels.managedBy]: managerName, [labels.certificate]: name, [labels.role]: role },
    annotations: {
      [annotations.secretName]: secretNameOf(name, spec, role),
      ...(retainsSecrets(certificate) ? { [annotations.certificateUid]: uid } : {}),
      ...(hasUid && !retainsSecrets(certificate) ? removed([annotations.certificateUid]) : {}),
    },
  };
}

const removed = (keys: readonly string[]): MetadataPatch => Object.fromEntries(keys.map((key) => [key, null]));

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
 * True for keys that secretTemplate may neither set nor remove. Of the labels that Kubernetes recommends (app.kubernetes.io),
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

/**
 * How often the content of a Secret has been issued, as its annotation records it. Undefined when that is not valid.
 */
export function recordedRevision(secret: SecretRecord | undefined): number | undefined {
  const text = secret?.annotations[annotations.revision] ?? '';
  return /^[1-9]\d{0,9}$/.test(text) ? Number(text) : undefined;
}

/**
 * True when a Secret already has the metadata. A missing annotation secret-name alone causes no write: old Secrets get
 * it with their next write.
 */
export function metadataMatches({ labels: actual, annotations: all }: SecretRecord, wanted: SecretMetadata): boolean {
  const { [annotations.secretName]: secretName, ...others } = wanted.annotations;
  const namesAnother = all[annotations.secretName] !== undefined && all[annotations.secretName] !== secretName;
  return !namesAnother && matches(actual, wanted.labels) && matches(all, others);
}

const matches = (actual: Readonly<Record<string, string>>, wanted: MetadataPatch): boolean =>
  Object.entries(wanted).every(([key, value]) => {
    const kept = Object.hasOwn(actual, key) ? actual[key] : null;
    return kept === value || (value !== null && kept === compactValue(value));
  });

const longestValue = 128;

/** The form in which a record keeps the value of a template's annotation: the value, or the digest of a long one. */
export const compactValue = (value: string): string =>
  value.length <= longestValue ? value : `sha256:${sha256Hex(value)}`;
