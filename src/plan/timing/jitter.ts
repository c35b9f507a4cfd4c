import { hash } from 'node:crypto';

/** A number in [0, 1) that depends on the text alone and spreads evenly. */
export const hashFraction = (seed: string): number => hash('sha256', seed, 'buffer').readUInt32BE(0) / 2 ** 32;

/** Delays that double with each failure. */
export interface Doubling {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** The delay after so many others: the first one, doubled each time, up to the longest. */
export const doubledMs = (others: number, { firstMs, longestMs }: Doubling): number =>
  Math.min(longestMs, firstMs * 2 ** Math.min(others, 30));

/** The same, up to a tenth shorter by the seed: what failed together is not tried again together. */
export const spreadDelayMs = (others: number, doubling: Doubling, seed: string): number =>
  doubledMs(others, doubling) * (1 - 0.1 * hashFraction(seed));
