import { createCipheriv, pbkdf2, pbkdf2Sync } from 'node:crypto';
import { promisify } from 'node:util';
import { type Asn1, nullValue, octetString, oid, sequence, wholeNumber } from '../asn1/der.ts';
import { oids } from '../asn1/oid.ts';

/** The count that Java 17 writes. One derivation takes about two milliseconds, for the operator and for each reader. */
const iterations = 10_000;
const keyLength = 32;

const deriveInThreadPool = promisify(pbkdf2);

/** A salt and an initialisation vector of 16 octets. Two plaintexts under one password must not share them. */
export interface EncryptionSeeds {
  readonly salt: Buffer;
  readonly iv: Buffer;
}

/** Octets encrypted with a password, and the AlgorithmIdentifier that describes the encryption. */
export interface Encrypted {
  readonly algorithm: Asn1;
  readonly content: Buffer;
}

/** PBES2 (RFC 8018 6.2) with PBKDF2, HMAC-SHA-256 and AES-256-CBC. The derivation runs in the thread pool. */
export async function encryptWithPassword(
  plaintext: Buffer,
  password: string,
  seeds: EncryptionSeeds,
): Promise<Encrypted> {
  const octets = Buffer.from(password, 'utf8');
  return encrypt(plaintext, await deriveInThreadPool(octets, seeds.salt, iterations, keyLength, 'sha256'), seeds);
}

/** As encryptWithPassword, on the event loop. */
export const encryptWithPasswordNow = (plaintext: Buffer, password: string, seeds: EncryptionSeeds): Encrypted =>
  encrypt(plaintext, pbkdf2Sync(password, seeds.salt, iterations, keyLength, 'sha256'), seeds);

function encrypt(plaintext: Buffer, key: Buffer, { salt, iv }: EncryptionSeeds): Encrypted {
  const cipher = createCipheriv('aes-256-cbc', key, iv);
  // prf must be present, because its default is HMAC-SHA-1 (RFC 8018 A.2). The key length is optional, but early updates of
  // Java 8 cannot read a store without it.
  const prf = sequence(oid(oids.hmacWithSha256), nullValue());
  const derivation = sequence(octetString(salt), wholeNumber(iterations), wholeNumber(keyLength), prf);
  return {
    algorithm: sequence(
      oid(oids.pbes2),
      sequence(sequence(oid(oids.pbkdf2), derivation), sequence(oid(oids.aes256Cbc), octetString(iv))),
    ),
    content: Buffer.concat([cipher.update(plaintext), cipher.final()]),
  };
}
