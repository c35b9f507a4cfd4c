import { hash, type KeyObject, X509Certificate } from 'node:crypto';
import { type Element, expectTag, readOid, readOnly, tags } from '../asn1/der.ts';
import { oids } from '../asn1/oid.ts';
import { parsePem } from '../asn1/pem.ts';
import { acceptedSignatures, type Signed, verifiesSigned, verifiesSignedInPool } from '../keys/key.ts';
import { PkiError } from '../pki-error.ts';
import { readAuthorityKeyIdentifier, readExtensions, readTime, serialText } from './certificate-fields.ts';

/** KeyUsage bits (RFC 5280 4.2.1.3). */
export const keyUsageBits = {
  digitalSignature: 0,
  contentCommitment: 1,
  keyEncipherment: 2,
  dataEncipherment: 3,
  keyAgreement: 4,
  keyCertSign: 5,
  cRLSign: 6,
} as const;

/** A decoded certificate. Fields hold values or DER, so that they are not parsed a second time. */
export interface Certificate {
  readonly der: Buffer;
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string;
  /** Lower-case hex in whole octets, without leading zero octets. */
  readonly serialNumber: string;
  /** DER of the names, for comparison octet by octet. */
  readonly subject: Buffer;
  readonly issuer: Buffer;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKeyInfo: Buffer;
  /** @throws PkiError UnsupportedKey on first use, unless parseCertificate has already parsed the key */
  readonly publicKey: KeyObject;
  /** Dotted identifier of the signature algorithm. */
  readonly signatureOid: string;
  /** Absent when the extension is absent. `pathLength` is absent when there is no limit. */
  readonly basicConstraints?: { readonly ca: boolean; readonly pathLength?: number };
  /** Bit numbers, see keyUsageBits. */
  readonly keyUsage?: ReadonlySet<number>;
  readonly extendedKeyUsage?: readonly string[];
  /** Raw values of extensions that other files interpret. */
  readonly subjectAltNames?: Buffer;
  readonly nameConstraints?: Buffer;
  readonly subjectKeyId?: string;
  readonly authorityKeyId?: string;
  /** The serial number of the issuer's certificate, where the authority key identifier names one. */
  readonly authoritySerialNumber?: string;
  /** Dotted identifiers of all critical extensions that this file does not interpret. */
  readonly unknownCritical: readonly string[];
}

/** SHA-256 of bytes in lower-case hex, the form of every fingerprint. */
export const sha256Hex = (bytes: Uint8Array | string): string => hash('sha256', bytes, 'hex');

/** The distinguished name as one readable line, the most significant attribute last; empty for an empty name. */
export const subjectText = (certificate: Certificate): string => nameText(opensslView(certificate), 'subject');

/** The name of the issuer, in the form of subjectText. */
export const issuerText = (certificate: Certificate): string => nameText(opensslView(certificate), 'issuer');

// Contrary to its types, Node.js returns undefined for an empty name.
const nameText = (view: { subject?: string; issuer?: string }, name: 'subject' | 'issuer'): string =>
  (view[name] ?? '').split('\n').join(', ');

/** True when the certificate names itself as issuer and its own key verifies it. */
export const isSelfSigned = (certificate: Certificate): boolean =>
  certificate.subject.equals(certificate.issuer) && isSignedBy(certificate, certificate);

/** True when the names agree and the issuer's key verifies the certificate. Does not check validity or usage. */
export const isSignedBy = (certificate: Certificate, issuer: Certificate): boolean =>
  certificate.issuer.equals(issuer.subject) && isVerifiedBy(certificate, issuer);

/** True when the private key belongs to the certificate's public key. */
export const belongsTo = (key: KeyObject, certificate: Certificate): boolean =>
  opensslView(certificate).checkPrivateKey(key);

// Verifying costs as much as signing, and the same pair is verified when it is issued, recorded and published. The result
// is cached: it cannot change, because neither a Certificate nor its key does.
const verdicts = new WeakMap<Certificate, WeakMap<Certificate, boolean>>();

function verdictsOn(certificate: Certificate): WeakMap<Certificate, boolean> {
  const known = verdicts.get(certificate) ?? new WeakMap<Certificate, boolean>();
  verdicts.set(certificate, known);
  return known;
}

function isVerifiedBy(certificate: Certificate, issuer: Certificate): boolean {
  const known = verdictsOn(certificate);
  const verdict = known.get(issuer) ?? verifies(issuer.publicKey, certificate);
  known.set(issuer, verdict);
  return verdict;
}

