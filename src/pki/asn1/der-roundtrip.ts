import asn1 from 'node-forge/lib/asn1.js';
import { PkiError } from '../pki-error.ts';

/**
 * A second opinion on octets before they are signed: node-forge, which did not encode them, decodes and re-encodes them,
 * and the result must be identical. Too slow for leaves; they are linted before signing and read back after it.
 * @throws PkiError ProfileViolation
 */
export function checkWithForge(der: Buffer): void {
  const octets = der.toString('latin1');
  let again: string;
  try {
    again = asn1.toDer(asn1.fromDer(octets)).getBytes();
  } catch (error) {
    throw new PkiError('ProfileViolation', 'the fields to sign are not DER', { cause: error });
  }
  if (again !== octets) throw new PkiError('ProfileViolation', 'the fields to sign are not in canonical DER');
}
