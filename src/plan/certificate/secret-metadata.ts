import { annotations, labels, managerName } from '../../api/constants.ts';
import { type Role, sha256Hex } from '../../pki/index.ts';
import type { CertificateRecord } from '../records/certificate-record.ts';
import { retainsSecrets } from '../records/ownership.ts';
import { secretNameOf } from '../records/roles.ts';
import type { SecretRecord } from '../records/secret-record.ts';

/** Labels and annotations by key; null takes a key off. */
export type MetadataPatch = Record<string, string | null>;

/** The metadata that a Secret is to carry, beside what others put on it. */
export interface SecretMetadata {
  readonly labels: MetadataPatch;
  readonly annotations: MetadataPatch;
}

/** What the content of a Secret was issued for, written into the same object so that a crash cannot part them. */
export interface IssuanceRecord {
  readonly revision: number;
  readonly rotateToken?: string;
  readonly revokeToken?: string;
}

/** The metadata of a role's Secret; null for what an earlier template put on it and the present one does not. */
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

/** The annotation for a token. It is removed when the content was not issued for it: another writer has set it. */
function tokenAnnotation(
  annotation: string,
  token: string | undefined,
  secret: SecretRecord | undefined,
): MetadataPatch {
  if (token !== undefined) return { [annotation]: token };
  return secret?.annotations[annotation] === undefined ? {} : removed([annotation]);
}

/** The metadata that says whose a Secret is. */
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

/** The keys that the annotation `template` lists; none when it is absent or was tampered with. */
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

/** The entries that a template may set. The CRD's schema refuses the others, but a resource may be older than its schema. */
const unreserved = (entries: Readonly<Record<string, string>> | undefined): Record<string, string> =>
  Object.fromEntries(Object.entries(entries ?? {}).filter(([key]) => !isReserved(key)));

/** How many times a Secret's content has been issued, as its annotation says; undefined when that says nothing. */
export function recordedRevision(secret: SecretRecord | undefined): number | undefined {
  const text = secret?.annotations[annotations.revision] ?? '';
  return /^[1-9]\d{0,9}$/.test(text) ? Number(text) : undefined;
}

/**
 * True when a Secret carries the metadata already. A Secret that was written before the annotation secret-name existed gets
 * it with its next write, and is not written for it.
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

// Longer values are kept as their digest.
const longestValue = 128;

/** What is kept of the value of an annotation that comes from a template: itself, or the digest of a long one. */
export const compactValue = (value: string): string =>
  value.length <= longestValue ? value : `sha256:${sha256Hex(value)}`;
