import {
  type Certificate,
  type Crl,
  caId,
  encodeCrls,
  firstOfEach,
  type Issuer,
  isCrlOf,
  maySignCrls,
  namesIssuer,
  pathOf,
  sha256Hex,
  subjectText,
} from '../../pki/index.ts';
import { CaRegistry } from './ca-registry.ts';
import type { CrlBundle } from './crl-bundle.ts';
import { countEntries, withinShares } from './crl-shares.ts';
import type { CrlContext, CrlToSign, Revocation, RevocationState } from './revocation-state.ts';

/** What ca.crl of a root Secret is to hold from now on, and what is to be remembered of its lists and entries. */
export interface CrlPlan {
  readonly crls: ReadonlyArray<{ readonly keep: Crl } | { readonly sign: CrlToSign }>;
  readonly revocations: readonly Revocation[];
  readonly issuers: readonly Certificate[];
}

/**
 * How long a CRL is valid. It is mounted as a file, not fetched, so that a short life would not make it any fresher; but
 * whoever checks it refuses everybody once it has ended, and an operator that is down must not come to that.
 */
const crlLifetimeMs = 30 * 24 * 3_600_000;
/** What is left of a CRL's life when the next one is signed. */
export const crlRenewBeforeMs = 20 * 24 * 3_600_000;
/** For verifiers whose clocks are behind, as for leaves. */
const crlBackdateMs = 5 * 60_000;

/** The signers that sign CRLs, one for each CA. Of several certificates of one CA the first one signs. */
export const crlSigners = (signers: readonly Issuer[]): Issuer[] =>
  firstOfEach(
    signers.filter(({ certificate }) => maySignCrls(certificate)),
    ({ certificate }) => caId(certificate),
  );

/**
 * What is to be done about the CRLs of an authority; undefined when they are as they should be. Every CA that signs, or is
 * about to, has a list, an empty one too: OpenSSL refuses a certificate for whose issuer there is none. The lists of the
 * signers come first, the active one in front. A list goes when its CA is retired, that is when no trusted root leads to it.
 * @param asked leaves to be revoked; some may be on the lists already, or have issuers whose keys are gone
 */
export function planCrls(
  state: RevocationState,
  signers: readonly Issuer[],
  requested: readonly Revocation[],
  now: Date,
  context: CrlContext = {},
): CrlPlan | undefined {
  const { crls, revocations } = state;
  const cas = new CaRegistry(state, signers, context);
  const issuers = crlSigners(signers);
  const known = distinct([...crls, ...(context.before?.crls ?? [])]);
  const remembered = [
    ...revocations,
    // An expired entry of the state before may have left since.
    ...(context.before?.revocations ?? []).filter(({ notAfter }) => notAfter > now),
    ...issuers.flatMap(({ certificate }) =>
      crls.filter((crl) => isCrlOf(crl, certificate)).flatMap((crl) => entriesOf(certificate, crl)),
    ),
  ].map((revocation) => cas.withIssuer(revocation, known));
  const lastListed = lastListings(known);
  const listable = new Set(issuers.map(({ certificate }) => caId(certificate)));
  // An entry goes once it has been on a list that was signed after its certificate had expired (RFC 5280 3.3). When the
  // key of its issuer is gone there will be no such list.
  const remaining = firstOfEach(remembered, serialOf).filter(({ issuer, serialNumber, notAfter }) =>
    listable.has(issuer)
      ? !((lastListed.get(serialNumber) ?? 0) > notAfter.getTime())
      : notAfter > now && !cas.isRetired(issuer),
  );
  const present = new Set(remaining.map(serialOf));
  const newEntries = firstOfEach(requested, serialOf)
    .filter(({ serialNumber }) => !present.has(serialNumber))
    .map((revocation) => cas.withIssuer(revocation, known))
    .filter(({ issuer }) => cas.mayBeTrusted(issuer));
  const added = withinShares(countEntries(remaining), newEntries);
  const entries = [...remaining, ...added].sort(bySerialNumber);
  const waitForRoom = added.length < newEntries.length;
  const lists = issuers.map(({ certificate }) => {
    const present = newest(known.filter((crl) => isCrlOf(crl, certificate)));
    const revoked = entries.filter(({ issuer }) => issuer === caId(certificate));
    const isKept = present !== undefined && isGood(present, certificate, revoked, now);
    return isKept && !(waitForRoom && revoked.some((one) => mayLeaveNext(one, now)))
      ? present
      : nextCrl(certificate, present, revoked, now);
  });
  const inherited = known.filter(
    (crl) =>
      !issuers.some(({ certificate }) => isCrlOf(crl, certificate)) &&
      cas.keepsCrl(crl, entries, now) &&
      !known.some((other) => other.number > crl.number && isOfSameIssuer(other, crl)),
  );
  const all = [...lists, ...inherited];
  const record = cas.issuersOf(all, entries);
  const isSame =
    all.length === crls.length &&
    all.every((list, i) => list === crls[i]) &&
    isSameRecord({ revocations: entries, issuers: record }, state);
  if (isSame) return undefined;
  return {
    crls: all.map((list) => ('der' in list ? { keep: list } : { sign: list })),
    revocations: entries,
    issuers: record,
  };
}

