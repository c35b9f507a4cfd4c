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
/** The step that gives a Secret of this resource its requested content. */
export function neededStep(input: SecretInput, sources: OutputSources): SecretStep {
  const { certificate, authority, role, request } = input;
  const { secret } = role;
  const finding = reasonToIssue(input);
  if (finding === undefined && secret !== undefined) {
    // Without the authority's root there is no bundle to compare with or to write.
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
 * Whether the next certificate is for the current key. It is when spec requests it, or when another client has damaged
 * the certificate but not the key. A user who requests a rotation or a revocation suspects the key, so the operator
 * generates a new one.
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
  // There is no reason to issue, so the current tokens are handled. Without a token, the recorded one stays.
  const rotateToken = input.certificate.rotateToken ?? secret.annotations[annotations.rotate];
  const revokeToken = input.certificate.revokeToken ?? secret.annotations[annotations.revoke];
  return {
    revision: Math.max(1, revisionOf(input)),
    ...(rotateToken === undefined ? {} : { rotateToken }),
    ...(revokeToken === undefined ? {} : { revokeToken }),
  };
}

/** How often the role has been issued, as the Secret records it, or status if the Secret is gone. */
function revisionOf({ certificate, role }: SecretInput): number {
  const known = certificate.status.secrets?.find((entry) => entry.role === role.role)?.revision ?? 0;
  return Math.max(recordedRevision(role.secret) ?? 0, known);
}

export function outputsOf(...[secret, spec, sources]: Parameters<typeof outputsStep>): {
  readonly outputs?: OutputsStep;
} {
  const outputs = outputsStep(secret, spec, sources);
  return outputs === undefined ? {} : { outputs };
}

/** The sources from which the outputs of a Secret are generated. */
export const outputSources = ({ authority, keystorePassword }: ObservedCertificate): OutputSources => ({
  ...(keystorePassword === undefined ? {} : { keystorePassword }),
  ...(authority.state === 'ready' && authority.crl !== undefined ? { crl: authority.crl } : {}),
});

/** True for a Secret with the current bundle of the authority, or with an accepted one. */
export const bundleIsGood = (
  { content: { bundle } }: SecretRecord,
  { bundle: wanted, acceptedBundleDigests }: ReadyAuthority,
): boolean => bundle === wanted.digest || (bundle !== undefined && acceptedBundleDigests.includes(bundle));
