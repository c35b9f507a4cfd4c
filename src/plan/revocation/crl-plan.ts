import { type Certificate, type Crl, caId, firstOfEach, type Issuer, isCrlOf, namesIssuer } from '../../pki/index.ts';
import { CaRegistry } from './ca-registry.ts';
import { crlBackdateMs, crlLifetimeMs, crlRenewBeforeMs, leavesAt } from './crl-schedule.ts';
import { countEntries, withinShares } from './crl-shares.ts';
import { crlSigners } from './crl-signers.ts';
import { distinct, entriesOf, isOfSameIssuer } from './published-crls.ts';
import type { CrlContext, CrlToSign, Revocation, RevocationState } from './revocation-state.ts';

/** The desired content of ca.crl in a root Secret, and the record of its CRLs and entries. */
export interface CrlPlan {
  readonly crls: ReadonlyArray<{ readonly keep: Crl } | { readonly sign: CrlToSign }>;
  readonly revocations: readonly Revocation[];
  readonly issuers: readonly Certificate[];
}

/**
 * Plans the CRLs of an authority. Undefined when nothing has to change. Every current or coming signer has a CRL, even
 * an empty one: OpenSSL rejects a certificate when it has no CRL of the issuer. The CRLs of the signers come first, the
 * active signer's at the front. A CRL is removed when its CA is retired: when it no longer chains to a trusted root.
 * @param requested leaves to revoke; some may be on the CRLs already, or have issuers whose keys are gone
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
 * The entries that stay. An entry leaves after it was on a CRL that was signed after the certificate expired (RFC 5280
 * 3.3). If the key of the issuer is gone, there is no such CRL, so the entry leaves when the certificate expires.
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
    // An expired entry of the earlier state may have left the CRL since.
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

/** The CRL of a signer: the current one while it is right, otherwise the next one. */
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

/** The last CRLs of CAs whose keys are not in the root Secret, as long as a peer may need them. */
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

/** True for an entry that leaves when a CRL is signed now. Unless room is needed, it stays until the CRL is renewed. */
const mayLeaveNext = ({ notAfter }: Revocation, now: Date): boolean => leavesAt(notAfter) <= now;

export const bySerialNumber = (a: Revocation, b: Revocation): number => (a.serialNumber < b.serialNumber ? -1 : 1);

/** The thisUpdate of the last CRL with each serial number, in milliseconds. */
function lastListings(crls: readonly Crl[]): Map<string, number> {
  const last = new Map<string, number>();
  for (const { thisUpdate, revoked } of crls) {
    for (const { serialNumber } of revoked) {
      last.set(serialNumber, Math.max(last.get(serialNumber) ?? 0, thisUpdate.getTime()));
    }
  }
  return last;
}

/** Also false for a CRL with another key identifier than its CA: OpenSSL does not find the CA of such a CRL. */
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
  // The number follows the clock, so that it still grows after the last CRL was lost. No two CRLs are signed in the
  // same millisecond.
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
