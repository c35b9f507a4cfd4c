export {
  type AuthorityPlan,
  type AuthorityStep,
  type AuthorityVerdict,
  planAuthority,
  signersAfter,
  signersIn,
} from './authority/authority-plan.ts';
export { planAuthorityStatus } from './authority/authority-status.ts';
export type { ObservedAuthority } from './authority/observed-authority.ts';
export { planRoot, type RootPlan, type RootVerdict } from './authority/root-plan.ts';
export type { AuthorityRules, AuthorityState, ReadyAuthority, RootState } from './certificate/authority-state.ts';
export {
  type CertificatePlan,
  isAwaitingCaches,
  planCertificate,
  planSecret,
  stepCanWait,
} from './certificate/certificate-plan.ts';
export { nextAttempt, planCertificateStatus, type RoleOutcome } from './certificate/certificate-status.ts';
export { contestedProblem, isRepair, rememberedRepairs, retryIsAsked } from './certificate/contention.ts';
export {
  afterFailure,
  type FailedAttempts,
  failureMessage,
  rememberedFailures,
} from './certificate/failed-attempts.ts';
export type { IssueReason } from './certificate/issue-reason.ts';
export { keptMetadata } from './certificate/kept-metadata.ts';
export type { LeafRequest } from './certificate/leaf-request.ts';
export type { ObservedCertificate, ObservedRole } from './certificate/observed-certificate.ts';
export { afterRepair, freeRepairs, isForgotten, nextRepairTime, type Repairs } from './certificate/repairs.ts';
export { leavesToRevoke } from './certificate/revocation-request.ts';
export { type SecretMetadata, templateKeys } from './certificate/secret-metadata.ts';
export {
  encodeOutputsNote,
  type KeystorePassword,
  type OutputKey,
  type OutputsStep,
  type PasswordRef,
  parseOutputsNote,
} from './certificate/secret-outputs.ts';
export type { Blocked, SecretStep } from './certificate/secret-step.ts';
export { issuancePolicy } from './policy/grant.ts';
export { selects } from './policy/label-selector.ts';
export { clientName, isMetricsClient } from './policy/metrics-client.ts';
export type { AuthorityRecord } from './records/authority-record.ts';
export { byAge, type CertificateRecord } from './records/certificate-record.ts';
export { type DesiredCondition, mergeConditions } from './records/condition.ts';
export { lastWriter } from './records/field-manager.ts';
export type { NamespaceRecord } from './records/namespace-record.ts';
export { controllerOf, isOfKind, ownerReference } from './records/owner-reference.ts';
export {
  belongsTo,
  canOwn,
  isOurs,
  namesItself,
  type Owned,
  type OwnedSecret,
  ownedBy,
  ownerOf,
  retainsSecrets,
} from './records/ownership.ts';
export { anchorIdInStatus, rootsInStatus } from './records/remembered-roots.ts';
export { defaultSecretName, roles, rolesOf, secretNameOf } from './records/roles.ts';
export {
  type CachedSecret,
  type ForeignSecret,
  type FoundSecret,
  isExamined,
  type SecretContent,
  type SecretMark,
  type SecretRecord,
} from './records/secret-record.ts';
export type { CrlBundle } from './revocation/crl-bundle.ts';
export { crlIntervalMs } from './revocation/crl-pace.ts';
export { type CrlPlan, crlSigners, planCrls, publishedState } from './revocation/crl-plan.ts';
export { maxRevocations, mostAsked } from './revocation/crl-shares.ts';
export { encodeRevocations, parseRevocations } from './revocation/revocation-record.ts';
export type { Revocation, RevocationState } from './revocation/revocation-state.ts';
export type { ObservedRoot, RootSecret } from './rotation/observed-root.ts';
export {
  type IssuedSecret,
  issuedSecret,
  missingSecrets,
  type Publication,
  type RolloutObject,
  type RolloutObservation,
} from './rotation/rollout.ts';
export {
  encodeRotationState,
  parseRotationState,
  type RotationPhase,
  type RotationState,
  rotationPhases,
} from './rotation/rotation-state.ts';
export type { RotationNotice, RotationReport, RotationStep } from './rotation/rotation-step.ts';
export { parseDurationMs } from './timing/duration.ts';
export { trustCondition } from './trust/trust-condition.ts';
export {
  authorityLabel,
  clusterTrustBundleOf,
  configMapIn,
  type ObservedTrust,
  planTrust,
  signerNameOf,
  type TrustRecord,
  type TrustStep,
  type TrustWrite,
} from './trust/trust-plan.ts';
export {
  publicationsOf,
  type TrustOutcome,
  type TrustWorld,
  trustTargets,
} from './trust/trust-targets.ts';
