import { anchorId, type Certificate, type Issuer, uniqueAnchors } from '../../pki/index.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import { rootsInStatus } from '../records/status-roots.ts';
import type { RootSecret } from '../rotation/observed-root.ts';
import { isInterrupted } from '../rotation/rotation-start.ts';
import type { RotationState } from '../rotation/rotation-state.ts';
import { withoutRoots } from '../rotation/rotation-step.ts';

/** What decides which roots the peers of an authority have to trust. */
export interface AnchorContext {
  readonly authority: AuthorityRecord;
  readonly secret: RootSecret;
  readonly active: Issuer;
  /** The roots in ca.crt of the root Secret. */
  readonly inSecret: readonly Certificate[];
  /** The rotation under way. */
  readonly rotation: RotationState | undefined;
}

/** Where roots come from that are trusted next to the active one. */
type AnchorSource = (context: AnchorContext) => readonly Certificate[];

/** ca.crt of the root Secret: what earlier rotations have left, and what a person has added. */
const secretAnchors: AnchorSource = ({ inSecret }) => inSecret;

/**
 * The root that a rotation distributes, whatever a person does to ca.crt: bundles without it would open the gate. A person who
 * does not want that root aborts the rotation, or removes next.crt.
 */
const distributedAnchors: AnchorSource = ({ rotation, secret: { next } }) =>
  rotation?.phase === 'Distributing' &&
  next !== undefined &&
  'issuer' in next &&
  anchorId(next.issuer.anchor) === rotation.new
    ? [next.issuer.anchor]
    : [];

/**
 * The roots that were trusted when another root was active. Once status names the active root, ca.crt alone decides, so that
 * a person can end trust by removing a root from it.
 */
const rememberedAnchors: AnchorSource = ({ authority, secret, active: { anchor }, rotation }) => {
  const { status } = authority;
  const isAnother = status.activeRoot !== undefined && status.activeRoot.fingerprint !== anchor.fingerprint;
  return rotation === undefined && (isAnother || isInterrupted({ authority, secret })) ? rootsInStatus(status) : [];
};

const sources: readonly AnchorSource[] = [secretAnchors, distributedAnchors, rememberedAnchors];

/**
 * The roots that peers have to trust: the active one, then those of every source. The active root stands for its CA, whatever
 * other certificates of that CA a source has. The others leave when they expire, and when their rotation is withdrawn.
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

/** The root of a rotation that a person ended by removing it. It is never the active one: then the rotation goes on. */
const withdrawn = ({ rotation, secret }: AnchorContext): string[] =>
  rotation === undefined && secret.rotation?.phase === 'Distributing' ? [secret.rotation.new] : [];
