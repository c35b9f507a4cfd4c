import { hash, randomBytes } from 'node:crypto';
import { annotations, labels, managerName, secretKeys, secretType } from '../../api/constants.ts';
import type { KubeObject, ObjectMeta, OwnerReference, Secret } from '../../kube/index.ts';
import {
  type Certificate,
  type LeafChain,
  PkiError,
  proveKeyAhead,
  readLeaf,
  readLeafChain,
  recoverLeaf,
  sha256Hex,
  verifyLeafAhead,
} from '../../pki/index.ts';
import {
  type CachedSecret,
  type CertificateRecord,
  compactMetadata,
  controllerOf,
  type ForeignSecret,
  isExamined,
  lastContentWrite,
  ownerOf,
  ownerReference,
  parseOutputsRecord,
  retainsSecrets,
  type SecretContent,
  type SecretRecord,
  type UnexaminedSecret,
} from '../../plan/index.ts';
import { outputsDigest } from './output-data.ts';
import { dataText } from './secret-data.ts';

/** The label selector of the Secrets that hold leaves. It excludes root Secrets, so that their keys are not sent in lists. */
export const leafSecretSelector = `${labels.managedBy}=${managerName},${labels.certificate}`;

/**
 * The record of a Secret, which holds no key material.
 * @param roots the roots that may have signed its leaf
 * @param known the content record, if the Secret was just written or the same data was parsed before
 */
export const secretRecord = (secret: Secret, roots: readonly Certificate[], known?: SecretContent): SecretRecord =>
  withMetadata(secret, known ?? secretContent(secret, roots));

/** As secretRecord, for a list of many Secrets: the slow part, verifying leaf and key, runs in the thread pool. */
export async function secretRecordInPool(secret: Secret, roots: readonly Certificate[]): Promise<SecretRecord> {
  const chain = await chainAhead(secret, roots);
  return withMetadata(secret, secretContent(secret, roots, chain));
}

function withMetadata(secret: Secret, content: SecretContent): SecretRecord {
  const { claim, kept } = metadataOf(secret);
  const isImmutable = secret.immutable === true;
  const writable = secret.type === secretType && !isImmutable;
  const written = lastContentWrite(secret.metadata, ['data']);
  return {
    ...claim,
    writable,
    ...(isImmutable ? { immutable: true } : {}),
    ...kept,
    content,
    changedAtMs: Number.NEGATIVE_INFINITY,
    ...(written === undefined ? {} : { written }),
  };
}

/** The record of a Secret that is not examined: at most about 500 bytes, whatever the Secret contains. */
export const secretMark = (secret: KubeObject): UnexaminedSecret => ({
  ...metadataOf(secret).claim,
  changedAtMs: Number.NEGATIVE_INFINITY,
  unexamined: true,
});

/** The metadata of a foreign Secret. */
export function foreignSecret(secret: KubeObject): ForeignSecret {
  const { claim, kept } = metadataOf(secret);
  const { uid: _, resourceVersion: __, deleting: ___, ...whose } = claim;
  return { ...whose, ...kept };
}

/** `claim` identifies the Secret and its owner. `kept` holds the labels and annotations for the record. */
function metadataOf({ metadata }: KubeObject) {
  const kept = compactMetadata({ labels: metadata.labels ?? {}, annotations: metadata.annotations ?? {} });
  const claim = {
    ...ownerIn(metadata, kept),
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    ...(metadata.deletionTimestamp === undefined ? {} : ({ deleting: true } as const)),
  };
  return { claim, kept };
}

/** Namespace, name and owner of a Secret. @param marks the labels and annotations of its record; default: all */
export function ownerIn(
  { namespace = '', name, ownerReferences, ...all }: ObjectMeta,
  marks: Pick<SecretRecord, 'labels' | 'annotations'> = {
    labels: all.labels ?? {},
    annotations: all.annotations ?? {},
  },
) {
  return { namespace, name, ...ownerOf({ name, ...marks }, controllerOf(ownerReferences)) };
}

/**
 * A record with `changedAtMs`, `written` and `modifiedByOthers` computed from the previous record. The change time is kept while
 * bundle, root and issuer stay the same. If one of the two records is not examined, the change time is kept while the revision stays the
 * same.
 */
