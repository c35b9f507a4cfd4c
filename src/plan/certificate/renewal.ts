import { parseDurationMs } from '../timing/duration.ts';
import { hashFraction } from '../timing/jitter.ts';

/** The validity of an issued leaf. */
export interface Lifetime {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** The renewal settings of spec: a Go duration, or a percentage of the actual lifetime. The default is a third. */
export interface RenewalSettings {
  /** How long a leaf lasts from its issue. Its lifetime starts earlier, because of the backdating. */
  readonly duration: string;
  readonly renewBefore?: string;
  readonly renewBeforePercentage?: number;
}

/** Renewal comes earlier by at most this share of the lifetime that is left at renewal. */
const jitterShare = 0.1;

/** A leaf is used at least this long. Shorter settings would renew in an endless loop. */
const shortestUseMs = 10_000;

/**
 * When a leaf is renewed. The time comes earlier by up to a tenth of the lifetime that would be left. The seed (the
 * resource's UID and role) decides how much, so that leaves that were created together are renewed apart, and never
 * later than requested. A setting that does not fit between issue and expiry (a root cut the lifetime, or the
 * percentage reaches into the backdating) is replaced by a third of the lifetime.
 */
export function renewalTime({ notBefore, notAfter }: Lifetime, settings: RenewalSettings, seed: string): Date {
  const lifetimeMs = notAfter.getTime() - notBefore.getTime();
  const usableMs = Math.min(lifetimeMs, parseDurationMs(settings.duration) ?? lifetimeMs);
  const asked =
    settings.renewBefore === undefined
      ? (lifetimeMs * (settings.renewBeforePercentage ?? 100 / 3)) / 100
      : (parseDurationMs(settings.renewBefore) ?? lifetimeMs);
  const leftMs = asked < usableMs ? Math.max(0, Math.min(asked, usableMs - shortestUseMs)) : lifetimeMs / 3;
  // The jitter is also limited by the time before renewal: a leaf that is renewed early in its life must not be due when it is
  // issued.
  const jitterMs = jitterShare * Math.max(0, Math.min(leftMs, usableMs - leftMs)) * hashFraction(seed);
  return new Date(Math.floor((notAfter.getTime() - leftMs - jitterMs) / 1000) * 1000);
}
