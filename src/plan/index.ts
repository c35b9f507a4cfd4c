export {
  type AuthorityRecord,
  type AuthorityStep,
  type AuthorityVerdict,
  type ObservedAuthority,
  planAuthority,
  planAuthorityStatus,
  type RootSecret,
} from './authority.ts';
export { afterFailure, type Failures } from './backoff.ts';
export {
  type HeldBack,
  isOnlyDue,
  nothingIsToBeDecided,
  planCertificate,
  planSecret,
  type SecretStep,
} from './certificate.ts';
export { nextAttempt, planCertificateStatus, type RoleOutcome, type WantedCondition } from './certificate-status.ts';
export { type IssuancePolicy, issuancePolicy } from './grant.ts';
export { type SecretMetadata, templateKeys } from './metadata.ts';
export type {
  AuthorityRules,
  AuthorityView,
  CertificateRecord,
  NamespaceRecord,
  ObservedCertificate,
  ObservedRole,
  ReadyAuthority,
  SecretContent,
  SecretRecord,
} from './observed.ts';
export { type LeafRequest, rolesOf, secretNameOf } from './request.ts';
export type { IssueReason } from './secret.ts';
export { selects } from './selector.ts';
