import type { CertificateReason } from '../../api/reasons.ts';
import type { IssueReason } from './issue-reason.ts';
import type { LeafRequest } from './leaf-request.ts';
import type { SecretMetadata } from './secret-metadata.ts';
import type { OutputsStep } from './secret-outputs.ts';

/** What is to be done about one role's Secret. */
export type SecretStep =
  /** It is as it should be, or as good as it can be made now. */
  | { readonly step: 'keep' }
  /** A new certificate, with a new key or the one in place, in one write. */
  | {
      readonly step: 'issue';
      readonly reason: IssueReason;
      readonly message: string;
      readonly request: LeafRequest;
      readonly keepKey: boolean;
      readonly write: 'create' | 'update' | 'replace';
      readonly metadata: SecretMetadata;
      /** What the same write does about who owns the Secret. */
      readonly ownership?: 'adopt' | 'release';
      /** Absent where there are none, and have been none. */
      readonly outputs?: OutputsStep;
    }
  /** The same certificate; bundle, outputs or metadata differ. `blocked`: more would be needed, and cannot be. */
  | {
      readonly step: 'update';
      /** The certificate is written in its own form again: tls.crt holds it among other things, or in another order. */
      readonly restores?: true;
      readonly metadata: SecretMetadata;
      readonly ownership?: 'adopt' | 'release';
      readonly outputs?: OutputsStep;
      readonly blocked?: BlockedStep;
    }
  | BlockedStep;

/** Something stands in the way; what is there is left as it is. */
export interface BlockedStep {
  readonly step: 'blocked';
  readonly reason: CertificateReason;
  readonly message: string;
  /** See stepCanWait. */
  readonly canWait: boolean;
  /** The certificate has to be on the CRL before it is replaced: reconcile the authority. */
  readonly awaitsCrl?: true;
}
