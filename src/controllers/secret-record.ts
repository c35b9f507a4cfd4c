import { annotations, apiVersion, labels, managerName, secretKeys, secretType } from '../api/names.ts';
import type { OwnerReference, Secret } from '../kube/index.ts';
import {
  type Certificate,
  type LeafChain,
  PkiError,
  proveKeyAhead,
  readLeaf,
  readLeafChain,
  remainsOf,
  sha256Hex,
  verifyLeafAhead,
} from '../pki/index.ts';
import {
  type CertificateRecord,
  keptMetadata,
  ownerOf,
  parseOutputsNote,
  retainsSecrets,
  type SecretContent,
  type SecretRecord,
} from '../plan/index.ts';
import { outputsDigest } from './outputs.ts';
import { dataText } from './secret-data.ts';

/** The label selector of the Secrets that hold leaves. It leaves out root Secrets, whose keys nobody has to be sent. */
export const leafSecretSelector = `${labels.managedBy}=${managerName},${labels.certificate}`;

/**
 * What is remembered of a Secret: it is read, judged, and let go, with its key.
 * @param roots the roots that may have signed its leaf
 * @param known the content, where it was just written and need not be read again
 */
export function secretRecord(secret: Secret, roots: readonly Certificate[], known?: SecretContent): SecretRecord {
  const { metadata } = secret;
  const { name } = metadata;
  const kept = keptMetadata({ labels: metadata.labels ?? {}, annotations: metadata.annotations ?? {} });
  const controller = metadata.ownerReferences?.find((reference) => reference.controller === true);
  return {
    namespace: metadata.namespace ?? '',
    name,
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    ...ownerOf({ name, ...kept }, controller),
    ...(metadata.deletionTimestamp === undefined ? {} : { deleting: true }),
    writable: secret.type === secretType && secret.immutable !== true,
    ...kept,
    content: known ?? secretContent(secret, roots),
    changedAtMs: Number.NEGATIVE_INFINITY,
  };
}

/** A record as it follows the one before: since when bundle, root and issuer have been as they are. */
export function dated(record: SecretRecord, before: SecretRecord | undefined, monotonicMs: number): SecretRecord {
  const isAsBefore =
    before?.uid === record.uid &&
    before.content.bundle === record.content.bundle &&
    issuerOf(before.content) === issuerOf(record.content);
  const changedAtMs = isAsBefore ? before.changedAtMs : monotonicMs;
  return { ...record, ...(isTouched(record, before) ? { touched: true } : {}), changedAtMs };
}

/** True for another revision than the one before, which the operator did not write: see SecretWriter. */
const isTouched = (record: SecretRecord, before: SecretRecord | undefined): boolean =>
  before !== undefined && (before.resourceVersion !== record.resourceVersion || before.touched === true);

const issuerOf = (content: SecretContent): string | undefined =>
  'leaf' in content ? `${content.leaf.root}/${content.leaf.issuer}` : undefined;

/** The same for one of many: what takes longest, the verification of its leaf and of large keys, goes on beside the event loop. */
export async function secretRecordAhead(secret: Secret, roots: readonly Certificate[]): Promise<SecretRecord> {
  const chain = await chainAhead(secret, roots);
  return secretRecord(secret, roots, secretContent(secret, roots, chain));
}

async function chainAhead(secret: Secret, roots: readonly Certificate[]): Promise<LeafChain | undefined> {
  try {
    const chain = readLeafChain(dataText(secret, secretKeys.certificate));
    await Promise.all([verifyLeafAhead(chain, roots), proveKeyAhead(chain, dataText(secret, secretKeys.privateKey))]);
    return chain;
  } catch (error) {
    // What is wrong with it is found, and told, when its content is read.
    if (error instanceof PkiError) return undefined;
    throw error;
  }
}

function secretContent(secret: Secret, roots: readonly Certificate[], chain?: LeafChain): SecretContent {
  const text = (key: string) => dataText(secret, key);
  const bundle = outputsAreIntact(secret) ? { bundle: sha256Hex(text(secretKeys.bundle)) } : {};
  try {
    const certificates = chain ?? text(secretKeys.certificate);
    return { leaf: readLeaf(certificates, text(secretKeys.privateKey), roots), ...bundle };
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    const remains = remainsOf(text(secretKeys.certificate), text(secretKeys.privateKey), roots);
    return { problem: error.message, ...remains, ...bundle };
  }
}

/** True for a Secret whose data are as they were when its outputs were written; also for one that has none. */
function outputsAreIntact({ metadata, data = {} }: Secret): boolean {
  const { keys, digest } = parseOutputsNote(metadata.annotations?.[annotations.outputs]);
  return keys.length === 0 || outputsDigest(data, keys) === digest;
}

/** The ownerReferences that a Secret of the resource is to have; those of others stay. */
export function ownerReferencesFor(
  certificate: CertificateRecord,
  present: readonly OwnerReference[] = [],
): OwnerReference[] {
  const others = present.filter(({ uid }) => uid !== certificate.uid);
  return retainsSecrets(certificate) ? others : [...others, ownerReference(certificate)];
}

/** The ownerReference by which a Secret belongs to its MtlsCertificate, and is removed with it. */
export const ownerReference = ({ name, uid }: { name: string; uid: string }) => ({
  apiVersion,
  kind: 'MtlsCertificate',
  name,
  uid,
  controller: true,
});
