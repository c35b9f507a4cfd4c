import type { KeyObject } from 'node:crypto';
import {
  type Asn1,
  boolean,
  encoded,
  explicit,
  implicit,
  integer,
  namedBits,
  octetString,
  oid,
  readOnly,
  sequence,
  tags,
  time,
} from '../asn1/der.ts';
import { checkWithForge } from '../asn1/der-roundtrip.ts';
import { oids } from '../asn1/oid.ts';
import type { Issuer } from '../issuer/issuer.ts';
import { describeKey, publicKeyDer } from '../keys/key.ts';
import type { Signer } from '../keys/signer.ts';
import { lintLeaf } from '../lint/lint.ts';
import { PkiError } from '../pki-error.ts';
import { issuerKeyIdentifier } from '../x509/ca-identity.ts';
import { type Certificate, isSignedBy, keyUsageBits, parseCertificate, readCertificate } from '../x509/certificate.ts';
import { commonValidity, pathOf } from '../x509/certification-path.ts';
import { encodeSubject, type Subject } from '../x509/distinguished-name.ts';
import { encodedLeafProfile, type LeafProfile } from '../x509/leaf-profile.ts';
import { namesOutsidePath } from '../x509/name-constraints.ts';
import { Prepared } from '../x509/prepared.ts';
import { extension, keyIdentifier, wholeSeconds } from '../x509/tbs-fields.ts';

/** How far notBefore lies before the time of issue, for peers whose clocks are slow. Milliseconds. */
export const backdateMs = 5 * 60 * 1000;

/** The inputs of a certificate that no request sets: the time of issue, and 20 random octets for the serial number. */
export interface IssueContext {
  readonly now: Date;
  readonly serialSeed: Uint8Array;
  /** The validity of a leaf. Default: from `backdateMs` before `now` to the end of the duration in the profile. */
  readonly validity?: Validity;
}

export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/**
 * Prepares a leaf for its signature: checks the request against the profile and the issuer, encodes the certificate and
 * lints the octets. Signs nothing. The leaf's validity lies within the validity of the issuer and of every CA above it.
 * @param key the private or the public key of the leaf; only the public key is used
 * @throws PkiError InvalidRequest, InvalidName, IssuerRefuses, ProfileViolation
 */
export function prepareLeaf(
  profile: LeafProfile,
  key: KeyObject,
  issuer: Issuer,
  { now, serialSeed, validity }: IssueContext,
): Prepared<Certificate> {
  const { certificate: ca } = issuer;
  const path = pathOf(issuer);
  const limits = commonValidity(path);
  if (now < limits.notBefore || now >= limits.notAfter) {
    throw new PkiError('IssuerRefuses', 'the issuer or a CA above it is not valid now');
  }
  const requested = validity ?? defaultValidity(profile, now);
  const notBefore = wholeSeconds(Math.max(requested.notBefore.getTime(), limits.notBefore.getTime()));
  const notAfter = wholeSeconds(Math.min(requested.notAfter.getTime(), limits.notAfter.getTime()));
  const { subject, subjectAltNames, keyUsage, extendedKeyUsage } = encodedLeafProfile(profile, describeKey(key));
  const refused = namesOutsidePath(path, profile.names, profile.subject);
  if (refused.length > 0) {
    throw new PkiError('IssuerRefuses', `the name constraints of the root exclude ${refused.slice(0, 5).join(', ')}`);
  }
  const subjectIsEmpty = readOnly(subject, tags.sequence).content.length === 0;
  const tbs = {
    serialSeed,
    issuer: ca.subject,
    notBefore,
    notAfter,
    subject,
    publicKey: publicKeyDer(key),
    extensions: [
      extension(oids.basicConstraints, true, sequence()),
      extension(oids.keyUsage, true, namedBits(keyUsage)),
      extension(oids.extKeyUsage, false, sequence(...extendedKeyUsage.map(oid))),
      extension(oids.subjectKeyIdentifier, false, octetString(keyIdentifier(key))),
      extension(oids.authorityKeyIdentifier, false, sequence(implicit(0, issuerKeyIdentifier(ca)))),
      extension(oids.subjectAltName, subjectIsEmpty, encoded(subjectAltNames)),
    ],
  };
  const prepared = new Prepared(tbsCertificate(tbs), issuer.signer, (der) => {
    const leaf = readCertificate(der);
    // Catches a wrong signature before it reaches a Secret.
    if (!isSignedBy(leaf, ca))
      throw new PkiError('VerificationFailed', 'the signature of the new leaf does not verify');
    return leaf;
  });
  lintLeaf(prepared.fields, profile, path);
  return prepared;
}

