import {
  type Certificate,
  type Crl,
  caId,
  firstOfEach,
  type Issuer,
  isCrlOf,
  isSignedBy,
  namesIssuer,
  pathOf,
} from '../../pki/index.ts';
import type { CrlContext, CrlToSign, Revocation, RevocationState } from './revocation-state.ts';

/** All known CAs: the signers, the CAs above them, the trusted roots, and the issuers that the root Secret records. */
export class CaRegistry {
  readonly #signers: readonly Issuer[];
  readonly #all: readonly Certificate[];
  readonly #byId: ReadonlyMap<string, Certificate>;
  /** Identities of the CAs on the paths from the signers to their roots. */
  readonly #onPath: ReadonlySet<string>;
  readonly #context: CrlContext;
  /** Cached results of isRetired by identity: thousands of entries have the same issuer. */
  readonly #retired = new Map<string, boolean>();

  constructor(state: RevocationState, signers: readonly Issuer[], context: CrlContext) {
    const paths = signers.flatMap((signer) => [signer.certificate, ...pathOf(signer)]);
    const all = [...paths, ...(context.trusted ?? []), ...(state.issuers ?? []), ...(context.before?.issuers ?? [])];
    this.#signers = signers;
    this.#all = firstOfEach(all, caId);
    this.#byId = new Map(this.#all.map((ca) => [caId(ca), ca]));
    this.#onPath = new Set(paths.map(caId));
    this.#context = context;
  }

  /**
   * The revocation with the identity of its issuer, if its record has version 1 or comes from a status that names only
   * the root.
   */
  withIssuer(revocation: Revocation, crls: readonly Crl[]): Revocation {
    const { issuer: named, serialNumber } = revocation;
    if (this.#find(named) !== undefined) return revocation;
    // The CRL that lists the leaf identifies the issuer best: one root may have had several intermediates.
    const listing = crls.find(({ revoked }) => revoked.some((entry) => entry.serialNumber === serialNumber));
    const issuer =
      (listing === undefined ? undefined : this.#issuerOf(listing)) ??
      this.#signers.find(({ anchor }) => anchor.fingerprint === named)?.certificate ??
      this.#all.find(({ fingerprint }) => fingerprint === named);
    return issuer === undefined ? revocation : { ...revocation, issuer: caId(issuer) };
  }

  /** False when no peer can trust a leaf of this issuer. */
  mayBeTrusted(issuer: string): boolean {
    return this.#context.trusted === undefined || (this.#find(issuer) !== undefined && !this.isRetired(issuer));
  }

  /** True for a known CA that does not chain to a trusted root. */
  isRetired(issuer: string): boolean {
    const known = this.#retired.get(issuer);
    if (known !== undefined) return known;
    const ca = this.#find(issuer);
    const isRetired = ca !== undefined && this.#context.trusted !== undefined && !this.#isTrusted(ca, []);
    this.#retired.set(issuer, isRetired);
    return isRetired;
  }

  /** Whether to keep a CRL whose key is not in the root Secret: a peer may still check leaves of its CA. */
  keepsCrl(crl: Crl, revocations: readonly Revocation[], now: Date): boolean {
    const ca = this.#issuerOf(crl);
    if (ca === undefined) {
      // An administrator may have added the CRL of an unknown CA. A CRL that only claims to be from a known CA is
      // forged.
      return crl.nextUpdate > now && !this.#all.some((known) => namesIssuer(crl, known));
    }
    const id = caId(ca);
    // An administrator added the CRL of a CA above the signer.
    if (this.#onPath.has(id)) return true;
    if (this.#context.trusted === undefined) return crl.nextUpdate > now;
    if (this.isRetired(id)) return false;
    const isRoot = this.#context.trusted.some((root) => caId(root) === id);
    const isInUse = this.#context.isInUse ?? (() => true);
    return isRoot || revocations.some(({ issuer }) => issuer === id) || isInUse(id);
  }

  /** The CAs of these CRLs and entries, each once. */
  issuersOf(lists: ReadonlyArray<Crl | CrlToSign>, revocations: readonly Revocation[]): Certificate[] {
    const ids = new Set([
      ...lists
        .flatMap((list) => ('der' in list ? (this.#issuerOf(list) ?? []) : (this.#find(list.issuer) ?? [])))
        .map(caId),
      ...revocations.map(({ issuer }) => issuer),
    ]);
    return this.#all.filter((ca) => ids.has(caId(ca)));
  }

  #find(id: string): Certificate | undefined {
    return this.#byId.get(id);
  }

  #issuerOf(crl: Crl): Certificate | undefined {
    return this.#all.find((ca) => isCrlOf(crl, ca));
  }

  #isTrusted(ca: Certificate, below: readonly Certificate[]): boolean {
    if (this.#context.trusted?.some((root) => caId(root) === caId(ca)) === true) return true;
    return this.#all.some(
      (above) =>
        above !== ca && !below.includes(above) && isSignedBy(ca, above) && this.#isTrusted(above, [...below, ca]),
    );
  }
}
