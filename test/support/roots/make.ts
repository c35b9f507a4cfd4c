import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

import {
  type Asn1,
  bitString,
  boolean,
  encode,
  encoded,
  explicit,
  implicit,
  implicitConstructed,
  integer,
  namedBits,
  nullValue,
  octetString,
  oid,
  sequence,
  setOf,
  time,
  utf8String,
} from '../../../src/pki/asn1/der.ts';
import { oids } from '../../../src/pki/asn1/oid.ts';
import { encodePem } from '../../../src/pki/asn1/pem.ts';

/** A CA that was made here, good or bad, and its key. */
export interface MadeCa {
  readonly der: Buffer;
  readonly pem: string;
  readonly key: KeyObject;
  readonly keyPem: string;
  /** DER. */
  readonly subject: Buffer;
  readonly keyId: Buffer;
}

/** Who signs. */
export type Issuer = Pick<MadeCa, 'key' | 'subject' | 'keyId'>;

/** What a CA says. Everything has the value of a good root; each part can be anything. */
export interface CaOptions {
  readonly name?: string;
  /** Instead of a common name. */
  readonly subject?: Asn1;
  readonly key?: KeyObject;
  /** Who signs; by default it does so itself. */
  readonly by?: Issuer;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** Instead of both. */
  readonly validity?: Asn1;
  /** The number that is written: 2 is version 3. Absent in version 1. */
  readonly version?: number;
  readonly constraints?: Asn1;
  readonly usage?: readonly number[];
  /** Beside basic constraints, key usage and identifiers. */
  readonly more?: readonly Asn1[];
  /** Instead of all of them; none at all in versions that have no extensions. */
  readonly extensions?: readonly Asn1[];
  readonly signature?: Signature;
  /** What the signed part says of its signature, when that is something else. */
  readonly claimed?: Signature;
  /** Instead of the key's own. */
  readonly spki?: Buffer;
  readonly keyId?: Buffer;
}

export interface Signature {
  readonly id: string;
  readonly digest: string | null;
  readonly parameters?: Asn1;
}

const dayMs = 24 * 3_600_000;
/** So many days from now. */
export const inDays = (days: number): Date => new Date(Date.now() + days * dayMs);

const kept = new Map<string, KeyObject>();

/** A key of elliptic curves, another with every call. */
export const ecKey = (namedCurve = 'P-256'): KeyObject => generateKeyPairSync('ec', { namedCurve }).privateKey;

/** An RSA key, which takes long to make: the same one for the same numbers. */
export function rsaKey(modulusLength: number, publicExponent = 65_537): KeyObject {
  const kind = `${modulusLength} ${publicExponent}`;
  const key = kept.get(kind) ?? generateKeyPairSync('rsa', { modulusLength, publicExponent }).privateKey;
  kept.set(kind, key);
  return key;
}

const ecdsa = (digest: string, id: string): Signature => ({ id, digest });
const rsa = (digest: string, id: string): Signature => ({ id, digest, parameters: nullValue() });

/** Signature algorithms, the bad ones too. */
export const signatures = {
  ecdsaSha1: ecdsa('sha1', '1.2.840.10045.4.1'),
  ecdsaSha224: ecdsa('sha224', '1.2.840.10045.4.3.1'),
  ecdsaSha256: ecdsa('sha256', oids.ecdsaWithSha256),
  ecdsaSha384: ecdsa('sha384', oids.ecdsaWithSha384),
  ecdsaSha512: ecdsa('sha512', oids.ecdsaWithSha512),
  ecdsaSha3: ecdsa('sha3-256', '2.16.840.1.101.3.4.3.10'),
  rsaMd5: rsa('md5', '1.2.840.113549.1.1.4'),
  rsaSha1: rsa('sha1', '1.2.840.113549.1.1.5'),
  rsaSha256: rsa('sha256', oids.sha256WithRsa),
  rsaSha384: rsa('sha384', oids.sha384WithRsa),
  rsaSha512: rsa('sha512', oids.sha512WithRsa),
  ed25519: { id: oids.ed25519, digest: null },
} as const satisfies Record<string, Signature>;

