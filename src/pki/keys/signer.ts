import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import { type SignatureAlgorithm, signatureAlgorithm } from './key.ts';

/**
 * Signs the octets of a certificate or CRL. The key may be remote, in a KMS or an HSM, so signing takes time and can fail
 * temporarily. A signer enforces its own deadline. It may throw any error.
 */
export interface Signer {
  /** The key that verifies the signatures. */
  readonly publicKey: KeyObject;
  /** Known before signing, because the signed octets name the algorithm. */
  readonly algorithm: SignatureAlgorithm;
  /** The signature in the form that certificates contain (RFC 5758 3.2, RFC 8017 8.2, RFC 8032). */
  sign(octets: Buffer): Promise<Buffer>;
}

/** Signs with a private key in memory. Printing or serialising a KeyObject does not reveal the key. */
export class KeySigner implements Signer {
  readonly publicKey: KeyObject;
  readonly algorithm: SignatureAlgorithm;
  readonly #key: KeyObject;

  /** @throws PkiError UnsupportedKey */
  constructor(key: KeyObject) {
    this.#key = key;
    this.algorithm = signatureAlgorithm(key);
    this.publicKey = createPublicKey(key);
  }

  async sign(octets: Buffer): Promise<Buffer> {
    return this.signNow(octets);
  }

  /** Signs on the event loop: for P-256, a thread of the pool costs more than the signature. */
  signNow(octets: Buffer): Buffer {
    return sign(this.algorithm.digest, octets, this.#key);
  }
}
