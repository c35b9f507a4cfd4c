import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

import * as asn1 from '../../../src/pki/asn1/der.ts';
import { oids } from '../../../src/pki/asn1/oid.ts';
import { encodePem } from '../../../src/pki/asn1/pem.ts';
import { authorityKeyId, isCa, keyUsage, subjectKeyId } from './extensions.ts';

/** A generated CA, valid or not, and its key. */
export interface MadeCa {
  readonly der: Buffer;
  readonly pem: string;
  readonly key: KeyObject;
  readonly keyPem: string;
  /** DER. */
  readonly subject: Buffer;
  readonly keyId: Buffer;
}

export type Issuer = Pick<MadeCa, 'key' | 'subject' | 'keyId'>;

/** The fields of a CA certificate. The defaults are those of a valid root. Values may be invalid. */
export interface CaOptions {
  readonly name?: string;
  /** Overrides `name`. */
  readonly subject?: asn1.Asn1;
  readonly key?: KeyObject;
  /** The issuer; self-signed by default. */
  readonly by?: Issuer;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** Overrides notBefore and notAfter. */
  readonly validity?: asn1.Asn1;
  /** The encoded number: 2 is version 3. Version 1 is not encoded. */
  readonly version?: number;
  readonly constraints?: asn1.Asn1;
  readonly usage?: readonly number[];
  /** In addition to basic constraints, key usage and identifiers. */
  readonly more?: readonly asn1.Asn1[];
  /** Overrides all extensions. Must be empty for versions without extensions. */
  readonly extensions?: readonly asn1.Asn1[];
  readonly signature?: Signature;
  /** The algorithm in the signed part, if it differs from that of the signature. */
  readonly claimed?: Signature;
  /** Overrides the public key. */
  readonly spki?: Buffer;
  readonly keyId?: Buffer;
}

export interface Signature {
  readonly id: string;
  readonly digest: string | null;
  readonly parameters?: asn1.Asn1;
}

const dayMs = 24 * 3_600_000;
/** The date this many days from now. */
export const inDays = (days: number): Date => new Date(Date.now() + days * dayMs);

const kept = new Map<string, KeyObject>();

/** A new elliptic curve key. */
export const ecKey = (namedCurve = 'P-256'): KeyObject => generateKeyPairSync('ec', { namedCurve }).privateKey;

/** An RSA key, the same for the same arguments: it takes long to generate. */
export function rsaKey(modulusLength: number, publicExponent = 65_537): KeyObject {
  const kind = `${modulusLength} ${publicExponent}`;
  const key = kept.get(kind) ?? generateKeyPairSync('rsa', { modulusLength, publicExponent }).privateKey;
  kept.set(kind, key);
  return key;
}

const ecdsa = (digest: string, id: string): Signature => ({ id, digest });
const rsa = (digest: string, id: string): Signature => ({ id, digest, parameters: asn1.nullValue() });

/** Signature algorithms, including weak ones. */
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

/** An element with any tag and fewer than 128 octets of content. */
export const raw = (tag: number, content: Buffer | string): asn1.Asn1 =>
  asn1.encoded(Buffer.concat([Uint8Array.of(tag, content.length), Buffer.from(content)]));

/** A name with one common name of any type. */
export const named = (value: asn1.Asn1): asn1.Asn1 =>
  asn1.sequence(asn1.setOf(asn1.sequence(asn1.oid(oids.commonName), value)));

let made = 0;

/** Creates a CA. The options may make it invalid. */
export function makeCa(options: CaOptions = {}): MadeCa {
  const key = options.key ?? ecKey();
  const spki = options.spki ?? createPublicKey(key).export({ type: 'spki', format: 'der' });
  const subject = asn1.encode(options.subject ?? named(asn1.utf8String(options.name ?? `CA ${++made}`)));
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
  const tbs = asn1.encode(
    asn1.sequence(
      ...(version === 0 ? [] : [asn1.explicit(0, asn1.integer(Uint8Array.of(version)))]),
      asn1.integer(Buffer.concat([Uint8Array.of(0x40), randomBytes(15)])),
      algorithm(options.claimed ?? signature),
      asn1.encoded(signer.subject),
      options.validity ?? asn1.sequence(asn1.time(notBefore), asn1.time(notAfter)),
      asn1.encoded(subject),
      asn1.encoded(spki),
      ...(extensions.length === 0 ? [] : [asn1.explicit(3, asn1.sequence(...extensions))]),
    ),
  );
  const signed = sign(signature.digest, tbs, signer.key);
  const der = asn1.encode(asn1.sequence(asn1.encoded(tbs), algorithm(signature), asn1.bitString(signed)));
  const keyPem = key.export({ type: 'pkcs8', format: 'pem' });
  return { der, pem: encodePem('CERTIFICATE', der), key, keyPem, subject, keyId };
}

const algorithm = ({ id, parameters }: Signature): asn1.Asn1 =>
  asn1.sequence(asn1.oid(id), ...(parameters === undefined ? [] : [parameters]));