const isSameRecord = (
  { revocations, issuers }: Required<Pick<RevocationState, 'revocations' | 'issuers'>>,
  before: RevocationState,
): boolean =>
  revocations.length === before.revocations.length &&
  revocations.every((one, i) => {
    const other = before.revocations[i];
    return one.serialNumber === other?.serialNumber && one.issuer === other.issuer;
  }) &&
  issuers.map(caId).sort().join() === (before.issuers ?? []).map(caId).sort().join();

/**
 * What was published, and is not in the root Secret, or only an older list: somebody has lost or overwritten what was in
 * there while nobody looked. It is believed if the CA that it is of has signed it. An entry stays as long as that CA, since
 * nothing else is known of its certificate.
 */
export function publishedState(
  published: readonly Crl[],
  { crls, issuers = [] }: RevocationState,
  signers: readonly Issuer[],
  trusted: readonly Certificate[],
): RevocationState {
  const ahead = published.filter((crl) => !crls.some((own) => isOfSameIssuer(own, crl) && own.number >= crl.number));
  const issued = (certificate: Certificate) => ahead.filter((crl) => isCrlOf(crl, certificate));
  const cas = [...trusted, ...signers.flatMap(pathOf), ...issuers];
  return {
    crls: distinct(cas.flatMap(issued)),
    revocations: crlSigners(signers).flatMap(({ certificate }) =>
      issued(certificate).flatMap((crl) => entriesOf(certificate, crl)),
    ),
  };
}

/** True for two lists that name the same issuer. */
const isOfSameIssuer = (a: Crl, b: Crl): boolean => a.issuer.equals(b.issuer) && a.authorityKeyId === b.authorityKeyId;
/** A state with the lists of another one that are later, or of other issuers. */
export function withLaterCrls(state: RevocationState, other: RevocationState | undefined): RevocationState {
  const known = distinct([...state.crls, ...(other?.crls ?? [])]);
  const isLast = (crl: Crl) => !known.some((one) => one.number > crl.number && isOfSameIssuer(one, crl));
  return { ...state, crls: known.filter(isLast) };
}

/** Each list once, the first of those that are the same. */
const distinct = (crls: readonly Crl[]): Crl[] => firstOfEach(crls, ({ der }) => der.toString('latin1'));

const newest = (crls: readonly Crl[]): Crl | undefined =>
  crls.reduce<Crl | undefined>((a, b) => (a === undefined || b.number > a.number ? b : a), undefined);

/** Entries of a list of which nothing else is known: they stay as long as their issuer. */
const entriesOf = (issuer: Certificate, { revoked }: Crl): Revocation[] =>
  revoked.map((entry) => ({ ...entry, issuer: caId(issuer), notAfter: issuer.notAfter }));

const serialOf = ({ serialNumber }: Revocation): string => serialNumber;

/** True for an entry that leaves once a list is signed now. Without need that is left to the renewal of the list. */
const mayLeaveNext = ({ notAfter }: Revocation, now: Date): boolean => leavesAt(notAfter) <= now;

