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

/** A role's Secret, and everything it is compared with. */
export interface SecretInput {
  readonly certificate: CertificateRecord;
  /** Absent while the authority's root may not sign. Then the checks read only the leaf itself. */
  readonly authority?: ReadyAuthority;
  readonly request: LeafRequest;
  readonly role: ObservedRole;
  readonly now: Date;
}

/** The input of a check of a readable leaf. */
interface LeafInput extends SecretInput {
  readonly secret: SecretRecord;
  readonly leaf: LeafRecord;
}

/** A reason to issue, with a message; undefined when the check finds none. */
type Finding = { readonly reason: IssueReason; readonly message: string } | undefined;

/** The first reason to issue a new certificate for a role. Undefined when the Secret holds the requested content. */
export function reasonToIssue(input: SecretInput): Finding {
  const { secret } = input.role;
  if (secret === undefined) return { reason: 'SecretMissing', message: 'the Secret does not exist' };
  if (secret.immutable === true) return { reason: 'SecretImmutable', message: immutableMessage };
  if (!secret.writable) return { reason: 'SecretCorrupted', message: 'the Secret is not of type kubernetes.io/tls' };
  const { content } = secret;
  if (!('problem' in content)) return firstFinding({ ...input, secret, leaf: content.leaf });
  const corrupted = { reason: 'SecretCorrupted', message: content.problem } as const;
  // Without the authority's root, the chain cannot be checked and the Secret cannot be written.
  if (content.restorable === undefined || input.authority === undefined) return corrupted;
  const finding = firstFinding({ ...input, secret, leaf: content.restorable });
  return finding === undefined || deferrableReasons.has(finding.reason) ? finding : corrupted;
}

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

/** Reasons that can wait: the current certificate matches spec and works until it expires. */
export const deferrableReasons: ReadonlySet<IssueReason> = new Set([
  'RenewalDue',
  'RotationRequested',
  'RevocationRequested',
  'RootReplaced',
  'IssuerKeyMissing',
]);

/** The entry in status for the certificate that the operator last wrote to the Secret. */
const lastIssuedStatus = ({ status }: CertificateRecord, { role, secretName }: ObservedRole) =>
  status.secrets?.find((entry) => entry.role === role && entry.secretName === secretName);

/**
 * True when another client has damaged a Secret: it does not hold the certificate that the operator wrote, or lacks the
 * intermediates above it. False for a Secret without an entry in status.
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
 * True when the operator wrote the private key in a Secret. The operator must never keep a key from another client,
 * because that client knows the key.
 */
export function keyIsOurs({ certificate, authority, role }: SecretInput): boolean {
  const { content } = role.secret ?? {};
  if (content === undefined) return false;
  const known = lastIssuedStatus(certificate, role)?.publicKeyFingerprint;
  if (known !== undefined) return ('leaf' in content ? content.leaf : content).publicKey === known;
  // An old status lacks publicKeyFingerprint. Then a certificate issued by the authority proves that the key is the
  // operator's.
  return 'leaf' in content && isTrusted(content.leaf, authority);
}

