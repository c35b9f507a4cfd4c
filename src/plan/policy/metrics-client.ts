import { certificateNames, PkiError, parseCertificate } from '../../pki/index.ts';
import { dnsLabels, normaliseUri } from './name-normalisation.ts';

/** The one form of the name of a client: a SPIFFE ID or another URI, or a DNS name without a wildcard. Undefined for none. */
export function clientName(text: string): string | undefined {
  if (text.includes(':')) return normaliseUri(text);
  const labels = dnsLabels(text);
  return labels === undefined || labels[0] === '*' ? undefined : labels.join('.');
}

/** Tells of a certificate in DER whether it carries one of these names. Who has signed it is for TLS to check. */
export function isMetricsClient(names: readonly string[]): (der: Buffer) => boolean {
  const known = new Set(names);
  return (der) => {
    try {
      const { dnsNames, uris } = certificateNames(parseCertificate(der));
      return [...dnsNames, ...uris].some((name) => known.has(clientName(name) ?? ''));
    } catch (error) {
      if (error instanceof PkiError) return false;
      throw error;
    }
  };
}
