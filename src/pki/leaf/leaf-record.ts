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

/** What is worth remembering of a key pair in a Secret: no key material, no bytes of the certificates. */
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
  /** The SHA-256 of its SubjectPublicKeyInfo, lower-case hex. */
  readonly publicKey: string;
  /**
   * The leaf and its intermediates, as base64 of their DER. They are there until the root that has signed the chain is
   * known, see resolveLeaf: a root may become known after the leaf was read.
   */
  readonly unresolved?: readonly string[];
}

/** The CAs above a leaf. All fields are absent while the root that has signed its chain is not known. */
export interface LeafAuthority {
  /** The anchor identity of the self-signed root, see anchorId. */
  readonly root: string;
  /** The identity of the CA that has signed the leaf, see caId: the root, or an intermediate. */
  readonly issuer: string;
  /** The time in which the root and all intermediates are valid. */
  readonly issuerNotBefore: Date;
  readonly issuerNotAfter: Date;
}

/** A leaf and the intermediates between it and its root: of a kind and size that may be verified, and not yet verified. */
export interface LeafChain {
  readonly leaf: Certificate;
  readonly intermediates: readonly Certificate[];
}

/**
 * Reads the certificates of a Secret, all of which have to be in the form they were written in.
 * @throws PkiError; TooLarge and UnsupportedKey for what would cost more to verify than anything the operator writes
 */
export function readLeafChain(certificatePem: string): LeafChain {
  const [leaf, ...intermediates] = parseCertificateText(certificatePem).map(({ label, der }, index) => {
    if (label !== 'CERTIFICATE') throw new PkiError('MalformedPem', `expected CERTIFICATE, found ${label}`);
    return index === 0 ? readBounded(der) : readIntermediate(der);
  });
  if (leaf === undefined) throw new PkiError('MalformedCertificate', 'tls.crt holds no certificate');
  if (encodeCertificates([leaf, ...intermediates]) !== certificatePem) {
    throw new PkiError('MalformedPem', 'tls.crt holds more than its certificates');
  }
  return { leaf, intermediates };
}

/**
 * A certificate whose key may be used, once somebody has vouched for the certificate.
 * @throws PkiError as readCertificate, and UnsupportedKey
 */
function readBounded(der: Buffer): Certificate {
  const certificate = readCertificate(der);
  checkPublicKey(certificate.publicKeyInfo);
  return certificate;
}

/** By fingerprint. An authority's intermediates stand in all of its Secrets, and are read and verified once. */
const intermediatesRead = new Map<string, Certificate>();
/** Those below a root that is known. What somebody else puts into Secrets does not drive them out. */
const intermediatesVerified = new Map<string, Certificate>();
/** More than an organisation has at a time; larger ones than anybody makes are not kept. */
const kept = { most: 64, octets: 8192 };

/** The same for one that may be there in many Secrets. */
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

/** Verifies the leaf's signature beside the event loop, for a readLeaf that follows: thousands are read at a start. */
export async function verifyLeafAhead(
  { leaf, intermediates }: LeafChain,
  roots: readonly Certificate[],
): Promise<void> {
  if (!canBeChain(leaf, intermediates)) return;
  const [lowest, ...others] = intermediates;
  // The intermediates first: with the key of one that nobody has vouched for nothing is verified.
  const isVouchedFor = lowest !== undefined && verifiedRoot([lowest, ...others], roots) !== undefined;
  const issuer = lowest === undefined ? rootsThatMayHaveSigned(leaf, roots)[0] : isVouchedFor ? lowest : undefined;
  if (issuer !== undefined) await verifyAhead(leaf, issuer);
}

/**
 * Reads and checks the key pair of a Secret: its certificates, and the private key that belongs to the leaf.
 * @param certificates PEM, or what was read from it
 * @param roots candidates for the root that the leaf chains to
 * @throws PkiError; a key that does not match, or a chain that is none, gives VerificationFailed
 */
export function readLeaf(certificates: string | LeafChain, keyPem: string, roots: readonly Certificate[]): LeafRecord {
  const { leaf, intermediates } = typeof certificates === 'string' ? readLeafChain(certificates) : certificates;
  const record = leafRecord(leaf, intermediates, keyPem, roots);
  // Nobody that is known here has vouched for its octets.
  if (record.root === undefined) parseCertificate(leaf.der);
  return record;
}

/**
 * The record of a leaf with the text of its key, and the intermediates that it carries.
 * @throws PkiError VerificationFailed when the key does not belong to the leaf, or the intermediates not above it; and
 * what parsePrivateKey throws
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

/** Larger chains than authorities write are not kept: their leaves stay without a root. */
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

/** By the `unresolved` of records: a chain is verified once for each set of roots. */
const attempts = new WeakMap<readonly string[], Attempt>();

/** A text that differs between sets of roots. */
const rootSet = (roots: readonly Certificate[]): string =>
  sha256Hex(
    roots
      .map(({ fingerprint }) => fingerprint)
      .sort()
      .join(),
  );

/**
 * The record with the CAs above the leaf, if one of these roots has signed its chain; the same record when that is known
 * not to be so. A leaf is read once, and the root of its chain may become known later.
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

/** Undefined also for a chain that breaks off further down. */
function rootUnlessForged(chain: Chain, roots: readonly Certificate[]): Certificate | undefined {
  try {
    return verifiedRoot(chain, roots);
  } catch (error) {
    if (error instanceof PkiError) return undefined;
    throw error;
  }
}

/** What is remembered of the key, which has to belong to the leaf. Of the default kind it is known without OpenSSL. */
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

/** What was found ahead of a key that is slow to prove, by its digest. */
const proofs = new WeakMap<Certificate, { readonly key: string; readonly holds: boolean }>();

/** Proves beside the event loop, for a readLeaf that follows, that a private key is the leaf's; only where that is slow. */
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
  new PkiError('VerificationFailed', 'tls.crt holds a certificate that is no intermediate of the first one');

/**
 * What can be said of a chain before any signature is verified: each certificate names the next one as its issuer, and that is
 * a CA that lasts as long as the leaf. A root among them would be an anchor that the Secret brings along.
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

/** True when a certificate names this one as its issuer, by name and by key identifier. Says nothing about the signature. */
export const namesAsIssuer = (
  { issuer, authorityKeyId }: Certificate,
  { subject, subjectKeyId }: Certificate,
): boolean =>
  issuer.equals(subject) &&
  (authorityKeyId === undefined || subjectKeyId === undefined || authorityKeyId === subjectKeyId);

/**
 * The root that has signed the last certificate of a chain; undefined when none of these has. The signatures are verified from
 * the top: with the key of a root that is ours, and then only with keys that the certificate above has vouched for. A chain
 * that somebody made up costs one verification for each root that its last certificate names, and there is mostly one.
 * @throws PkiError VerificationFailed when a root has signed the last one, and the chain breaks off further down
 */
export function verifiedRoot(chain: Chain, roots: readonly Certificate[]): Certificate | undefined {
  const fromTop = chain.toReversed();
  const [top, ...others] = fromTop;
  const root = top && rootsThatMayHaveSigned(top, roots).find((one) => isSignedBy(top, one));
  if (top === undefined || root === undefined) return undefined;
  let above = top;
  for (const below of others) {
    // An intermediate that is the root itself, in another certificate perhaps.
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
