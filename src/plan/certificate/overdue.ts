import type { MtlsCertificateStatus } from '../../api/types.ts';

/** A certificate is overdue when it is not renewed within this share of the time that it has left at its renewal time. */
const marginShare = 0.1;

/**
 * True if a certificate of the resource is overdue: it was due for renewal and is still the last one that was issued. A
 * certificate is renewed within seconds of its renewal time, or within minutes when thousands are due together.
 */
export const isOverdue = ({ secrets = [] }: MtlsCertificateStatus, now: Date): boolean =>
  secrets.some(({ renewalTime, notAfter }) => {
    const dueMs = Date.parse(renewalTime);
    return now.getTime() > dueMs + marginShare * (Date.parse(notAfter) - dueMs);
  });
