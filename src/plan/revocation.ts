import { annotations } from '../api/names.ts';
import {
  type Certificate,
  type Crl,
  type CrlContent,
  encodeCrls,
  isCrlOf,
  maySignCrls,
  type RevokedCertificate,
  type SigningRoot,
  sha256Hex,
} from '../pki/index.ts';
import type { CertificateRecord, CrlBundle, SecretRecord } from './observed.ts';

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
): CrlPlan | undefined {
  const issuers = crlSigners(signers);
  const speakFor = new Set(issuers.map(({ anchor }) => anchor.fingerprint));
  const listOf = ({ certificate }: SigningRoot) => newest(crls.filter((crl) => isCrlOf(crl, certificate)));
  const known = [...revocations, ...issuers.flatMap((signer) => unremembered(signer, listOf(signer)))];
  const remembered = merged(
    known,
    asked.filter(({ root }) => speakFor.has(root)),
  );
  const lastListed = lastListings(crls);
  // An entry goes once it has been on a list that was signed after its certificate had expired (RFC 5280 3.3).
  const wanted = remembered.filter(({ serialNumber, notAfter }) => !((lastListed.get(serialNumber) ?? 0) > +notAfter));
  const lists = issuers.map((signer) => {
    const present = listOf(signer);
    const revoked = wanted.filter(({ root }) => root === signer.anchor.fingerprint);
    return present !== undefined && isGood(present, revoked, now) ? present : nextCrl(signer, present, revoked, now);
  });
  // Those of CAs whose key is not here: of a CA further up, brought by a person, or of a root that was written over.
  const others = crls.filter(
    (crl) => crl.nextUpdate > now && !issuers.some(({ certificate }) => claimsToBeOf(crl, certificate)),
  );
  const isSame =
    lists.every((list) => 'der' in list) &&
    lists.length + others.length === crls.length &&
    wanted.length === revocations.length &&
    wanted.every((revocation, i) => revocation.serialNumber === revocations[i]?.serialNumber);
  if (isSame) return undefined;
  return {
    crls: [...lists, ...others].map((list) => ('der' in list ? { keep: list } : { sign: list })),
    revocations: wanted,
  };
}

/** True for a list in a CA's name that does not say that it is of another one of that name. */
const claimsToBeOf = (crl: Crl, ca: Certificate): boolean =>
  crl.issuer.equals(ca.subject) && (crl.authorityKeyId === undefined || crl.authorityKeyId === ca.subjectKeyId);

const newest = (crls: readonly Crl[]): Crl | undefined =>
  crls.reduce<Crl | undefined>((a, b) => (a === undefined || b.number > a.number ? b : a), undefined);

/** Entries of a list of which nothing else is known: they stay as long as their issuer. */
const unremembered = ({ anchor, certificate }: SigningRoot, crl: Crl | undefined): Revocation[] =>
  (crl?.revoked ?? []).map((entry) => ({ ...entry, root: anchor.fingerprint, notAfter: certificate.notAfter }));

/** All of them, each serial number once; of those that are asked for, as many as there is room for. */
function merged(known: readonly Revocation[], asked: readonly Revocation[]): Revocation[] {
  const all = new Map<string, Revocation>();
  for (const revocation of known) {
    if (!all.has(revocation.serialNumber)) all.set(revocation.serialNumber, revocation);
  }
  for (const revocation of asked) {
    if (!all.has(revocation.serialNumber) && all.size < maxRevocations) all.set(revocation.serialNumber, revocation);
  }
  return [...all.values()].sort((a, b) => (a.serialNumber < b.serialNumber ? -1 : 1));
}

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

