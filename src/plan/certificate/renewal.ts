import { parseDurationMs } from '../timing/duration.ts';
import { hashFraction } from '../timing/jitter.ts';

/** Times of a leaf that exists. */
export interface Lifetime {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** When a person wants a renewal: a Go duration, or a percentage of the actual lifetime; neither means a third. */
export interface RenewalSettings {
  /** How long a leaf lasts from the moment of issue on; its lifetime begins before, with the backdating. */
  readonly duration: string;
  readonly renewBefore?: string;
  readonly renewBeforePercentage?: number;
}

/** The largest part of the time that is left at renewal by which the moment is brought forward. */
const jitterShare = 0.1;

/** A leaf is in use at least this long before the next one: settings that ask for less would renew without end. */
const shortestUseMs = 10_000;

/**
 * When a leaf is to be renewed. The moment is brought forward by up to a tenth of the time that would be left, by a
 * share that depends on the seed alone (the resource's UID and role): what was created together is renewed apart, and
 * never with less time left than asked for. A setting that does not fit between issue and expiry (a root cut the
 * lifetime short, or the percentage reaches into the backdating) gives way to a third of the lifetime.
 */
export function renewalTime({ notBefore, notAfter }: Lifetime, settings: RenewalSettings, seed: string): Date {
  const lifetimeMs = notAfter.getTime() - notBefore.getTime();
  const usableMs = Math.min(lifetimeMs, parseDurationMs(settings.duration) ?? lifetimeMs);
  const asked =
    settings.renewBefore === undefined
      ? (lifetimeMs * (settings.renewBeforePercentage ?? 100 / 3)) / 100
      : (parseDurationMs(settings.renewBefore) ?? lifetimeMs);
  const leftMs = asked < usableMs ? Math.max(0, Math.min(asked, usableMs - shortestUseMs)) : lifetimeMs / 3;
  // Bounded by the time before, too: a leaf that is renewed early in its life must not be due when it is issued.
  const jitterMs = jitterShare * Math.max(0, Math.min(leftMs, usableMs - leftMs)) * hashFraction(seed);
  return new Date(Math.floor((notAfter.getTime() - leftMs - jitterMs) / 1000) * 1000);
}
