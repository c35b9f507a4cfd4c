import { encodeCertificates } from './bundle.ts';
import { anchorId, caId } from './ca-id.ts';
import {
  belongsTo,
  type Certificate,
  isSelfSigned,
  isSignedBy,
  parseCertificate,
  readCertificate,
  sha256Hex,
  verifyAhead,
} from './certificate.ts';
import { PkiError } from './error.ts';
import { describeKey, type KeyEncoding, parseKeyBlock, parseKeyDer } from './key.ts';
import { isSlowToProve, privateHalfFits, signsForInPool } from './key-pair.ts';
import { isKeyPairOf, readP256 } from './p256.ts';
import { commonValidity } from './path.ts';
import { parsePem } from './pem.ts';
import { certificateProfileDigest } from './profile.ts';
import { issuerKeyIdentifier } from './signed.ts';

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

/** A leaf and the intermediates between it and its root, read and not judged. */
export interface LeafChain {
  readonly leaf: Certificate;
  readonly intermediates: readonly Certificate[];
}

/**
 * Reads the certificates of a Secret, all of which have to be in the form they were written in.
 * @throws PkiError
 */
export function readLeafChain(certificatePem: string): LeafChain {
  const [leaf, ...intermediates] = parsePem(certificatePem).map(({ label, der }, index) => {
    if (label !== 'CERTIFICATE') throw new PkiError('MalformedPem', `expected CERTIFICATE, found ${label}`);
    return index === 0 ? readCertificate(der) : parseIntermediate(der);
  });
  if (leaf === undefined) throw new PkiError('MalformedCertificate', 'tls.crt holds no certificate');
  if (encodeCertificates([leaf, ...intermediates]) !== certificatePem) {
    throw new PkiError('MalformedPem', 'tls.crt holds more than its certificates');
  }
  return { leaf, intermediates };
}

