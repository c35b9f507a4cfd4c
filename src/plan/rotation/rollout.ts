import type { LeafRecord } from '../../pki/index.ts';
import type { CertificateRecord } from '../records/certificate-record.ts';
import { type CachedSecret, isExamined } from '../records/secret-record.ts';

/** A Secret of an authority's certificate: what of it a rotation waits for. */
export interface IssuedSecret {
  readonly namespace: string;
  /** `namespace/name`. */
  readonly displayName: string;
  /** SHA-256 of its ca.crt; absent when the Secret ought to be there and is not. */
  readonly bundle?: string;
  /**
   * Its leaf, where that can be read, or the last one. `root` (see anchorId) and `issuer` (see caId) are absent when no
   * known root has signed it.
   */
  readonly leaf?: { readonly root?: string; readonly issuer?: string; readonly notAfter: Date };
  /** Since when bundle and leaf are as they are, see Monotonic. */
  readonly changedAtMs: number;
  /** How often it has changed since the phase began; absent when that is no cause for a word. */
  readonly changeCount?: number;
  /** Why it may never be as a phase needs it, in a few words. */
  readonly detail?: string;
}

/** What is published for those who hold no certificate. */
export interface Publication {
  /** Empty for an object of the cluster. */
  readonly namespace: string;
  /** In words: `ConfigMap shop/mtls-trust`. */
  readonly displayName: string;
  /** SHA-256 of what is there; absent when it is not there yet. */
  readonly bundle?: string;
  /** Since when it is as it is, see Monotonic. */
  readonly changedAtMs: number;
  /** A ClusterTrustBundle: kubelet caches the content of one that a pod mounts by name. */
  readonly isClusterTrustBundle?: true;
  /** As those of IssuedSecret. */
  readonly changeCount?: number;
  readonly detail?: string;
}

/**
 * Everything of an authority that is out there. Times are milliseconds of a clock that only goes forward, and that nobody
 * can set: how long ago something was written must not depend on the calendar. It begins anew with each process, which
 * then takes everything for written when it began.
 */
export interface RolloutObservation {
  readonly secrets: readonly IssuedSecret[];
  readonly publications: readonly Publication[];
  /** How many Secrets were gone through for it: those of every authority. */
  readonly examinedSecrets: number;
  readonly monotonicMs: number;
}

/** The Secret of a certificate, as evidence. One that was not read yet may hold anything: it counts as what no phase needs. */
export function issuedSecret(secret: CachedSecret): IssuedSecret {
  const { namespace, name, changedAtMs } = secret;
  const common = { namespace, displayName: `${namespace}/${name}`, changedAtMs };
  if (!isExamined(secret))
    return { ...common, leaf: { notAfter: endOfTime }, detail: 'the operator has not read it yet' };
  const { content } = secret;
  return {
    ...common,
    ...(content.bundle === undefined ? {} : { bundle: content.bundle }),
    ...('leaf' in content ? { leaf: leafOf(content.leaf) } : {}),
    ...(secret.deleting === true ? { detail: heldByFinalizer } : {}),
  };
}

/** ECMA-262 21.4.1.1. */
const endOfTime = new Date(8.64e15);

/** Why an object that was deleted is still there, in the messages of a rotation. */
export const heldByFinalizer = 'being deleted, and a finalizer holds it';

/** Of a leaf only what is asked for: there are as many as Secrets. */
const leafOf = ({ root, issuer, notAfter }: LeafRecord): NonNullable<IssuedSecret['leaf']> =>
  root === undefined || issuer === undefined ? { notAfter } : { root, issuer, notAfter };

/**
 * The Secrets of a resource that have been issued once and are not there: whoever mounts them still has the old content,
 * and gets the new one when they are back. What has never been issued is in nobody's hands. The Secrets of a resource that is
 * being deleted do not come back.
 * @param rootOf the anchor identity of a root by the fingerprint that status has of it
 */
export const missingSecrets = (
  { namespace, deleting, status }: CertificateRecord,
  isThere: (secretName: string) => boolean,
  rootOf: (fingerprint: string) => string | undefined,
): IssuedSecret[] =>
  (deleting ? [] : (status.secrets ?? []))
    .filter(({ secretName }) => !isThere(secretName))
    .map(({ secretName, rootFingerprint, issuerId: issuer, notAfter: text }) => {
      const [root, notAfter] = [rootOf(rootFingerprint), new Date(text)];
      const known = { ...(root === undefined ? {} : { root }), ...(issuer === undefined ? {} : { issuer }) };
      return {
        namespace,
        displayName: `${namespace}/${secretName}`,
        leaf: { ...known, notAfter },
        changedAtMs: Number.POSITIVE_INFINITY,
        detail: 'deleted',
      };
    });

/** A Secret or a published bundle. */
export type RolloutObject = Omit<Publication, 'bundle'>;

