import { hash } from 'node:crypto';

/** A number in [0, 1) that depends on the text alone and spreads evenly. */
export const unitInterval = (seed: string): number => hash('sha256', seed, 'buffer').readUInt32BE(0) / 2 ** 32;
