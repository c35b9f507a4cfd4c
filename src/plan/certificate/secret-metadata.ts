import { annotations, labels, managerName } from '../../api/constants.ts';
import { type Role, sha256Hex } from '../../pki/index.ts';
import type { CertificateRecord } from '../records/certificate-record.ts';
import { type ManagedMetadata, type MetadataPatch, removed, templateMetadata } from '../records/metadata-template.ts';
import { retainsSecrets } from '../records/ownership.ts';
import { secretNameOf } from '../records/roles.ts';
import type { SecretRecord } from '../records/secret-record.ts';

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
): ManagedMetadata {
  const owned = ownershipMetadata(certificate, role, secret);
  const current = secret && { template: secret.annotations[annotations.template] };
  const template = templateMetadata(certificate.spec.secretTemplate, current);
  return {
    labels: { ...template.labels, ...owned.labels },
    annotations: {
      ...template.annotations,
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
): ManagedMetadata {
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
export function metadataMatches({ labels: actual, annotations: all }: SecretRecord, wanted: ManagedMetadata): boolean {
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
