import type { Entry } from '../ledger.ts';
import type { IssuedCertificate } from './issuers.ts';

/**
 * The longest time in milliseconds for which a handshake that ended at `since` or later used a certificate after the next one
 * of the same workload was written. Zero if there was none.
 */
export function slowestUseMs(entries: readonly Entry[], issued: readonly IssuedCertificate[], since: number): number {
  const replacedAt = replacements(issued);
  const late = ({ at }: Entry, serial = ''): number => at - (replacedAt.get(serial) ?? at);
  return entries
    .filter(({ at }) => at >= since)
    .reduce((most, entry) => Math.max(most, late(entry, entry.serverSerial), late(entry, entry.clientSerial)), 0);
}

/** When each certificate was replaced, by serial number. */
function replacements(issued: readonly IssuedCertificate[]): ReadonlyMap<string, number> {
  const current = new Map<string, string>();
  const replacedAt = new Map<string, number>();
  for (const { serial, workload, pod = '', roles, writtenAt } of issued) {
    const key = `${workload} ${pod} ${roles.join()}`;
    const previous = current.get(key);
    if (previous !== undefined) replacedAt.set(previous, writtenAt);
    current.set(key, serial);
  }
  return replacedAt;
}