const defaultValidity = ({ durationMs }: LeafProfile, now: Date): Validity => ({
  notBefore: new Date(now.getTime() - backdateMs),
  // A stored spec may have a duration that no date can hold.
  notAfter: new Date(Math.min(now.getTime() + durationMs, endOfTime)),
});

/** ECMA-262 21.4.1.1. */
const endOfTime = 8.64e15;

/** The subject and lifetime of a new self-signed root. */
export interface RootProfile {
  readonly subject: Subject;
  readonly durationMs: number;
}

/**
 * Prepares a self-signed root. It has no path length and no extended key usage, because some TLS stacks would then refuse
 * its leaves. The subject ends with a serialNumber derived from the key, because OpenSSL confuses two roots with one name.
 */
export function prepareRoot(
  profile: RootProfile,
  signer: Signer,
  { now, serialSeed }: IssueContext,
): Prepared<Certificate> {
  const id = keyIdentifier(signer.publicKey);
  const subject = encodeSubject({ ...profile.subject, serialNumber: id.toString('hex').slice(0, 16) });
  const tbs = {
    serialSeed,
    issuer: subject,
    notBefore: wholeSeconds(now.getTime() - backdateMs),
    notAfter: wholeSeconds(now.getTime() + profile.durationMs),
    subject,
    publicKey: publicKeyDer(signer.publicKey),
    extensions: [
      extension(oids.basicConstraints, true, sequence(boolean(true))),
      extension(oids.keyUsage, true, namedBits([keyUsageBits.keyCertSign, keyUsageBits.cRLSign])),
      extension(oids.subjectKeyIdentifier, false, octetString(id)),
    ],
  };
  const prepared = new Prepared(tbsCertificate(tbs), signer, (der) => {
    const root = parseCertificate(der);
    if (!isSignedBy(root, root))
      throw new PkiError('VerificationFailed', 'the signature of the new root does not verify');
    return root;
  });
  checkWithForge(prepared.fields);
  return prepared;
}

interface TbsCertificate {
  readonly serialSeed: Uint8Array;
  readonly issuer: Buffer;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly subject: Buffer;
  readonly publicKey: Buffer;
  readonly extensions: Asn1[];
}

/** RFC 5280 4.1.2. */
const tbsCertificate = (tbs: TbsCertificate) => (algorithm: Asn1) =>
  sequence(
    explicit(0, integer(Uint8Array.of(2))),
    integer(serialNumber(tbs.serialSeed)),
    algorithm,
    encoded(tbs.issuer),
    sequence(time(tbs.notBefore), time(tbs.notAfter)),
    encoded(tbs.subject),
    encoded(tbs.publicKey),
    explicit(3, sequence(...tbs.extensions)),
  );

/**
 * A positive serial number of 20 octets, the maximum of RFC 5280 4.1.2.2, with 158 random bits.
 * @throws PkiError InvalidRequest
 */
function serialNumber(seed: Uint8Array): Uint8Array {
  if (seed.length !== 20) throw new PkiError('InvalidRequest', 'a serial number needs 20 random octets');
  const serial = Uint8Array.from(seed);
  serial[0] = ((seed[0] ?? 0) & 0x3f) | 0x40;
  return serial;
}
