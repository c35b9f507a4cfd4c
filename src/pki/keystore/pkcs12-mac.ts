import { createHmac, hash } from 'node:crypto';
import { type Asn1, nullValue, octetString, oid, sequence, wholeNumber } from '../asn1/der.ts';
import { oids } from '../asn1/oid.ts';

/**
 * What OpenSSL writes. Unlike PBKDF2 this derivation is a chain of hashes that the event loop has to compute itself, half a
 * microsecond each.
 */
const iterations = 2048;

/** Octets that SHA-256 takes at a time (RFC 7292 B.2: v). */
const blockLength = 64;
/** What is derived is a key for a MAC (RFC 7292 B.3). */
const macKeyPurpose = 3;

/** The MacData (RFC 7292 4) that proves, to who knows the password, that the content is what was written. */
export function macData(content: Buffer, password: string, salt: Buffer): Asn1 {
  const digest = createHmac('sha256', macKey(password, salt)).update(content).digest();
  const algorithm = sequence(oid(oids.sha256), nullValue());
  return sequence(sequence(algorithm, octetString(digest)), octetString(salt), wholeNumber(iterations));
}

/**
 * The key derivation of RFC 7292 B.2 with SHA-256. A key is as long as one digest, so there is only the first round, and
 * nothing has to be added up.
 */
function macKey(password: string, salt: Buffer): Buffer {
  const purpose = Buffer.alloc(blockLength, macKeyPurpose);
  const start = Buffer.concat([purpose, filledBlocks(salt), filledBlocks(terminatedBmp(password))]);
  const digest = Buffer.from(hash('sha256', start, 'binary'), 'binary');
  // One buffer for all rounds: making one for each takes three times as long as all the hashes.
  for (let round = 1; round < iterations; round += 1) digest.write(hash('sha256', digest, 'binary'), 'binary');
  return digest;
}

/** As many whole blocks as the octets touch, filled with repetitions of them. */
const filledBlocks = (octets: Buffer): Buffer =>
  Buffer.alloc(Math.ceil(octets.length / blockLength) * blockLength, octets);

/** UTF-16, big-endian, with two octets of zero at the end (RFC 7292 B.1). */
const terminatedBmp = (text: string): Buffer => Buffer.from(`${text}\0`, 'utf16le').swap16();
