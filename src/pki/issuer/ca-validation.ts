import type { KeyObject } from 'node:crypto';
import { expectTag, readOnly, tags } from '../asn1/der.ts';
import { oids } from '../asn1/oid.ts';
import { acceptedSignatures, describeKey, publicKeyDer, signatureAlgorithm } from '../keys/key.ts';
import { type Certificate, isSelfSigned, keyUsageBits, subjectText } from '../x509/certificate.ts';
import { type CertificationPath, identifiersAgree } from '../x509/certification-path.ts';
import { certificateNamesOutsideConstraints, constraintsAreReadable } from '../x509/name-constraints.ts';

/** Why a CA may not be in the chain of a leaf. Each value is a condition reason of the MtlsAuthority. */
export type CaProblem =
  /**
   * `tls.crt` or `ca.crt` cannot be read, or a certificate has no subject, is not of version 3, or has name constraints
   * that cannot be read.
   * @action Write PEM with at most 8 certificates. The message names the fault.
   */
  | 'RootMalformed'
  /**
   * A certificate of the chain lacks `basicConstraints CA:TRUE`.
   * @action Bring a CA certificate.
   */
  | 'RootNotCA'
  /**
   * A certificate of the chain has a key usage without `keyCertSign`.
   * @action Bring a CA certificate with `keyCertSign`.
   */
  | 'RootKeyUsage'
  /**
   * A certificate of the chain has an extended key usage that lacks serverAuth or clientAuth.
   * @action Bring a CA certificate without extended key usage, or with both.
   */
  | 'RootExtendedKeyUsage'
  /**
   * A CA has a critical extension that the operator cannot honour, such as policy constraints.
   * @action Bring a CA certificate without it.
   */
  | 'RootUnknownCriticalExtension'
  /**
   * A certificate of the chain is signed with SHA-1, MD5 or RSA-PSS.
   * @action Have it signed with SHA-256 or stronger and ECDSA, RSA (PKCS #1 v1.5) or Ed25519.
   */
  | 'RootWeakSignature'
  /**
   * A key of the chain is RSA below 2048 or above 8192 bits or with an even, small or very large exponent, or is on a curve
   * other than P-256, P-384 and P-521.
   * @action Use another key.
   */
  | 'RootWeakKey'
  /**
   * A certificate of the chain is not valid yet, by its own dates.
   * @action Wait, or check the clock. The message names the certificate.
   */
  | 'RootNotYetValid'
  /**
   * A certificate of the chain has expired. The operator replaces an expired root if there is a `spec.root` or a
   * successor in `next.crt`.
   * @action Otherwise run the command in the message.
   */
  | 'RootExpired'
  /**
   * A CA of the chain allows fewer CAs below itself (`pathlen`).
   * @action Have the intermediate signed by another CA, or sign with that CA itself.
   */
  | 'RootPathLength'
  /**
   * The name constraints of a CA of the chain exclude the name of an intermediate.
   * @action Have the intermediate signed by another CA, or change its name.
   */
  | 'RootNameConstrained';

/** A problem, and a message that says how to fix it. */
export interface Rejection<Problem> {
  readonly reason: Problem;
  readonly message: string;
}

/** The name of a CA certificate in messages: "the root (CN=…)". */
export function describeCa(certificate: Certificate): string {
  const kind = certificate.subject.equals(certificate.issuer) ? 'root' : 'intermediate';
  const subject = subjectText(certificate);
  return subject === '' ? `the ${kind}` : `the ${kind} (${subject.slice(0, 100)})`;
}

/** The first reason why a CA may not be in the chain of a leaf at `now`. Considers this certificate alone, not its path. */
export function caProblem(certificate: Certificate, now: Date): Rejection<CaProblem> | undefined {
  for (const [reason, claim] of claims) {
    const complaint = claim(certificate, now);
    if (complaint !== undefined) return { reason, message: `${describeCa(certificate)} ${complaint}` };
  }
  return undefined;
}

/** The first path length or name constraint that the CAs of a path violate. */
export function pathProblem(path: CertificationPath): Rejection<CaProblem> | undefined {
  for (const [index, ca] of path.entries()) {
    const below = path.slice(0, index).filter(({ subject, issuer }) => !subject.equals(issuer));
    // RFC 5280 4.2.1.9: the limit counts neither the leaf nor self-issued CAs.
    const limit = ca.basicConstraints?.pathLength;
    if (limit !== undefined && below.length > limit) {
      const message = `${describeCa(ca)} allows a path length of ${limit}, but ${below.length} ${below.length === 1 ? 'CA is' : 'CAs are'} below it`;
      return { reason: 'RootPathLength', message };
    }
    for (const other of below) {
      const excluded =
        ca.nameConstraints === undefined ? [] : certificateNamesOutsideConstraints(ca.nameConstraints, other);
      if (excluded.length > 0) {
        const message = `the name constraints of ${describeCa(ca)} exclude ${excluded.slice(0, 5).join(', ')} of ${describeCa(other)}`;
        return { reason: 'RootNameConstrained', message };
      }
    }
  }
  return undefined;
}

