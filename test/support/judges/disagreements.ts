import type { Combination } from './combination.ts';
import type { Question } from './question.ts';
import type { Topic } from './questions.ts';

/** Where judges do not say what they should of a certificate, and why that is no fault of the certificate. */
export interface Disagreement {
  readonly judges: readonly string[];
  readonly topics: readonly Topic[];
  readonly when: (combination: Combination, question: Question) => boolean;
  /** The words of a refusal. */
  readonly says?: RegExp;
  readonly because: string;
  /** Where that can be read. */
  readonly source: string;
}

const always = (): boolean => true;
const usable: readonly Topic[] = ['right', 'right name'];
const hasDnsNames = ({ names }: Combination): boolean => ['service', 'dns', 'wildcard', 'long', 'all'].includes(names);
const isOnAnyKey = ({ key, signerKey }: Combination, kind: Combination['key']): boolean =>
  key === kind || signerKey === kind;

/** Each entry is met in the full run, or it has to go. */
export const disagreements: readonly Disagreement[] = [
  {
    judges: ['OpenSSL', 'Java', 'Python', 'Node.js', 'NSS'],
    topics: ['common name'],
    when: (combination) => !hasDnsNames(combination),
    because: 'takes the common name for a host name where there is no DNS name, whatever other names there are',
    source:
      'RFC 6125 6.4.4 allowed it, RFC 9525 no longer does; X509_check_host(3), Python ssl hostname_checks_common_name',
  },
  {
    judges: ['GnuTLS'],
    topics: ['common name'],
    when: ({ names }) => names === 'email' || names === 'otherName',
    because: 'takes the common name of a server for a host name where there is no DNS name, IP address or URI',
    source: 'certtool 3.7.9 itself: its manual does not say so; RFC 6125 6.4.4 names these kinds of name',
  },
  {
    judges: ['Java'],
    topics: ['key'],
    when: ({ encoding }) => encoding === 'traditional',
    says: /algid parse error/,
    because: 'reads private keys in PKCS#8 alone',
    source: 'java.security.spec.PKCS8EncodedKeySpec; there is no class for PKCS#1 or SEC1',
  },
  {
    judges: ['webpki (ring)'],
    topics: usable,
    when: ({ signerKey }) => signerKey === 'ECDSA-521',
    says: /UnsupportedSignatureAlgorithm/,
    because: 'has no signatures of P-521 keys, which ring does not implement',
    source: 'the module ring of the documentation of rustls-webpki; it has them with aws-lc-rs',
  },
  {
    judges: ['NSS'],
    topics: usable,
    when: (combination) => isOnAnyKey(combination, 'Ed25519'),
    because: 'has no Ed25519 in 3.87',
    source: 'the notes on NSS 3.99, which is the first that has it',
  },
  {
    judges: ['NSS'],
    topics: ['before'],
    when: always,
    because: 'takes certificates up to a day before they begin',
    source: 'CERT_GetSlopTime in cert.h of NSS',
  },
  {
    judges: ['pkilint'],
    topics: ['form'],
    when: ({ names }) => names === 'wildcard' || names === 'all',
    says: /pkix\.invalid_domain_name_syntax .*"\*\.example\.com"/,
    because: 'takes a wildcard for no DNS name; RFC 5280 leaves wildcards to others, and all of TLS has them',
    source: 'RFC 5280 4.2.1.6, last paragraph; RFC 9525 6.3',
  },
  {
    judges: ['pkilint'],
    topics: ['form'],
    when: ({ names }) => names === 'service',
    says: /pkix\.invalid_domain_name_syntax .*"payments"/,
    because: 'takes a name of one label for no DNS name; RFC 1034 does not ask for more, and Services have such names',
    source: 'RFC 1034 3.5; DomainNameSyntaxValidator of pkilint asks for a top-level domain',
  },
  {
    judges: ['pkilint'],
    topics: ['form'],
    when: ({ names }) => names === 'uri' || names === 'all',
    says: /pkix\.invalid_uri_syntax .*"spiffe:/,
    because: 'knows a list of schemes of URIs, and spiffe is not among them',
    source: 'UriSyntaxValidator of pkilint; RFC 3986 3.1 has no such list',
  },
];
