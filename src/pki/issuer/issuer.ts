import { verify } from 'node:crypto';
import { parsePrivateKey } from '../keys/key.ts';
import { KeySigner, type Signer } from '../keys/signer.ts';
import { PkiError } from '../pki-error.ts';
import { belongsTo, type Certificate, issuerText, parseCertificates } from '../x509/certificate.ts';
import {
  type CertificationPath,
  commonValidity,
  deadEnd,
  isIssuedBy,
  pathsToRoots,
} from '../x509/certification-path.ts';
import { firstOfEach } from '../x509/first-of-each.ts';
import { type CaProblem, caProblem, describeCa, pathProblem, type Rejection } from './ca-validation.ts';

/** A CA that passed every check, its signer, and its path to the root. */
export interface Issuer {
  /** The certificate of the signing key: the root or an intermediate. */
  readonly certificate: Certificate;
  readonly signer: Signer;
  /** The intermediates that follow a leaf in its chain, the issuer first. Empty when the issuer is the root. */
  readonly intermediates: readonly Certificate[];
  /** The self-signed root that peers trust. */
  readonly anchor: Certificate;
}

/** Why a root may not sign. Each value is a condition reason of the MtlsAuthority. */
export type RootProblem =
  | CaProblem
  /**
   * `tls.key` cannot be read.
   * @action Write one key in PEM: PKCS #8, PKCS #1 or SEC1.
   */
  | 'RootKeyMalformed'
  /**
   * `tls.key` is encrypted.
   * @action Store the key decrypted: the operator has no passphrase.
   */
  | 'RootKeyEncrypted'
  /**
   * `tls.key` belongs to another certificate.
   * @action Put the certificate of the key first in `tls.crt`.
   */
  | 'RootKeyMismatch'
  /**
   * The signing certificate is an intermediate, and a certificate between it and a root is missing.
   * @action Put the root into `ca.crt`, and intermediates into `tls.crt`. The message names the missing issuer.
   */
  | 'RootChainIncomplete'
  /**
   * A certificate has the name of the issuer, but not the key that signed. Usually, that certificate is an older or newer generation of the CA.
   * @action Use the CA certificate whose key signed.
   */
  | 'RootIssuerMismatch'
  /**
   * `tls.crt` holds certificates that the chain of its first one does not contain.
   * @action Remove them. Other roots to trust go into `ca.crt`.
   */
  | 'RootUnrelatedCertificates';

/** The result of inspectIssuer: the issuer, or the reason why it may not sign and a message that says how to fix it. */
export type IssuerInspection = { readonly issuer: Issuer } | Rejection<RootProblem>;

/** A root with 7 intermediates: by default, Java accepts a client chain of at most 8, including the leaf. */
const maxCertificates = 8;

/**
 * Checks whether the root Secret can sign at `now`. The first certificate of tls.crt is the issuer, and tls.key is its
 * key. The other certificates, in any order, and the anchors must form a path from the issuer to a self-signed root.
 * Every CA on the path is checked, and every certificate of tls.crt must be on the path. If several paths are valid (a
 * cross-signed CA), the function chooses the one that uses most of tls.crt, then the one with the longest validity, then
 * the shortest; fingerprints break ties. It never throws for bad input, but returns the reason.
 * @param anchors self-signed CAs from the ca.crt of the same Secret
 */
export function inspectIssuer(
  certificatePem: string,
  keyPem: string,
  now: Date,
  anchors: readonly Certificate[] = [],
): IssuerInspection {
  const chain = readChain(certificatePem);
  if ('reason' in chain) return chain;
  const [issuer, ...rest] = chain;
  const problem = caProblem(issuer, now);
  if (problem !== undefined) return problem;
  const signer = readSigner(keyPem, chain);
  if ('reason' in signer) return signer;
  const path = findPath(issuer, rest, anchors, now);
  if ('reason' in path) return path;
  const anchor = path.at(-1) ?? issuer;
  return { issuer: { certificate: issuer, signer, intermediates: path.slice(0, -1), anchor } };
}

/** The certificates of tls.crt without duplicates. */
function readChain(pem: string): CertificationPath | Rejection<RootProblem> {
  const malformed = (what: string): Rejection<RootProblem> => ({
    reason: 'RootMalformed',
    message: `tls.crt of the root Secret ${what}`,
  });
  try {
    const certificates = parseCertificates(pem);
    if (certificates.length > maxCertificates) {
      return malformed(`holds ${certificates.length} certificates; a chain has at most ${maxCertificates}`);
    }
    const [issuer, ...rest] = firstOfEach(certificates, fingerprintOf);
    return issuer === undefined ? malformed('holds no certificate') : [issuer, ...rest];
  } catch (error) {
    const isUnsupported = error instanceof PkiError && error.code === 'UnsupportedKey';
    return { ...malformed(`cannot be used: ${messageOf(error)}`), ...(isUnsupported ? { reason: 'RootWeakKey' } : {}) };
  }
}

