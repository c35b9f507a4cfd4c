import { annotations } from '../../api/constants.ts';
import { ownershipChange } from '../records/ownership.ts';
import type { SecretRecord } from '../records/secret-record.ts';
import type { ReadyAuthority } from './authority-state.ts';
import type { IssueReason, SecretInput } from './issue-reason.ts';
import { isDamaged, keyIsOurs, reasonToIssue, rotationIsPending } from './issue-reason.ts';
import type { ObservedCertificate } from './observed-certificate.ts';
import { isFullyRevoked } from './revocation-gate.ts';
import { revocationIsPending } from './revocation-request.ts';
import { metadataMatches, recordedRevision, secretMetadata } from './secret-metadata.ts';
import type { OutputSources, OutputsStep } from './secret-outputs.ts';
import { outputsMatch, outputsStep } from './secret-outputs.ts';
import type { SecretStep } from './secret-step.ts';
/** The step that brings a Secret of our own to what is asked for. */
export function neededStep(input: SecretInput, sources: OutputSources): SecretStep {
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

/** The field of a step for its outputs. */
export function outputsOf(...[secret, spec, sources]: Parameters<typeof outputsStep>): {
  readonly outputs?: OutputsStep;
} {
  const outputs = outputsStep(secret, spec, sources);
  return outputs === undefined ? {} : { outputs };
}

/** What the outputs of a Secret are made from. */
export const outputSources = ({ authority, keystorePassword }: ObservedCertificate): OutputSources => ({
  ...(keystorePassword === undefined ? {} : { keystorePassword }),
  ...(authority.state === 'ready' && authority.crl !== undefined ? { crl: authority.crl } : {}),
});

/** True for a Secret with the bundle of the authority, or one that it accepts. */
export const bundleIsGood = (
  { content: { bundle } }: SecretRecord,
  { bundle: wanted, acceptedBundleDigests }: ReadyAuthority,
): boolean => bundle === wanted.digest || (bundle !== undefined && acceptedBundleDigests.includes(bundle));
