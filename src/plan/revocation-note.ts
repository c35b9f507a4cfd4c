import { timestamp } from './certificate-status.ts';
import { bySerialNumber, type Revocation } from './revocation.ts';

/** The data of a root Secret that remembers revocations: by root, each with its dates. As short as it can be read. */
export function encodeRevocations(revocations: readonly Revocation[]): string {
  const byRoot = Map.groupBy(revocations, ({ root }) => root);
  return JSON.stringify(
    Object.fromEntries(
      [...byRoot].map(([root, list]) => [
        root,
        list.map(({ serialNumber, revokedAt, notAfter }) => [serialNumber, timestamp(revokedAt), timestamp(notAfter)]),
      ]),
    ),
  );
}

/** Reads them back. What is none is left out; the CRLs themselves have its serial number all the same. */
export function parseRevocations(text: string): Revocation[] {
  try {
    const byRoot: unknown = JSON.parse(text === '' ? '{}' : text);
    if (typeof byRoot !== 'object' || byRoot === null) return [];
    return Object.entries(byRoot)
      .flatMap(([root, list]: [string, unknown]) =>
        Array.isArray(list) && /^[0-9a-f]{64}$/.test(root) ? list.flatMap((item) => revocation(root, item)) : [],
      )
      .sort(bySerialNumber);
  } catch {
    return [];
  }
}

function revocation(root: string, item: unknown): Revocation[] {
  if (!Array.isArray(item)) return [];
  const [serialNumber = '', revoked = '', ends = ''] = item.map(String);
  const [revokedAt, notAfter] = [new Date(revoked), new Date(ends)];
  // Only what a CRL can hold (RFC 5280 4.1.2.2 and 5.1.2.4): one that it cannot would keep all others from being signed.
  const isSerial = /^([0-9a-f]{1,39}|[0-7][0-9a-f]{39})$/.test(serialNumber);
  const areTimes = [revokedAt, notAfter].every(
    (time) => time.getUTCFullYear() >= 1950 && time.getUTCFullYear() <= 9999,
  );
  return isSerial && areTimes ? [{ serialNumber, root, revokedAt, notAfter }] : [];
}
