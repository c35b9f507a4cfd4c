import type { KeySpec } from '../../pki/index.ts';

/** privateKey as the API spells it. */
export interface PrivateKeySettings {
  readonly algorithm: KeySpec['algorithm'];
  readonly size?: number;
}

/** The requested kind of key, with the default size of its algorithm. Undefined when the algorithm has no such size. */
export function keySpecOf({ algorithm, size }: PrivateKeySettings, defaultRsaSize: 2048 | 3072): KeySpec | undefined {
  switch (algorithm) {
    case 'Ed25519':
      return size === undefined ? { algorithm } : undefined;
    case 'ECDSA':
      return size === undefined || size === 256 || size === 384 || size === 521
        ? { algorithm, size: size ?? 256 }
        : undefined;
    case 'RSA':
      return size === undefined || size === 2048 || size === 3072 || size === 4096 || size === 8192
        ? { algorithm, size: size ?? defaultRsaSize }
        : undefined;
  }
}
