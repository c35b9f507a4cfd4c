import { hash } from 'node:crypto';

/** A number in [0, 1), derived from the seed and evenly distributed. */
export const hashFraction = (seed: string): number => hash('sha256', seed, 'buffer').readUInt32BE(0) / 2 ** 32;

/** Delays that double with each failure. */
export interface Doubling {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** The delay after this many earlier ones: it starts at the first, doubles each time and stops at the longest. */
export const doubledMs = (others: number, { firstMs, longestMs }: Doubling): number =>
  Math.min(longestMs, firstMs * 2 ** Math.min(others, 30));

/**
 * Like doubledMs, but up to a tenth shorter depending on the seed, so that attempts that failed together are not
 * retried together.
 */
export const spreadDelayMs = (others: number, doubling: Doubling, seed: string): number =>
  doubledMs(others, doubling) * (1 - 0.1 * hashFraction(seed));
