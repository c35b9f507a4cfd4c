import { caId } from './ca-identity.ts';
import { type Certificate, isSelfSigned, isSignedBy } from './certificate.ts';

/** CA certificates from the one that signs leaves up to the self-signed root, each signed by the next. */
export type CertificationPath = readonly [Certificate, ...Certificate[]];

/** What a signer's path is made of. */
interface Signer {
  readonly intermediates: readonly Certificate[];
  readonly anchor: Certificate;
}

/** The path of a signer; for a root that signs itself, the root alone. */
export function pathOf({ intermediates, anchor }: Signer): CertificationPath {
  const [issuer, ...others] = intermediates;
  return issuer === undefined ? [anchor] : [issuer, ...others, anchor];
}

/** When all of the certificates are valid: what is signed below them is worth nothing before or after. */
export const commonValidity = (
  certificates: readonly [Certificate, ...Certificate[]],
): { readonly notBefore: Date; readonly notAfter: Date } => ({
  notBefore: certificates.map(({ notBefore }) => notBefore).reduce((a, b) => (a > b ? a : b)),
  notAfter: certificates.map(({ notAfter }) => notAfter).reduce((a, b) => (a < b ? a : b)),
});

/**
 * Every way from a certificate to a self-signed one over others. A name with its key is passed once, so that a loop ends;
 * and each certificate leads to one name and key only, so that there are few ways, whatever the others are.
 */
export function pathsToRoots(path: CertificationPath, others: readonly Certificate[]): CertificationPath[] {
  const top = topOf(path);
  return isSelfSigned(top) ? [path] : nextOn(path, others).flatMap((next) => pathsToRoots([...path, next], others));
}

/** As far as a way leads that ends without a root. */
export function deadEnd(path: CertificationPath, others: readonly Certificate[]): Certificate {
  const [next] = nextOn(path, others);
  return next === undefined ? topOf(path) : deadEnd([...path, next], others);
}

/** The certificates that have signed the last one of a path and are not on it. */
const nextOn = (path: CertificationPath, others: readonly Certificate[]): Certificate[] =>
  others.filter((other) => isIssuedBy(topOf(path), other) && !path.some((passed) => caId(passed) === caId(other)));

const topOf = (path: CertificationPath): Certificate => path.at(-1) ?? path[0];

/** True when one has signed the other and the identifiers do not speak against it: OpenSSL insists on them. */
export const isIssuedBy = (certificate: Certificate, issuer: Certificate): boolean =>
  isSignedBy(certificate, issuer) && identifiersAgree(certificate, issuer);

/** False when the authority key identifier of a certificate names another key, or another certificate, than the issuer's. */
export const identifiersAgree = (certificate: Certificate, issuer: Certificate): boolean =>
  agree(certificate.authorityKeyId, issuer.subjectKeyId) &&
  agree(certificate.authoritySerialNumber, issuer.serialNumber);

const agree = (named: string | undefined, actual: string | undefined): boolean =>
  named === undefined || actual === undefined || named === actual;
