import { parsePem } from '../asn1/pem.ts';
import { checkPublicKey } from '../keys/input-limits.ts';
import { PkiError } from '../pki-error.ts';
import { type Certificate, isSelfSigned, parseCertificate, readCertificate, subjectText } from '../x509/certificate.ts';
import { type CaProblem, caProblem } from './ca-validation.ts';

/** Limits of one source of roots: characters of PEM, and certificates. */
export const offeredRootsLimits = { text: 256 * 1024, certificates: 128, octets: 16 * 1024 } as const;

/** Why a certificate cannot be a root that peers trust. Its dates are not considered. */
export interface OfferedRootProblem {
  readonly code: CaProblem | 'NotCertificate' | 'NotSelfSigned';
  /** Completes the sentence "certificate 2 …" or "CN=… …". */
  readonly message: string;
}

/** One PEM block of a source of roots: a root, or the reason why it is none. */
export type OfferedRoot = { readonly certificate: Certificate } | OfferedRootProblem;

/**
 * Reads the roots of other CAs, with the checks for the authority's own roots. It does not consider dates, so the
 * result stays right until the text changes. Key types and sizes are checked before OpenSSL parses a certificate.
 * @throws PkiError TooLarge, MalformedPem, EncryptedKey; the message never quotes the text, which may be a key
 */
export function readOfferedRoots(pem: string): OfferedRoot[] {
  const { text, certificates } = offeredRootsLimits;
  if (pem.length > text) {
    throw new PkiError('TooLarge', `${Math.ceil(pem.length / 1024)} KiB of PEM; at most ${text / 1024} are read`);
  }
  return parsePem(pem, certificates).map(({ label, der }) =>
    label === 'CERTIFICATE' ? readOfferedRoot(der) : { code: 'NotCertificate', message: `is ${describeLabel(label)}` },
  );
}

/** A label is any text up to the next dashes. People read the message in a terminal. */
const describeLabel = (label: string): string =>
  /^[A-Z0-9 ]+$/.test(label) ? `a block ${label}` : 'a block of another kind';

function readOfferedRoot(der: Buffer): OfferedRoot {
  if (der.length > offeredRootsLimits.octets) {
    return {
      code: 'RootMalformed',
      message: `has ${der.length} octets; at most ${offeredRootsLimits.octets} are read`,
    };
  }
  try {
    checkPublicKey(readCertificate(der).publicKeyInfo);
    const certificate = parseCertificate(der);
    // The dates pass with time. Within its validity, a certificate shows every other problem.
    const problem = caProblem(certificate, certificate.notBefore);
    if (problem !== undefined && problem.reason !== 'RootExpired')
      return { code: problem.reason, message: problem.message };
    if (isSelfSigned(certificate)) return { certificate };
    const message = `${subjectText(certificate).slice(0, 100)} is not self-signed; use the root above it`;
    return { code: 'NotSelfSigned', message };
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    const code = error.code === 'UnsupportedKey' ? 'RootWeakKey' : 'RootMalformed';
    return { code, message: error.message };
  }
}
