import {
  anchorId,
  backdateMs,
  commonValidity,
  describeKeySpec,
  encodedLeafProfile,
  type LeafRecord,
  pathOf,
  profileDigest,
  type Role,
  type TrustBundle,
} from '../../pki/index.ts';
import type { CertificateRecord } from '../records/certificate-record.ts';
import type { SecretRecord } from '../records/secret-record.ts';
import { crlRenewBeforeMs } from '../revocation/crl-schedule.ts';
import { hashFraction } from '../timing/jitter.ts';
import type { ReadyAuthority } from './authority-state.ts';
import type { LeafRequest } from './leaf-request.ts';
import type { ObservedRole } from './observed-certificate.ts';
import { reissueTime } from './reissue.ts';
import { renewalTime } from './renewal.ts';
import { mayFulfilRequest, pendingToken } from './request-token.ts';
import { revocationIsPending } from './revocation-request.ts';

/** Why a certificate is issued. */
export type IssueReason =
  /** The Secret does not exist. */
  | 'SecretMissing'
  /** Key, certificate or type of the Secret are not as the operator wrote them. */
  | 'SecretCorrupted'
  /** Another client has set `immutable: true` on the Secret, so the operator replaces it. */
  | 'SecretImmutable'
  /** The certificate was issued by a root that is no longer trusted. */
  | 'RootNotTrusted'
  /** Names, subject, usages, key or lifetime differ from the spec. */
  | 'SpecChanged'
  /** The annotation `revoke` has a new value. */
  | 'RevocationRequested'
  /** The annotation `rotate` has a new value. */
  | 'RotationRequested'
  /** The root is being rotated, and another root signs now. */
  | 'RootReplaced'
  /** The key of the issuer is gone, so its CRL cannot be renewed. */
  | 'IssuerKeyMissing'
  /** The certificate has expired. */
  | 'Expired'
  /** The renewal time has come. */
  | 'RenewalDue';

/** What a role's Secret is judged against. */
export interface SecretInput {
  readonly certificate: CertificateRecord;
  /** Absent while the authority's root is bad; then only what the leaf says of itself is judged. */
  readonly authority?: ReadyAuthority;
  readonly request: LeafRequest;
  readonly role: ObservedRole;
  readonly now: Date;
}

/** The same, once there is a leaf in the Secret that can be read. */
interface LeafInput extends SecretInput {
  readonly secret: SecretRecord;
  readonly leaf: LeafRecord;
}

/** A reason to issue, with the words that tell a person why; undefined when the claim does not hold. */
type Finding = { readonly reason: IssueReason; readonly message: string } | undefined;

/** The first reason to issue a new certificate into a Secret; undefined when what it holds is right. */
export function reasonToIssue(input: SecretInput): Finding {
  const { secret } = input.role;
  if (secret === undefined) return { reason: 'SecretMissing', message: 'the Secret does not exist' };
  if (secret.immutable === true) return { reason: 'SecretImmutable', message: immutableMessage };
  if (!secret.writable) return { reason: 'SecretCorrupted', message: 'the Secret is not of type kubernetes.io/tls' };
  const { content } = secret;
  if (!('problem' in content)) return firstFinding({ ...input, secret, leaf: content.leaf });
  const corrupted = { reason: 'SecretCorrupted', message: content.problem } as const;
  // Without its root nothing can be written, and nothing says that the chain is the right one.
  if (content.restorable === undefined || input.authority === undefined) return corrupted;
  const finding = firstFinding({ ...input, secret, leaf: content.restorable });
  return finding === undefined || deferrableReasons.has(finding.reason) ? finding : corrupted;
}

/** Says what the operator does about an immutable Secret, and how to keep that from happening again. */
const immutableMessage =
  'the Secret is immutable, so the operator cannot update it: the operator deletes it and creates it again. ' +
  'Remove immutable: true from the manifest or tool that sets it';

function firstFinding(input: LeafInput): Finding {
  for (const claim of issueChecks) {
    const finding = claim(input);
    if (finding !== undefined) return finding;
  }
  return undefined;
}

/** The certificate in place is right for spec and does its work: it is only time for the next one. */
export const deferrableReasons: ReadonlySet<IssueReason> = new Set([
  'RenewalDue',
  'RotationRequested',
  'RevocationRequested',
  'RootReplaced',
  'IssuerKeyMissing',
]);

/** What status says of the certificate that the operator has written last into a Secret, as far as it knows. */
const lastIssuedStatus = ({ status }: CertificateRecord, { role, secretName }: ObservedRole) =>
  status.secrets?.find((entry) => entry.role === role && entry.secretName === secretName);

