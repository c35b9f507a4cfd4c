export type { ObservedSource, ObservedSources } from './authority/additional-roots.ts';
export {
  type AuthorityPlan,
  type AuthorityStep,
  type AuthorityVerdict,
  planAuthority,
  signersAfter,
  signersIn,
} from './authority/authority-plan.ts';
export { planAuthorityStatus, podRootsStatus } from './authority/authority-status.ts';
export type { ObservedAuthority } from './authority/observed-authority.ts';
export { planRoot, type RootPlan, type RootVerdict } from './authority/root-plan.ts';
export type { AuthorityRules, AuthorityState, ReadyAuthority, RootState } from './certificate/authority-state.ts';
export { nextAttempt } from './certificate/certificate-conditions.ts';
export { type CertificatePlan, isAwaitingCaches, planCertificate, planSecret } from './certificate/certificate-plan.ts';
export { planCertificateStatus } from './certificate/certificate-status.ts';
export { compactMetadata } from './certificate/compact-metadata.ts';
export {
  afterFailure,
  type FailedAttempts,
  failureMessage,
  failuresInStatus,
  failuresNotInFuture,
} from './certificate/failed-attempts.ts';
export type { IssueReason } from './certificate/issue-reason.ts';
export { type LeafRequest, leafRequest } from './certificate/leaf-request.ts';
export type { ObservedCertificate, ObservedRole } from './certificate/observed-certificate.ts';
export { overdueAt } from './certificate/overdue.ts';
export { afterRepair, freeRepairs, isForgotten, nextRepairTime, type Repairs } from './certificate/repair-backoff.ts';
export { leavesToRevoke } from './certificate/revocation-request.ts';
export type { RoleOutcome } from './certificate/role-outcome.ts';
export { contestedProblem, isRepair, repairsInStatus, retryIsPending } from './certificate/secret-contention.ts';
export {
  encodeOutputsRecord,
  type KeystorePassword,
  type OutputKey,
  type OutputsStep,
  type PasswordRef,
  parseOutputsRecord,
} from './certificate/secret-outputs.ts';
export type { BlockedStep, SecretStep } from './certificate/secret-step.ts';
export { stepCanWait } from './certificate/step-obstacles.ts';
export {
  type AwaitRecord,
  type DenyPodCertificate,
  type IssuePodCertificate,
  isAboutPod,
  type ObservedPodRequest,
  type PodCertificatePlan,
  passesByItself,
  planPodCertificate,
  retryTime,
  type WaitForCertificate,
} from './pods/pod-certificate-plan.ts';
export { type PodRequestsAccess, podCertificatesCondition } from './pods/pod-certificates-condition.ts';
export {
  type ObservedPod,
  type ObservedService,
  type PodCertificateSource,
  type PodRequestRecord,
  sourceOfRequest,
} from './pods/pod-request.ts';
export { readUserAnnotations } from './pods/user-annotations.ts';
export { issuancePolicy } from './policy/grant.ts';
export { selects } from './policy/label-selector.ts';
export { clientName, isMetricsClient } from './policy/metrics-client.ts';
export {
  dnsLabels,
  normaliseCommonName,
  normaliseEmailAddress,
  normaliseIpAddress,
  normaliseUri,
} from './policy/name-normalisation.ts';
export { isOwnCommonName, isOwnServiceName, isOwnSpiffeId } from './policy/own-names.ts';
export type { AuthorityRecord } from './records/authority-record.ts';
export { byAge, type CertificateRecord } from './records/certificate-record.ts';
export { conditionOf, type DesiredCondition, mergeConditions } from './records/condition.ts';
export { type ContentWrite, lastContentWrite, lastWriter } from './records/field-manager.ts';
export { type ManagedMetadata, templateKeys } from './records/metadata-template.ts';
export type { KnownNamespace, NamespaceRecord } from './records/namespace-record.ts';
export { controllerOf, isOfKind, ownerReference } from './records/owner-reference.ts';
export {
  belongsTo,
  canOwn,
  isNamedInAnnotation,
  isOurs,
  type Owned,
  type OwnedSecret,
  ownedBy,
  ownerOf,
  retainsSecrets,
} from './records/ownership.ts';
export {
  encodePodLeaves,
  livePodLeaves,
  mergePodLeaves,
  noPodLeaves,
  type ObservedPodLeaves,
  type PodLeaves,
  parsePodLeaves,
  recordedUntil,
  roundUp,
} from './records/pod-leaves.ts';
export {
  anyAuthority,
  anyObject,
  bundlesOf,
  type FrozenContent,
  type PodOwner,
  type PodRecord,
  podCertificatesOf,
  type RotatedPart,
} from './records/pod-record.ts';
export { defaultSecretName, roles, rolesOf, secretNameOf } from './records/roles.ts';
export {
  type CachedSecret,
  type ForeignSecret,
  type FoundSecret,
  isExamined,
  type SecretContent,
  type SecretRecord,
  type UnexaminedSecret,
} from './records/secret-record.ts';
export { anchorIdInStatus, podLeavesInStatus, rootsInStatus } from './records/status-roots.ts';
export type { CrlBundle } from './revocation/crl-bundle.ts';
export { type CrlPlan, planCrls } from './revocation/crl-plan.ts';
export { crlIntervalMs } from './revocation/crl-rate-limit.ts';
export { maxRequestsPerNamespace, maxRevocations } from './revocation/crl-shares.ts';
export { crlSigners } from './revocation/crl-signers.ts';
export { publishedState } from './revocation/published-crls.ts';
export { encodeRevocations, parseRevocations } from './revocation/revocation-record.ts';
export type { Revocation, RevocationState } from './revocation/revocation-state.ts';
export type { ObservedPods, PodIssuance, UnknownPods } from './rotation/observed-pods.ts';
export type { ObservedRoot, RootSecret } from './rotation/observed-root.ts';
export { longestPodLifetimeMs } from './rotation/pod-lifetime.ts';
export {
  type IssuedSecret,
  issuedSecret,
  missingSecrets,
  type Publication,
  type RolloutObservation,
  unreadableNamespace,
} from './rotation/rollout-observation.ts';
export type { RolloutObject } from './rotation/rollout-progress.ts';
export { rootRenewalTime } from './rotation/rotation-start.ts';
export {
  encodeRotationState,
  parseRotationState,
  type RotationPhase,
  type RotationState,
  rotationPhases,
} from './rotation/rotation-state.ts';
export type { RestartRequest, RotationNotice, RotationReport, RotationStep } from './rotation/rotation-step.ts';
export { parseDurationMs } from './timing/duration.ts';
export {
  holdsBundle,
  type InjectedContent,
  type InjectionKind,
  type InjectionRecord,
  type InjectionRequest,
  type Injections,
  type InjectionTarget,
  injectedPublications,
  injectedRoots,
  injectionKinds,
  obstacleOf,
} from './trust/injection.ts';
export { trustCondition } from './trust/trust-condition.ts';
export { clusterTrustBundleContent, configMapContent, type TrustContent } from './trust/trust-content.ts';
export {
  authorityLabel,
  keptTemplate,
  parseTruststoreRecord,
  trustMetadata,
  trustMetadataDigest,
  truststoreDigest,
} from './trust/trust-metadata.ts';
export {
  authorityOfSigner,
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
  type TrustSources,
  trustTargets,
  unreadableNamespaces,
} from './trust/trust-targets.ts';
