import { oids } from '../asn1/oid.ts';
import { PkiError } from '../pki-error.ts';
import { type Certificate, keyUsageBits, sha256Hex } from './certificate.ts';
import { encodeSubject, encodeSubjectAltNames, type Subject, type SubjectAltNames } from './distinguished-name.ts';

/** The end of a connection that a leaf is for. A peer is both. */
export type Role = 'server' | 'client' | 'peer';

/**
 * Usages that a leaf may have in addition to those of its role, with the names of RFC 5280 4.2.1.3 and 4.2.1.12, and
 * RFC 4945 5.1.3.12. Not included are the usages of CAs and OCSP responders, and timeStamping, which must be the only usage
 * of a certificate (RFC 3161 2.3).
 */
export type LeafUsage = KeyUsage | ExtendedUsage;

type KeyUsage = 'contentCommitment' | 'dataEncipherment' | 'keyAgreement';

/** Usages that give rights in other programs that trust the same root. */
export type ExtendedUsage = 'codeSigning' | 'emailProtection' | 'ipsecIKE';

/** Each usage with the kinds of key that support it: only RSA encrypts (RFC 5480 3, RFC 8410 5), and Ed25519 only signs. */
const keyUsages: ReadonlyArray<[usage: KeyUsage, keys: RegExp]> = [
  ['contentCommitment', /^/],
  ['dataEncipherment', /^RSA-/],
  ['keyAgreement', /^ECDSA-/],
];
const extendedUsages: readonly ExtendedUsage[] = ['codeSigning', 'emailProtection', 'ipsecIKE'];

/** True for a usage that needs a grant, because programs other than the two ends of the connection act on it. */
export const isExtendedUsage = (usage: string): usage is ExtendedUsage =>
  (extendedUsages as readonly string[]).includes(usage);

/** True when a leaf with a key of the given kind (see describeKey) can have the usage. */
export const usageFits = (usage: string, keyKind: string): usage is LeafUsage =>
  isExtendedUsage(usage) || keyUsages.some(([name, keys]) => name === usage && keys.test(keyKind));

/** The identity and the usages that a leaf certifies. Names are normalised. */
export interface LeafProfile {
  readonly role: Role;
  readonly subject: Subject;
  readonly names: SubjectAltNames;
  /** In any order. */
  readonly usages?: readonly LeafUsage[];
  readonly durationMs: number;
}

/** The parts of a profile, encoded as in a certificate. */
export interface EncodedProfile {
  readonly subject: Buffer;
  readonly subjectAltNames: Buffer;
  readonly keyUsage: readonly number[];
  readonly extendedKeyUsage: readonly string[];
}

const extendedKeyUsages: Record<Role, readonly string[]> = {
  server: [oids.serverAuth],
  client: [oids.clientAuth],
  peer: [oids.serverAuth, oids.clientAuth],
};

/** The longest common name that RFC 5280's upper bounds allow (ub-common-name), in characters. */
export const maxCommonNameLength = 64;

/**
 * Encodes a profile for a key of the given kind (see describeKey).
 * @throws PkiError InvalidRequest when there is no alternative name, the common name is too long, or the key does not
 * support a usage; InvalidName
 */
export function encodedLeafProfile(profile: LeafProfile, keyKind: string): EncodedProfile {
  const { role, subject, names, usages = [] } = profile;
  if (Object.values(names).every((list) => list.length === 0)) {
    throw new PkiError('InvalidRequest', 'a leaf needs at least one subject alternative name');
  }
  if (Array.from(subject.commonName ?? '').length > maxCommonNameLength) {
    throw new PkiError('InvalidRequest', `a common name has at most ${maxCommonNameLength} characters`);
  }
  const unfit = usages.find((usage) => !usageFits(usage, keyKind));
  if (unfit !== undefined)
    throw new PkiError('InvalidRequest', `a key of type ${keyKind} cannot have usage ${String(unfit)}`);
  return {
    subject: encodeSubject(subject),
    subjectAltNames: encodeSubjectAltNames(names),
    keyUsage: [
      keyUsageBits.digitalSignature,
      ...(keyKind.startsWith('RSA-') && receivesKeys(role, usages) ? [keyUsageBits.keyEncipherment] : []),
      ...keyUsages.flatMap(([usage]) => (usages.includes(usage) ? [keyUsageBits[usage]] : [])),
    ].toSorted((a, b) => a - b),
    // In a fixed order, because profileDigest depends on it.
    extendedKeyUsage: [
      ...extendedKeyUsages[role],
      ...extendedUsages.flatMap((usage) => (usages.includes(usage) ? [oids[usage]] : [])),
    ],
  };
}

/**
 * keyEncipherment is for RSA key transport, which TLS 1.2 peers may still choose and S/MIME needs. RFC 5280 4.2.1.12 allows
 * it with serverAuth and emailProtection, but not with clientAuth alone.
 */
const receivesKeys = (role: Role, usages: readonly LeafUsage[]): boolean =>
  role !== 'client' || usages.includes('emailProtection');

/**
 * A digest of the subject, alternative names and usages of a certificate, without its key and times. It is equal for a
 * profile and every leaf issued from it, so the operator compares the certificate itself, not an annotation next to it.
 */
export const profileDigest = (profile: EncodedProfile): string =>
  sha256Hex(
    JSON.stringify([
      profile.subject.toString('base64'),
      profile.subjectAltNames.toString('base64'),
      [...profile.keyUsage].sort((a, b) => a - b),
      profile.extendedKeyUsage,
    ]),
  );

/** The profileDigest of an existing certificate. */
export const certificateProfileDigest = (certificate: Certificate): string =>
  profileDigest({
    subject: certificate.subject,
    subjectAltNames: certificate.subjectAltNames ?? Buffer.alloc(0),
    keyUsage: [...(certificate.keyUsage ?? [])],
    extendedKeyUsage: certificate.extendedKeyUsage ?? [],
  });
