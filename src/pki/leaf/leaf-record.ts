import { checkKeyText, checkPrivateKey, checkPublicKey, parseCertificateText } from '../keys/input-limits.ts';
import { describeKey, type KeyEncoding, parseKeyBlock, parseKeyDer } from '../keys/key.ts';
import { isSlowToProve, matchesPublicKey, provesPossessionInPool } from '../keys/key-pair-check.ts';
import { isKeyPairOf, readP256 } from '../keys/p256.ts';
import { PkiError } from '../pki-error.ts';
import { anchorId, caId } from '../x509/ca-identity.ts';
import {
  belongsTo,
  type Certificate,
  isSignedBy,
  parseCertificate,
  readCertificate,
  sha256Hex,
  verifyAhead,
} from '../x509/certificate.ts';
import { commonValidity } from '../x509/certification-path.ts';
import { certificateProfileDigest } from '../x509/leaf-profile.ts';
import { encodeCertificates } from '../x509/trust-bundle.ts';

/** The facts that the caches keep of a key pair in a Secret: no key material, and of the certificates only an unresolved chain. */
export interface LeafRecord extends Partial<LeafAuthority> {
  readonly fingerprint: string;
  readonly serialNumber: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** See profileDigest. */
  readonly profile: string;
  /** See describeKey. */
  readonly keyKind: string;
  readonly keyEncoding: KeyEncoding;
  /** The SHA-256 of the leaf's SubjectPublicKeyInfo, lower-case hex. */
  readonly publicKey: string;
  /**
   * The leaf and its intermediates, as base64 of their DER. Present while no known root has signed the chain. A root may
   * become known after the leaf was read, see resolveLeaf.
   */
  readonly unresolved?: readonly string[];
}

/** The CAs above a leaf. All fields are absent while no known root has signed the chain. */
export interface LeafAuthority {
  /** The anchor identity of the self-signed root, see anchorId. */
  readonly root: string;
  /** The identity of the CA that signed the leaf (a root or an intermediate), see caId. */
  readonly issuer: string;
  /** The period in which the root and all intermediates are valid. */
  readonly issuerNotBefore: Date;
  readonly issuerNotAfter: Date;
}

/** A leaf and its intermediates, within the input limits, but not yet verified. */
export interface LeafChain {
  readonly leaf: Certificate;
  readonly intermediates: readonly Certificate[];
}

/**
 * Reads the certificates of a Secret. The text must be exactly the PEM that the operator would write for them.
 * @throws PkiError; TooLarge and UnsupportedKey for certificates beyond the limits of the operator's own
 */
export function readLeafChain(certificatePem: string): LeafChain {
  const [leaf, ...intermediates] = parseCertificateText(certificatePem).map(({ label, der }, index) => {
    if (label !== 'CERTIFICATE') throw new PkiError('MalformedPem', `expected CERTIFICATE, found ${label}`);
    return index === 0 ? readBounded(der) : readIntermediate(der);
  });
  if (leaf === undefined) throw new PkiError('MalformedCertificate', 'tls.crt holds no certificate');
  if (encodeCertificates([leaf, ...intermediates]) !== certificatePem) {
    throw new PkiError('MalformedPem', 'tls.crt holds other text than its certificates');
  }
  return { leaf, intermediates };
}

/**
 * A certificate whose key is within the input limits. The caller uses the key only after it has verified the certificate.
 * @throws PkiError as readCertificate, and UnsupportedKey
 */
function readBounded(der: Buffer): Certificate {
  const certificate = readCertificate(der);
  checkPublicKey(certificate.publicKeyInfo);
  return certificate;
}

/** By fingerprint. Every Secret of an authority contains its intermediates, so each is read and verified only once. */
const intermediatesRead = new Map<string, Certificate>();
/** Intermediates below a known root. A separate map: certificates that a tenant writes into Secrets cannot evict them. */
const intermediatesVerified = new Map<string, Certificate>();
/** More than an organization uses at a time. Certificates of an unusual size are not cached. */
const kept = { most: 64, octets: 8192 };

/** Like readBounded, but cached, for a certificate that occurs in many Secrets. */
export function readIntermediate(der: Buffer): Certificate {
  const fingerprint = sha256Hex(der);
  const known = intermediatesVerified.get(fingerprint) ?? intermediatesRead.get(fingerprint);
  if (known !== undefined) return known;
  const certificate = readBounded(der);
  keepIn(intermediatesRead, certificate);
  return certificate;
}

function keepIn(map: Map<string, Certificate>, certificate: Certificate): void {
  if (map.has(certificate.fingerprint) || certificate.der.length > kept.octets) return;
  if (map.size >= kept.most) map.clear();
  map.set(certificate.fingerprint, certificate);
}

/**
 * Verifies the leaf's signature in the thread pool, before readLeaf needs it: at its start, the operator reads thousands of
 * leaves.
 */
