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

/** The label selector of the Secrets that hold leaves. It leaves out root Secrets, whose keys nobody has to be sent. */
export const leafSecretSelector = `${labels.managedBy}=${managerName},${labels.certificate}`;

/**
 * What is remembered of a Secret: it is read, judged, and let go, with its key.
 * @param roots the roots that may have signed its leaf
 * @param known the content, where it was just written or was read before
 */
export const secretRecord = (secret: Secret, roots: readonly Certificate[], known?: SecretContent): SecretRecord =>
  withMetadata(secret, known ?? secretContent(secret, roots));

/** The same for one of many: what takes longest, the verification of its leaf and of large keys, goes on beside the event loop. */
export async function secretRecordInPool(secret: Secret, roots: readonly Certificate[]): Promise<SecretRecord> {
  const chain = await chainAhead(secret, roots);
  return withMetadata(secret, secretContent(secret, roots, chain));
}

function withMetadata(secret: Secret, content: SecretContent): SecretRecord {
  const { claim, kept } = metadataOf(secret);
  const isImmutable = secret.immutable === true;
  const writable = secret.type === secretType && !isImmutable;
  return {
    ...claim,
    writable,
    ...(isImmutable ? { immutable: true } : {}),
    ...kept,
    content,
    changedAtMs: Number.NEGATIVE_INFINITY,
  };
}

/** What is remembered of a Secret that is not examined. It has a bound of some 500 octets. */
export const secretMark = (secret: KubeObject): UnexaminedSecret => ({
  ...metadataOf(secret).claim,
  changedAtMs: Number.NEGATIVE_INFINITY,
  unexamined: true,
});

/** What a foreign Secret says of itself. */
export function foreignSecret(secret: KubeObject): ForeignSecret {
  const { claim, kept } = metadataOf(secret);
  const { uid: _, resourceVersion: __, deleting: ___, ...whose } = claim;
  return { ...whose, ...kept };
}

/** What a Secret says of its owner, and the labels and annotations to keep of it. */
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

/** Where a Secret is, and what it says of its owner. @param marks what is kept of its labels and annotations; default: all */
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
 * A record as it follows the one before: since when bundle, root and issuer have been as they are. What was not examined may
 * have been as it is for as long as it has been at its revision.
 */
export function withChangeTime<T extends CachedSecret>(
  record: T,
  before: CachedSecret | undefined,
  monotonicMs: number,
): T {
  const changedAtMs = before !== undefined && isAsBefore(record, before) ? before.changedAtMs : monotonicMs;
  return {
    ...record,
    ...(isExamined(record) && isTouched(record, before) ? { modifiedByOthers: true } : {}),
    changedAtMs,
  };
}

function isAsBefore(record: CachedSecret, before: CachedSecret): boolean {
  if (before.uid !== record.uid) return false;
  if (!isExamined(record) || !isExamined(before)) return before.resourceVersion === record.resourceVersion;
  return before.content.bundle === record.content.bundle && issuerOf(before.content) === issuerOf(record.content);
}

/** True for another revision than the one before, which the operator did not write: see SecretWriter. */
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
    // What is wrong with it is found, and told, when its content is read.
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

/** The content of before, when the key pair is of the same data: a Secret is not examined again for a new annotation. */
export function knownContent(secret: Secret, before: CachedSecret | undefined): SecretContent | undefined {
  if (before === undefined || !isExamined(before) || before.uid !== secret.metadata.uid) return undefined;
  const { bundle: _, ...keyPair } = before.content;
  return keyPair.digest === keyPairDigest(secret.data) ? { ...keyPair, ...bundleOf(secret) } : undefined;
}

const bundleOf = (secret: Secret): Pick<SecretContent, 'bundle'> =>
  outputsAreIntact(secret) ? { bundle: sha256Hex(dataText(secret, secretKeys.bundle)) } : {};

/** Of this process alone: what is kept of a key must not be the same everywhere. */
const salt = randomBytes(16).toString('base64');

/** What tells the data of key pairs apart, as 128 bits. */
export const keyPairDigest = (data: Secret['data'] = {}): string =>
  hash('sha256', `${salt},${data[secretKeys.certificate]},${data[secretKeys.privateKey]}`, 'base64url').slice(0, 22);

/** True for a Secret whose data are as they were when its outputs were written; also for one that has none. */
function outputsAreIntact({ metadata, data = {} }: Secret): boolean {
  const { keys, digest } = parseOutputsRecord(metadata.annotations?.[annotations.outputs]);
  return keys.length === 0 || outputsDigest(data, keys) === digest;
}

/** The ownerReferences that a Secret of the resource is to have; those of others stay. */
export function ownerReferencesFor(
  certificate: CertificateRecord,
  present: readonly OwnerReference[] = [],
): OwnerReference[] {
  const others = present.filter(({ uid }) => uid !== certificate.uid);
  return retainsSecrets(certificate) ? others : [...others, ownerReference('MtlsCertificate', certificate)];
}
