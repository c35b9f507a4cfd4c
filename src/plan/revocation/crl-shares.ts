import { sha256Hex } from '../../pki/index.ts';
import type { Revocation } from './revocation-state.ts';

/** The most entries that fit into the root Secret. To revoke more leaves, rotate the root. */
export const maxRevocations = 5000;

/**
 * How many requested leaves of one namespace a plan reads. It is twice the largest share, because some may be on the
 * CRL already, and more than the 771 leaves that one resource can have. Further leaves follow when earlier requests are
 * answered.
 */
export const maxRequestsPerNamespace = maxRevocations / 2;

/**
 * A namespace gets at most this share of the entries that all other namespaces leave free: see docs/design/0019-crl-shares.md.
 */
const share = 1 / 4;

/** The number of entries, in total and by the namespace that requested them. */
export interface CrlEntries {
  readonly total: number;
  /** By shareName. Entries without a known namespace count only in `total`. */
  readonly byNamespace: ReadonlyMap<string, number>;
}

/** With longer names, a full record would not fit into the root Secret. */
const longestName = 32;

/** The name of a namespace in a record: the full name, or the start of a long name and its digest. */
export const shareName = (namespace: string): string =>
  namespace.length <= longestName
    ? namespace
    : `${namespace.slice(0, longestName - 17)}-${sha256Hex(namespace).slice(0, 16)}`;

/** True for a text that shareName can return. */
export const isShareName = (text: string): boolean => /^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$/.test(text);

/** Counts the entries of a record. */
export function countEntries(revocations: readonly Revocation[]): CrlEntries {
  const byNamespace = new Map<string, number>();
  for (const { namespace } of revocations) {
    if (namespace !== undefined) byNamespace.set(namespace, (byNamespace.get(namespace) ?? 0) + 1);
  }
  return { total: revocations.length, byNamespace };
}

/** How many entries a namespace, by shareName, may have now. Its current entries count. */
export const shareOf = ({ total, byNamespace }: CrlEntries, namespace: string): number =>
  Math.floor((maxRevocations - (total - (byNamespace.get(namespace) ?? 0))) * share);

/** How many more entries a namespace, by shareName, may have now. */
export const roomFor = (entries: CrlEntries, namespace: string): number =>
  Math.max(0, shareOf(entries, namespace) - (entries.byNamespace.get(namespace) ?? 0));

/**
 * The requested leaves for which there is room. Namespaces take turns; within a namespace the order stays.
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
