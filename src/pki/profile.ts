import { type Certificate, keyUsageBits, sha256Hex } from './certificate.ts';
import { PkiError } from './error.ts';
import { encodeSubject, encodeSubjectAltNames, type Subject, type SubjectAltNames } from './name.ts';
import { oids } from './oid.ts';

/** Which end of a connection a leaf is for; a peer is both. */
export type Role = 'server' | 'client' | 'peer';

/** What a leaf says about its holder. Names are in normal form; the duration is in milliseconds. */
export interface LeafProfile {
  readonly role: Role;
  readonly subject: Subject;
  readonly names: SubjectAltNames;
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

/** The longest common name that RFC 5280's upper bounds allow (ub-common-name). */
export const maxCommonNameLength = 64;

/**
 * A profile's certificate fields, for a key of the given kind (see describeKey).
 * @throws PkiError InvalidRequest when no identity is asked for or the common name is too long; InvalidName
 */
export function encodedLeafProfile({ role, subject, names }: LeafProfile, keyKind: string): EncodedProfile {
  if (Object.values(names).every((list) => list.length === 0)) {
    throw new PkiError('InvalidRequest', 'a leaf needs at least one subject alternative name');
  }
  if ((subject.commonName?.length ?? 0) > maxCommonNameLength) {
    throw new PkiError('InvalidRequest', `a common name has at most ${maxCommonNameLength} characters`);
  }
  return {
    subject: encodeSubject(subject),
    subjectAltNames: encodeSubjectAltNames(names),
    // keyEncipherment is for RSA key transport, which TLS 1.2 peers may still choose: no other key can do it, and in
    // RFC 5280 4.2.1.12 it goes with serverAuth but not with clientAuth alone.
    keyUsage:
      keyKind.startsWith('RSA-') && role !== 'client'
        ? [keyUsageBits.digitalSignature, keyUsageBits.keyEncipherment]
        : [keyUsageBits.digitalSignature],
    extendedKeyUsage: extendedKeyUsages[role],
  };
}

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