/**
 * True when what is wrong with a Secret is the work of another writer: it does not hold the certificate that the operator
 * has written, or holds it without the intermediates above it. Says nothing of a Secret of which status says nothing.
 */
export function isDamaged({
  certificate,
  authority,
  role,
}: Pick<SecretInput, 'certificate' | 'authority' | 'role'>): boolean {
  const written = lastIssuedStatus(certificate, role);
  if (written === undefined) return false;
  const { content } = role.secret ?? {};
  if (content === undefined || 'problem' in content || content.leaf.fingerprint !== written.fingerprint) return true;
  const isKnownRoot = authority?.bundle.roots.some(({ fingerprint }) => fingerprint === written.rootFingerprint);
  return content.leaf.root === undefined && isKnownRoot === true;
}

/**
 * True when the private key in a Secret is the one that the operator has written. A key of another writer must never be
 * kept: that writer knows it.
 */
export function keyIsOurs({ certificate, authority, role }: SecretInput): boolean {
  const { content } = role.secret ?? {};
  if (content === undefined) return false;
  const known = lastIssuedStatus(certificate, role)?.publicKeyFingerprint;
  if (known !== undefined) return ('leaf' in content ? content.leaf : content).publicKey === known;
  // Status is older than the field: then a certificate of the authority vouches for the key.
  return 'leaf' in content && isTrusted(content.leaf, authority);
}

/** From what makes a leaf worthless to what only makes it due. */
const issueChecks: ReadonlyArray<(input: LeafInput) => Finding> = [
  rootIsNotTrusted,
  profileDiffers,
  keyDiffers,
  durationDiffers,
  rotationIsRequested,
  hasExpired,
  rootIsReplaced,
  issuerKeyIsMissing,
  renewalIsDue,
  revocationIsRequested,
];

function rootIsNotTrusted({ leaf, authority }: LeafInput): Finding {
  return authority === undefined || isTrusted(leaf, authority)
    ? undefined
    : { reason: 'RootNotTrusted', message: 'the certificate does not chain to a trusted root of the authority' };
}

const isTrusted = ({ root }: Pick<LeafRecord, 'root'>, authority: ReadyAuthority | undefined): boolean =>
  authority?.bundle.roots.some((one) => anchorId(one) === root) === true;

function profileDiffers({ leaf, request }: LeafInput): Finding {
  const wanted = profileDigest(encodedLeafProfile(request.profile, describeKeySpec(request.key)));
  return leaf.profile === wanted
    ? undefined
    : { reason: 'SpecChanged', message: 'names, subject or usages of the certificate differ from spec' };
}

function keyDiffers({ leaf, request }: LeafInput): Finding {
  return leaf.keyKind === describeKeySpec(request.key) && leaf.keyEncoding === request.keyEncoding
    ? undefined
    : { reason: 'SpecChanged', message: 'the private key differs from spec in algorithm, size or encoding' };
}

/**
 * Compares the lifetime with spec. Only the limits of the CAs above may have changed it: an end cut to the earliest of
 * theirs, and a backdating cut to the latest of their beginnings.
 */
function durationDiffers({ leaf, request, authority }: LeafInput): Finding {
  if (authority === undefined) return undefined;
  const actualMs = leaf.notAfter.getTime() - leaf.notBefore.getTime();
  const longestMs = Math.floor(request.profile.durationMs / 1000) * 1000 + backdateMs;
  const endIsCut = leaf.notAfter.getTime() === leaf.issuerNotAfter?.getTime();
  const startIsCut = leaf.notBefore.getTime() === leaf.issuerNotBefore?.getTime();
  // Before the CAs of now began, certificates of the same CAs with other dates have signed: those may have cut it, too.
  const isOlder = leaf.notBefore < commonValidity(pathOf(authority)).notBefore;
  // Begin and end are cut to whole seconds each on its own, so a lifetime may be a second longer than asked for.
  const shortestMs = endIsCut || isOlder ? 0 : longestMs - (startIsCut ? backdateMs : 0);
  return actualMs >= shortestMs && actualMs <= longestMs + 1000
    ? undefined
    : { reason: 'SpecChanged', message: 'the lifetime of the certificate differs from spec.duration' };
}

function revocationIsRequested({ certificate, role: { role }, secret, authority, now }: LeafInput): Finding {
  return revocationIsPending(certificate, role, secret, authority, now)
    ? { reason: 'RevocationRequested', message: 'the annotation revoke has a new value' }
    : undefined;
}

