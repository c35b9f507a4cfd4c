import { annotations, type CertificateReason } from '../../api/constants.ts';
import { anchorId, namesOutsidePath, pathOf } from '../../pki/index.ts';
import type { CertificateRecord } from '../records/certificate-record.ts';
import {
  conflictMessage,
  isNamedInAnnotation,
  isOurs,
  mayBeDeleted,
  type OwnedSecret,
  type OwnershipChange,
  ownershipChange,
} from '../records/ownership.ts';
import { rolesOf, secretNameOf } from '../records/roles.ts';
import type { SecretRecord } from '../records/secret-record.ts';
import { timestamp } from '../timing/timestamp.ts';
import type { AuthorityState, ReadyAuthority } from './authority-state.ts';
import {
  deferrableReasons,
  type IssueReason,
  isDamaged,
  keyIsOurs,
  reasonToIssue,
  rotationIsPending,
  type SecretInput,
} from './issue-reason.ts';
import { type LeafRequest, leafRequest } from './leaf-request.ts';
import type { ObservedCertificate, ObservedRole } from './observed-certificate.ts';
import { isFullyRevoked, unlistedLeavesProblem } from './revocation-gate.ts';
import { revocationIsPending } from './revocation-request.ts';
import { withRepairBackoff } from './secret-contention.ts';
import { metadataMatches, ownershipMetadata, recordedRevision, secretMetadata } from './secret-metadata.ts';
import {
  hasOutputs,
  type OutputSources,
  type OutputsStep,
  outputsMatch,
  outputsProblem,
  outputsStep,
} from './secret-outputs.ts';
import type { SecretStep } from './secret-step.ts';

/** One role with its step. */
export interface SecretPlan {
  readonly role: ObservedRole;
  readonly step: SecretStep;
}

/** What is to be done about an MtlsCertificate. It holds no key material and may be logged. */
export type CertificatePlan = PlanWithRoles | PlanWithoutRoles;

interface PlanWithRoles {
  readonly secrets: readonly [SecretPlan, ...SecretPlan[]];
  /** Secrets of the resource to delete, once all others are as they should be. */
  readonly prune: readonly OwnedSecret[];
  /** Those of them that were written before the annotation secret-name existed: they get it while status still names them. */
  readonly annotate: readonly OwnedSecret[];
}

/**
 * The plan of a resource whose spec cannot be read or asks for nothing, or whose authority is not known yet. The operator
 * does not know which Secrets such a resource needs, so it deletes none.
 */
interface PlanWithoutRoles extends Pick<PlanWithRoles, 'annotate'> {
  readonly secrets: readonly [];
  readonly prune: readonly [];
}

/** Decides what is to be done. Pure: the same observation at the same moment gives the same plan. */
export function planCertificate(observed: ObservedCertificate, now: Date): CertificatePlan {
  const { certificate, roles } = observed;
  if (isAwaitingCaches(observed)) return { secrets: [], prune: [], annotate: [] };
  // The garbage collector, or deletionPolicy, decides about what is left of a resource that is being deleted.
  const surplus = certificate.deleting ? [] : observed.surplus.filter((secret) => mayBeDeleted(secret, certificate));
  const annotate = surplus.filter((secret) => !isNamedInAnnotation(secret));
  const [first, ...others] = roles.map((role) => ({ role, step: planSecret(observed, role, now) }));
  if (first === undefined) return { secrets: [], prune: [], annotate };
  const isWhole = [first, ...others].every(({ step }) => step.step !== 'blocked');
  return { secrets: [first, ...others], prune: isWhole ? surplus : [], annotate };
}

/** True while the authority or the password of the keystores has not been read yet: that comes in a moment. */
export const isAwaitingCaches = ({ authority, keystorePassword }: ObservedCertificate): boolean =>
  authority.state === 'unknown' || keystorePassword?.state === 'unknown';

/** One role's step. Also asked again on its own, when a write has met a Secret that was newer than the observation. */
export const planSecret = (observed: ObservedCertificate, role: ObservedRole, now: Date): SecretStep =>
  withRepairBackoff(observed, role, planWithoutBackoff(observed, role, now), now);

