import type { KeyObject } from 'node:crypto';
import { type Certificate, isSelfSigned, keyUsageBits, parseCertificates } from './certificate.ts';
import { readOnly, tags } from './der.ts';
import { PkiError } from './error.ts';
import { describeKey, parsePrivateKey, publicKeyDer, signatureAlgorithm } from './key.ts';
import { constraintsAreReadable } from './name-constraints.ts';
import { oids } from './oid.ts';

/** A root with its private key, found fit to sign. Node.js prints and serialises a KeyObject without its material. */
export interface SigningRoot {
  /** The certificate of the key that signs: the root itself, or an intermediate. */
  readonly certificate: Certificate;
  readonly key: KeyObject;
  /** What a leaf carries behind itself, the issuer first; empty when the issuer is the root. */
  readonly intermediates: readonly Certificate[];
  /** The self-signed root that peers trust. */
  readonly anchor: Certificate;
}

/** Why a root may not sign; each is a condition reason of its own on the MtlsAuthority. */
export type RootProblem =
  | 'RootMalformed'
  | 'RootKeyMalformed'
  | 'RootKeyEncrypted'
  | 'RootKeyMismatch'
  | 'RootNotCA'
  | 'RootNotSelfSigned'
  | 'RootKeyUsage'
  | 'RootExtendedKeyUsage'
  | 'RootUnknownCriticalExtension'
  | 'RootWeakSignature'
  | 'RootWeakKey'
  | 'RootNotYetValid'
  | 'RootExpired';

/** The answer to whether a root may sign: the root itself, or a reason and a message that says what to do. */
export type RootInspection =
  | { readonly root: SigningRoot }
  | { readonly reason: RootProblem; readonly message: string };

/** The private key may be smaller than what SP 800-131A allows only in what others made long ago; it signs nothing. */
const minimumRsaBits = 2048;
const acceptedSignatures = new Set<string>([
  oids.ecdsaWithSha256,
  oids.ecdsaWithSha384,
  oids.ecdsaWithSha512,
  oids.sha256WithRsa,
  oids.sha384WithRsa,
  oids.sha512WithRsa,
  oids.ed25519,
]);

/** Judges the root of a Secret at a moment. Never throws for bad input; the inspection says what is wrong with it. */
export function inspectRoot(certificatePem: string, keyPem: string, now: Date): RootInspection {
  let certificates: Certificate[];
  try {
    certificates = parseCertificates(certificatePem);
  } catch (error) {
    return { reason: 'RootMalformed', message: `tls.crt of the root Secret: ${messageOf(error)}` };
  }
  const [certificate] = certificates;
  if (certificate === undefined) {
    return { reason: 'RootMalformed', message: 'tls.crt of the root Secret holds no certificate' };
  }
  if (certificates.length > 1) {
    return { reason: 'RootMalformed', message: 'tls.crt of the root Secret holds more than one certificate' };
  }
  for (const [reason, claim] of certificateClaims) {
    const message = claim(certificate, now);
    if (message !== undefined) return { reason, message };
  }
  return inspectKey(certificate, keyPem);
}

/** Claims about a certificate, in the order a person would want to hear of them; undefined when it does not hold. */
const certificateClaims: ReadonlyArray<[RootProblem, (certificate: Certificate, now: Date) => string | undefined]> = [
  [
    'RootNotCA',
    ({ basicConstraints }) =>
      basicConstraints?.ca === true ? undefined : 'the certificate is not a CA (basicConstraints CA:TRUE is missing)',
  ],
  [
    'RootKeyUsage',
    ({ keyUsage }) =>
      keyUsage === undefined || keyUsage.has(keyUsageBits.keyCertSign)
        ? undefined
        : 'the key usage of the root does not include keyCertSign',
  ],
  [
    'RootExtendedKeyUsage',
    ({ extendedKeyUsage }) =>
      extendedKeyUsage === undefined ||
      extendedKeyUsage.includes(oids.anyExtendedKeyUsage) ||
      (extendedKeyUsage.includes(oids.serverAuth) && extendedKeyUsage.includes(oids.clientAuth))
        ? undefined
        : 'the extended key usage of the root excludes serverAuth or clientAuth; use a root without that extension',
  ],
  [
    'RootUnknownCriticalExtension',
    ({ unknownCritical }) =>
      unknownCritical.length === 0
        ? undefined
        : `the root has critical extensions that are not understood: ${unknownCritical.slice(0, 5).join(', ')}`,
  ],
  [
    'RootWeakSignature',
    ({ signatureOid }) =>
      acceptedSignatures.has(signatureOid)
        ? undefined
        : `the root is signed with algorithm ${signatureOid}; use SHA-256 or stronger with ECDSA, RSA or Ed25519`,
  ],
  ['RootWeakKey', ({ publicKey }) => keyIsWeak(publicKey)],
  [
    // RFC 5280 4.1.2.4: an issuer has a name, and strict verifiers insist on it.
    'RootMalformed',
    ({ subject }) =>
      readOnly(subject, tags.sequence).content.length > 0 ? undefined : 'the subject of the root is empty',
  ],
  [
    'RootMalformed',
    ({ nameConstraints }) =>
      nameConstraints === undefined || constraintsAreReadable(nameConstraints)
        ? undefined
        : 'the name constraints of the root cannot be read',
  ],
  [
    'RootNotSelfSigned',
    (certificate) =>
      isSelfSigned(certificate) ? undefined : 'the certificate is not self-signed; bring the self-signed root itself',
  ],
  [
    'RootNotYetValid',
    ({ notBefore }, now) => (notBefore <= now ? undefined : `the root is not valid before ${notBefore.toISOString()}`),
  ],
  [
    'RootExpired',
    ({ notAfter }, now) => (now < notAfter ? undefined : `the root expired at ${notAfter.toISOString()}; replace it`),
  ],
];

function keyIsWeak(key: KeyObject): string | undefined {
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (bits !== undefined && bits < minimumRsaBits) return `an RSA key of ${bits} bits is too weak, use 2048 or more`;
  try {
    signatureAlgorithm(key);
    return undefined;
  } catch {
    return `a key of type ${describeKey(key)} may not sign; use ECDSA P-256, P-384, P-521, RSA or Ed25519`;
  }
}

function inspectKey(certificate: Certificate, keyPem: string): RootInspection {
  try {
    const { key } = parsePrivateKey(keyPem);
    if (!publicKeyDer(key).equals(publicKeyDer(certificate.publicKey))) {
      return { reason: 'RootKeyMismatch', message: 'tls.key of the root Secret does not belong to its tls.crt' };
    }
    return { root: { certificate, key, intermediates: [], anchor: certificate } };
  } catch (error) {
    const encrypted = error instanceof PkiError && error.code === 'EncryptedKey';
    return encrypted
      ? { reason: 'RootKeyEncrypted', message: 'tls.key of the root Secret is encrypted; store it decrypted' }
      : { reason: 'RootKeyMalformed', message: `tls.key of the root Secret: ${messageOf(error)}` };
  }
}

const messageOf = (error: unknown): string => (error instanceof PkiError ? error.message : 'cannot be read');
