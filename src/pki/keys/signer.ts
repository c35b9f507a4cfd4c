import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import { type SignatureAlgorithm, signatureAlgorithm } from './key.ts';

/**
 * Turns the octets of a certificate or CRL into a signature. The key may be elsewhere, in a KMS or an HSM: signing takes
 * time, and can fail for a reason that passes. A signer has its own deadline, and throws any error when it fails.
 */
export interface Signer {
  /** Verifies the signatures. */
  readonly publicKey: KeyObject;
  /** Known before anything is signed: the octets name it. */
  readonly algorithm: SignatureAlgorithm;
  /** The signature in the form that certificates hold (RFC 5758 3.2, RFC 8017 8.2, RFC 8032). */
  sign(octets: Buffer): Promise<Buffer>;
}

/** Signs with a private key in memory. Node.js prints and serialises a KeyObject without its material. */
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

  /** On the event loop: for P-256 a thread of the pool costs more than the signature. */
  signNow(octets: Buffer): Buffer {
    return sign(this.algorithm.digest, octets, this.#key);
  }
}