export async function verifyLeafAhead(
  { leaf, intermediates }: LeafChain,
  roots: readonly Certificate[],
): Promise<void> {
  if (!canBeChain(leaf, intermediates)) return;
  const [lowest, ...others] = intermediates;
  // Verify the intermediates first: the key of an unverified intermediate must not verify anything.
  const isVouchedFor = lowest !== undefined && verifiedRoot([lowest, ...others], roots) !== undefined;
  const issuer = lowest === undefined ? rootsThatMayHaveSigned(leaf, roots)[0] : isVouchedFor ? lowest : undefined;
  if (issuer !== undefined) await verifyAhead(leaf, issuer);
}

/**
 * Reads and checks the key pair of a Secret: its certificates, and the private key that belongs to the leaf.
 * @param certificates PEM, or the result of readLeafChain
 * @param roots candidates for the root that the leaf chains to
 * @throws PkiError; VerificationFailed when the key does not match or the certificates do not form a chain
 */
export function readLeaf(certificates: string | LeafChain, keyPem: string, roots: readonly Certificate[]): LeafRecord {
  const { leaf, intermediates } = typeof certificates === 'string' ? readLeafChain(certificates) : certificates;
  const record = leafRecord(leaf, intermediates, keyPem, roots);
  // No known root vouches for the octets, so OpenSSL must parse them, too.
  if (record.root === undefined) parseCertificate(leaf.der);
  return record;
}

/**
 * The record of a leaf, its key and its intermediates.
 * @throws PkiError VerificationFailed when the key does not belong to the leaf, or the intermediates do not form its chain;
 * the errors of parsePrivateKey when the key cannot be read
 */
export function leafRecord(
  leaf: Certificate,
  intermediates: readonly Certificate[],
  keyPem: string,
  roots: readonly Certificate[],
): LeafRecord {
  if (!canBeChain(leaf, intermediates)) throw noChain();
  const root = verifiedRoot([leaf, ...intermediates], roots);
  const key = keyOf(leaf, keyPem);
  return {
    fingerprint: leaf.fingerprint,
    serialNumber: leaf.serialNumber,
    notBefore: leaf.notBefore,
    notAfter: leaf.notAfter,
    profile: certificateProfileDigest(leaf),
    publicKey: sha256Hex(leaf.publicKeyInfo),
    ...key,
    ...(root === undefined ? unresolvedChain([leaf, ...intermediates], roots) : authorityOf(intermediates, root)),
  };
}

/** A larger chain is not kept, and its leaf never gets a root. No authority writes one. */
const maxUnresolvedOctets = 12_288;

function unresolvedChain(chain: readonly Certificate[], roots: readonly Certificate[]): Pick<LeafRecord, 'unresolved'> {
  const octets = chain.reduce((sum, { der }) => sum + der.length, 0);
  if (octets > maxUnresolvedOctets) return {};
  const unresolved = chain.map(({ der }) => der.toString('base64'));
  attempts.set(unresolved, { roots: rootSet(roots), above: undefined });
  return { unresolved };
}

/** The last attempt to find the root of a chain. */
interface Attempt {
  /** The roots that were tried, see rootSet. */
  readonly roots: string;
  /** Undefined when none of them has signed the chain. */
  readonly above: LeafAuthority | undefined;
}

/** By the `unresolved` of a record. A chain is verified once for each set of roots. */
const attempts = new WeakMap<readonly string[], Attempt>();

/** A digest that identifies a set of roots. */
const rootSet = (roots: readonly Certificate[]): string =>
  sha256Hex(
    roots
      .map(({ fingerprint }) => fingerprint)
      .sort()
      .join(),
  );

/**
 * The record with the CAs above the leaf if one of these roots has signed the chain, otherwise the record unchanged. A leaf
 * is read once, and the root of its chain may become known later.
 */
export function resolveLeaf(record: LeafRecord, roots: readonly Certificate[]): LeafRecord {
  const { unresolved, ...resolved } = record;
  if (unresolved === undefined) return record;
  const set = rootSet(roots);
  const before = attempts.get(unresolved);
  const above = before?.roots === set ? before.above : authorityAbove(unresolved, roots);
  attempts.set(unresolved, { roots: set, above });
  return above === undefined ? record : { ...resolved, ...above };
}

function authorityAbove(unresolved: readonly string[], roots: readonly Certificate[]): LeafAuthority | undefined {
  const [leaf, ...intermediates] = unresolved.map((der) => readCertificate(Buffer.from(der, 'base64')));
  const root = leaf && rootUnlessForged([leaf, ...intermediates], roots);
  return root && authorityOf(intermediates, root);
}

/** Undefined also when the chain is broken below an intermediate that the root has signed. */
function rootUnlessForged(chain: Chain, roots: readonly Certificate[]): Certificate | undefined {
  try {
    return verifiedRoot(chain, roots);
  } catch (error) {
    if (error instanceof PkiError) return undefined;
    throw error;
  }
}

