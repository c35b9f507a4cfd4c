import { createHash } from 'node:crypto';
import { backdateMs } from '../pki/index.ts';
import { parseDurationMs } from './duration.ts';

/** Times of a leaf that exists. */
export interface Lifetime {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** When a person wants a renewal: a Go duration, or a percentage of the actual lifetime; neither means a third. */
export interface RenewalSettings {
  readonly renewBefore?: string;
  readonly renewBeforePercentage?: number;
}

/** A leaf lasts at least this long before the next one: settings that ask for less would renew without end. */
const shortestUseMs = 60_000;

/** The largest part of the time that is left at renewal by which the moment is brought forward. */
const jitterShare = 0.1;

/**
 * When a leaf is to be renewed. The moment is brought forward by up to a tenth of the time that would be left, by a
 * share that depends on the seed alone (the resource's UID and role): what was created together is renewed apart, and
 * never with less time left than asked for. A setting that does not fit into the actual lifetime (a root cut it short,
 * or it would be due within a minute of issue) gives way to a third of it.
 */
export function renewalTime({ notBefore, notAfter }: Lifetime, settings: RenewalSettings, seed: string): Date {
  const lifetimeMs = notAfter.getTime() - notBefore.getTime();
  const asked =
    settings.renewBefore === undefined
      ? (lifetimeMs * (settings.renewBeforePercentage ?? 100 / 3)) / 100
      : (parseDurationMs(settings.renewBefore) ?? lifetimeMs);
  // The lifetime begins with the backdating, which is over at the moment of issue.
  const leftMs = asked <= lifetimeMs - backdateMs - shortestUseMs ? asked : lifetimeMs / 3;
  // Bounded by the time before, too: a leaf that is renewed late in percentage but early in life must not be due at once.
  const jitterMs = jitterShare * Math.min(leftMs, lifetimeMs - leftMs) * unitInterval(seed);
  return new Date(Math.floor((notAfter.getTime() - leftMs - jitterMs) / 1000) * 1000);
}

/** A number in [0, 1) that depends on the text alone and spreads evenly. */
export const unitInterval = (seed: string): number =>
  createHash('sha256').update(seed).digest().readUInt32BE(0) / 2 ** 32;
