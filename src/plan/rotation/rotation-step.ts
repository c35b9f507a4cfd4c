import { anchorId, type Certificate, type Issuer, type KeySpec, type RootProfile } from '../../pki/index.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import { timestamp } from '../timing/timestamp.ts';
import type { RootSecret } from './observed-root.ts';
import type { RolloutObservation } from './rollout-observation.ts';
import type { RotationPhase, RotationState } from './rotation-state.ts';

/** A change of the root Secret: one write, with all that belongs together in it. */
export interface RotationStep {
  readonly step: 'rotate';
  readonly resourceVersion: string;
  /** What happens, for people. */
  readonly event: { readonly reason: string; readonly message: string };
  /** A root to generate, and the slot of the root Secret for it. */
  readonly generate?: { readonly slot: 'active' | 'next'; readonly profile: RootProfile; readonly key: KeySpec };
  /** Which pair goes where; null destroys what is there. */
  readonly move: {
    readonly active?: 'next' | 'previous';
    readonly next?: null;
    readonly previous?: 'active' | null;
  };
  /** The roots that are trusted from then on; the one that is made is added. */
  readonly trusted: readonly Certificate[];
  /** The state of the rotation from then on, absent when it is over. `new` is empty for a root that is yet to be made. */
  readonly rotation?: RotationState;
  /** The id of a rotation that the step ends: it is no longer there because it is over, not because somebody wrote over it. */
  readonly endedRotation?: string;
  /** The value of the annotation rotate-root that the step acts on. */
  readonly handledToken?: string;
  /** Read the rollout from the API server before the step is carried out: caches may lag behind. */
  readonly requiresLiveRead?: true;
}

/** A request that is refused, or that waits for the end of the rotation. */
export interface RotationNotice {
  /** Of the event that reports it. */
  readonly reason: string;
  readonly message: string;
  /** It is as it should be, and no cause for alarm. */
  readonly isExpected?: true;
}

/** Where a rotation stands, and what it is waiting for. */
export interface RotationReport {
  readonly state: RotationState;
  /** What is waited for. */
  readonly blockers: readonly string[];
  readonly notices: readonly RotationNotice[];
  /** How many of the Secrets and bundles that the phase waits for are done, and how many there are. */
  readonly done: number;
  readonly total: number;
  /** When a gate opens by time alone. */
  readonly opensInMs?: number;
}

/** The root Secret and what it means for a rotation, once its root is found fit to sign. */
export interface RotationInput {
  readonly authority: AuthorityRecord;
  readonly secret: RootSecret;
  readonly active: Issuer;
  /** All roots in ca.crt, and those that status remembers of before an overwrite. */
  readonly trusted: readonly Certificate[];
  /** Bundles, as digests, that hold all that the present phase needs. */
  readonly acceptedDigests: readonly string[];
  readonly rollout: RolloutObservation;
}

/** What is to be done about a rotation: a step, or the report of what is waited for; neither when there is none. */
export type RotationPlan =
  | { readonly step: RotationStep }
  | { readonly report: RotationReport }
  /** Why a request cannot be carried out. */
  | { readonly problem: { readonly reason: string; readonly message: string } }
  | { readonly none: true };

/** True when the new root is where the one that signs is: from the switch on, or since somebody put it there. */
export const isInPlace = ({ active }: RotationInput, rotation: RotationState): boolean =>
  anchorId(active.anchor) === rotation.new;

export const initialRotation = (
  input: Pick<RotationInput, 'authority' | 'rollout'>,
  old: readonly string[],
  incoming: string,
  phase: RotationPhase,
  now: Date,
): RotationState => ({
  // Unique because a rotation takes longer than a millisecond.
  id: now.getTime().toString(36),
  phase,
  startedAt: timestamp(now),
  since: now.toISOString(),
  old,
  new: incoming,
  windowMs: reissueWindowMs(input),
  aborting: false,
});

/** How long re-issues take at the pace that is set. */
export const reissueWindowMs = ({ authority, rollout }: Pick<RotationInput, 'authority' | 'rollout'>): number =>
  Math.round((rollout.secrets.length / Math.max(1, authority.spec.rotation.reissuesPerSecond)) * 1000);

export const rotationStep = ({ secret }: Pick<RotationInput, 'secret'>, event: RotationStep['event']) =>
  ({ step: 'rotate', resourceVersion: secret.resourceVersion, event, move: {} }) as const;

/** The roots but for those with these identities, see anchorId. */
export const withoutRoots = (roots: readonly Certificate[], gone: readonly string[]): Certificate[] =>
  roots.filter((root) => !gone.includes(anchorId(root)));
