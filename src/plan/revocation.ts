import {
  type Certificate,
  type Crl,
  type CrlContent,
  encodeCrls,
  isCrlOf,
  maySignCrls,
  pathOf,
  type RevokedCertificate,
  type SigningRoot,
  sha256Hex,
} from '../pki/index.ts';
import type { CrlBundle } from './observed.ts';

/** A leaf that is on its authority's CRL, or is to be. */
export interface Revocation extends RevokedCertificate {
  /** Fingerprint of the root that the leaf chains to. */
  readonly root: string;
  readonly notAfter: Date;
}

/** What a root Secret says of revocation. */
export interface RevocationState {
  /** Every list in ca.crl; none when that cannot be read. */
  readonly crls: readonly Crl[];
  /** The revoked leaves with what their lists do not say of them. */
  readonly revocations: readonly Revocation[];
}

/** A list to be signed. */
export interface CrlToSign extends CrlContent {
  /** Fingerprint of the CA that signs it. */
  readonly issuer: string;
}

/** What ca.crl of a root Secret is to hold from now on, and what is to be remembered of its entries. */
export interface CrlPlan {
  readonly crls: ReadonlyArray<{ readonly keep: Crl } | { readonly sign: CrlToSign }>;
  readonly revocations: readonly Revocation[];
}

/**
 * How long a CRL is valid. It is mounted as a file, not fetched, so that a short life would not make it any fresher; but
 * whoever checks it refuses everybody once it has ended, and an operator that is down must not come to that.
 */
const crlLifetimeMs = 30 * 24 * 3_600_000;
/** What is left of a CRL's life when the next one is signed. */
const crlRenewBeforeMs = 20 * 24 * 3_600_000;
/** For verifiers whose clocks are behind, as for leaves. */
const crlBackdateMs = 5 * 60_000;

/** More would not fit into the root Secret. Whoever has so many to revoke is better served by another root. */
export const maxRevocations = 5000;

/** Those of the signers that sign a CRL, each once. */
export const crlSigners = (signers: readonly SigningRoot[]): SigningRoot[] => [
  ...new Map(
    signers
      .filter(({ certificate }) => maySignCrls(certificate))
      .map((signer) => [signer.certificate.fingerprint, signer]),
  ).values(),
];

/** What is known beside the root Secret as it is. */
export interface CrlContext {
  /** What the root Secret was seen to say before: somebody may have lost or written over what was in it. */
  readonly before?: RevocationState | undefined;
  /** The roots that are trusted now. */
  readonly trusted?: readonly Certificate[];
}

/**
 * What is to be done about the CRLs of an authority; undefined when they are as they should be. Every CA that signs, or is
 * about to, has a list, an empty one too: OpenSSL refuses a certificate for whose issuer there is none.
 * @param asked leaves to be revoked; some may be on the lists already, or of roots that none of the signers speaks for
 */
export function planCrls(
  { crls, revocations }: RevocationState,
  signers: readonly SigningRoot[],
  asked: readonly Revocation[],
  now: Date,
  { before, trusted = [] }: CrlContext = {},
): CrlPlan | undefined {
  const issuers = crlSigners(signers);
  const known = distinct([...crls, ...(before?.crls ?? [])]);
  const listsOf = ({ certificate }: SigningRoot, among: readonly Crl[] = known) =>
    among.filter((crl) => isCrlOf(crl, certificate));
  const remembered = merged(
    [
      ...revocations,
      // One that has expired may have left since.
      ...(before?.revocations ?? []).filter(({ notAfter }) => notAfter > now),
      ...issuers.flatMap((signer) => listsOf(signer, crls).flatMap((crl) => unremembered(signer, crl))),
    ],
    asked,
  );
  const lastListed = lastListings(known);
  // An entry goes once it has been on a list that was signed after its certificate had expired (RFC 5280 3.3). Where the
  // key of its issuer is gone there will be no such list.
  const isListable = ({ root }: Revocation) => issuers.some(({ anchor }) => anchor.fingerprint === root);
  const wanted = remembered.filter((revocation) =>
    isListable(revocation)
      ? !((lastListed.get(revocation.serialNumber) ?? 0) > revocation.notAfter.getTime())
      : revocation.notAfter > now,
  );
  const lists = issuers.map((signer) => {
    const present = newest(listsOf(signer));
    const revoked = wanted.filter(({ root }) => root === signer.anchor.fingerprint);
    return present !== undefined && isGood(present, revoked, now) ? present : nextCrl(signer, present, revoked, now);
  });
  // Those of CAs whose key is not here: of a CA further up, brought by a person, or of a root that was written over.
  const cas = [...trusted, ...signers.flatMap(pathOf)];
  const others = known.filter(
    (crl) =>
      !issuers.some(({ certificate }) => claimsToBeOf(crl, certificate)) &&
      // The last word of a CA that is trusted still, however old it is; of two the later one.
      (crl.nextUpdate > now || cas.some((ca) => claimsToBeOf(crl, ca))) &&
      !known.some((other) => other.number > crl.number && isOfSameIssuer(other, crl)),
  );
  const isSame =
    [...lists, ...others].every((list) => 'der' in list && crls.includes(list)) &&
    lists.length + others.length === crls.length &&
    wanted.length === revocations.length &&
    wanted.every((revocation, i) => revocation.serialNumber === revocations[i]?.serialNumber);
  if (isSame) return undefined;
  return {
    crls: [...lists, ...others].map((list) => ('der' in list ? { keep: list } : { sign: list })),
    revocations: wanted,
  };
}

/**
 * What was published, and is not in the root Secret, or only an older list: somebody has lost or written over what was in
 * there while nobody looked. It is believed if the CA that it is of has signed it. An entry stays as long as that CA, since
 * nothing else is known of its certificate.
 */