function rotationIsRequested({ certificate, role: { role }, secret }: LeafInput): Finding {
  return rotationIsPending(certificate, role, secret)
    ? { reason: 'RotationRequested', message: 'the annotation rotate has a new value' }
    : undefined;
}

/** True until a Secret answers the token of the annotation rotate. Status says so; the annotation on the Secret says so earlier. */
export const rotationIsPending = (
  certificate: CertificateRecord,
  role: Role,
  secret: SecretRecord | undefined,
): boolean =>
  pendingToken('rotate', certificate, role) !== undefined && !mayFulfilRequest('rotate', certificate, role, secret);

/** The root that signed is on its way out, and it is this resource's turn. */
function rootIsReplaced({ leaf, authority, certificate, now }: LeafInput): Finding {
  const turn = rotationReissueTime(leaf, authority, certificate);
  return turn !== undefined && turn <= now
    ? { reason: 'RootReplaced', message: 'the root was rotated: another root signs now' }
    : undefined;
}

/** When a leaf is issued again because its root is replaced; undefined when its root is the active one. */
const rotationReissueTime = (
  leaf: LeafRecord,
  authority: ReadyAuthority | undefined,
  { uid }: CertificateRecord,
): Date | undefined =>
  authority?.reissue === undefined || leaf.root === idOfFirst(authority.bundle)
    ? undefined
    : reissueTime(authority.reissue, uid);

const idOfFirst = ({ roots: [first] }: TrustBundle): string | undefined => first && anchorId(first);

/** The CRL that peers check the leaf against will end, and nobody can renew it. */
function issuerKeyIsMissing({ leaf, authority, certificate, now }: LeafInput): Finding {
  const turn = crlReissueTime(leaf, authority, certificate);
  return turn !== undefined && turn <= now
    ? { reason: 'IssuerKeyMissing', message: 'the CRL that lists certificates of this issuer cannot be renewed' }
    : undefined;
}

/**
 * When a leaf is issued again because the key of its issuer is gone: a moment of the resource's own between the time at
 * which that CRL would have been renewed and half of what is left of it then. Undefined while there is no such need.
 */
function crlReissueTime(
  leaf: LeafRecord,
  authority: ReadyAuthority | undefined,
  { uid }: CertificateRecord,
): Date | undefined {
  const orphan = authority?.crl?.unrenewable.find(({ issuer }) => issuer === leaf.issuer);
  if (orphan === undefined) return undefined;
  const leftMs = crlRenewBeforeMs * (1 - hashFraction(`${orphan.issuer}/${uid}`) / 2);
  return new Date(orphan.nextUpdate.getTime() - leftMs);
}

/** When a leaf is issued again for the sake of the CAs above it; undefined while it need not be. */
export function nextReissueTime(...input: Parameters<typeof rotationReissueTime>): Date | undefined {
  const [first, second] = [rotationReissueTime(...input), crlReissueTime(...input)];
  return first === undefined || (second !== undefined && second < first) ? second : first;
}

function hasExpired({ leaf, now, ...input }: LeafInput): Finding {
  return leaf.notAfter <= now && renewalExtendsLifetime(leaf, input, now)
    ? { reason: 'Expired', message: `the certificate expired at ${leaf.notAfter.toISOString()}` }
    : undefined;
}

function renewalIsDue({ leaf, now, certificate, role, ...input }: LeafInput): Finding {
  const due = renewalTime(leaf, certificate.spec, renewalSeed(certificate, role.role));
  return due <= now && renewalExtendsLifetime(leaf, input, now)
    ? { reason: 'RenewalDue', message: `renewal was due at ${due.toISOString()}` }
    : undefined;
}

/**
 * False when the end of the CAs above keeps a new certificate from lasting longer: renewing over and over towards that end
 * would only wear out the API server.
 */
const renewalExtendsLifetime = (
  leaf: LeafRecord,
  input: Pick<SecretInput, 'authority' | 'request'>,
  now: Date,
): boolean => {
  if (input.authority === undefined) return true;
  const { notAfter } = commonValidity(pathOf(input.authority));
  const nextEndMs = Math.min(notAfter.getTime(), now.getTime() + input.request.profile.durationMs);
  return nextEndMs - leaf.notAfter.getTime() >= minimumGainMs;
};
const minimumGainMs = 1000;

/** What spreads renewals: stable for a role of a resource, different for all others. */
export const renewalSeed = (certificate: CertificateRecord, role: string): string => `${certificate.uid}/${role}`;
