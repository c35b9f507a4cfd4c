import type { CrlEntries } from './crl-shares.ts';

/** The CRLs of an authority, in the one form in which they are published. */
export interface CrlBundle {
  readonly pem: string;
  /** SHA-256 of the PEM, lower-case hex. */
  readonly digest: string;
  /** Serial numbers of the leaves on them. */
  readonly revoked: ReadonlySet<string>;
  /** What is remembered of them, of which there may be maxRevocations. */
  readonly entries: CrlEntries;
  /** The identities of the CAs whose leaves can be put on them, see caId: their keys are there. */
  readonly issuers: readonly string[];
  /** When the first of the lists ends that the operator renews. */
  readonly nextUpdate: Date;
  /** CAs with leaves in use whose lists cannot be renewed, because their keys are gone. */
  readonly unrenewable: readonly UnrenewableCrl[];
}

/** The last list of a CA whose key is gone. */
export interface UnrenewableCrl {
  /** The identity of the CA, see caId. */
  readonly issuer: string;
  /** Its name, for people. */
  readonly subject: string;
  readonly nextUpdate: Date;
}
