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

/** What status says of the certificate of one role. */
export type SecretStatus = NonNullable<MtlsCertificateStatus['secrets']>[number];

/** The entry of a role in status: of the certificate in its Secret, or of the last one that was; empty before the first. */
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
  // What was issued is remembered while the Secret is lost, damaged or taken over: pods use what they have loaded from it,
  // until it expires.
  const kept = known?.secretName === secretName ? [retainedStatus(known, unrecorded, repairs, now)] : [];
  if (secret === undefined || !isOurs(secret, certificate, role)) return kept;
  if (!('leaf' in secret.content) || isForeignLeaf(outcome, secret, kept[0])) return kept;
  const { leaf } = secret.content;
  // While the root is bad its certificate is not known; status remembers it for a leaf that it has seen.
  const remembered = known?.fingerprint === leaf.fingerprint ? known : undefined;
  const root = roots.find((one) => anchorId(one) === leaf.root)?.fingerprint ?? remembered?.rootFingerprint;
  const issuerId = leaf.issuer ?? remembered?.issuerId;
  // A leaf of an unknown root is about to be replaced, or blocked from it; status does not vouch for it.
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

/** What status goes on saying of a certificate that is not in the Secret any more. */
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

/** The certificates that reached the Secret and are in status in no form yet. */
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
 * True for a leaf that the operator has neither written nor accepted: another writer has put it there, and it is about to be
 * replaced. The revision on the Secret shows a leaf that the operator wrote a moment before it was ended.
 */
const isForeignLeaf = ({ problem }: RoleOutcome, secret: SecretRecord, known: SecretStatus | undefined): boolean =>
  problem !== undefined &&
  problem.canWait !== true &&
  known !== undefined &&
  'leaf' in secret.content &&
  secret.content.leaf.fingerprint !== known.fingerprint &&
  recordedRevision(secret) !== known.revision + 1;

/** How many of those that were replaced are remembered, to be revoked if need be: some 50 KB in a status. */
export const maxReplaced = 256;

type Replaced = NonNullable<SecretStatus['replaced']>[number];

/** Those that were in a Secret before. They change with the certificate alone, so that time by itself writes nothing. */
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

/** Another writer may put a certificate back that was replaced: it is listed once, and not while it is in place. */
const boundedReplaced = (all: readonly Replaced[], serialNumber: string, now: Date): Replaced[] =>
  all
    .filter((one, i) => all.findLastIndex((other) => other.serialNumber === one.serialNumber) === i)
    .filter((one) => one.serialNumber !== serialNumber && new Date(one.notAfter) > now)
    .slice(-maxReplaced);
