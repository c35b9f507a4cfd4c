import type { KeyObject } from 'node:crypto';

import { generatePrivateKey, type KeySpec } from '../../../src/pki/index.ts';
import type { KeyKind } from './combination.ts';

/** The purpose of a key. Certificates with different purposes must not share a key identifier. */
export type KeyUse = 'leaf' | 'signer' | 'former' | 'brought' | 'impostor';

const specs: Record<KeyKind, KeySpec> = {
  'RSA-2048': { algorithm: 'RSA', size: 2048 },
  'RSA-3072': { algorithm: 'RSA', size: 3072 },
  'RSA-4096': { algorithm: 'RSA', size: 4096 },
  'RSA-8192': { algorithm: 'RSA', size: 8192 },
  'ECDSA-256': { algorithm: 'ECDSA', size: 256 },
  'ECDSA-384': { algorithm: 'ECDSA', size: 384 },
  'ECDSA-521': { algorithm: 'ECDSA', size: 521 },
  Ed25519: { algorithm: 'Ed25519' },
};

export const keySpec = (kind: KeyKind): KeySpec => specs[kind];

const keys = new Map<string, Promise<KeyObject>>();

/** One shared key for each purpose and kind: RSA keys are slow to generate, and the test is not about the key. */
export async function sharedKey(use: KeyUse, kind: KeyKind): Promise<KeyObject> {
  const key = keys.get(`${use} ${kind}`) ?? generatePrivateKey(specs[kind]);
  keys.set(`${use} ${kind}`, key);
  return key;
}
