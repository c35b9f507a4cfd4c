import type { MtlsCertificateStatus } from '../../api/types.ts';
import { timestamp } from '../timing/timestamp.ts';

/** A certificate is overdue when it is not renewed within this share of the time that it has left at its renewal time. */
const marginShare = 0.1;

/**
 * Returns a check whether a certificate of a resource is overdue: it was due for renewal and is still the last one that was
 * issued. A certificate is renewed within seconds of its renewal time, or within minutes when thousands are due together.
 */
export function overdueAt(now: Date): (status: MtlsCertificateStatus) => boolean {
  const nowText = timestamp(now);
  return ({ secrets = [] }) =>
    secrets.some(({ renewalTime, notAfter }) => {
      // RFC 3339 in one zone and precision sorts as text. Most certificates are not due, and parsing a date takes longer.
      if (renewalTime > nowText) return false;
      const dueMs = Date.parse(renewalTime);
      return now.getTime() > dueMs + marginShare * (Date.parse(notAfter) - dueMs);
    });
}
