import asn1 from 'node-forge/lib/asn1.js';
import { PkiError } from '../pki-error.ts';

/**
 * A second opinion on octets that are about to be signed and then trusted for years: node-forge, which had no part in
 * writing them, reads them as DER and would write what it has read in the same way. It takes too long for leaves, which
 * are linted instead, and read back from what was signed.
 * @throws PkiError ProfileViolation
 */
export function checkWithForge(der: Buffer): void {
  const octets = der.toString('latin1');
  let again: string;
  try {
    again = asn1.toDer(asn1.fromDer(octets)).getBytes();
  } catch (error) {
    throw new PkiError('ProfileViolation', 'what is about to be signed is not DER', { cause: error });
  }
  if (again !== octets) throw new PkiError('ProfileViolation', 'what is about to be signed is not in its one encoding');
}
