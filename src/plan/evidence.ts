import type { LeafRecord } from '../pki/index.ts';
import type { CertificateRecord, SecretRecord } from './observed.ts';

/** A Secret of an authority's certificate: what of it a rotation waits for. */
export interface IssuedSecret {
  readonly namespace: string;
  /** `namespace/name`. */
  readonly what: string;
  /** SHA-256 of its ca.crt; absent when the Secret ought to be there and is not. */
  readonly bundle?: string;
  /**
   * Its leaf, where that can be read, or the last one. `root` (see anchorId) and `issuer` (see caId) are absent when no
   * known root has signed it.
   */
  readonly leaf?: { readonly root?: string; readonly issuer?: string; readonly notAfter: Date };
  /** Since when bundle and leaf are as they are, see Monotonic. */
  readonly changedAtMs: number;
}

/** What is published for those who hold no certificate. */
export interface Publication {
  /** Empty for an object of the cluster. */
  readonly namespace: string;
  /** In words: `ConfigMap shop/mtls-trust`. */
  readonly what: string;
  /** SHA-256 of what is there; absent when it is not there yet. */
  readonly bundle?: string;
  /** Since when it is as it is, see Monotonic. */
  readonly changedAtMs: number;
}

/**
 * Everything of an authority that is out there. Times are milliseconds of a clock that only goes forward, and that nobody
 * can set: how long ago something was written must not depend on the calendar. It begins anew with each process, which
 * then takes everything for written when it began.
 */
export interface Evidence {
  readonly secrets: readonly IssuedSecret[];
  readonly publications: readonly Publication[];
  /** How many Secrets were gone through for it: those of every authority. */
  readonly examined: number;
  readonly monotonicMs: number;
}

/** The Secret of a certificate, as evidence. */
export const issuedSecret = ({ namespace, name, content, changedAtMs }: SecretRecord): IssuedSecret => ({
  namespace,
  what: `${namespace}/${name}`,
  ...(content.bundle === undefined ? {} : { bundle: content.bundle }),
  ...('leaf' in content ? { leaf: leafOf(content.leaf) } : {}),
  changedAtMs,
});

/** Of a leaf only what is asked for: there are as many as Secrets. */
const leafOf = ({ root, issuer, notAfter }: LeafRecord): NonNullable<IssuedSecret['leaf']> =>
  root === undefined || issuer === undefined ? { notAfter } : { root, issuer, notAfter };

/**
 * The Secrets of a resource that have been issued once and are not there: whoever mounts them still has the old content,
 * and gets the new one when they are back. What has never been issued is in nobody's hands. The Secrets of a resource that is
 * being deleted do not come back.
 * @param rootOf the anchor identity of a root by the fingerprint that status has of it
 */
export const lostSecrets = (
  { namespace, deleting, status }: CertificateRecord,
  isThere: (secretName: string) => boolean,
  rootOf: (fingerprint: string) => string | undefined,
): IssuedSecret[] =>
  (deleting ? [] : (status.secrets ?? []))
    .filter(({ secretName }) => !isThere(secretName))
    .map(({ secretName, authorityFingerprint, issuerId: issuer, notAfter: text }) => {
      const [root, notAfter] = [rootOf(authorityFingerprint), new Date(text)];
      const known = { ...(root === undefined ? {} : { root }), ...(issuer === undefined ? {} : { issuer }) };
      return {
        namespace,
        what: `${namespace}/${secretName}`,
        leaf: { ...known, notAfter },
        changedAtMs: Number.POSITIVE_INFINITY,
      };
    });

/** What a phase waits for, counted. */
export interface Tally {
  readonly total: number;
  /** What is not as the phase needs it. */
  readonly missing: readonly Counted[];
  /** For how long nothing has been missing, in milliseconds; as long as can be when nothing is counted. */
  readonly settledMs: number;
}

/** A Secret or a published bundle. */
export type Counted = Pick<Publication, 'namespace' | 'what' | 'changedAtMs'>;

/** Counts the Secrets and publications that hold one of these bundles. */
export function tallyBundles(
  { secrets, publications, monotonicMs }: Evidence,
  digests: readonly string[],
  now: Date,
): Tally {
  // Whoever mounts a Secret without a leaf that works has no connection to lose; it is repaired with the right bundle.
  const counted = [...secrets.filter((secret) => isLive(secret, now)), ...publications];
  return tally(counted, ({ bundle }) => bundle !== undefined && digests.includes(bundle), monotonicMs);
}

/** Counts the Secrets whose leaf is of this root. One that has expired is nobody's concern any more. */
export function tallyLeaves({ secrets, monotonicMs }: Evidence, root: string, now: Date): Tally {
  const live = secrets.filter((secret) => isLive(secret, now));
  return tally(live, ({ bundle, leaf }) => bundle !== undefined && leaf?.root === root, monotonicMs);
}

function tally<T extends Counted>(counted: readonly T[], isDone: (one: T) => boolean, monotonicMs: number): Tally {
  const missing = counted.filter((one) => !isDone(one));
  const settledMs = counted.reduce((least, { changedAtMs }) => Math.min(least, monotonicMs - changedAtMs), Infinity);
  return { total: counted.length, missing, settledMs: missing.length > 0 ? 0 : settledMs };
}

/**
 * Tells which issuers have leaves that a peer may present: unexpired ones, and those that were replaced so lately that pods
 * may not have loaded the next ones. A leaf of an unknown issuer may be of any.
 * @param settleMs how long pods may take to load a change
 */
export function issuersInUse(evidence: Evidence, settleMs: number, now: Date): (issuer: string) => boolean {
  let known: { readonly issuers: ReadonlySet<string>; readonly isComplete: boolean } | undefined;
  return (issuer) => {
    known ??= issuersOfLive(evidence, settleMs, now);
    return !known.isComplete || known.issuers.has(issuer);
  };
}

function issuersOfLive({ secrets, monotonicMs }: Evidence, settleMs: number, now: Date) {
  const live = secrets.filter((secret) => isLive(secret, now));
  const issuers = new Set(live.flatMap(({ leaf }) => leaf?.issuer ?? []));
  const areKnown = live.every(({ leaf }) => leaf?.issuer !== undefined);
  // What is lost has no moment of its own: it counts as long as its leaf lasts.
  const areLoaded = live.every(({ changedAtMs }) => changedAtMs === Infinity || monotonicMs - changedAtMs >= settleMs);
  return { issuers, isComplete: areKnown && areLoaded };
}

/** True when somebody may hold a leaf of another root than this one, known or not, and be let in with it. */
export const otherLeavesLive = ({ secrets }: Evidence, root: string, now: Date): boolean =>
  secrets.some((secret) => isLive(secret, now) && secret.leaf?.root !== root);

const isLive = ({ leaf }: IssuedSecret, now: Date): boolean => leaf !== undefined && leaf.notAfter > now;