/** How long pods may take to load a change of an object, in milliseconds. */
export type DelayOf = (one: RolloutObject) => number;
const noDelay: DelayOf = () => 0;

/** What a phase waits for, counted. An object is done when it is as the phase needs it, and has been for its delay. */
export interface RolloutProgress {
  readonly total: number;
  readonly done: number;
  /** What is not as the phase needs it. */
  readonly missing: readonly RolloutObject[];
  /** What is, but has changed again and again, so that its delay starts over. */
  readonly changedAgain: readonly RolloutObject[];
  /** Of what is as it should be, the one whose delay ends last; absent when there is none. */
  readonly slowest?: { readonly object: RolloutObject; readonly settlesInMs: number };
}

/** Counts the Secrets and publications that hold one of these bundles. */
export function countBundles(
  { secrets, publications, monotonicMs }: RolloutObservation,
  digests: readonly string[],
  now: Date,
  delayOf = noDelay,
): RolloutProgress {
  // Whoever mounts a Secret without a leaf that works has no connection to lose; it is repaired with the right bundle.
  const counted = [...secrets.filter((secret) => isLive(secret, now)), ...publications];
  const isRight = ({ bundle }: { readonly bundle?: string }) => bundle !== undefined && digests.includes(bundle);
  return progress(counted, isRight, monotonicMs, delayOf);
}

/** Counts the Secrets whose leaf is of this root. One that has expired is nobody's concern any more. */
export function countLeaves(
  { secrets, monotonicMs }: RolloutObservation,
  root: string,
  now: Date,
  delayOf = noDelay,
): RolloutProgress {
  const live = secrets.filter((secret) => isLive(secret, now));
  return progress(live, ({ bundle, leaf }) => bundle !== undefined && leaf?.root === root, monotonicMs, delayOf);
}

/** The first change in a phase is the operator's. */
const changesToName = 2;

function progress<T extends RolloutObject>(
  counted: readonly T[],
  isRight: (one: T) => boolean,
  monotonicMs: number,
  delayOf: DelayOf,
): RolloutProgress {
  const [missing, changedAgain]: [RolloutObject[], RolloutObject[]] = [[], []];
  let done = 0;
  let slowest: RolloutProgress['slowest'];
  for (const one of counted) {
    if (!isRight(one)) {
      missing.push(one);
      continue;
    }
    const settlesInMs = delayOf(one) - (monotonicMs - one.changedAtMs);
    if (settlesInMs <= 0) {
      done += 1;
      continue;
    }
    if ((one.changeCount ?? 0) >= changesToName) changedAgain.push(one);
    if (slowest === undefined || settlesInMs > slowest.settlesInMs) slowest = { object: one, settlesInMs };
  }
  return { total: counted.length, done, missing, changedAgain, ...(slowest === undefined ? {} : { slowest }) };
}

/**
 * Tells which issuers have leaves that a peer may present: unexpired ones, and those that were replaced so lately that pods
 * may not have loaded the next ones. A leaf of a known root whose issuer is not known may be of any.
 * @param settleMs how long pods may take to load a change
 */
export function issuersInUse(rollout: RolloutObservation, settleMs: number, now: Date): (issuer: string) => boolean {
  let known: { readonly issuers: ReadonlySet<string>; readonly isComplete: boolean } | undefined;
  return (issuer) => {
    known ??= issuersOfLive(rollout, settleMs, now);
    return !known.isComplete || known.issuers.has(issuer);
  };
}

function issuersOfLive({ secrets, monotonicMs }: RolloutObservation, settleMs: number, now: Date) {
  const live = secrets.filter((secret) => isLive(secret, now));
  const issuers = new Set(live.flatMap(({ leaf }) => leaf?.issuer ?? []));
  const areKnown = live.filter(isOfKnownRoot).every(({ leaf }) => leaf?.issuer !== undefined);
  // What is lost has no moment of its own: it counts as long as its leaf lasts.
  const areLoaded = live.every(({ changedAtMs }) => changedAtMs === Infinity || monotonicMs - changedAtMs >= settleMs);
  return { issuers, isComplete: areKnown && areLoaded };
}

/**
 * True when a peer may present a leaf of another root than this one, and be let in with it. No peer lets in a leaf of a root
 * that the authority does not know: anybody can put one into a Secret of their own.
 */
export const hasLiveLeavesOfOtherRoots = ({ secrets }: RolloutObservation, root: string, now: Date): boolean =>
  secrets.some((secret) => isLive(secret, now) && isOfKnownRoot(secret) && secret.leaf?.root !== root);

const isOfKnownRoot = ({ leaf }: IssuedSecret): boolean => leaf?.root !== undefined;

const isLive = ({ leaf }: IssuedSecret, now: Date): boolean => leaf !== undefined && leaf.notAfter > now;
