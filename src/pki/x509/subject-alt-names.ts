import { readOnly, tags } from '../asn1/der.ts';
import type { Certificate } from './certificate.ts';
import { generalNameTags } from './distinguished-name.ts';

/** The DNS names and URIs of a certificate, not normalised. */
export interface CertificateNames {
  readonly dnsNames: readonly string[];
  readonly uris: readonly string[];
}

/**
 * Reads the subject alternative names of a certificate.
 * @throws PkiError MalformedDer
 */
export function certificateNames({ subjectAltNames }: Pick<Certificate, 'subjectAltNames'>): CertificateNames {
  const names = subjectAltNames === undefined ? [] : readOnly(subjectAltNames, tags.sequence).children();
  const texts = (type: number): string[] =>
    names.filter(({ tag }) => tag === (0x80 | type)).map(({ content }) => content.toString('latin1'));
  return { dnsNames: texts(generalNameTags.dns), uris: texts(generalNameTags.uri) };
}
