import { type Asn1, bitString, encode, encoded, nullValue, oid, sequence } from '../asn1/der.ts';
import type { SignatureAlgorithm } from '../keys/key.ts';
import type { Signer } from '../keys/signer.ts';
import { PkiError } from '../pki-error.ts';

/**
 * The fields of a certificate or CRL that passed every check and can be signed once (RFC 5280 4.1.1, 5.1.1).
 */
export class Prepared<T> {
  /** DER of the fields. They name the signer's algorithm. */
  readonly fields: Buffer;
  readonly signer: Signer;
  readonly #read: (der: Buffer) => T;
  #isSigned = false;

  /** @param read decodes and verifies the signed octets */
  constructor(fields: (algorithm: Asn1) => Asn1, signer: Signer, read: (der: Buffer) => T) {
    this.signer = signer;
    this.fields = encode(fields(algorithmIdentifier(signer.algorithm)));
    this.#read = read;
  }

  /**
   * Signs the fields, decodes the result and verifies it.
   * @throws PkiError InvalidRequest when called a second time; SignerFailed, which is worth a retry; VerificationFailed
   */
  async sign(): Promise<T> {
    if (this.#isSigned) throw new PkiError('InvalidRequest', 'a prepared certificate or CRL can be signed only once');
    this.#isSigned = true;
    return this.complete(await this.#signature());
  }

  async #signature(): Promise<Buffer> {
    try {
      return await this.signer.sign(this.fields);
    } catch (error) {
      const why = error instanceof Error ? error.message.slice(0, longestReason) : 'unknown';
      throw new PkiError('SignerFailed', `the key of the issuer cannot be used now: ${why}`, { cause: error });
    }
  }

  /** Adds a signature over the fields, decodes the result and verifies it. @throws PkiError VerificationFailed */
  complete(signature: Buffer): T {
    const algorithm = algorithmIdentifier(this.signer.algorithm);
    return this.#read(encode(sequence(encoded(this.fields), algorithm, bitString(signature))));
  }
}

/** Characters. A remote signer may answer with a page of text. */
const longestReason = 300;

function algorithmIdentifier({ oid: id, nullParameters }: SignatureAlgorithm): Asn1 {
  return sequence(oid(id), ...(nullParameters ? [nullValue()] : []));
}