/** Verifies in the thread pool, and caches the result for isSignedBy. */
export async function verifyAhead(certificate: Certificate, issuer: Certificate): Promise<void> {
  const signed = signedParts.get(certificate);
  if (signed === undefined || !certificate.issuer.equals(issuer.subject)) return;
  const verdict = await verifiesSignedInPool(issuer.publicKey, signed);
  verdictsOn(certificate).set(issuer, verdict);
}

/** OpenSSL's X509Certificate gives the same answer, but encodes the signed fields again for each verification. */
function verifies(key: KeyObject, certificate: Certificate): boolean {
  const signed = signedParts.get(certificate);
  return signed === undefined ? opensslView(certificate).verify(key) : verifiesSigned(key, signed);
}

/** Only for certificates with an accepted algorithm that is the same inside and outside the signed fields (RFC 5280 4.1.1.2). */
const signedParts = new WeakMap<Certificate, Signed>();

const opensslViews = new WeakMap<Certificate, X509Certificate>();

/** OpenSSL's object for a certificate. Cached: parsing costs more than most of its methods. */
function opensslView(certificate: Certificate): X509Certificate {
  const known = opensslViews.get(certificate);
  if (known !== undefined) return known;
  const view = openssl(certificate.der);
  opensslViews.set(certificate, view);
  return view;
}

/** @throws PkiError MalformedCertificate */
function openssl(der: Buffer): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (error) {
    throw malformed(error);
  }
}

/**
 * All certificates of a PEM text, in order.
 * @throws PkiError MalformedPem, TooLarge, MalformedCertificate, UnsupportedKey
 */
export function parseCertificates(pem: string): Certificate[] {
  return parsePem(pem).map(({ label, der }) => {
    if (label !== 'CERTIFICATE') throw new PkiError('MalformedPem', `expected CERTIFICATE, found ${label}`);
    return parseCertificate(der);
  });
}

/**
 * Reads a certificate (RFC 5280 4.1). OpenSSL must accept the octets first. The fields are read from the DER, because
 * OpenSSL's text forms of names and extensions are ambiguous.
 * @throws PkiError MalformedCertificate; UnsupportedKey for a key that OpenSSL does not know
 */
export function parseCertificate(der: Buffer): Certificate {
  try {
    const x509 = openssl(der);
    const publicKey = publicKeyOf(x509);
    const certificate = readFields(der, () => publicKey);
    opensslViews.set(certificate, x509);
    return certificate;
  } catch (error) {
    throw malformed(error);
  }
}

/**
 * Like parseCertificate, but without OpenSSL and without parsing the key. Enough for a certificate that one of the
 * operator's CAs has signed, once the signature is verified. Every other certificate needs parseCertificate.
 * @throws PkiError MalformedCertificate
 */
export function readCertificate(der: Buffer): Certificate {
  try {
    const certificate = readFields(der, () => publicKeyOf(opensslView(certificate)));
    return certificate;
  } catch (error) {
    throw malformed(error);
  }
}

const malformed = (error: unknown): PkiError =>
  error instanceof PkiError && error.code !== 'MalformedDer'
    ? error
    : new PkiError('MalformedCertificate', 'the certificate cannot be read', { cause: error });

function publicKeyOf(x509: X509Certificate): KeyObject {
  try {
    return x509.publicKey;
  } catch (error) {
    throw new PkiError('UnsupportedKey', 'the public key of the certificate is damaged or of an unknown kind', {
      cause: error,
    });
  }
}

/** Version 3 is encoded as 2. Earlier versions have no extensions. */
const version3 = Buffer.of(2);

function readFields(der: Buffer, makePublicKey: () => KeyObject): Certificate {
  // OpenSSL ignores octets after the certificate. readOnly refuses them, because the fingerprint would include them.
  const [tbs, algorithm, signature] = readOnly(der, tags.sequence).children();
  const fields = expectTag(tbs, tags.sequence).children();
  const [version] = fields;
  if (version?.tag !== 0xa0 || !readOnly(version.content, tags.integer).content.equals(version3)) {
    throw new PkiError('MalformedCertificate', 'not a version 3 certificate');
  }
  const [, serial, innerAlgorithm, issuer, validity, subject, publicKeyInfo] = fields;
  const [notBefore, notAfter] = expectTag(validity, tags.sequence).children().map(readTime);
  const extensions = fields.find(({ tag }) => tag === 0xa3);
  if (notBefore === undefined || notAfter === undefined) throw new PkiError('MalformedDer', 'validity is incomplete');
  const signatureOid = readOid(expectTag(algorithm, tags.sequence).children()[0]);
  let publicKey: KeyObject | undefined;
  const certificate: Certificate = {
    der,
    fingerprint: sha256Hex(der),
    serialNumber: serialText(expectTag(serial, tags.integer)),
    subject: expectTag(subject, tags.sequence).der,
    issuer: expectTag(issuer, tags.sequence).der,
    notBefore,
    notAfter,
    publicKeyInfo: expectTag(publicKeyInfo, tags.sequence).der,
    get publicKey() {
      publicKey ??= makePublicKey();
      return publicKey;
    },
    signatureOid,
    ...interpretExtensions(extensions),
  };
  rememberSigned(certificate, tbs, [innerAlgorithm, algorithm], signature);
  return certificate;
}

