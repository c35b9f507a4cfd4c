import type { CertificateReason } from '../../api/reasons.ts';
import type { ManagedMetadata } from '../records/metadata-template.ts';
import type { IssueReason } from './issue-reason.ts';
import type { LeafRequest } from './leaf-request.ts';
import type { OutputsStep } from './secret-outputs.ts';

/** The step for one role's Secret. */
export type SecretStep =
  /** The Secret has its requested content, or cannot be improved now. */
  | { readonly step: 'keep' }
  /** Issue a certificate, for a new key or the current one, and write everything at once. */
  | {
      readonly step: 'issue';
      readonly reason: IssueReason;
      readonly message: string;
      readonly request: LeafRequest;
      readonly keepKey: boolean;
      readonly write: 'create' | 'update' | 'replace';
      readonly metadata: ManagedMetadata;
      /** The change of ownership that the same write makes. */
      readonly ownership?: 'adopt' | 'release';
      /** Absent when the Secret has no outputs and gets none. */
      readonly outputs?: OutputsStep;
    }
  /**
   * Keep the certificate and update bundle, outputs or metadata. `blocked`: why the Secret cannot get a new
   * certificate, which it needs.
   */
  | {
      readonly step: 'update';
      /** Write tls.crt again: it holds the right certificates in the wrong order or with other content between them. */
      readonly restores?: true;
      readonly metadata: ManagedMetadata;
      readonly ownership?: 'adopt' | 'release';
      readonly outputs?: OutputsStep;
      readonly blocked?: BlockedStep;
    }
  | BlockedStep;

/** The step cannot be carried out. The Secret stays unchanged. */
export interface BlockedStep {
  readonly step: 'blocked';
  readonly reason: CertificateReason;
  readonly message: string;
  /** See stepCanWait. */
  readonly canWait: boolean;
  /** The CRL must list the certificate before it is replaced, so the authority has to be reconciled. */
  readonly awaitsCrl?: true;
}