export function publishedState(
  published: readonly Crl[],
  { crls }: RevocationState,
  signers: readonly SigningRoot[],
  trusted: readonly Certificate[],
): RevocationState {
  const ahead = published.filter((crl) => !crls.some((own) => isOfSameIssuer(own, crl) && own.number >= crl.number));
  const issued = (certificate: Certificate) => ahead.filter((crl) => isCrlOf(crl, certificate));
  return {
    crls: distinct([...trusted, ...signers.flatMap(pathOf)].flatMap(issued)),
    revocations: crlSigners(signers).flatMap((signer) =>
      issued(signer.certificate).flatMap((crl) => unremembered(signer, crl)),
    ),
  };
}

/** True for a list in a CA's name that does not say that it is of another one of that name. */
const claimsToBeOf = (crl: Crl, ca: Certificate): boolean =>
  crl.issuer.equals(ca.subject) && (crl.authorityKeyId === undefined || crl.authorityKeyId === ca.subjectKeyId);

const isOfSameIssuer = (a: Crl, b: Crl): boolean => a.issuer.equals(b.issuer) && a.authorityKeyId === b.authorityKeyId;

/** A state with the lists of another one that are later, or of other issuers. */
export function latestOf(state: RevocationState, other: RevocationState | undefined): RevocationState {
  const known = distinct([...state.crls, ...(other?.crls ?? [])]);
  const isLast = (crl: Crl) => !known.some((one) => one.number > crl.number && isOfSameIssuer(one, crl));
  return { ...state, crls: known.filter(isLast) };
}

/** Each list once, the first of those that are the same. */
const distinct = (crls: readonly Crl[]): Crl[] =>
  [...new Map(crls.toReversed().map((crl) => [crl.der.toString('latin1'), crl])).values()].toReversed();

const newest = (crls: readonly Crl[]): Crl | undefined =>
  crls.reduce<Crl | undefined>((a, b) => (a === undefined || b.number > a.number ? b : a), undefined);

/** Entries of a list of which nothing else is known: they stay as long as their issuer. */
const unremembered = ({ anchor, certificate }: SigningRoot, { revoked }: Crl): Revocation[] =>
  revoked.map((entry) => ({ ...entry, root: anchor.fingerprint, notAfter: certificate.notAfter }));

/** All of them, each serial number once; of those that are asked for, as many as there is room for. */
function merged(known: readonly Revocation[], asked: readonly Revocation[]): Revocation[] {
  const all = new Map<string, Revocation>();
  for (const revocation of known) {
    if (!all.has(revocation.serialNumber)) all.set(revocation.serialNumber, revocation);
  }
  for (const revocation of asked) {
    if (!all.has(revocation.serialNumber) && all.size < maxRevocations) all.set(revocation.serialNumber, revocation);
  }
  return [...all.values()].sort(bySerialNumber);
}

export const bySerialNumber = (a: Revocation, b: Revocation): number => (a.serialNumber < b.serialNumber ? -1 : 1);

/** When the last of the lists with it was signed, by serial number; milliseconds. */
function lastListings(crls: readonly Crl[]): Map<string, number> {
  const last = new Map<string, number>();
  for (const { thisUpdate, revoked } of crls) {
    for (const { serialNumber } of revoked) {
      last.set(serialNumber, Math.max(last.get(serialNumber) ?? 0, thisUpdate.getTime()));
    }
  }
  return last;
}

function isGood(crl: Crl, revoked: readonly Revocation[], now: Date): boolean {
  const listed = new Set(crl.revoked.map(({ serialNumber }) => serialNumber));
  const isSame = listed.size === revoked.length && revoked.every(({ serialNumber }) => listed.has(serialNumber));
  return isSame && crl.nextUpdate.getTime() - now.getTime() > crlRenewBeforeMs;
}

const nextCrl = (
  { certificate }: SigningRoot,
  present: Crl | undefined,
  revoked: readonly Revocation[],
  now: Date,
): CrlToSign => {
  // By the clock as well, so that it still grows when the last list was lost: none is signed within a millisecond of it.
  const byClock = BigInt(now.getTime());
  const next = (present?.number ?? 0n) + 1n;
  return {
    issuer: certificate.fingerprint,
    number: next > byClock ? next : byClock,
    thisUpdate: new Date(now.getTime() - crlBackdateMs),
    nextUpdate: new Date(now.getTime() + crlLifetimeMs),
    revoked: revoked.map(({ serialNumber, revokedAt }) => ({ serialNumber, revokedAt })),
  };
};

/** The CRLs of a root Secret as they are published; undefined when none is of a CA that signs. */
export function crlBundle({ crls }: RevocationState, signers: readonly SigningRoot[]): CrlBundle | undefined {
  const issuers = crlSigners(signers);
  // Those of others are renewed by others.
  const own = crls.filter((crl) => issuers.some(({ certificate }) => claimsToBeOf(crl, certificate)));
  const [first, ...more] = own;
  if (first === undefined) return undefined;
  const pem = encodeCrls(crls);
  return {
    pem,
    digest: sha256Hex(pem),
    revoked: new Set(crls.flatMap(({ revoked }) => revoked.map(({ serialNumber }) => serialNumber))),
    roots: [...new Set(issuers.map(({ anchor }) => anchor.fingerprint))],
    nextUpdate: more.reduce((least, { nextUpdate }) => (nextUpdate < least ? nextUpdate : least), first.nextUpdate),
  };
}

/** When a CRL has to be signed anew although nothing is revoked. */
export const crlRenewalTime = ({ nextUpdate }: CrlBundle): Date => new Date(nextUpdate.getTime() - crlRenewBeforeMs);
