import { sha256Hex } from '../../pki/index.ts';
import type { Revocation } from './revocation-state.ts';

/** More would not fit into the root Secret. Whoever has so many to revoke is better served by another root. */
export const maxRevocations = 5000;

/**
 * How many leaves of one namespace a decision goes through: twice its largest share, as some may be on the CRL already, and
 * more than the 771 that one resource can have. The next ones have their turn when requests before them are answered.
 */
export const maxRequestsPerNamespace = maxRevocations / 2;

/** A namespace gets at most this part of the room that all others leave: see docs/design/0019-crl-shares.md. */
const share = 1 / 4;

/** How many entries there are, and how many of them each namespace has asked for. */
export interface CrlEntries {
  readonly total: number;
  /** By shareName. Entries of which the namespace is not known are in `total` alone. */
  readonly byNamespace: ReadonlyMap<string, number>;
}

/** Longer names would make a full record larger than the root Secret has room for. */
const longestName = 32;

/** The name under which a record remembers a namespace: its own, or the beginning of a long one and its digest. */
export const shareName = (namespace: string): string =>
  namespace.length <= longestName
    ? namespace
    : `${namespace.slice(0, longestName - 17)}-${sha256Hex(namespace).slice(0, 16)}`;

/** True for what shareName can give. */
export const isShareName = (text: string): boolean => /^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$/.test(text);

/** Counts the entries of a record. */
export function countEntries(revocations: readonly Revocation[]): CrlEntries {
  const byNamespace = new Map<string, number>();
  for (const { namespace } of revocations) {
    if (namespace !== undefined) byNamespace.set(namespace, (byNamespace.get(namespace) ?? 0) + 1);
  }
  return { total: revocations.length, byNamespace };
}

/** How many entries a namespace, by shareName, may have now, those that it has included. */
export const shareOf = ({ total, byNamespace }: CrlEntries, namespace: string): number =>
  Math.floor((maxRevocations - (total - (byNamespace.get(namespace) ?? 0))) * share);

/** How many more entries a namespace, by shareName, may have now. */
export const roomFor = (entries: CrlEntries, namespace: string): number =>
  Math.max(0, shareOf(entries, namespace) - (entries.byNamespace.get(namespace) ?? 0));

/**
 * Those of the leaves to be revoked for which there is room: in turns by namespace, and within a namespace in their order.
 * @param requested each with its namespace, and none of them an entry already
 */
export function withinShares(entries: CrlEntries, requested: readonly Revocation[]): Revocation[] {
  let { total } = entries;
  const byNamespace = new Map(entries.byNamespace);
  const admits = ({ namespace = '' }: Revocation): boolean => {
    if (roomFor({ total, byNamespace }, namespace) === 0) return false;
    total += 1;
    byNamespace.set(namespace, (byNamespace.get(namespace) ?? 0) + 1);
    return true;
  };
  return inTurns(requested).filter(admits);
}

/** The first of every namespace, then the second of every namespace, and so on. */
function inTurns(requested: readonly Revocation[]): Revocation[] {
  const flows = [...Map.groupBy(requested, ({ namespace = '' }) => namespace)]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, flow]) => flow);
  const longest = Math.max(0, ...flows.map(({ length }) => length));
  return Array.from({ length: longest }, (_, turn) => flows.flatMap((flow) => flow[turn] ?? [])).flat();
}
