export {
  type AuthorityPlan,
  type AuthorityStep,
  type AuthorityVerdict,
  planAuthority,
  signersAfter,
  signersIn,
} from './authority.ts';
export { planAuthorityStatus } from './authority-status.ts';
export { afterFailure, type FailedAttempts, failureMessage, rememberedFailures } from './backoff.ts';
export {
  type Blocked,
  isOnlyDue,
  nothingIsToBeDecided,
  planCertificate,
  planSecret,
  type SecretStep,
} from './certificate.ts';
export { nextAttempt, planCertificateStatus, type RoleOutcome, type WantedCondition } from './certificate-status.ts';
export {
  afterRepair,
  contestedProblem,
  freeRepairs,
  isForgotten,
  isRepair,
  nextRepairTime,
  type Repairs,
  rememberedRepairs,
  retryIsAsked,
} from './contention.ts';
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
export {
  type AuthorityRules,
  type AuthorityView,
  type CachedSecret,
  type CertificateRecord,
  type CrlBundle,
  type ForeignSecret,
  type FoundSecret,
  isExamined,
  type NamespaceRecord,
  type ObservedCertificate,
  type ObservedRole,
  type ReadyAuthority,
  type RootView,
  type SecretContent,
  type SecretMark,
  type SecretRecord,
} from './observed.ts';
export type { AuthorityRecord, ObservedAuthority, ObservedRoot, RootSecret } from './observed-authority.ts';
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
export { defaultSecretName, type LeafRequest, roles, rolesOf, secretNameOf } from './request.ts';
export {
  type CrlPlan,
  crlSigners,
  planCrls,
  publishedState,
  type Revocation,
  type RevocationState,
} from './revocation.ts';
export { encodeRevocations, parseRevocations } from './revocation-record.ts';
export { leavesToRevoke } from './revocation-request.ts';
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
export {
  publicationsOf,
  type TrustOutcome,
  type TrustPlace,
  type TrustWorld,
  trustPlaces,
} from './trust-places.ts';
