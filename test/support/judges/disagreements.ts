import type { Combination } from './combination.ts';
import type { Question } from './question.ts';
import type { Topic } from './questions.ts';

/** A wrong verdict of some judges that is not the fault of the certificate, and the reason. */
export interface Disagreement {
  readonly judges: readonly string[];
  readonly topics: readonly Topic[];
  readonly when: (combination: Combination, question: Question) => boolean;
  /** The words of a refusal. */
  readonly says?: RegExp;
  readonly because: string;
  /** The document with the evidence. */
  readonly source: string;
}

const always = (): boolean => true;
const usable: readonly Topic[] = ['right', 'right name'];
const hasDnsNames = ({ names }: Combination): boolean => ['service', 'dns', 'wildcard', 'long', 'all'].includes(names);
const isOnAnyKey = ({ key, signerKey }: Combination, kind: Combination['key']): boolean =>
  key === kind || signerKey === kind;

/** The full run must meet each entry. Otherwise delete the entry. */
export const disagreements: readonly Disagreement[] = [
  {
    judges: ['OpenSSL', 'Java', 'Python', 'Node.js', 'NSS'],
    topics: ['common name'],
    when: (combination) => !hasDnsNames(combination),
    because: 'uses the common name as a host name if there is no DNS name, even if there are other names',
    source:
      'RFC 6125 6.4.4 allowed it, RFC 9525 no longer does; X509_check_host(3), Python ssl hostname_checks_common_name',
  },
  {
    judges: ['GnuTLS'],
    topics: ['common name'],
    when: ({ names }) => names === 'email' || names === 'otherName',
    because: 'uses the common name of a server as a host name if there is no DNS name, IP address or URI',
    source: 'observed with certtool 3.7.9, its manual does not mention it; RFC 6125 6.4.4 lists these kinds of name',
  },
  {
    judges: ['Java'],
    topics: ['key'],
    when: ({ encoding }) => encoding === 'traditional',
    says: /algid parse error/,
    because: 'reads only PKCS#8 private keys',
    source: 'java.security.spec.PKCS8EncodedKeySpec; there is no class for PKCS#1 or SEC1',
  },
  {
    judges: ['webpki (ring)'],
    topics: usable,
    when: ({ signerKey }) => signerKey === 'ECDSA-521',
    says: /UnsupportedSignatureAlgorithm/,
    because: 'cannot verify signatures of P-521 keys, which ring does not implement',
    source: 'documentation of rustls-webpki, module ring; with aws-lc-rs it can verify them',
  },
  {
    judges: ['NSS'],
    topics: usable,
    when: (combination) => isOnAnyKey(combination, 'Ed25519'),
    because: 'does not support Ed25519 in 3.87',
    source: 'release notes of NSS 3.99, the first version that supports it',
  },
  {
    judges: ['NSS'],
    topics: ['before'],
    when: always,
    because: 'accepts certificates up to a day before their notBefore',
    source: 'CERT_GetSlopTime in cert.h of NSS',
  },
  {
    judges: ['pkilint'],
    topics: ['form'],
    when: ({ names }) => names === 'wildcard' || names === 'all',
    says: /pkix\.invalid_domain_name_syntax .*"\*\.example\.com"/,
    because:
      'does not accept a wildcard as a DNS name; RFC 5280 leaves wildcards to other standards, and TLS uses them',
    source: 'RFC 5280 4.2.1.6, last paragraph; RFC 9525 6.3',
  },
  {
    judges: ['pkilint'],
    topics: ['form'],
    when: ({ names }) => names === 'service',
    says: /pkix\.invalid_domain_name_syntax .*"payments"/,
    because: 'does not accept a DNS name of one label; RFC 1034 does not require more, and Services have such names',
    source: 'RFC 1034 3.5; DomainNameSyntaxValidator of pkilint requires a top-level domain',
  },
  {
    judges: ['pkilint'],
    topics: ['form'],
    when: ({ names }) => names === 'uri' || names === 'all',
    says: /pkix\.invalid_uri_syntax .*"spiffe:/,
    because: 'accepts a fixed list of URI schemes without spiffe',
    source: 'UriSyntaxValidator of pkilint; RFC 3986 3.1 has no such list',
  },
];
