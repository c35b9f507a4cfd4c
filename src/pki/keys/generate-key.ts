import { generateKeyPair, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { curves, type KeySpec, noteGenerated } from './key.ts';

const generateInThreadPool = promisify(generateKeyPair);

/**
 * A new private key from the system's random source. RSA keys are generated in the thread pool, because the search for
 * primes would block the event loop. The other keys take well under a millisecond.
 */
export async function generatePrivateKey(spec: KeySpec): Promise<KeyObject> {
  const key = await newPrivateKey(spec);
  noteGenerated(key, spec);
  return key;
}

async function newPrivateKey(spec: KeySpec): Promise<KeyObject> {
  switch (spec.algorithm) {
    case 'RSA':
      return (await generateInThreadPool('rsa', { modulusLength: spec.size, publicExponent: 0x10001 })).privateKey;
    case 'ECDSA':
      return generateKeyPairSync('ec', { namedCurve: curves[spec.size] }).privateKey;
    case 'Ed25519':
      return generateKeyPairSync('ed25519').privateKey;
  }
}