function planWithoutBackoff(observed: ObservedCertificate, role: ObservedRole, now: Date): SecretStep {
  const step = planContent(observed, role, now);
  // What the API server has refused a moment ago is not tried again with a part of it.
  if (step.step !== 'blocked' || step.reason === 'IssuanceFailed' || !mayBeUpdated(observed, role)) return step;
  const { spec } = observed.certificate;
  const sources = outputSources(observed);
  // Roots that are in ca.crt alone are not what those trust who have mounted the truststore.
  if (outputsProblem(spec, sources) !== undefined) return step;
  // A certificate that may not be renewed goes on being used until it expires, next to others that get another root.
  const change = ownershipOf(observed, role);
  const unchanged = { labels: {}, annotations: {} };
  return {
    step: 'update',
    // Without an ownerReference the metadata alone says whose it is.
    metadata:
      change.ownership === undefined ? unchanged : ownershipMetadata(observed.certificate, role.role, role.secret),
    ...change,
    ...outputsOf(role.secret, spec, sources),
    blocked: step,
  };
}

/** The field of a step for its outputs. */
function outputsOf(...[secret, spec, sources]: Parameters<typeof outputsStep>): { readonly outputs?: OutputsStep } {
  const outputs = outputsStep(secret, spec, sources);
  return outputs === undefined ? {} : { outputs };
}

const outputSources = ({ authority, keystorePassword }: ObservedCertificate): OutputSources => ({
  ...(keystorePassword === undefined ? {} : { keystorePassword }),
  ...(authority.state === 'ready' && authority.crl !== undefined ? { crl: authority.crl } : {}),
});

const ownershipOf = ({ certificate }: ObservedCertificate, { secret }: ObservedRole): OwnershipChange =>
  secret === undefined ? {} : ownershipChange(secret, certificate);

/** True for a Secret of the resource's own with a leaf, whose roots are others than are trusted now, or that is not adopted yet. */
function mayBeUpdated(
  { certificate, authority }: ObservedCertificate,
  { role, secret, secretNameOwner }: ObservedRole,
): boolean {
  if (authority.state !== 'ready' || secretNameOwner !== undefined || secret === undefined) return false;
  if (!isOurs(secret, certificate, role) || !secret.writable || !('leaf' in secret.content)) return false;
  return !bundleIsGood(secret, authority) || ownershipChange(secret, certificate).ownership !== undefined;
}

const bundleIsGood = (
  { content: { bundle } }: SecretRecord,
  { bundle: wanted, acceptedBundleDigests }: ReadyAuthority,
): boolean => bundle === wanted.digest || (bundle !== undefined && acceptedBundleDigests.includes(bundle));

