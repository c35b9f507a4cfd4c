/**
 * Until when pods may hold certificates, by the CA that issued them. These certificates are in no Secret, so this record is all that
 * the operator knows about them. It is an annotation of the root Secret. The operator writes it before it signs a certificate that is
 * valid longer than the record says. So a certificate of a pod never outlives its entry, even if an earlier leader signed it.
 */
export interface PodLeaves {
  /** By the identity of the root, see anchorId. */
  readonly roots: ReadonlyMap<string, Date>;
  /** By the identity of the CA whose key signed, see caId. The CRL of that CA is renewed until then. */
  readonly issuers: ReadonlyMap<string, Date>;
}

/** The records of all places, and the clock that shows which entries are over. */
export interface ObservedPodLeaves extends PodLeaves {
  /** The time of the API server. Undefined if it is not known. */
  readonly serverTime?: Date;
}

/**
 * The time at which an entry must be over before the operator forgets it. These certificates cannot be withdrawn. So if the clocks
 * of the operator and of the API server differ, the earlier one counts: a rotation then ends late, never early.
 */
export const podLeavesTime = (podLeaves: ObservedPodLeaves | undefined, now: Date): Date => {
  const serverTime = podLeaves?.serverTime ?? now;
  return serverTime < now ? serverTime : now;
};

export const noPodLeaves: PodLeaves = { roots: new Map(), issuers: new Map() };

/** The record grows in steps of ten minutes, so that a burst of certificates costs one write. */
const stepMs = 600_000;

/** The time that the record holds for a certificate with this notAfter: the next multiple of ten minutes. */
export const roundUp = (notAfter: Date): Date => new Date(Math.ceil(notAfter.getTime() / stepMs) * stepMs);

/** Until when pods may hold certificates of this root. Undefined when no certificate is recorded. */
export const recordedUntil = (podLeaves: PodLeaves | undefined, root: string): Date | undefined =>
  podLeaves?.roots.get(root);

/** The entries that are not over. */
export const livePodLeaves = (podLeaves: ObservedPodLeaves, now: Date): PodLeaves => {
  const at = podLeavesTime(podLeaves, now);
  const live = (entries: ReadonlyMap<string, Date>) => new Map([...entries].filter(([, until]) => until > at));
  return { roots: live(podLeaves.roots), issuers: live(podLeaves.issuers) };
};

/** All entries of several records. The later time counts. */
export const mergePodLeaves = (...records: readonly PodLeaves[]): PodLeaves => ({
  roots: latest(records.map(({ roots }) => roots)),
  issuers: latest(records.map(({ issuers }) => issuers)),
});

function latest(records: ReadonlyArray<ReadonlyMap<string, Date>>): Map<string, Date> {
  const merged = new Map<string, Date>();
  for (const [id, until] of records.flatMap((entries) => [...entries])) {
    const known = merged.get(id);
    if (known === undefined || known < until) merged.set(id, until);
  }
  return merged;
}

/** True when a record has an entry that another record lacks, or a later time for it. */
export const exceeds = (record: PodLeaves, other: PodLeaves): boolean =>
  (['roots', 'issuers'] as const).some((part) =>
    [...record[part]].some(([id, until]) => {
      const known = other[part].get(id);
      return known === undefined || known < until;
    }),
  );

/** There are as many entries as CAs that signed within the last three months. */
const mostEntries = 64;

/** Encodes a record. Equal records have equal texts. */
export const encodePodLeaves = ({ roots, issuers }: PodLeaves): string =>
  JSON.stringify({ roots: encodeEntries(roots), issuers: encodeEntries(issuers) });

const encodeEntries = (entries: ReadonlyMap<string, Date>): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [...entries]
      .sort(([, a], [, b]) => b.getTime() - a.getTime())
      .slice(0, mostEntries)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([id, until]) => [id, until.toISOString()]),
  );

/** Parses the annotation. Leaves out entries that are not valid: another client has written them. */
export function parsePodLeaves(text: string | undefined): PodLeaves {
  if (text === undefined || text.length > longestText) return noPodLeaves;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return noPodLeaves;
    const { roots, issuers } = value as { readonly roots?: unknown; readonly issuers?: unknown };
    return { roots: parseEntries(roots), issuers: parseEntries(issuers) };
  } catch {
    return noPodLeaves;
  }
}
const longestText = 32 * 1024;

const parseEntries = (value: unknown): Map<string, Date> =>
  new Map(
    (typeof value === 'object' && value !== null ? Object.entries(value) : []).flatMap(([id, until]) =>
      isDigest(id) && isMoment(until) ? [[id, new Date(until)] as const] : [],
    ),
  );

const isDigest = (id: string): boolean => /^[0-9a-f]{64}$/.test(id);
const isMoment = (value: unknown): value is string =>
  typeof value === 'string' &&
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$/.test(value) &&
  !Number.isNaN(Date.parse(value));
