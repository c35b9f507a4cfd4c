/**
 * The object identifiers of the profile, for the lint only. They are not shared with the code that writes certificates
 * (oid.ts), so that the lint catches a wrong identifier there.
 */

/** The extensions of a leaf, by identifier (RFC 5280 4.2). */
export const extensionNames = {
  '2.5.29.14': 'subjectKeyIdentifier',
  '2.5.29.15': 'keyUsage',
  '2.5.29.17': 'subjectAltName',
  '2.5.29.19': 'basicConstraints',
  '2.5.29.35': 'authorityKeyIdentifier',
  '2.5.29.37': 'extKeyUsage',
} as const;

/** The purposes of extKeyUsage, by identifier (RFC 5280 4.2.1.12, RFC 4945 5.1.3.12). */
export const purposes: Readonly<Record<string, string>> = {
  '1.3.6.1.5.5.7.3.1': 'serverAuth',
  '1.3.6.1.5.5.7.3.2': 'clientAuth',
  '1.3.6.1.5.5.7.3.3': 'codeSigning',
  '1.3.6.1.5.5.7.3.4': 'emailProtection',
  '1.3.6.1.5.5.7.3.17': 'ipsecIKE',
};

/** An attribute of a subject: its string type, and its upper bound in characters (RFC 5280 A.1, X.520 annex C). */
interface Attribute {
  readonly type: 'utf8String' | 'printableString';
  readonly most: number;
  /** True for an attribute that may occur only once in a subject. */
  readonly single?: boolean;
}

export const attributes: Readonly<Record<string, Attribute>> = {
  '2.5.4.3': { type: 'utf8String', most: 64, single: true }, // commonName
  '2.5.4.5': { type: 'printableString', most: 64, single: true }, // serialNumber
  '2.5.4.6': { type: 'printableString', most: 2 }, // countryName
  '2.5.4.7': { type: 'utf8String', most: 128 }, // localityName
  '2.5.4.8': { type: 'utf8String', most: 128 }, // stateOrProvinceName
  '2.5.4.9': { type: 'utf8String', most: 128 }, // streetAddress
  '2.5.4.10': { type: 'utf8String', most: 64 }, // organizationName
  '2.5.4.11': { type: 'utf8String', most: 64 }, // organizationalUnitName
  '2.5.4.17': { type: 'utf8String', most: 40 }, // postalCode
};

export const countryName = '2.5.4.6';

/** The types of public keys (RFC 8017 A.1, RFC 5480 2.1.1, RFC 8410 3). */
export const keyTypes = {
  rsaEncryption: '1.2.840.113549.1.1.1',
  ecPublicKey: '1.2.840.10045.2.1',
  ed25519: '1.3.101.112',
} as const;

/** Octets of an uncompressed point, by curve (RFC 5480 2.1.1): P-256, P-384, P-521. */
export const pointLengths: Readonly<Record<string, number>> = {
  '1.2.840.10045.3.1.7': 65,
  '1.3.132.0.34': 97,
  '1.3.132.0.35': 133,
};

/** The signature algorithm for each kind of signing key (RFC 5758 3.2, RFC 8410 3). */
export const signatures: Readonly<Record<string, string>> = {
  'ECDSA-256': '1.2.840.10045.4.3.2', // ecdsa-with-SHA256
  'ECDSA-384': '1.2.840.10045.4.3.3', // ecdsa-with-SHA384
  'ECDSA-521': '1.2.840.10045.4.3.4', // ecdsa-with-SHA512
  Ed25519: '1.3.101.112',
};

/** The signature algorithm of an RSA key (RFC 8017 A.2.4): the digest depends on the key size (SP 800-57 part 1, tables 2 and 3). */
export const rsaSignatures: ReadonlyArray<{ readonly fromBits: number; readonly id: string }> = [
  { fromBits: 8192, id: '1.2.840.113549.1.1.13' }, // sha512WithRSAEncryption
  { fromBits: 4096, id: '1.2.840.113549.1.1.12' }, // sha384WithRSAEncryption
  { fromBits: 2048, id: '1.2.840.113549.1.1.11' }, // sha256WithRSAEncryption
];
