import { anchorId, type Certificate, type Issuer, uniqueAnchors } from '../../pki/index.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import { rootsInStatus } from '../records/status-roots.ts';
import type { RootSecret } from '../rotation/observed-root.ts';
import { isInterrupted } from '../rotation/rotation-start.ts';
import type { RotationState } from '../rotation/rotation-state.ts';
import { withoutRoots } from '../rotation/rotation-step.ts';

/** Everything that decides which roots peers must trust. */
export interface AnchorContext {
  readonly authority: AuthorityRecord;
  readonly secret: RootSecret;
  readonly active: Issuer;
  /** The roots in ca.crt of the root Secret. */
  readonly inSecret: readonly Certificate[];
  /** The rotation in progress. */
  readonly rotation: RotationState | undefined;
}

/** A source of roots that are trusted in addition to the active root. */
type AnchorSource = (context: AnchorContext) => readonly Certificate[];

/** ca.crt of the root Secret: roots of earlier rotations, and roots that an administrator added. */
const secretAnchors: AnchorSource = ({ inSecret }) => inSecret;

/**
 * The root that a rotation distributes, even if it is missing in ca.crt: bundles without it would open the gate. To
 * drop that root, an administrator aborts the rotation or removes next.crt.
 */
const distributedAnchors: AnchorSource = ({ rotation, secret: { next } }) =>
  rotation?.phase === 'Distributing' &&
  next !== undefined &&
  'issuer' in next &&
  anchorId(next.issuer.anchor) === rotation.new
    ? [next.issuer.anchor]
    : [];

/**
 * The roots that were trusted under the previous active root. Once status names the active root, only ca.crt counts, so
 * that an administrator can end trust by removing a root from it.
 */
const rememberedAnchors: AnchorSource = ({ authority, secret, active: { anchor }, rotation }) => {
  const { status } = authority;
  const isAnother = status.activeRoot !== undefined && status.activeRoot.fingerprint !== anchor.fingerprint;
  return rotation === undefined && (isAnother || isInterrupted({ authority, secret })) ? rootsInStatus(status) : [];
};

const sources: readonly AnchorSource[] = [secretAnchors, distributedAnchors, rememberedAnchors];

/**
 * The roots that peers must trust: the active root first, then the roots of every source. The active root replaces all
 * other certificates of its CA. Other roots leave when they expire, or when their rotation is withdrawn.
 */
export function trustAnchors(context: AnchorContext, now: Date): Certificate[] {
  const { anchor } = context.active;
  const others = withoutRoots(
    sources.flatMap((source) => source(context)),
    withdrawn(context),
  );
  return [
    anchor,
    ...uniqueAnchors(others.filter((root) => anchorId(root) !== anchorId(anchor) && root.notAfter > now)),
  ];
}

/**
 * The root of a rotation that an administrator ended by removing the root. It is never the active root: in that case
 * the rotation continues.
 */
const withdrawn = ({ rotation, secret }: AnchorContext): string[] =>
  rotation === undefined && secret.rotation?.phase === 'Distributing' ? [secret.rotation.new] : [];
