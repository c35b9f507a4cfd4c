import { certificateNames, PkiError, parseCertificate } from '../../pki/index.ts';
import { dnsLabels, normaliseUri } from './name-normalisation.ts';

/**
 * The normal form of a client's name: a SPIFFE ID or another URI, or a DNS name without a wildcard. Undefined when the
 * text is not valid.
 */
export function clientName(text: string): string | undefined {
  if (text.includes(':')) return normaliseUri(text);
  const labels = dnsLabels(text);
  return labels === undefined || labels[0] === '*' ? undefined : labels.join('.');
}

/** Checks whether a certificate in DER has one of these names. TLS verifies the chain. */
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