function planContent(observed: ObservedCertificate, role: ObservedRole, now: Date): SecretStep {
  const { certificate, namespaceLabels, authority } = observed;
  const blocked = (reason: CertificateReason, message: string) =>
    ({ step: 'blocked', reason, message, canWait: false }) as const;
  const { secret, foreign } = role;
  // Pods use what is there, so it is kept up to date. A Secret that is gone stays gone: it would be an orphan in a moment.
  if (certificate.deleting && secret === undefined && foreign === undefined) return { step: 'keep' };
  const rival = roleWithSameSecret(certificate, role);
  if (rival !== undefined) {
    return blocked('InvalidSpec', `role ${rival} names Secret ${role.secretName} too; each role needs one of its own`);
  }
  if (role.secretNameOwner !== undefined) {
    return blocked('SecretConflict', `Secret ${role.secretName} belongs to ${role.secretNameOwner}; name another one`);
  }
  const theirs = secret !== undefined && !isOurs(secret, certificate, role.role) ? secret : foreign;
  if (theirs !== undefined) {
    return blocked('SecretConflict', conflictMessage(theirs, certificate, role.role));
  }
  const authorityName = certificate.spec.authorityRef.name;
  if (authority.state === 'missing') {
    return blocked('AuthorityNotFound', `MtlsAuthority ${authorityName} does not exist`);
  }
  if (authority.state === 'unknown') return { step: 'keep' };
  const { namespace } = certificate;
  const scope = { namespace, labels: namespaceLabels, ...authority, authority: authorityName };
  const request = leafRequest(certificate.spec, role.role, scope);
  if ('reason' in request) {
    const { reason, message } = request;
    return blocked(reason, reason === 'Pending' ? message : message + currentLeafText(role, authority, now));
  }
  if (authority.state === 'ready') {
    const excluded = outsideConstraints(request, authority);
    if (excluded.length > 0) {
      return blocked('NameConstrained', `the root's name constraints exclude ${excluded.slice(0, 5).join(', ')}`);
    }
  }
  const sources = outputSources(observed);
  const ready = authority.state === 'ready' ? { authority } : {};
  const step = neededStep({ certificate, role, request, now, ...ready }, sources);
  if (step.step === 'keep' || step.step === 'blocked') return step;
  if (step.step === 'issue' && step.write === 'replace' && certificate.deleting) {
    return blocked('Deleting', `Secret ${role.secretName} would have to be created again: ${step.message}`);
  }
  if (step.step === 'issue' && step.write === 'replace' && secret?.deleting === true) {
    return blocked(...finalizerMessage(namespace, role.secretName, secret.immutable === true));
  }
  if (authority.state === 'ready' && authority.issuancePaused !== undefined && step.step === 'issue') {
    const message = `MtlsAuthority ${authorityName}: ${authority.issuancePaused.reason}: ${authority.issuancePaused.message}`;
    return { step: 'blocked', reason: 'AuthorityNotReady', message, canWait: stepCanWait(step) };
  }
  if (authority.state === 'notReady') {
    const message = `MtlsAuthority ${authorityName}: ${authority.reason}: ${authority.message}`;
    // A root that is being created is there in a moment.
    const reason = authority.reason === 'Pending' ? 'Pending' : 'AuthorityNotReady';
    return { step: 'blocked', reason, message, canWait: stepCanWait(step) };
  }
  const impossible = outputsProblem(certificate.spec, sources);
  if (impossible !== undefined) {
    const canWait = stepCanWait(step) && isWhole(role.secret, certificate, authority);
    return { step: 'blocked', ...impossible, canWait };
  }
  const problem = crlBlocker(certificate, role, step, authority, now);
  if (problem !== undefined) {
    return { step: 'blocked', ...problem, canWait: stepCanWait(step) };
  }
  const { failedAttempts } = role;
  return failedAttempts !== undefined && failedAttempts.nextRetryTime > now
    ? { step: 'blocked', reason: 'IssuanceFailed', message: failedAttempts.message, canWait: stepCanWait(step) }
    : step;
}

/** Says that a Secret cannot be created again, because a finalizer holds the one that cannot be written. */
function finalizerMessage(namespace: string, secretName: string, isImmutable: boolean): [CertificateReason, string] {
  const release = `kubectl -n ${namespace} patch secret ${secretName} --type merge --patch '{"metadata":{"finalizers":null}}'`;
  const held =
    `is being deleted, and a finalizer holds it; the operator creates it again once it is gone. ` +
    `If the program that has set the finalizer does not take it off: ${release}`;
  return isImmutable
    ? [
        'SecretImmutable',
        `Secret ${secretName} is immutable, so that it gets no new root and no new certificate; it ${held}`,
      ]
    : ['Pending', `Secret ${secretName} ${held}`];
}

/** What becomes of the certificate in place when its request is refused, for messages. Empty when there is none. */
function currentLeafText({ secret, secretName }: ObservedRole, authority: AuthorityState, now: Date): string {
  if (secret === undefined || !('leaf' in secret.content) || authority.state !== 'ready') return '';
  const { leaf } = secret.content;
  if (!authority.bundle.roots.some((root) => anchorId(root) === leaf.root)) return '';
  return leaf.notAfter <= now
    ? `; the certificate in Secret ${secretName} has expired`
    : `; the certificate in Secret ${secretName} stays and works until ${timestamp(leaf.notAfter)}, and is not renewed`;
}

/** True for a Secret with the bundle of now and every output that spec asks for, if perhaps of an earlier password or CRL. */
const isWhole = (secret: SecretRecord | undefined, { spec }: CertificateRecord, authority: ReadyAuthority): boolean =>
  secret !== undefined && bundleIsGood(secret, authority) && hasOutputs(secret, spec);

/** True when the certificate in place is right for spec and does its work: it is only time for the next one. */
export const stepCanWait = (step: SecretStep): boolean =>
  (step.step === 'update' && step.restores !== true) || (step.step === 'issue' && deferrableReasons.has(step.reason));