function usualSignature({ asymmetricKeyType }: KeyObject): Signature {
  if (asymmetricKeyType === 'ed25519') return signatures.ed25519;
  return asymmetricKeyType === 'rsa' ? signatures.rsaSha256 : signatures.ecdsaSha256;
}

export const extension = (id: string, value: Asn1 | Buffer, critical = false): Asn1 =>
  sequence(oid(id), ...(critical ? [boolean(true)] : []), octetString(Buffer.isBuffer(value) ? value : encode(value)));

/** basicConstraints with cA, and a path length. */
export const isCa = (pathLength?: number, critical = true): Asn1 =>
  extension(
    oids.basicConstraints,
    sequence(boolean(true), ...(pathLength === undefined ? [] : [integer(Uint8Array.of(pathLength))])),
    critical,
  );
export const keyUsage = (bits: readonly number[]): Asn1 => extension(oids.keyUsage, namedBits(bits), true);
export const extendedKeyUsage = (...usages: readonly string[]): Asn1 =>
  extension(oids.extKeyUsage, sequence(...usages.map(oid)));
export const subjectKeyId = (id: Buffer): Asn1 => extension(oids.subjectKeyIdentifier, octetString(id));
export const authorityKeyId = (id: Buffer): Asn1 => extension(oids.authorityKeyIdentifier, sequence(implicit(0, id)));
/** `permitted` subtrees, as encoded GeneralNames. */
export const permitting = (...names: readonly Asn1[]): Asn1 =>
  extension(
    oids.nameConstraints,
    sequence(
      implicitConstructed(
        0,
        names.map((name) => sequence(name)),
      ),
    ),
    true,
  );

/** An element with any tag and contents of less than 128 octets. */
export const raw = (tag: number, content: Buffer | string): Asn1 =>
  encoded(Buffer.concat([Uint8Array.of(tag, content.length), Buffer.from(content)]));

/** A name of one attribute, with a value of any type. */
export const named = (value: Asn1): Asn1 => sequence(setOf(sequence(oid(oids.commonName), value)));

let made = 0;

/** Makes a CA; what is wrong with it is the caller's choice. */
export function makeCa(options: CaOptions = {}): MadeCa {
  const key = options.key ?? ecKey();
  const spki = options.spki ?? createPublicKey(key).export({ type: 'spki', format: 'der' });
  const subject = encode(options.subject ?? named(utf8String(options.name ?? `CA ${++made}`)));
  const keyId = options.keyId ?? createHash('sha256').update(spki).digest().subarray(0, 20);
  const signer = options.by ?? { key, subject };
  const signature = options.signature ?? usualSignature(signer.key);
  const { notBefore = inDays(-1), notAfter = inDays(3650) } = options;
  const extensions = options.extensions ?? [
    options.constraints ?? isCa(),
    keyUsage(options.usage ?? [5, 6]),
    subjectKeyId(keyId),
    ...(options.by === undefined ? [] : [authorityKeyId(options.by.keyId)]),
    ...(options.more ?? []),
  ];
  const version = options.version ?? 2;
  const tbs = encode(
    sequence(
      ...(version === 0 ? [] : [explicit(0, integer(Uint8Array.of(version)))]),
      integer(Buffer.concat([Uint8Array.of(0x40), randomBytes(15)])),
      algorithm(options.claimed ?? signature),
      encoded(signer.subject),
      options.validity ?? sequence(time(notBefore), time(notAfter)),
      encoded(subject),
      encoded(spki),
      ...(extensions.length === 0 ? [] : [explicit(3, sequence(...extensions))]),
    ),
  );
  const signed = sign(signature.digest, tbs, signer.key);
  const der = encode(sequence(encoded(tbs), algorithm(signature), bitString(signed)));
  const keyPem = key.export({ type: 'pkcs8', format: 'pem' });
  return { der, pem: encodePem('CERTIFICATE', der), key, keyPem, subject, keyId };
}

const algorithm = ({ id, parameters }: Signature): Asn1 =>
  sequence(oid(id), ...(parameters === undefined ? [] : [parameters]));
