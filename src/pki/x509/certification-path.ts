import { caId } from './ca-identity.ts';
import { type Certificate, isSelfSigned, isSignedBy } from './certificate.ts';

/** CA certificates from the issuer of leaves to the self-signed root. Each is signed by the next. */
export type CertificationPath = readonly [Certificate, ...Certificate[]];

/** The intermediates and the root of a signer. */
interface Signer {
  readonly intermediates: readonly Certificate[];
  readonly anchor: Certificate;
}

/** The path of a signer. If the root signs leaves directly, the path is the root alone. */
export function pathOf({ intermediates, anchor }: Signer): CertificationPath {
  const [issuer, ...others] = intermediates;
  return issuer === undefined ? [anchor] : [issuer, ...others, anchor];
}

/** The period in which all of the certificates are valid. Outside it, a certificate below them does not verify. */
export const commonValidity = (
  certificates: readonly [Certificate, ...Certificate[]],
): { readonly notBefore: Date; readonly notAfter: Date } => ({
  notBefore: certificates.map(({ notBefore }) => notBefore).reduce((a, b) => (a > b ? a : b)),
  notAfter: certificates.map(({ notAfter }) => notAfter).reduce((a, b) => (a < b ? a : b)),
});

/**
 * All ways to continue a path, with certificates of `others`, up to a self-signed certificate. A path contains each CA
 * (name and key) at most once, so that loops end. A certificate has only one issuer name and key, so there are few paths
 * even for hostile input.
 */
export function pathsToRoots(path: CertificationPath, others: readonly Certificate[]): CertificationPath[] {
  const top = topOf(path);
  return isSelfSigned(top) ? [path] : nextOn(path, others).flatMap((next) => pathsToRoots([...path, next], others));
}

/** The last certificate of a path that does not reach a root. */
export function deadEnd(path: CertificationPath, others: readonly Certificate[]): Certificate {
  const [next] = nextOn(path, others);
  return next === undefined ? topOf(path) : deadEnd([...path, next], others);
}

/** The issuers of the last certificate of a path, without those whose CA is on the path already. */
const nextOn = (path: CertificationPath, others: readonly Certificate[]): Certificate[] =>
  others.filter((other) => isIssuedBy(topOf(path), other) && !path.some((passed) => caId(passed) === caId(other)));

const topOf = (path: CertificationPath): Certificate => path.at(-1) ?? path[0];

/** True when the issuer has signed the certificate and their identifiers agree. OpenSSL requires both. */
export const isIssuedBy = (certificate: Certificate, issuer: Certificate): boolean =>
  isSignedBy(certificate, issuer) && identifiersAgree(certificate, issuer);

/** False when the authority key identifier of a certificate names a different key or serial number than the issuer's. */
export const identifiersAgree = (certificate: Certificate, issuer: Certificate): boolean =>
  agree(certificate.authorityKeyId, issuer.subjectKeyId) &&
  agree(certificate.authoritySerialNumber, issuer.serialNumber);

const agree = (named: string | undefined, actual: string | undefined): boolean =>
  named === undefined || actual === undefined || named === actual;
