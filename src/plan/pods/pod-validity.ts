import { commonValidity, pathOf, type Validity } from '../../pki/index.ts';
import type { ReadyAuthority } from '../certificate/authority-state.ts';
import { parseDurationMs } from '../timing/duration.ts';
import { timestamp } from '../timing/timestamp.ts';

/**
 * How far notBefore lies before the time of issue. The API server refuses a notBefore that differs from its own clock by five
 * minutes, so the clocks of the operator and the API server may differ by half of that.
 */
export const podBackdateMs = 150_000;

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** The API server demands at least this time between notBefore, beginRefreshAt and notAfter. */
const refreshMarginMs = 10 * minuteMs;

/** The validity of a pod's certificate, and when kubelet asks for the next one. */
export interface PodValidity extends Validity {
  readonly beginRefreshAt: Date;
}

/** Why a certificate would live for less than the hour that Kubernetes demands. */
export interface TooShort {
  readonly reason: 'RootExpiresSoon' | 'LifetimeTooShort';
  readonly message: string;
}

/** The limits of a lifetime, each in milliseconds. */
export interface LifetimeLimits {
  readonly requestedMs: number;
  /** `podCertificates.maxDuration` as text. */
  readonly maxDuration: string;
  /** What a rotation in progress allows. Default no limit. */
  readonly rotationMs?: number | undefined;
}

/** The longest validity within all limits. The lifetime counts from notBefore, as the API server counts it. */
export function podValidity(
  authority: ReadyAuthority,
  { requestedMs, maxDuration, rotationMs }: LifetimeLimits,
  now: Date,
): PodValidity | TooShort {
  const { issuance } = authority;
  const issuanceMs = issuance.maxDuration === undefined ? Number.POSITIVE_INFINITY : (issuance.maxDuration.ms ?? 0);
  if (issuanceMs < hourMs) {
    const message = `issuance.maxDuration (${issuance.maxDuration?.text}) is shorter than the hour that Kubernetes demands for the certificate of a pod`;
    return { reason: 'LifetimeTooShort', message };
  }
  const ownMs = parseDurationMs(maxDuration) ?? hourMs;
  const lifetimeMs = Math.max(hourMs, Math.min(requestedMs, ownMs, issuanceMs, rotationMs ?? Number.POSITIVE_INFINITY));
  const limits = commonValidity(pathOf(authority));
  const notBefore = wholeSeconds(Math.max(now.getTime() - podBackdateMs, limits.notBefore.getTime()));
  const notAfter = wholeSeconds(Math.min(notBefore.getTime() + lifetimeMs, limits.notAfter.getTime()));
  if (notAfter.getTime() - notBefore.getTime() < hourMs) {
    const message = `the root or a CA above it expires at ${timestamp(limits.notAfter)}, and Kubernetes demands a lifetime of an hour`;
    return { reason: 'RootExpiresSoon', message };
  }
  return { notBefore, notAfter, beginRefreshAt: refreshTime(notBefore.getTime(), notAfter.getTime()) };
}

/** Half of the lifetime, within the bounds of the API server. */
function refreshTime(notBefore: number, notAfter: number): Date {
  const half = notBefore + (notAfter - notBefore) / 2;
  return wholeSeconds(Math.min(Math.max(half, notBefore + refreshMarginMs), notAfter - refreshMarginMs));
}

const wholeSeconds = (ms: number): Date => new Date(Math.floor(ms / 1000) * 1000);