/** Verifies the leaf's signature beside the event loop, for a readLeaf that follows: thousands are read at a start. */
export async function verifyLeafAhead(
  { leaf, intermediates }: LeafChain,
  roots: readonly Certificate[],
): Promise<void> {
  const issuer = intermediates[0] ?? namedRoot(leaf, roots);
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

/** By fingerprint. An authority's intermediates stand in all of its Secrets, and are parsed and verified once. */
const intermediatesRead = new Map<string, Certificate>();
/** More than an organisation has at a time; larger ones than anybody makes are not kept. */
const kept = { most: 64, octets: 8192 };

/** @throws PkiError as parseCertificate */
function parseIntermediate(der: Buffer): Certificate {
  const fingerprint = sha256Hex(der);
  const known = intermediatesRead.get(fingerprint);
  if (known !== undefined) return known;
  const certificate = parseCertificate(der);
  if (intermediatesRead.size >= kept.most) intermediatesRead.clear();
  if (der.length <= kept.octets) intermediatesRead.set(fingerprint, certificate);
  return certificate;
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
  const key = keyOf(leaf, keyPem);
  const last = lastOfChain(leaf, intermediates);
  const root = rootOf(last, roots);
  return {
    fingerprint: leaf.fingerprint,
    serialNumber: leaf.serialNumber,
    notBefore: leaf.notBefore,
    notAfter: leaf.notAfter,
    profile: certificateProfileDigest(leaf),
    publicKey: sha256Hex(leaf.publicKeyInfo),
    ...key,
    ...(root === undefined ? unresolvedChain([leaf, ...intermediates]) : authorityOf(intermediates, root)),
  };
}

/** Larger chains than any authority writes are not kept: their leaves stay without a root. */
const maxUnresolvedOctets = 32_768;

function unresolvedChain(chain: readonly Certificate[]): Pick<LeafRecord, 'unresolved'> {
  const octets = chain.reduce((sum, { der }) => sum + der.length, 0);
  return octets > maxUnresolvedOctets ? {} : { unresolved: chain.map(({ der }) => der.toString('base64')) };
}

/**
 * The record with the CAs above the leaf, if one of these roots has signed its chain; else the record as it is. A leaf is
 * read once, and the root of its chain may become known later.
 */
export function resolveLeaf(record: LeafRecord, roots: readonly Certificate[]): LeafRecord {
  const { unresolved, ...resolved } = record;
  const [leaf, ...intermediates] = (unresolved ?? []).map((der) => readCertificate(Buffer.from(der, 'base64')));
  if (leaf === undefined) return record;
  const root = rootOf(intermediates.at(-1) ?? leaf, roots);
  return root === undefined ? record : { ...resolved, ...authorityOf(intermediates, root) };
}

/** What is remembered of the key, which has to belong to the leaf. Of the default kind it is known without OpenSSL. */
function keyOf(leaf: Certificate, pem: string): Pick<LeafRecord, 'keyKind' | 'keyEncoding'> {
  const { der, encoding: keyEncoding } = parseKeyBlock(pem);
  const pair = keyEncoding === 'PKCS8' ? readP256(der) : undefined;
  if (pair !== undefined) {
    if (isKeyPairOf(pair, leaf.publicKeyInfo)) return { keyKind: 'ECDSA-256', keyEncoding };
  } else {
    const key = parseKeyDer(der, keyEncoding);
    const proof = proofs.get(leaf);
    const isProven =
      proof?.key === sha256Hex(der)
        ? proof.holds
        : belongsTo(key, leaf) && privateHalfFits(key, der, keyEncoding, leaf.publicKeyInfo);
    if (isProven) return { keyKind: describeKey(key), keyEncoding };
  }
  throw new PkiError('VerificationFailed', 'the private key does not belong to the certificate');
}

/** What was found ahead of a key that is slow to prove, by its digest. */
const proofs = new WeakMap<Certificate, { readonly key: string; readonly holds: boolean }>();

/** Proves beside the event loop, for a readLeaf that follows, that a private key is the leaf's; only where that is slow. */
export async function proveKeyAhead({ leaf }: LeafChain, pem: string): Promise<void> {
  if (!isSlowToProve(leaf.publicKeyInfo)) return;
  const { der, encoding } = parseKeyBlock(pem);
  const key = parseKeyDer(der, encoding);
  const holds = belongsTo(key, leaf) && (await signsForInPool(key, leaf.publicKey));
  proofs.set(leaf, { key: sha256Hex(der), holds });
}

/** The certificate that a root has signed. Each of the others is signed by the next, and lasts as long as the leaf. */
function lastOfChain(leaf: Certificate, intermediates: readonly Certificate[]): Certificate {
  let below = leaf;
  for (const ca of intermediates) {
    const lasts = ca.notBefore <= leaf.notBefore && leaf.notAfter <= ca.notAfter;
    if (ca.basicConstraints?.ca !== true || !isSignedBy(below, ca) || isSelfSigned(ca) || !lasts) {
      throw new PkiError('VerificationFailed', 'tls.crt holds a certificate that is no intermediate of the first one');
    }
    below = ca;
  }
  return below;
}

/** The root that has signed a certificate. The key identifier only narrows the choice; what counts is the signature. */
function rootOf(certificate: Certificate, roots: readonly Certificate[]): Certificate | undefined {
  const named = namedRoot(certificate, roots);
  return named !== undefined && isSignedBy(certificate, named)
    ? named
    : roots.find((other) => isSignedBy(certificate, other));
}

const namedRoot = ({ authorityKeyId }: Certificate, roots: readonly Certificate[]): Certificate | undefined =>
  roots.find((root) => issuerKeyIdentifier(root).toString('hex') === authorityKeyId);

function authorityOf(intermediates: readonly Certificate[], root: Certificate): LeafAuthority {
  const { notBefore, notAfter } = commonValidity([root, ...intermediates]);
  return {
    root: anchorId(root),
    issuer: caId(intermediates[0] ?? root),
    issuerNotBefore: notBefore,
    issuerNotAfter: notAfter,
  };
}
