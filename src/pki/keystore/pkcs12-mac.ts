import { createHmac, hash } from 'node:crypto';
import { type Asn1, nullValue, octetString, oid, sequence, wholeNumber } from '../asn1/der.ts';
import { oids } from '../asn1/oid.ts';

/**
 * The count that OpenSSL writes. Unlike PBKDF2, this derivation has no asynchronous implementation: it is a chain of hashes
 * on the event loop, half a microsecond each.
 */
const iterations = 2048;

/** Octets in a block of SHA-256 (RFC 7292 B.2: v). */
const blockLength = 64;
/** The ID that derives a MAC key (RFC 7292 B.3). */
const macKeyPurpose = 3;

/** The MacData (RFC 7292 4). A reader that knows the password can verify with it that the content is unchanged. */
export function macData(content: Buffer, password: string, salt: Buffer): Asn1 {
  const digest = createHmac('sha256', macKey(password, salt)).update(content).digest();
  const algorithm = sequence(oid(oids.sha256), nullValue());
  return sequence(sequence(algorithm, octetString(digest)), octetString(salt), wholeNumber(iterations));
}

/**
 * The key derivation of RFC 7292 B.2 with SHA-256. The key is one digest long, so only the first block is computed, and the
 * addition of step 6C is not needed.
 */
function macKey(password: string, salt: Buffer): Buffer {
  const purpose = Buffer.alloc(blockLength, macKeyPurpose);
  const start = Buffer.concat([purpose, filledBlocks(salt), filledBlocks(terminatedBmp(password))]);
  const digest = Buffer.from(hash('sha256', start, 'binary'), 'binary');
  // One buffer for all rounds: allocating a buffer for each takes three times as long as the hashes.
  for (let round = 1; round < iterations; round += 1) digest.write(hash('sha256', digest, 'binary'), 'binary');
  return digest;
}

/** The octets, repeated to fill a whole number of blocks. */
const filledBlocks = (octets: Buffer): Buffer =>
  Buffer.alloc(Math.ceil(octets.length / blockLength) * blockLength, octets);

/** UTF-16, big-endian, followed by two zero octets (RFC 7292 B.1). */
const terminatedBmp = (text: string): Buffer => Buffer.from(`${text}\0`, 'utf16le').swap16();