function rememberSigned(
  certificate: Certificate,
  tbs: Element | undefined,
  [inner, outer]: readonly [Element | undefined, Element | undefined],
  signature: Element | undefined,
): void {
  const { signatureOid } = certificate;
  const isSame = inner !== undefined && outer?.der.equals(inner.der) === true;
  if (tbs === undefined || signature?.tag !== tags.bitString || !isSame || !acceptedSignatures.has(signatureOid))
    return;
  // The first octet of the BIT STRING is the number of unused bits.
  const [unusedBits] = signature.content;
  if (unusedBits !== 0) return;
  signedParts.set(certificate, { tbs: tbs.der, signature: signature.content.subarray(1), signatureOid });
}

type Extensions = Pick<
  Certificate,
  | 'basicConstraints'
  | 'keyUsage'
  | 'extendedKeyUsage'
  | 'subjectAltNames'
  | 'nameConstraints'
  | 'subjectKeyId'
  | 'authorityKeyId'
  | 'authoritySerialNumber'
  | 'unknownCritical'
>;

/** Reads the value of an extension into the fields of Certificate. */
const extensionReaders: Record<string, (value: Buffer) => Partial<Extensions>> = {
  [oids.basicConstraints]: (value) => ({ basicConstraints: readBasicConstraints(value) }),
  [oids.keyUsage]: (value) => ({ keyUsage: readNamedBits(value) }),
  [oids.extKeyUsage]: (value) => ({ extendedKeyUsage: readOnly(value, tags.sequence).children().map(readOid) }),
  [oids.subjectAltName]: (value) => ({ subjectAltNames: value }),
  [oids.nameConstraints]: (value) => ({ nameConstraints: value }),
  [oids.subjectKeyIdentifier]: (value) => ({ subjectKeyId: readOnly(value, tags.octetString).content.toString('hex') }),
  [oids.authorityKeyIdentifier]: readAuthorityKeyIdentifier,
};

function interpretExtensions(wrapper: Element | undefined): Extensions {
  const list = wrapper === undefined ? Buffer.alloc(0) : readOnly(wrapper.content, tags.sequence).content;
  const unknownCritical: string[] = [];
  const known: Partial<Extensions> = {};
  for (const { id, critical, value } of readExtensions(list, 'MalformedCertificate')) {
    const read = extensionReaders[id];
    if (read !== undefined) Object.assign(known, read(value));
    // RFC 5280 4.2.1.11 requires policyConstraints to be critical, and Java enforces it even when it is not.
    else if (critical || id === oids.policyConstraints) unknownCritical.push(id);
  }
  return { ...known, unknownCritical };
}

function readBasicConstraints(value: Buffer): NonNullable<Certificate['basicConstraints']> {
  const parts = readOnly(value, tags.sequence).children();
  const ca = parts[0]?.tag === tags.boolean && parts[0].content[0] !== 0;
  const limit = parts.find(({ tag }) => tag === tags.integer)?.content;
  if (limit === undefined) return { ca };
  const isNegative = (limit[0] ?? 0x80) >= 0x80;
  if (isNegative || limit.length > 4) throw new PkiError('MalformedDer', 'path length is out of range');
  return { ca, pathLength: limit.readIntBE(0, limit.length) };
}

function readNamedBits(value: Buffer): Set<number> {
  const { content } = readOnly(value, tags.bitString);
  if (content.length === 0) throw new PkiError('MalformedDer', 'a bit string needs the count of its unused bits');
  const bits = new Set<number>();
  for (let bit = 0; bit < (content.length - 1) * 8; bit += 1) {
    if (((content[1 + (bit >> 3)] ?? 0) & (0x80 >> (bit & 7))) !== 0) bits.add(bit);
  }
  return bits;
}