/** The checks of one certificate, the most fundamental first. A complaint completes the sentence that describeCa begins. */
const claims: ReadonlyArray<[CaProblem, (certificate: Certificate, now: Date) => string | undefined]> = [
  [
    'RootNotCA',
    ({ basicConstraints }) =>
      basicConstraints?.ca === true ? undefined : 'is not a CA (basicConstraints CA:TRUE is missing)',
  ],
  [
    'RootKeyUsage',
    ({ keyUsage }) =>
      keyUsage === undefined || keyUsage.has(keyUsageBits.keyCertSign)
        ? undefined
        : 'may not sign certificates: its key usage does not include keyCertSign',
  ],
  [
    // anyExtendedKeyUsage (2.5.29.37.0) is not enough: OpenSSL does not accept it in place of these two.
    'RootExtendedKeyUsage',
    ({ extendedKeyUsage }) =>
      extendedKeyUsage === undefined ||
      (extendedKeyUsage.includes(oids.serverAuth) && extendedKeyUsage.includes(oids.clientAuth))
        ? undefined
        : 'has an extended key usage without serverAuth or clientAuth; use a CA without that extension',
  ],
  [
    'RootUnknownCriticalExtension',
    ({ unknownCritical }) =>
      unknownCritical.length === 0
        ? undefined
        : `has critical extensions that are not understood: ${unknownCritical.slice(0, 5).join(', ')}`,
  ],
  [
    'RootWeakSignature',
    ({ signatureOid }) =>
      acceptedSignatures.has(signatureOid)
        ? undefined
        : `is signed with algorithm ${signatureOid}; use SHA-256 or stronger with ECDSA, RSA or Ed25519`,
  ],
  ['RootWeakKey', ({ publicKey }) => weakness(publicKey)],
  [
    // RFC 5280 4.1.2.4: an issuer must have a name, and strict verifiers require it.
    'RootMalformed',
    ({ subject }) => (readOnly(subject, tags.sequence).content.length > 0 ? undefined : 'has an empty subject'),
  ],
  [
    'RootMalformed',
    ({ nameConstraints }) =>
      nameConstraints === undefined || constraintsAreReadable(nameConstraints)
        ? undefined
        : 'has name constraints that Go or Java cannot read',
  ],
  [
    // OpenSSL does not treat such a certificate as self-signed.
    'RootMalformed',
    (certificate) =>
      identifiersAgree(certificate, certificate) || !isSelfSigned(certificate)
        ? undefined
        : 'is self-signed, but its authority key identifier names another certificate',
  ],
  [
    'RootNotYetValid',
    ({ notBefore }, now) => (notBefore <= now ? undefined : `is not valid before ${notBefore.toISOString()}`),
  ],
  [
    'RootExpired',
    ({ notAfter }, now) => (now < notAfter ? undefined : `expired at ${notAfter.toISOString()}; replace it`),
  ],
];

/** Least: SP 800-131A. Most: the limit of Go's TLS since CVE-2023-29409. */
const rsaBits = { least: 2048, most: 8192 };
/** Least: FIPS 186-5 A.1.1; with small exponents, lax verifiers accepted forged signatures. Most: Go's limit. */
const rsaExponents = { least: 65_537n, most: 2n ** 31n - 1n };

function weakness(key: KeyObject): string | undefined {
  const { modulusLength: bits, publicExponent: exponent } = key.asymmetricKeyDetails ?? {};
  if (bits !== undefined && (bits < rsaBits.least || bits > rsaBits.most)) {
    return `has an RSA key of ${bits} bits; use ${rsaBits.least} to ${rsaBits.most}`;
  }
  if (exponent !== undefined && (exponent < rsaExponents.least || exponent > rsaExponents.most)) {
    return 'has an RSA key with a public exponent that some TLS stacks refuse; use 65537';
  }
  try {
    signatureAlgorithm(key);
  } catch {
    return `has a key of type ${describeKey(key)}; use ECDSA P-256, P-384, P-521, RSA or Ed25519`;
  }
  return key.asymmetricKeyType === 'ec' && !curveIsNamed(key)
    ? 'has a key with explicit curve parameters; use a named curve'
    : undefined;
}

/** RFC 5480 2.1.1 allows only named curves. Explicit parameters allowed forged roots (CVE-2020-0601). */
function curveIsNamed(key: KeyObject): boolean {
  const [algorithm] = readOnly(publicKeyDer(key), tags.sequence).children();
  return expectTag(algorithm, tags.sequence).children()[1]?.tag === tags.oid;
}