/** The CRLs of a root Secret as they are published; undefined when nobody signs any. */
export function crlBundle({ crls }: RevocationState, signers: readonly SigningRoot[]): CrlBundle | undefined {
  const issuers = crlSigners(signers);
  const [first, ...others] = crls;
  if (first === undefined || issuers.length === 0) return undefined;
  const pem = encodeCrls(crls);
  return {
    pem,
    digest: sha256Hex(pem),
    revoked: new Set(crls.flatMap(({ revoked }) => revoked.map(({ serialNumber }) => serialNumber))),
    roots: [...new Set(issuers.map(({ anchor }) => anchor.fingerprint))],
    nextUpdate: others.reduce((least, { nextUpdate }) => (nextUpdate < least ? nextUpdate : least), first.nextUpdate),
  };
}

/** When a CRL has to be signed anew although nothing is revoked. */
export const crlRenewalTime = ({ nextUpdate }: CrlBundle): Date => new Date(nextUpdate.getTime() - crlRenewBeforeMs);

/**
 * The leaves of a role that the annotation revoke is about: the one in its Secret, and the one that was in it before the
 * Secret was lost. None when the token is handled, or there is none.
 */
export function leavesToRevoke(
  { uid, revokeToken, status }: CertificateRecord,
  role: string,
  secret: SecretRecord | undefined,
  now: Date,
): Revocation[] {
  if (revokeToken === undefined || revokeIsHandled(revokeToken, status.lastHandledRevoke, secret)) return [];
  const entry = status.secrets?.find((one) => one.role === role);
  const leaf =
    secret !== undefined && secret.owner === uid && 'leaf' in secret.content ? secret.content.leaf : undefined;
  const root = leaf?.root ?? (entry?.fingerprint === leaf?.fingerprint ? entry?.authorityFingerprint : undefined);
  const inSecret =
    leaf === undefined || root === undefined
      ? []
      : [{ serialNumber: leaf.serialNumber, root, notAfter: leaf.notAfter, revokedAt: now }];
  const inStatus =
    entry === undefined || entry.serialNumber === leaf?.serialNumber
      ? []
      : [
          {
            serialNumber: entry.serialNumber,
            root: entry.authorityFingerprint,
            notAfter: new Date(entry.notAfter),
            revokedAt: now,
          },
        ];
  return [...inSecret, ...inStatus].filter(({ notAfter }) => notAfter > now);
}

/** True when a token has done its work on a Secret; it is noted there, and in status should the note be lost. */
export const revokeIsHandled = (
  token: string,
  lastHandled: string | undefined,
  secret: SecretRecord | undefined,
): boolean => token === secret?.annotations[annotations.revoke] || token === lastHandled;

/** The data of a root Secret that remembers revocations. */
export const encodeRevocations = (revocations: readonly Revocation[]): string =>
  JSON.stringify(
    revocations.map(({ serialNumber, root, revokedAt, notAfter }) => [
      serialNumber,
      root,
      revokedAt.toISOString(),
      notAfter.toISOString(),
    ]),
  );

/** Reads them back. What is none is left out; the CRLs themselves have its serial number all the same. */
export function parseRevocations(text: string): Revocation[] {
  try {
    const list: unknown = JSON.parse(text === '' ? '[]' : text);
    return Array.isArray(list) ? list.flatMap(revocation) : [];
  } catch {
    return [];
  }
}

function revocation(item: unknown): Revocation[] {
  if (!Array.isArray(item)) return [];
  const [serialNumber = '', root = '', revokedAt = '', notAfter = ''] = item.map(String);
  const [revoked, ends] = [new Date(revokedAt), new Date(notAfter)];
  // Only what a CRL can hold (RFC 5280 4.1.2.2 and 5.1.2.4): one that it cannot would keep all others from being signed.
  const isSerial = /^([0-9a-f]{1,39}|[0-7][0-9a-f]{39})$/.test(serialNumber);
  const areTimes = [revoked, ends].every((time) => time.getUTCFullYear() >= 1950 && time.getUTCFullYear() <= 9999);
  const isOne = isSerial && /^[0-9a-f]{64}$/.test(root) && areTimes;
  return isOne ? [{ serialNumber, root, revokedAt: revoked, notAfter: ends }] : [];
}