const crlBlocker = (
  certificate: CertificateRecord,
  role: ObservedRole,
  step: SecretStep,
  authority: ReadyAuthority,
  now: Date,
) =>
  step.step === 'issue'
    ? unlistedLeavesProblem(certificate, role, step.reason === 'RevocationRequested', authority, now)
    : undefined;

/** Another role of the resource that names the same Secret: each would write over the other's, without end. */
const roleWithSameSecret = (
  { name, spec }: CertificateRecord,
  { role, secretName }: ObservedRole,
): string | undefined =>
  rolesOf(spec).find((other) => other !== role && secretNameOf(name, spec, other) === secretName);

const outsideConstraints = ({ profile }: LeafRequest, authority: ReadyAuthority): string[] =>
  namesOutsidePath(pathOf(authority), profile.names, profile.subject);

/** The step that brings a Secret of our own to what is asked for. */
function neededStep(input: SecretInput, sources: OutputSources): SecretStep {
  const { certificate, authority, role, request } = input;
  const { secret } = role;
  const finding = reasonToIssue(input);
  if (finding === undefined && secret !== undefined) {
    // Without its root there is no bundle to compare with, and nothing that could be written.
    if (authority === undefined) return { step: 'keep' };
    const metadata = secretMetadata(certificate, role.role, currentIssuance(input, secret), secret);
    const change = ownershipChange(secret, certificate);
    const isGood = bundleIsGood(secret, authority) && outputsMatch(secret, certificate.spec, sources);
    const restores = 'problem' in secret.content ? ({ restores: true } as const) : {};
    const isRight = isGood && !('restores' in restores) && metadataMatches(secret, metadata);
    if (!isRight || change.ownership !== undefined) {
      return { step: 'update', ...restores, metadata, ...change, ...outputsOf(secret, certificate.spec, sources) };
    }
    return { step: 'keep' };
  }
  const { rotateToken, revokeToken } = certificate;
  const marks = {
    revision: revisionOf(input) + 1,
    ...(rotateToken === undefined ? {} : { rotateToken }),
    ...(revokeToken === undefined || !isFullyRevoked(input) ? {} : { revokeToken }),
  };
  return {
    step: 'issue',
    reason: finding?.reason ?? 'SecretMissing',
    message: finding?.message ?? '',
    request,
    keepKey: keepsKey(input, finding?.reason ?? 'SecretMissing'),
    write: secret === undefined ? 'create' : secret.writable ? 'update' : 'replace',
    metadata: secretMetadata(certificate, role.role, marks, secret),
    ...(secret === undefined ? {} : ownershipChange(secret, certificate)),
    ...outputsOf(secret, certificate.spec, sources),
  };
}

/**
 * Whether the next certificate is for the key in place: because spec asks for that, or because another writer has damaged
 * the certificate and not the key. A person who asks for a rotation, or to revoke, suspects the key.
 */
function keepsKey(input: SecretInput, reason: IssueReason): boolean {
  const { certificate, authority, role, request, now } = input;
  if (rotationIsPending(certificate, role.role, role.secret)) return false;
  if (revocationIsPending(certificate, role.role, role.secret, authority, now)) return false;
  const isLost =
    reason === 'SecretCorrupted' || reason === 'SecretImmutable' || (reason === 'RootNotTrusted' && isDamaged(input));
  return (request.keepKey || isLost) && keyIsOurs(input);
}

function currentIssuance(input: SecretInput, secret: SecretRecord) {
  // No reason to issue means that the present tokens are handled, or there are none; then what is noted stays.
  const rotateToken = input.certificate.rotateToken ?? secret.annotations[annotations.rotate];
  const revokeToken = input.certificate.revokeToken ?? secret.annotations[annotations.revoke];
  return {
    revision: Math.max(1, revisionOf(input)),
    ...(rotateToken === undefined ? {} : { rotateToken }),
    ...(revokeToken === undefined ? {} : { revokeToken }),
  };
}

/** How often the role has been issued so far, as the Secret says, or status should the Secret be gone. */
function revisionOf({ certificate, role }: SecretInput): number {
  const known = certificate.status.secrets?.find((entry) => entry.role === role.role)?.revision ?? 0;
  return Math.max(recordedRevision(role.secret) ?? 0, known);
}
