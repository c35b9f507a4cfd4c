import { oids } from '../asn1/oid.ts';
import { PkiError } from '../pki-error.ts';
import { type Certificate, keyUsageBits, sha256Hex } from './certificate.ts';
import { encodeSubject, encodeSubjectAltNames, type Subject, type SubjectAltNames } from './distinguished-name.ts';

/** Which end of a connection a leaf is for; a peer is both. */
export type Role = 'server' | 'client' | 'peer';

/**
 * What a leaf may be used for beside what its role says, named as in RFC 5280 4.2.1.3 and 4.2.1.12, and RFC 4945 5.1.3.12.
 * Nothing that a CA does or a responder, nor what wants a certificate of its own (timeStamping, RFC 3161 2.3).
 */
export type LeafUsage = KeyUsage | ExtendedUsage;

type KeyUsage = 'contentCommitment' | 'dataEncipherment' | 'keyAgreement';

/** One that other programs may act on that trust the same root. */
export type ExtendedUsage = 'codeSigning' | 'emailProtection' | 'ipsecIKE';

/** With the kinds of key that are able to it: RSA alone encrypts (RFC 5480 3, RFC 8410 5), and an Ed25519 key only signs. */
const keyUsages: ReadonlyArray<[usage: KeyUsage, keys: RegExp]> = [
  ['contentCommitment', /^/],
  ['dataEncipherment', /^RSA-/],
  ['keyAgreement', /^ECDSA-/],
];
const extendedUsages: readonly ExtendedUsage[] = ['codeSigning', 'emailProtection', 'ipsecIKE'];

/** True for a usage that has to be granted, since it means something to others than the two ends of a connection. */
export const isExtendedUsage = (usage: string): usage is ExtendedUsage =>
  (extendedUsages as readonly string[]).includes(usage);

/** True for what a leaf can be used for with a key of the given kind (see describeKey). */
export const usageFits = (usage: string, keyKind: string): usage is LeafUsage =>
  isExtendedUsage(usage) || keyUsages.some(([name, keys]) => name === usage && keys.test(keyKind));

/** What a leaf says about its holder. Names are in normal form; the duration is in milliseconds. */
export interface LeafProfile {
  readonly role: Role;
  readonly subject: Subject;
  readonly names: SubjectAltNames;
  /** In any order; absent for none. */
  readonly usages?: readonly LeafUsage[];
  readonly durationMs: number;
}

/** The parts of a profile in the form they have in a certificate. */
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
 * A profile's certificate fields, for a key of the given kind (see describeKey).
 * @throws PkiError InvalidRequest when no identity is asked for, the common name is too long, or a usage does not fit the
 * key; InvalidName
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
    // In one order, whatever the one they were asked for in: a digest is taken of them.
    extendedKeyUsage: [
      ...extendedKeyUsages[role],
      ...extendedUsages.flatMap((usage) => (usages.includes(usage) ? [oids[usage]] : [])),
    ],
  };
}

/**
 * For RSA key transport, which TLS 1.2 peers may still choose and S/MIME needs; no other key can do it. In RFC 5280 4.2.1.12
 * it goes with serverAuth and emailProtection, but not with clientAuth alone.
 */
const receivesKeys = (role: Role, usages: readonly LeafUsage[]): boolean =>
  role !== 'client' || usages.includes('emailProtection');

/**
 * A digest over what a certificate says about its holder: subject, alternative names and usages, but neither key nor
 * times. Equal for a leaf and the profile it was issued from, so that a Secret is judged by its bytes and not by notes
 * beside them.
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

/** The same digest of a certificate that exists. */
export const certificateProfileDigest = (certificate: Certificate): string =>
  profileDigest({
    subject: certificate.subject,
    subjectAltNames: certificate.subjectAltNames ?? Buffer.alloc(0),
    keyUsage: [...(certificate.keyUsage ?? [])],
    extendedKeyUsage: certificate.extendedKeyUsage ?? [],
  });
