import type { Certificate, Crl, CrlContent, RevokedCertificate } from '../../pki/index.ts';
/** A leaf that is on its issuer's CRL, or is to be. */
export interface Revocation extends RevokedCertificate {
  /** The identity of the CA that has signed the leaf, see caId. In records of version 1, the fingerprint of its root. */
  readonly issuer: string;
  readonly notAfter: Date;
  /** The namespace that has asked for it, see shareName. Absent where that is not known, or a person has written the entry. */
  readonly namespace?: string;
}

/** What a root Secret says of revocation. */
export interface RevocationState {
  /** Every list in ca.crl; none when that cannot be read. */
  readonly crls: readonly Crl[];
  /** The revoked leaves with what their lists do not say of them. */
  readonly revocations: readonly Revocation[];
  /** The CAs of the lists and entries, as they were remembered. */
  readonly issuers?: readonly Certificate[];
}

/** A list to be signed. */
export interface CrlToSign extends CrlContent {
  /** The identity of the CA that signs it, see caId. */
  readonly issuer: string;
}

/** What is known beside the root Secret as it is. */
export interface CrlContext {
  /** What the root Secret was seen to say before: somebody may have lost or overwritten what was in it. */
  readonly before?: RevocationState | undefined;
  /** The roots that are trusted now; absent when that is not known. */
  readonly trusted?: readonly Certificate[];
  /** Whether a peer may present an unexpired leaf of this issuer, see caId. Default: it may. */
  readonly isInUse?: (issuer: string) => boolean;
}
