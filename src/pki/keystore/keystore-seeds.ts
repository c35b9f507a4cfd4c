import { createHmac, type KeyObject } from 'node:crypto';
import type { EncryptionSeeds } from './pbes2.ts';

/** The source of the salts and initialisation vectors of one keystore. */
export interface KeystoreSeeds {
  /** 16 octets, different for each purpose. */
  salt(purpose: string): Buffer;
  encryption(purpose: string): EncryptionSeeds;
}

/**
 * Salts that depend only on a private key and on the content of the keystore, so that equal content gives equal octets.
 *
 * Salts and initialisation vectors are public. They must be unpredictable, and differ between keystores. The output of
 * HMAC-SHA-256 with a secret key has both properties: it looks random without that key, and reveals nothing about the key, the
 * password or the content. The secret key is derived from the private key with a label, because no key may serve both HMAC and
 * signatures. Each part is preceded by its length, so that different lists of parts never give the same input.
 */
export function keystoreSeeds(key: KeyObject, parts: readonly (string | Buffer)[]): KeystoreSeeds {
  const own = hmac('mtls-operator.io/store-seeds/v1', [key.export({ type: 'pkcs8', format: 'der' })]);
  return seedsFrom(hmac(own, parts));
}

/**
 * Salts that depend only on the content, for a store whose password is public. The password is not one of the parts: a salt that
 * depends on it would let a reader of the store test passwords without the slow derivation.
 */
export const publicSeeds = (parts: readonly (string | Buffer)[]): KeystoreSeeds =>
  seedsFrom(hmac('mtls-operator.io/public-store-seeds/v1', parts));

function seedsFrom(secret: Buffer): KeystoreSeeds {
  const salt = (purpose: string): Buffer => hmac(secret, [purpose]).subarray(0, 16);
  return {
    salt,
    encryption: (purpose) => ({ salt: salt(`${purpose} salt`), iv: salt(`${purpose} iv`) }),
  };
}

function hmac(key: string | Buffer, parts: readonly (string | Buffer)[]): Buffer {
  const mac = createHmac('sha256', key);
  for (const part of parts) {
    const octets = Buffer.from(part);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(octets.length);
    mac.update(length).update(octets);
  }
  return mac.digest();
}