/** In order of severity: an unusable certificate comes first, a renewal that is only due comes last. */
const issueChecks: ReadonlyArray<(input: LeafInput) => Finding> = [
  rootIsNotTrusted,
  profileDiffers,
  keyDiffers,
  durationDiffers,
  outlivesRoot,
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
 * Compares the lifetime with spec. The lifetime may be shorter only where the CAs above limit it: the end is cut to
 * their earliest notAfter, and the backdating to their latest notBefore. A certificate without any backdating lasts
 * exactly as long as spec requests: another issuer of the same CA wrote it into a Secret that was handed over.
 */
function durationDiffers({ leaf, request, authority }: LeafInput): Finding {
  if (authority === undefined) return undefined;
  const actualMs = leaf.notAfter.getTime() - leaf.notBefore.getTime();
  const requestedMs = Math.floor(request.profile.durationMs / 1000) * 1000;
  const longestMs = requestedMs + backdateMs;
  const endIsCut = leaf.notAfter.getTime() === leaf.issuerNotAfter?.getTime();
  const startIsCut = leaf.notBefore.getTime() === leaf.issuerNotBefore?.getTime();
  // A leaf that is older than the current CA certificates was limited by the dates of their predecessors.
  const isOlder = leaf.notBefore < commonValidity(pathOf(authority)).notBefore;
  // Start and end are truncated to whole seconds separately, so a lifetime may be a second longer than requested.
  const shortestMs = endIsCut || isOlder ? 0 : startIsCut ? requestedMs : longestMs;
  const isWithin = (leastMs: number, mostMs: number): boolean => actualMs >= leastMs && actualMs <= mostMs + 1000;
  return isWithin(shortestMs, longestMs) || isWithin(requestedMs, requestedMs)
    ? undefined
    : { reason: 'SpecChanged', message: 'the lifetime of the certificate differs from spec.duration' };
}

/**
 * The operator issues no such certificate, but another issuer of the same CA may, for instance cert-manager. The chain in
 * the Secret holds only intermediates that outlive the leaf, so only the root is compared.
 */
function outlivesRoot({ leaf, authority }: LeafInput): Finding {
  const root = authority?.bundle.roots.find((one) => anchorId(one) === leaf.root);
  return root !== undefined && root.notAfter < leaf.notAfter
    ? { reason: 'SpecChanged', message: 'the certificate outlives its root' }
    : undefined;
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

/**
 * True until a certificate was issued for the current token of the annotation rotate. An annotation on the Secret
 * records the token before status does.
 */
export const rotationIsPending = (
  certificate: CertificateRecord,
  role: Role,
  secret: SecretRecord | undefined,
): boolean =>
  pendingToken('rotate', certificate, role) !== undefined && !mayFulfilRequest('rotate', certificate, role, secret);

/** The rotation removes the root that issued the certificate, and the scheduled time of this resource has come. */
function rootIsReplaced({ leaf, authority, certificate, now }: LeafInput): Finding {
  const turn = rotationReissueTime(leaf, authority, certificate);
  return turn !== undefined && turn <= now
    ? { reason: 'RootReplaced', message: 'the root was rotated: another root signs now' }
    : undefined;
}

/** When a leaf is issued again because its root is replaced. Undefined when the active root issued the leaf. */
const rotationReissueTime = (
  leaf: LeafRecord,
  authority: ReadyAuthority | undefined,
  { uid }: CertificateRecord,
): Date | undefined =>
  authority?.reissue === undefined || leaf.root === idOfFirst(authority.bundle)
    ? undefined
    : reissueTime(authority.reissue, uid);

const idOfFirst = ({ roots: [first] }: TrustBundle): string | undefined => first && anchorId(first);

/** Peers check the leaf against a CRL that will expire, and the key that could renew it is gone. */
function issuerKeyIsMissing({ leaf, authority, certificate, now }: LeafInput): Finding {
  const turn = crlReissueTime(leaf, authority, certificate);
  return turn !== undefined && turn <= now
    ? { reason: 'IssuerKeyMissing', message: 'the CRL that lists certificates of this issuer cannot be renewed' }
    : undefined;
}

/**
 * When a leaf is issued again because the key of its issuer is gone. Each resource gets its own time in a window. The window
 * starts when the operator would have renewed the issuer's CRL, and lasts half of the time from then to the expiry of the CRL.
 * Undefined when the CRL can be renewed.
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

/** When a leaf is issued again because of the CAs above it. Undefined when it is not. */
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
 * False when the expiry of the CAs above prevents a new certificate from lasting longer. Renewing again and again
 * towards that expiry would only load the API server.
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

/** The seed that spreads renewals over time: stable for a role of a resource, and different for every other role. */
export const renewalSeed = (certificate: CertificateRecord, role: string): string => `${certificate.uid}/${role}`;
