import { anchorId, type Certificate, type Issuer, type KeySpec, type RootProfile } from '../../pki/index.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import type { ObservedPodLeaves } from '../records/pod-leaves.ts';
import type { PodRecord } from '../records/pod-record.ts';
import { timestamp } from '../timing/timestamp.ts';
import type { RootSecret } from './observed-root.ts';
import type { RolloutObservation } from './rollout-observation.ts';
import type { RotationPhase, RotationState } from './rotation-state.ts';

/** A change of the root Secret in one write. */
export interface RotationStep {
  readonly step: 'rotate';
  readonly resourceVersion: string;
  /** The Event that reports the step. */
  readonly event: { readonly reason: string; readonly message: string };
  /** A root to generate, and the slot of the root Secret for it. */
  readonly generate?: { readonly slot: 'active' | 'next'; readonly profile: RootProfile; readonly key: KeySpec };
  /** Where each pair moves. Null destroys the pair in that slot. */
  readonly move: {
    readonly active?: 'next' | 'previous';
    readonly next?: null;
    readonly previous?: 'active' | null;
  };
  /** The roots that are trusted after the step. A generated root is added to them. */
  readonly trusted: readonly Certificate[];
  /**
   * The state of the rotation after the step. Absent when the rotation is over. `new` is empty for a root that has not
   * been generated yet.
   */
  readonly rotation?: RotationState;
  /** The id of the rotation that the step ends. Without it, the missing state would look like an overwritten Secret. */
  readonly endedRotation?: string;
  /** The value of the annotation rotate-root that the step acts on. */
  readonly handledToken?: string;
  /** Read the rollout from the API server before carrying out the step, because the caches may lag behind. */
  readonly requiresLiveRead?: true;
}

export interface RotationNotice {
  /** The reason of the Event. */
  readonly reason: string;
  readonly message: string;
  /** The notice needs no action. */
  readonly isExpected?: true;
}

/** The progress of a rotation, and what it waits for. */
export interface RotationReport {
  readonly state: RotationState;
  readonly blockers: readonly string[];
  readonly notices: readonly RotationNotice[];
  /** How many of the phase's Secrets and bundles are done, and how many there are. */
  readonly done: number;
  readonly total: number;
  /** The time after which the gate opens without an event. */
  readonly opensInMs?: number;
  /** The phase waits only until the certificates of pods expire, so it need not be checked often. */
  readonly waitsForPods?: true;
  /** Present when the phase needs restarts and spec lets the operator restart workloads. */
  readonly restart?: RestartRequest;
}

/** The pods whose workloads the operator may restart, once for this key, see restartKey. */
export interface RestartRequest {
  readonly key: string;
  readonly pods: readonly PodRecord[];
}

/** A root Secret whose root may sign, and what its rotation depends on. */
export interface RotationInput {
  readonly authority: AuthorityRecord;
  readonly secret: RootSecret;
  readonly active: Issuer;
  /** All roots in ca.crt, and the roots that status remembers from before the Secret was overwritten. */
  readonly trusted: readonly Certificate[];
  /** Digests of the bundles that meet the gate of the current phase. */
  readonly acceptedDigests: readonly string[];
  readonly rollout: RolloutObservation;
  /** Until when pods may hold certificates. */
  readonly podLeaves?: ObservedPodLeaves;
}

/** The plan for a rotation: a step, a report of the gate, a problem, or none when there is no rotation. */
export type RotationPlan =
  | { readonly step: RotationStep }
  | { readonly report: RotationReport }
  | { readonly problem: { readonly reason: string; readonly message: string } }
  | { readonly none: true };

/** True when the new root is in tls.crt: after the switch, or after it overwrote the old root. */
export const isInPlace = ({ active }: RotationInput, rotation: RotationState): boolean =>
  anchorId(active.anchor) === rotation.new;

export const initialRotation = (
  input: Pick<RotationInput, 'authority' | 'rollout'>,
  old: readonly string[],
  incoming: string,
  phase: RotationPhase,
  now: Date,
): RotationState => ({
  id: now.getTime().toString(36),
  phase,
  startedAt: timestamp(now),
  since: now.toISOString(),
  old,
  new: incoming,
  windowMs: reissueWindowMs(input),
  aborting: false,
});

/** How long the re-issues take at reissuesPerSecond. */
export const reissueWindowMs = ({ authority, rollout }: Pick<RotationInput, 'authority' | 'rollout'>): number =>
  Math.round((rollout.secrets.length / Math.max(1, authority.spec.rotation.reissuesPerSecond)) * 1000);

export const rotationStep = ({ secret }: Pick<RotationInput, 'secret'>, event: RotationStep['event']) =>
  ({ step: 'rotate', resourceVersion: secret.resourceVersion, event, move: {} }) as const;

/** The roots without the ones that have these identities, see anchorId. */
export const withoutRoots = (roots: readonly Certificate[], gone: readonly string[]): Certificate[] =>
  roots.filter((root) => !gone.includes(anchorId(root)));