/** The signer for tls.key, which must belong to the first certificate. Every stored root key gets its signer here. */
function readSigner(pem: string, [issuer, ...rest]: CertificationPath): KeySigner | Rejection<RootProblem> {
  try {
    const { key } = parsePrivateKey(pem);
    const signer = belongsTo(key, issuer) ? new KeySigner(key) : undefined;
    if (signer !== undefined && signsFor(signer, issuer)) return signer;
    const owner = rest.find((other) => belongsTo(key, other));
    const message =
      owner === undefined
        ? 'tls.key of the root Secret does not belong to its tls.crt'
        : `tls.key of the root Secret belongs to ${describeCa(owner)}; put that certificate first in tls.crt`;
    return { reason: 'RootKeyMismatch', message };
  } catch (error) {
    const isEncrypted = error instanceof PkiError && error.code === 'EncryptedKey';
    return isEncrypted
      ? { reason: 'RootKeyEncrypted', message: 'tls.key of the root Secret is encrypted; store it unencrypted' }
      : { reason: 'RootKeyMalformed', message: `tls.key of the root Secret: ${messageOf(error)}` };
  }
}

/** A stored key contains its public key, and OpenSSL does not check it. Only a signature proves that the two match. */
function signsFor(signer: KeySigner, certificate: Certificate): boolean {
  const probe = Buffer.from(certificate.fingerprint);
  return verify(signer.algorithm.digest, probe, certificate.publicKey, signer.signNow(probe));
}

/** The best valid path to a root, or the problem of the best path. */
function findPath(
  issuer: Certificate,
  rest: readonly Certificate[],
  anchors: readonly Certificate[],
  now: Date,
): CertificationPath | Rejection<RootProblem> {
  const others = firstOfEach([...rest, ...anchors], fingerprintOf);
  const leftOver = (path: CertificationPath) =>
    rest.filter((other) => !path.some((ca) => ca.fingerprint === other.fingerprint));
  const paths = pathsToRoots([issuer], others).sort(
    (a, b) =>
      leftOver(a).length - leftOver(b).length ||
      commonValidity(b).notAfter.getTime() - commonValidity(a).notAfter.getTime() ||
      a.length - b.length ||
      (fingerprints(a) < fingerprints(b) ? -1 : 1),
  );
  const problems: Rejection<RootProblem>[] = [];
  for (const path of paths) {
    const problem = firstProblem(path, now) ?? unrelated(leftOver(path));
    if (problem === undefined) return path;
    problems.push(problem);
  }
  return problems[0] ?? noRoot(deadEnd([issuer], others), others);
}

function firstProblem(path: CertificationPath, now: Date): Rejection<RootProblem> | undefined {
  for (const ca of path) {
    const problem = caProblem(ca, now);
    if (problem !== undefined) return problem;
  }
  return pathProblem(path);
}

function unrelated(certificates: readonly Certificate[]): Rejection<RootProblem> | undefined {
  const [first] = certificates;
  if (first === undefined) return undefined;
  const more = certificates.length > 1 ? ` and ${certificates.length - 1} more` : '';
  const message = `tls.crt of the root Secret holds ${describeCa(first)}${more}, which is not in the chain of the first certificate; put other trusted roots into ca.crt`;
  return { reason: 'RootUnrelatedCertificates', message };
}

function noRoot(top: Certificate, others: readonly Certificate[]): Rejection<RootProblem> {
  const issuer = issuerText(top).slice(0, 100);
  // In a loop of CAs, the certificate with the name of the issuer did sign, and only the root is missing.
  return [top, ...others].some((other) => other.subject.equals(top.issuer) && !isIssuedBy(top, other))
    ? {
        reason: 'RootIssuerMismatch',
        message: `${describeCa(top)} has the issuer ${issuer}, but its signature or key identifier does not match the certificate with that name; add the certificate that issued it`,
      }
    : {
        reason: 'RootChainIncomplete',
        message: `${describeCa(top)} is not self-signed, and its issuer (${issuer}) is missing; put the self-signed root into ca.crt of the root Secret, and the intermediates into tls.crt`,
      };
}

const fingerprintOf = ({ fingerprint }: Certificate): string => fingerprint;

const fingerprints = (path: CertificationPath): string => path.map(fingerprintOf).join();

const messageOf = (error: unknown): string => (error instanceof PkiError ? error.message : 'cannot be read');