/** When a list that is signed then is dated after the end of the certificate: dates on lists have whole seconds. */
const leavesAt = (notAfter: Date): Date => new Date(notAfter.getTime() + crlBackdateMs + 1000);

/** When the next entry expires so that there is room for others; undefined when none does. */
export function nextRoomAt({ revocations }: RevocationState, now: Date): Date | undefined {
  const moments = revocations.map(({ notAfter }) => leavesAt(notAfter).getTime()).filter((ms) => ms > now.getTime());
  return moments.length === 0 ? undefined : new Date(moments.reduce((a, b) => Math.min(a, b)));
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

/** Also false for a list that names the key of its CA by another identifier: OpenSSL does not find the CA of such a list. */
function isGood(crl: Crl, issuer: Certificate, revoked: readonly Revocation[], now: Date): boolean {
  if (!namesIssuer(crl, issuer)) return false;
  const listed = new Set(crl.revoked.map(({ serialNumber }) => serialNumber));
  const isSame = listed.size === revoked.length && revoked.every(({ serialNumber }) => listed.has(serialNumber));
  return isSame && crl.nextUpdate.getTime() - now.getTime() > crlRenewBeforeMs;
}

const nextCrl = (
  certificate: Certificate,
  present: Crl | undefined,
  revoked: readonly Revocation[],
  now: Date,
): CrlToSign => {
  // By the clock as well, so that it still grows when the last list was lost: none is signed within a millisecond of it.
  const byClock = BigInt(now.getTime());
  const next = (present?.number ?? 0n) + 1n;
  return {
    issuer: caId(certificate),
    number: next > byClock ? next : byClock,
    thisUpdate: new Date(now.getTime() - crlBackdateMs),
    nextUpdate: new Date(now.getTime() + crlLifetimeMs),
    revoked: revoked.map(({ serialNumber, revokedAt }) => ({ serialNumber, revokedAt })),
  };
};

/** The CRLs of a root Secret as they are published; undefined when none is of a CA that signs. */
export function crlBundle(
  { crls, revocations, issuers: remembered = [] }: RevocationState,
  signers: readonly Issuer[],
  { isInUse = () => true }: Pick<CrlContext, 'isInUse'> = {},
): CrlBundle | undefined {
  const issuers = crlSigners(signers).map(({ certificate }) => certificate);
  const listsOf = (ca: Certificate) => crls.filter((crl) => isCrlOf(crl, ca));
  const own = issuers.flatMap(listsOf);
  const [first, ...more] = own;
  if (first === undefined) return undefined;
  const pem = encodeCrls(crls);
  const onPath = new Set(signers.flatMap((signer) => [signer.certificate, ...pathOf(signer)]).map(caId));
  const unrenewable = remembered.filter((ca) => !onPath.has(caId(ca)) && listsOf(ca).length > 0 && isInUse(caId(ca)));
  return {
    pem,
    digest: sha256Hex(pem),
    revoked: new Set(crls.flatMap(({ revoked }) => revoked.map(({ serialNumber }) => serialNumber))),
    entries: countEntries(revocations),
    issuers: [...new Set(issuers.map(caId))],
    nextUpdate: more.reduce((least, { nextUpdate }) => (nextUpdate < least ? nextUpdate : least), first.nextUpdate),
    unrenewable: unrenewable.map((ca) => ({
      issuer: caId(ca),
      subject: subjectText(ca),
      nextUpdate: lastUpdate(listsOf(ca)),
    })),
  };
}

/** When a list was signed, in whole seconds. */
export const signedAt = ({ thisUpdate }: Crl): Date => new Date(thisUpdate.getTime() + crlBackdateMs);

const lastUpdate = (crls: readonly Crl[]): Date =>
  new Date(Math.max(...crls.map(({ nextUpdate }) => nextUpdate.getTime())));

/** When a CRL has to be signed again although nothing is revoked. */
export const crlRenewalTime = ({ nextUpdate }: CrlBundle): Date => new Date(nextUpdate.getTime() - crlRenewBeforeMs);
