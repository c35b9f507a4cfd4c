import { type Crl, parseCrls } from '../../../src/pki/index.ts';
import type { ConfigMap, Secret } from '../api.ts';

/** The CRLs in the ca.crl of a Secret or a ConfigMap, in order. */
export function crlsIn(object: Secret | ConfigMap): readonly Crl[] {
  const value = object.data?.['ca.crl'] ?? '';
  return parseCrls('type' in object ? Buffer.from(value, 'base64').toString('latin1') : value);
}

/** The serial numbers on CRLs, sorted. A number on two CRLs occurs twice. */
export const serialsOn = (crls: readonly Crl[]): string[] =>
  crls.flatMap(({ revoked }) => revoked.map(({ serialNumber }) => serialNumber)).sort();
