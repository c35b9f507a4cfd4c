import type { Certificate, Crl, CrlContent, RevokedCertificate } from '../../pki/index.ts';
/** A leaf that is on its issuer's CRL, or will be. */
export interface Revocation extends RevokedCertificate {
  /** The identity of the CA that issued the leaf, see caId. In records of version 1, the fingerprint of its root. */
  readonly issuer: string;
  readonly notAfter: Date;
  /**
   * The namespace that requested the revocation, see shareName. Absent when it is not known, or when an administrator
   * wrote the entry.
   */
  readonly namespace?: string;
}

/** The CRLs in a root Secret and the record about them. */
export interface RevocationState {
  /** Every CRL in ca.crl. Empty when ca.crl is not valid. */
  readonly crls: readonly Crl[];
  /** The revoked leaves, with facts that the CRLs do not hold. */
  readonly revocations: readonly Revocation[];
  /** The CAs of the CRLs and entries, from the record. */
  readonly issuers?: readonly Certificate[];
}

/** A CRL to sign. */
export interface CrlToSign extends CrlContent {
  /** The identity of the signing CA, see caId. */
  readonly issuer: string;
}

/** Facts other than the content of the root Secret. */
export interface CrlContext {
  /** The last known content of the root Secret: another client may have lost or overwritten it since. */
  readonly before?: RevocationState | undefined;
  /** The roots that are trusted now. Absent when they are not known. */
  readonly trusted?: readonly Certificate[];
  /** True when a peer may present an unexpired leaf of this issuer, see caId. Default: always. */
  readonly isInUse?: (issuer: string) => boolean;
}
