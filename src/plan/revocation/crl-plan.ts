import { type Certificate, type Crl, caId, firstOfEach, type Issuer, isCrlOf, namesIssuer } from '../../pki/index.ts';
import { CaRegistry } from './ca-registry.ts';
import { crlBackdateMs, crlLifetimeMs, crlRenewBeforeMs, leavesAt } from './crl-schedule.ts';
import { countEntries, withinShares } from './crl-shares.ts';
import { crlSigners } from './crl-signers.ts';
import { distinct, entriesOf, isOfSameIssuer } from './published-crls.ts';
import type { CrlContext, CrlToSign, Revocation, RevocationState } from './revocation-state.ts';

/** What ca.crl of a root Secret is to hold from now on, and what is to be remembered of its lists and entries. */
export interface CrlPlan {
  readonly crls: ReadonlyArray<{ readonly keep: Crl } | { readonly sign: CrlToSign }>;
  readonly revocations: readonly Revocation[];
  readonly issuers: readonly Certificate[];
}

/**
 * What is to be done about the CRLs of an authority; undefined when they are as they should be. Every CA that signs, or is
 * about to, has a list, an empty one too: OpenSSL refuses a certificate for whose issuer there is none. The lists of the
 * signers come first, the active one in front. A list goes when its CA is retired, that is when no trusted root leads to it.
 * @param requested leaves to be revoked; some may be on the lists already, or have issuers whose keys are gone
 */
export function planCrls(
  state: RevocationState,
  signers: readonly Issuer[],
  requested: readonly Revocation[],
  now: Date,
  context: CrlContext = {},
): CrlPlan | undefined {
  const cas = new CaRegistry(state, signers, context);
  const issuers = crlSigners(signers).map(({ certificate }) => certificate);
  const known = distinct([...state.crls, ...(context.before?.crls ?? [])]);
  const remaining = remainingEntries(state, issuers, cas, known, now, context);
  const present = new Set(remaining.map(serialOf));
  const newEntries = firstOfEach(requested, serialOf)
    .filter(({ serialNumber }) => !present.has(serialNumber))
    .map((revocation) => cas.withIssuer(revocation, known))
    .filter(({ issuer }) => cas.mayBeTrusted(issuer));
  const added = withinShares(countEntries(remaining), newEntries);
  const entries = [...remaining, ...added].sort(bySerialNumber);
  const waitForRoom = added.length < newEntries.length;
  const crls = [
    ...issuers.map((issuer) => crlOf(issuer, known, entries, waitForRoom, now)),
    ...inheritedCrls(issuers, cas, known, entries, now),
  ];
  const record = { revocations: entries, issuers: cas.issuersOf(crls, entries) };
  const isSame = crls.length === state.crls.length && crls.every((list, i) => list === state.crls[i]);
  if (isSame && isSameRecord(record, state)) return undefined;
  return { crls: crls.map((list) => ('der' in list ? { keep: list } : { sign: list })), ...record };
}

/**
 * The entries that stay. An entry goes once it has been on a list that was signed after its certificate had expired (RFC 5280
 * 3.3). When the key of its issuer is gone there will be no such list.
 */
function remainingEntries(
  { crls, revocations }: RevocationState,
  issuers: readonly Certificate[],
  cas: CaRegistry,
  known: readonly Crl[],
  now: Date,
  { before }: CrlContext,
): Revocation[] {
  const remembered = [
    ...revocations,
    // An expired entry of the state before may have left since.
    ...(before?.revocations ?? []).filter(({ notAfter }) => notAfter > now),
    ...issuers.flatMap((issuer) => crls.filter((crl) => isCrlOf(crl, issuer)).flatMap((crl) => entriesOf(issuer, crl))),
  ].map((revocation) => cas.withIssuer(revocation, known));
  const lastListed = lastListings(known);
  const listable = new Set(issuers.map(caId));
  return firstOfEach(remembered, serialOf).filter(({ issuer, serialNumber, notAfter }) =>
    listable.has(issuer)
      ? !((lastListed.get(serialNumber) ?? 0) > notAfter.getTime())
      : notAfter > now && !cas.isRetired(issuer),
  );
}

/** The list of a CA that signs: the present one while it is right, else the next one. */
function crlOf(
  issuer: Certificate,
  known: readonly Crl[],
  entries: readonly Revocation[],
  waitForRoom: boolean,
  now: Date,
): Crl | CrlToSign {
  const present = newest(known.filter((crl) => isCrlOf(crl, issuer)));
  const revoked = entries.filter((one) => one.issuer === caId(issuer));
  const isKept = present !== undefined && isGood(present, issuer, revoked, now);
  return isKept && !(waitForRoom && revoked.some((one) => mayLeaveNext(one, now)))
    ? present
    : nextCrl(issuer, present, revoked, now);
}

/** The last lists of CAs whose keys are not here, as long as a peer may need them. */
const inheritedCrls = (
  issuers: readonly Certificate[],
  cas: CaRegistry,
  known: readonly Crl[],
  entries: readonly Revocation[],
  now: Date,
): Crl[] =>
  known.filter(
    (crl) =>
      !issuers.some((issuer) => isCrlOf(crl, issuer)) &&
      cas.keepsCrl(crl, entries, now) &&
      !known.some((other) => other.number > crl.number && isOfSameIssuer(other, crl)),
  );

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

const newest = (crls: readonly Crl[]): Crl | undefined =>
  crls.reduce<Crl | undefined>((a, b) => (a === undefined || b.number > a.number ? b : a), undefined);

const serialOf = ({ serialNumber }: Revocation): string => serialNumber;

/** True for an entry that leaves once a list is signed now. Without need that is left to the renewal of the list. */
const mayLeaveNext = ({ notAfter }: Revocation, now: Date): boolean => leavesAt(notAfter) <= now;

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