export function withChangeTime<T extends CachedSecret>(
  record: T,
  before: CachedSecret | undefined,
  monotonicMs: number,
): T {
  const isUnchanged = before !== undefined && isAsBefore(record, before);
  const changedAtMs = isUnchanged ? before.changedAtMs : monotonicMs;
  const written = isUnchanged && isExamined(before) ? before.written : undefined;
  return {
    ...record,
    ...(written === undefined ? {} : { written }),
    ...(isExamined(record) && isTouched(record, before) ? { modifiedByOthers: true } : {}),
    changedAtMs,
  };
}

function isAsBefore(record: CachedSecret, before: CachedSecret): boolean {
  if (before.uid !== record.uid) return false;
  if (!isExamined(record) || !isExamined(before)) return before.resourceVersion === record.resourceVersion;
  return before.content.bundle === record.content.bundle && issuerOf(before.content) === issuerOf(record.content);
}

/** True when the revision changed and the operator did not write it: SecretWriter removes the flag from its own writes. */
const isTouched = (record: SecretRecord, before: CachedSecret | undefined): boolean =>
  before !== undefined &&
  (before.resourceVersion !== record.resourceVersion || (isExamined(before) && before.modifiedByOthers === true));

const issuerOf = (content: SecretContent): string | undefined =>
  'leaf' in content ? `${content.leaf.root}/${content.leaf.issuer}` : undefined;

async function chainAhead(secret: Secret, roots: readonly Certificate[]): Promise<LeafChain | undefined> {
  try {
    const chain = readLeafChain(dataText(secret, secretKeys.certificate));
    await Promise.all([verifyLeafAhead(chain, roots), proveKeyAhead(chain, dataText(secret, secretKeys.privateKey))]);
    return chain;
  } catch (error) {
    // secretContent finds the same problem and reports it.
    if (error instanceof PkiError) return undefined;
    throw error;
  }
}

function secretContent(secret: Secret, roots: readonly Certificate[], chain?: LeafChain): SecretContent {
  const text = (key: string) => dataText(secret, key);
  const common = { ...bundleOf(secret), digest: keyPairDigest(secret.data) };
  try {
    const certificates = chain ?? text(secretKeys.certificate);
    return { leaf: readLeaf(certificates, text(secretKeys.privateKey), roots), ...common };
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    const remains = recoverLeaf(text(secretKeys.certificate), text(secretKeys.privateKey), roots);
    return { problem: error.message, ...remains, ...common };
  }
}

/** The previous content if the key pair has not changed, so that a new annotation does not cause another examination. */
export function knownContent(secret: Secret, before: CachedSecret | undefined): SecretContent | undefined {
  if (before === undefined || !isExamined(before) || before.uid !== secret.metadata.uid) return undefined;
  const { bundle: _, ...keyPair } = before.content;
  return keyPair.digest === keyPairDigest(secret.data) ? { ...keyPair, ...bundleOf(secret) } : undefined;
}

const bundleOf = (secret: Secret): Pick<SecretContent, 'bundle'> =>
  outputsAreIntact(secret) ? { bundle: sha256Hex(dataText(secret, secretKeys.bundle)) } : {};

/** Random for each process, so that the digest of a private key in memory is useless elsewhere. */
const salt = randomBytes(16).toString('base64');

/** A salted digest of `tls.crt` and `tls.key`, 132 bits in base64url. */
export const keyPairDigest = (data: Secret['data'] = {}): string =>
  hash('sha256', `${salt},${data[secretKeys.certificate]},${data[secretKeys.privateKey]}`, 'base64url').slice(0, 22);

/** True for a Secret whose data is unchanged since its outputs were written, and for a Secret without outputs. */
function outputsAreIntact({ metadata, data = {} }: Secret): boolean {
  const { keys, digest } = parseOutputsRecord(metadata.annotations?.[annotations.outputs]);
  return keys.length === 0 || outputsDigest(data, keys) === digest;
}

/** The ownerReferences for a Secret of the resource. References to other owners stay. */
export function ownerReferencesFor(
  certificate: CertificateRecord,
  present: readonly OwnerReference[] = [],
): OwnerReference[] {
  const others = present.filter(({ uid }) => uid !== certificate.uid);
  return retainsSecrets(certificate) ? others : [...others, ownerReference('MtlsCertificate', certificate)];
}