/**
 * The kind and encoding of the leaf's private key. P-256, the default, is checked without OpenSSL's parser.
 * @throws PkiError when the key is damaged or belongs to another certificate
 */
function keyOf(leaf: Certificate, pem: string): Pick<LeafRecord, 'keyKind' | 'keyEncoding'> {
  checkKeyText(pem);
  const { der, encoding: keyEncoding } = parseKeyBlock(pem);
  const pair = keyEncoding === 'PKCS8' ? readP256(der) : undefined;
  if (pair !== undefined) {
    if (isKeyPairOf(pair, leaf.publicKeyInfo)) return { keyKind: 'ECDSA-256', keyEncoding };
  } else {
    checkPrivateKey(der, keyEncoding);
    const key = parseKeyDer(der, keyEncoding);
    const proof = proofs.get(leaf);
    const isProven =
      proof?.key === sha256Hex(der)
        ? proof.holds
        : belongsTo(key, leaf) && matchesPublicKey(key, der, keyEncoding, leaf.publicKeyInfo);
    if (isProven) return { keyKind: describeKey(key), keyEncoding };
  }
  throw new PkiError('VerificationFailed', 'the private key does not belong to the certificate');
}

/** Results of proveKeyAhead. `key` is the digest of the key's DER. */
const proofs = new WeakMap<Certificate, { readonly key: string; readonly holds: boolean }>();

/** Proves in the thread pool that a private key is the leaf's, before readLeaf needs it. Only for keys that are slow to check. */
export async function proveKeyAhead({ leaf }: LeafChain, pem: string): Promise<void> {
  if (!isSlowToProve(leaf.publicKeyInfo)) return;
  checkKeyText(pem);
  const { der, encoding } = parseKeyBlock(pem);
  checkPrivateKey(der, encoding);
  const key = parseKeyDer(der, encoding);
  const holds = belongsTo(key, leaf) && (await provesPossessionInPool(key, leaf.publicKey));
  proofs.set(leaf, { key: sha256Hex(der), holds });
}

/** A certificate and the CAs above it, without the root. */
type Chain = readonly [Certificate, ...Certificate[]];

const noChain = (): PkiError =>
  new PkiError('VerificationFailed', 'tls.crt holds a certificate that is not an intermediate of the first one');

/**
 * Checks a chain without verifying signatures: each certificate names the next one as its issuer, and each issuer is a CA
 * whose validity covers the leaf's. A root is refused, because a Secret must not supply its own trust anchor.
 */
export function canBeChain(leaf: Certificate, intermediates: readonly Certificate[]): boolean {
  let below = leaf;
  for (const ca of intermediates) {
    const lasts = ca.notBefore <= leaf.notBefore && leaf.notAfter <= ca.notAfter;
    if (ca.basicConstraints?.ca !== true || !namesAsIssuer(below, ca) || namesAsIssuer(ca, ca) || !lasts) return false;
    below = ca;
  }
  return true;
}

/** True when a certificate names `ca` as its issuer, by name and key identifier. Does not check the signature. */
export const namesAsIssuer = (
  { issuer, authorityKeyId }: Certificate,
  { subject, subjectKeyId }: Certificate,
): boolean =>
  issuer.equals(subject) &&
  (authorityKeyId === undefined || subjectKeyId === undefined || authorityKeyId === subjectKeyId);

/**
 * The root that signed the last certificate of a chain; undefined when none of the roots did. Signatures are verified from
 * the top, first with the key of a known root, and below that only with keys that are already verified. A forged chain
 * costs one verification for each root that its last certificate names, usually one.
 * @throws PkiError VerificationFailed when a root has signed the last certificate, but a signature below it is wrong
 */
export function verifiedRoot(chain: Chain, roots: readonly Certificate[]): Certificate | undefined {
  const fromTop = chain.toReversed();
  const [top, ...others] = fromTop;
  const root = top && rootsThatMayHaveSigned(top, roots).find((one) => isSignedBy(top, one));
  if (top === undefined || root === undefined) return undefined;
  let above = top;
  for (const below of others) {
    // The intermediate is the root itself, possibly in another certificate.
    if (caId(above) === caId(root)) throw noChain();
    keepIn(intermediatesVerified, above);
    if (!isSignedBy(below, above)) throw noChain();
    above = below;
  }
  return root;
}

const rootsThatMayHaveSigned = (certificate: Certificate, roots: readonly Certificate[]): Certificate[] =>
  roots.filter((root) => namesAsIssuer(certificate, root));

function authorityOf(intermediates: readonly Certificate[], root: Certificate): LeafAuthority {
  const { notBefore, notAfter } = commonValidity([root, ...intermediates]);
  return {
    root: anchorId(root),
    issuer: caId(intermediates[0] ?? root),
    issuerNotBefore: notBefore,
    issuerNotAfter: notAfter,
  };
}
