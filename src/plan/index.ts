export {
  type AuthorityPlan,
  type AuthorityStep,
  type AuthorityVerdict,
  planAuthority,
  signersAfter,
  signersIn,
} from './authority.ts';
export type { AuthorityRecord } from './authority-record.ts';
export { planAuthorityStatus } from './authority-status.ts';
export type { AuthorityRules, AuthorityView, ReadyAuthority, RootView } from './authority-view.ts';
export { afterFailure, type FailedAttempts, failureMessage, rememberedFailures } from './backoff.ts';
export { isOnlyDue, nothingIsToBeDecided, planCertificate, planSecret } from './certificate.ts';
export type { CertificateRecord } from './certificate-record.ts';
export { nextAttempt, planCertificateStatus, type RoleOutcome } from './certificate-status.ts';
export type { WantedCondition } from './condition.ts';
export { contestedProblem, isRepair, rememberedRepairs, retryIsAsked } from './contention.ts';
export type { CrlBundle } from './crl-bundle.ts';
export { crlIntervalMs } from './crl-pace.ts';
export { maxRevocations, mostAsked } from './crl-shares.ts';
export {
  type Counted,
  type Evidence,
  type IssuedSecret,
  issuedSecret,
  lostSecrets,
  type Publication,
} from './evidence.ts';
export { lastWriter } from './field-manager.ts';
export { type IssuancePolicy, issuancePolicy } from './grant.ts';
export { keptMetadata } from './kept-metadata.ts';
export { type SecretMetadata, templateKeys } from './metadata.ts';
export { dnsLabels, normaliseUri } from './names.ts';
export type { NamespaceRecord } from './namespace-record.ts';
export type { ObservedCertificate, ObservedRole } from './observed.ts';
export type { ObservedAuthority } from './observed-authority.ts';
export type { ObservedRoot, RootSecret } from './observed-root.ts';
export {
  encodeOutputsNote,
  type OutputKey,
  type OutputsStep,
  type PasswordRef,
  parseOutputsNote,
  type StorePassword,
} from './outputs.ts';
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
} from './ownership.ts';
export { idOfRemembered, rememberedRoots } from './remembered-roots.ts';
export { afterRepair, freeRepairs, isForgotten, nextRepairTime, type Repairs } from './repairs.ts';
export type { LeafRequest } from './request.ts';
export { type CrlPlan, crlSigners, planCrls, publishedState } from './revocation.ts';
export { encodeRevocations, parseRevocations } from './revocation-record.ts';
export { leavesToRevoke } from './revocation-request.ts';
export type { Revocation, RevocationState } from './revocation-state.ts';
export { defaultSecretName, roles, rolesOf, secretNameOf } from './roles.ts';
export { planRoot, type RootPlan, type RootStep, type RootVerdict } from './root.ts';
export {
  encodeRotationNote,
  parseRotationNote,
  type RotationNote,
  type RotationPhase,
  rotationPhases,
} from './rotation-note.ts';
export type { Remark, RotationReport, RotationStep } from './rotation-step.ts';
export type { IssueReason } from './secret.ts';
export {
  type CachedSecret,
  type ForeignSecret,
  type FoundSecret,
  isExamined,
  type SecretContent,
  type SecretMark,
  type SecretRecord,
} from './secret-record.ts';
export type { Blocked, SecretStep } from './secret-step.ts';
export { selects } from './selector.ts';
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
} from './trust.ts';
export { trustCondition } from './trust-condition.ts';
export { publicationsOf, type TrustOutcome, type TrustPlace, type TrustWorld, trustPlaces } from './trust-places.ts';
