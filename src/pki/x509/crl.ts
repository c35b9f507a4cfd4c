import { type Element, expectTag, readAll, readOid, readOnly, tags } from '../asn1/der.ts';
import { oids } from '../asn1/oid.ts';
import { encodePem, parsePem } from '../asn1/pem.ts';
import { type Signed, verifiesSigned } from '../keys/key.ts';
import { PkiError } from '../pki-error.ts';
import { issuerKeyIdentifier } from './ca-identity.ts';
import { type Certificate, keyUsageBits } from './certificate.ts';
import { readAuthorityKeyIdentifier, readExtensions, readTime, serialText } from './certificate-fields.ts';

/** A certificate that must not be trusted any more. */
export interface RevokedCertificate {
  /** Lower-case hex, as in Certificate. */
  readonly serialNumber: string;
  readonly revokedAt: Date;
}

/** The content of a CRL. Times are truncated to whole seconds. */
export interface CrlContent {
  /** Higher than the number of every earlier CRL of the issuer. */
  readonly number: bigint;
  readonly thisUpdate: Date;
  /** When the next CRL is due. After this time, many verifiers refuse every certificate of the issuer. */
  readonly nextUpdate: Date;
  readonly revoked: readonly RevokedCertificate[];
}

/** A decoded CRL (RFC 5280 5.1). */
export interface Crl extends CrlContent, Signed {
  readonly der: Buffer;
  /** DER of the name, for comparison octet by octet. */
  readonly issuer: Buffer;
  readonly authorityKeyId?: string;
}

/** False for a CA whose key usage excludes cRLSign: verifiers do not accept its CRLs (RFC 5280 4.2.1.3). */
export const maySignCrls = ({ keyUsage }: Certificate): boolean =>
  keyUsage === undefined || keyUsage.has(keyUsageBits.cRLSign);

/** PEM of CRLs in the given order. */
export const encodeCrls = (crls: readonly Crl[]): string => crls.map(({ der }) => encodePem('X509 CRL', der)).join('');

/**
 * All CRLs of a PEM text, in order. Each must be of version 2, with a number and a nextUpdate, and without unknown critical
 * extensions, because those change the meaning of the entries (indirect and delta CRLs).
 * @throws PkiError MalformedPem, TooLarge, MalformedCrl
 */
export function parseCrls(pem: string): Crl[] {
  return parsePem(pem).map(({ label, der }) => {
    if (label !== 'X509 CRL') throw new PkiError('MalformedPem', `expected X509 CRL, found ${label}`);
    return parseCrl(der);
  });
}

/** @throws PkiError MalformedCrl */
export function parseCrl(der: Buffer): Crl {
  try {
    return readCrl(der);
  } catch (error) {
    if (!(error instanceof PkiError) || error.code !== 'MalformedDer') throw error;
    throw new PkiError('MalformedCrl', 'the CRL cannot be read', { cause: error });
  }
}

/** The most octets that a CRL number and a serial number may have (RFC 5280 5.2.3 and 4.1.2.2). */
export const maxNumberOctets = 20;

/** Version 2 is encoded as 1. */
const version2 = Buffer.of(1);

function readCrl(der: Buffer): Crl {
  const [tbs, algorithm, signature, ...more] = readOnly(der, tags.sequence).children();
  const fields = expectTag(tbs, tags.sequence).children();
  const [version, innerAlgorithm, issuer, thisUpdate, nextUpdate] = fields;
  if (version?.tag !== tags.integer || !version.content.equals(version2)) {
    throw new PkiError('MalformedCrl', 'not a version 2 CRL');
  }
  const entries = fields[5]?.tag === tags.sequence ? fields[5] : undefined;
  const [extensions, ...others] = fields.slice(entries === undefined ? 5 : 6);
  const bits = expectTag(signature, tags.bitString).content;
  // RFC 5280 5.1.1.2: both algorithms are equal. The first octet of the signature is the number of unused bits.
  const agree = innerAlgorithm !== undefined && algorithm?.der.equals(innerAlgorithm.der) === true;
  if (!agree || bits[0] !== 0 || more.length > 0 || others.length > 0) {
    throw new PkiError('MalformedCrl', 'the parts of the CRL do not match each other');
  }
  if (tbs === undefined || thisUpdate === undefined || nextUpdate === undefined) {
    throw new PkiError('MalformedDer', 'the CRL is incomplete');
  }
  return {
    der,
    issuer: expectTag(issuer, tags.sequence).der,
    thisUpdate: readTime(thisUpdate),
    nextUpdate: readTime(nextUpdate),
    revoked: readAll(entries?.content ?? Buffer.alloc(0)).map(readEntry),
    ...interpretExtensions(expectTag(extensions, 0xa0)),
    signatureOid: readOid(expectTag(algorithm, tags.sequence).children()[0]),
    tbs: tbs.der,
    signature: bits.subarray(1),
  };
}

