import type { MtlsCertificateStatus } from '../../api/types.ts';
import { anchorId, type Certificate } from '../../pki/index.ts';
import type { CertificateRecord } from '../records/certificate-record.ts';
import { isOurs } from '../records/ownership.ts';
import type { SecretRecord } from '../records/secret-record.ts';
import { timestamp } from '../timing/timestamp.ts';
import { renewalSeed } from './issue-reason.ts';
import { renewalTime } from './renewal.ts';
import type { RoleOutcome } from './role-outcome.ts';
import { repairStatus } from './secret-contention.ts';
import { recordedRevision } from './secret-metadata.ts';

/** The entry of one role in status. */
export type SecretStatus = NonNullable<MtlsCertificateStatus['secrets']>[number];

/**
 * The entry of a role in status: the certificate in its Secret, or the last known one. Empty before the first
 * certificate.
 */
export function secretStatus(
  certificate: CertificateRecord,
  outcome: RoleOutcome,
  now: Date,
  roots: readonly Certificate[],
): SecretStatus[] {
  const { role, secretName, secret } = outcome.role;
  const known = certificate.status.secrets?.find((entry) => entry.role === role);
  const repairs = repairStatus(outcome.role.repairs, now);
  const unrecorded = unrecordedIn(outcome, known, roots);
  // While the Secret is lost, damaged or taken over, status keeps the last certificate: pods use it until it expires.
  const kept = known?.secretName === secretName ? [retainedStatus(known, unrecorded, repairs, now)] : [];
  if (secret === undefined || !isOurs(secret, certificate, role)) return kept;
  if (!('leaf' in secret.content) || isForeignLeaf(outcome, secret, kept[0])) return kept;
  const { leaf } = secret.content;
  // While the root may not sign, its certificate is unknown. Status remembers it for a leaf that it already lists.
  const remembered = known?.fingerprint === leaf.fingerprint ? known : undefined;
  const root = roots.find((one) => anchorId(one) === leaf.root)?.fingerprint ?? remembered?.rootFingerprint;
  const issuerId = leaf.issuer ?? remembered?.issuerId;
  // A leaf that was issued by an unknown root will be replaced, so status does not list it.
  if (root === undefined) return kept;
  const replaced = replacedBy(leaf.serialNumber, known, unrecorded, now);
  return [
    {
      role,
      secretName,
      serialNumber: leaf.serialNumber,
      fingerprint: leaf.fingerprint,
      rootFingerprint: root,
      ...(issuerId === undefined ? {} : { issuerId }),
      publicKeyFingerprint: leaf.publicKey,
      notBefore: timestamp(leaf.notBefore),
      notAfter: timestamp(leaf.notAfter),
      renewalTime: timestamp(renewalTime(leaf, certificate.spec, renewalSeed(certificate, role))),
      revision: recordedRevision(secret) ?? 1,
      ...(replaced.length === 0 ? {} : { replaced }),
      ...repairs,
    },
  ];
}

/** The entry in status for a certificate that is no longer in the Secret. */
function retainedStatus(
  entry: SecretStatus,
  unrecorded: readonly Replaced[],
  repairs: Pick<SecretStatus, 'repairs'>,
  now: Date,
): SecretStatus {
  const { repairs: _, handledRotate: __, handledRevoke: ___, replaced = [], ...others } = entry;
  const all =
    unrecorded.length === 0 ? replaced : boundedReplaced([...replaced, ...unrecorded], entry.serialNumber, now);
  return { ...others, ...(all.length === 0 ? {} : { replaced: all }), ...repairs };
}

/** Certificates that were written to the Secret and that status does not list yet. */
function unrecordedIn(
  { unrecorded = [] }: RoleOutcome,
  known: SecretStatus | undefined,
  roots: readonly Certificate[],
): Replaced[] {
  const listed = new Set([known?.serialNumber, ...(known?.replaced ?? []).map((one) => one.serialNumber)]);
  return unrecorded.flatMap(({ serialNumber, root, issuer, notAfter }) => {
    const rootFingerprint = roots.find((one) => anchorId(one) === root)?.fingerprint;
    if (rootFingerprint === undefined || listed.has(serialNumber)) return [];
    const issuerId = issuer === undefined ? {} : { issuerId: issuer };
    return [{ serialNumber, rootFingerprint, ...issuerId, notAfter: timestamp(notAfter) }];
  });
}

/**
 * True for a leaf from another client, which the operator will replace. The revision on the Secret identifies a leaf
 * that the operator wrote just before it stopped.
 */
const isForeignLeaf = ({ problem }: RoleOutcome, secret: SecretRecord, known: SecretStatus | undefined): boolean =>
  problem !== undefined &&
  problem.canWait !== true &&
  known !== undefined &&
  'leaf' in secret.content &&
  secret.content.leaf.fingerprint !== known.fingerprint &&
  recordedRevision(secret) !== known.revision + 1;

/** How many replaced certificates status lists, so that they can be revoked. They take about 50 KB. */
export const maxReplaced = 256;

type Replaced = NonNullable<SecretStatus['replaced']>[number];

/**
 * The certificates that were in the Secret before. The list changes only with the certificate, so that the passing of
 * time alone causes no write.
 */
function replacedBy(
  serialNumber: string,
  known: SecretStatus | undefined,
  unrecorded: readonly Replaced[],
  now: Date,
): readonly Replaced[] {
  const before = known?.replaced ?? [];
  if (known === undefined || known.serialNumber === serialNumber) {
    const more = unrecorded.filter((one) => one.serialNumber !== serialNumber);
    return more.length === 0 ? before : boundedReplaced([...before, ...more], serialNumber, now);
  }
  const { rootFingerprint, issuerId, notAfter } = known;
  const issuer = issuerId === undefined ? {} : { issuerId };
  const replaced = { serialNumber: known.serialNumber, rootFingerprint, ...issuer, notAfter };
  return boundedReplaced([...before, replaced, ...unrecorded], serialNumber, now);
}

/** Another client may restore a replaced certificate. It is listed once, and not while it is in the Secret. */
const boundedReplaced = (all: readonly Replaced[], serialNumber: string, now: Date): Replaced[] =>
  all
    .filter((one, i) => all.findLastIndex((other) => other.serialNumber === one.serialNumber) === i)
    .filter((one) => one.serialNumber !== serialNumber && new Date(one.notAfter) > now)
    .slice(-maxReplaced);
