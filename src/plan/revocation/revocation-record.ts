import { type Certificate, caId, PkiError, parseCertificate } from '../../pki/index.ts';
import { timestamp } from '../timing/timestamp.ts';
import { bySerialNumber } from './crl-plan.ts';
import { isShareName } from './crl-shares.ts';
import type { Revocation } from './revocation-state.ts';

/** The record in a root Secret about its CRLs and their entries. */
export interface RevocationRecord {
  readonly revocations: readonly Revocation[];
  /**
   * The CAs whose CRLs or entries the Secret holds. With them, a CRL can be verified after its CA has left the Secret.
   */
  readonly issuers: readonly Certificate[];
}

/**
 * Version 1 was an object of entries by fingerprint of the root certificate, without a field `version`. Its entries are
 * read with the fingerprint as their issuer; planCrls finds the CA. Version 2 had no namespaces.
 */
const version = 3;

interface EncodedIssuer {
  readonly certificate?: string;
  /**
   * Each entry holds the serial number, the time of revocation, the expiry of the certificate, and the requesting
   * namespace if it is known.
   */
  readonly revoked: ReadonlyArray<readonly [string, string, string, string?]>;
}

/** Encodes the record: entries by the identity of their issuer, see caId. */
export function encodeRevocations({ revocations, issuers }: RevocationRecord): string {
  const certificates = new Map(issuers.map((issuer) => [caId(issuer), issuer]));
  const entries = Map.groupBy(revocations, ({ issuer }) => issuer);
  const ids = [...new Set([...certificates.keys(), ...entries.keys()])].sort();
  return JSON.stringify({
    version,
    issuers: Object.fromEntries(ids.map((id) => [id, encodeIssuer(certificates.get(id), entries.get(id) ?? [])])),
  });
}

const encodeIssuer = (certificate: Certificate | undefined, entries: readonly Revocation[]): EncodedIssuer => ({
  ...(certificate === undefined ? {} : { certificate: certificate.der.toString('base64') }),
  revoked: entries.map(({ serialNumber, revokedAt, notAfter, namespace }) => [
    serialNumber,
    timestamp(revokedAt),
    timestamp(notAfter),
    ...(namespace === undefined ? ([] as const) : ([namespace] as const)),
  ]),
});

/** Decodes the record and skips parts that are not valid. The CRLs hold the serial numbers too. */
export function parseRevocations(text: string): RevocationRecord {
  const issuers = issuersIn(text);
  return {
    revocations: issuers
      .flatMap(({ id, revoked }) => revoked.flatMap((item) => revocation(id, item)))
      .sort(bySerialNumber),
    issuers: issuers.flatMap(({ certificate }) => certificate ?? []),
  };
}

interface DecodedIssuer {
  readonly id: string;
  readonly certificate?: Certificate | undefined;
  readonly revoked: readonly unknown[];
}

function issuersIn(text: string): DecodedIssuer[] {
  const value = parsed(text);
  const isVersion1 = fieldOf(value, 'version') === undefined;
  const byIssuer = isVersion1 ? value : fieldOf(value, 'issuers');
  return Object.entries(byIssuer ?? {}).flatMap(([id, issuer]: [string, unknown]): DecodedIssuer[] => {
    const revoked = isVersion1 ? issuer : fieldOf(issuer, 'revoked');
    if (!/^[0-9a-f]{64}$/.test(id) || !Array.isArray(revoked)) return [];
    return [{ id, revoked, certificate: isVersion1 ? undefined : certificateIn(fieldOf(issuer, 'certificate'), id) }];
  });
}

function parsed(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text === '' ? '{}' : text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;

/** The certificate, if its identity is `id`. */
function certificateIn(encoded: unknown, id: string): Certificate | undefined {
  if (typeof encoded !== 'string') return undefined;
  try {
    const certificate = parseCertificate(Buffer.from(encoded, 'base64'));
    return caId(certificate) === id ? certificate : undefined;
  } catch (error) {
    if (error instanceof PkiError) return undefined;
    throw error;
  }
}

function revocation(issuer: string, item: unknown): Revocation[] {
  if (!Array.isArray(item)) return [];
  const [serialNumber = '', revoked = '', ends = '', namespace = ''] = item.map(String);
  const [revokedAt, notAfter] = [new Date(revoked), new Date(ends)];
  // Only values that fit into a CRL (RFC 5280 4.1.2.2 and 5.1.2.4): one that does not fit would prevent the signing of
  // all others.
  const isSerial = /^([0-9a-f]{1,39}|[0-7][0-9a-f]{39})$/.test(serialNumber);
  const areTimes = [revokedAt, notAfter].every(
    (time) => time.getUTCFullYear() >= 1950 && time.getUTCFullYear() <= 9999,
  );
  const by = isShareName(namespace) ? { namespace } : {};
  return isSerial && areTimes ? [{ serialNumber, issuer, revokedAt, notAfter, ...by }] : [];
}