function readEntry(entry: Element): RevokedCertificate {
  const [serial, revokedAt, extensions, ...more] = expectTag(entry, tags.sequence).children();
  if (revokedAt === undefined || more.length > 0)
    throw new PkiError('MalformedDer', 'an entry of the CRL cannot be read');
  if (extensions !== undefined) understoodExtensions(expectTag(extensions, tags.sequence).content, []);
  return { serialNumber: serialText(expectTag(serial, tags.integer)), revokedAt: readTime(revokedAt) };
}

function interpretExtensions(wrapper: Element): Pick<Crl, 'number' | 'authorityKeyId'> {
  const list = understoodExtensions(readOnly(wrapper.content, tags.sequence).content, [
    oids.cRLNumber,
    oids.authorityKeyIdentifier,
  ]);
  const number = list.get(oids.cRLNumber);
  if (number === undefined) throw new PkiError('MalformedCrl', 'the CRL has no number');
  const authority = list.get(oids.authorityKeyIdentifier);
  const { authorityKeyId } = authority === undefined ? {} : readAuthorityKeyIdentifier(authority);
  return { number: readNumber(number), ...(authorityKeyId === undefined ? {} : { authorityKeyId }) };
}

/** The values of extensions, by identifier. @throws PkiError MalformedCrl for an unknown critical extension */
function understoodExtensions(list: Buffer, known: readonly string[]): Map<string, Buffer> {
  const extensions = readExtensions(list, 'MalformedCrl');
  const unknown = extensions.find(({ id, critical }) => critical && !known.includes(id));
  if (unknown !== undefined) {
    throw new PkiError('MalformedCrl', `the critical extension ${unknown.id} of the CRL is not understood`);
  }
  return new Map(extensions.map(({ id, value }) => [id, value]));
}

function readNumber(value: Buffer): bigint {
  const { content } = readOnly(value, tags.integer);
  if (content.length > maxNumberOctets || (content[0] ?? 0x80) >= 0x80) {
    throw new PkiError('MalformedDer', 'the number of the CRL is out of range');
  }
  return BigInt(`0x${content.toString('hex')}`);
}

/**
 * True when the CRL has the name of the CA and the CA's key verifies it. A CA that was renewed with the same key is also the
 * issuer of its earlier CRLs, even if they name another key identifier. Does not check times or key usage.
 */
export function isCrlOf(crl: Crl, ca: Certificate): boolean {
  const known = verdicts.get(crl) ?? new WeakMap<Certificate, boolean>();
  verdicts.set(crl, known);
  const verdict = known.get(ca) ?? (crl.issuer.equals(ca.subject) && verifiesSigned(ca.publicKey, crl));
  known.set(ca, verdict);
  return verdict;
}

/** Cached: one plan verifies the same CRL several times. */
const verdicts = new WeakMap<Crl, WeakMap<Certificate, boolean>>();

/** True when a CRL has the name of the CA, and its key identifier if it has one. Does not verify the signature. */
export const namesIssuer = (crl: Crl, ca: Certificate): boolean =>
  crl.issuer.equals(ca.subject) &&
  (crl.authorityKeyId === undefined || crl.authorityKeyId === issuerKeyIdentifier(ca).toString('hex'));
