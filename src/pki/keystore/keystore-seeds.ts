import { createHmac, type KeyObject } from 'node:crypto';
import type { EncryptionSeeds } from './pbes2.ts';

/** Where the salts and initialisation vectors of one keystore come from. */
export interface KeystoreSeeds {
  /** 16 octets of their own for each purpose. */
  salt(purpose: string): Buffer;
  encryption(purpose: string): EncryptionSeeds;
}

/**
 * Salts that depend on a private key and on everything that goes into a keystore, and on nothing else, so that the same
 * keystore is written the same way twice.
 *
 * Salts are public, and all that is asked of them and of the vectors is that two different keystores have different ones
 * that nobody can tell in advance. HMAC-SHA-256 under a key that only the reader of the Secret has does that: its values
 * look random to everyone else, and say nothing of the key, the password or the content. The private key is first made
 * into another with a label, which keeps this use of it apart from any signature; every part has its length before it, so
 * that no two lists of parts read alike.
 */
export function keystoreSeeds(key: KeyObject, parts: readonly (string | Buffer)[]): KeystoreSeeds {
  const own = hmac('mtls-operator.io/store-seeds/v1', [key.export({ type: 'pkcs8', format: 'der' })]);
  const secret = hmac(own, parts);
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
