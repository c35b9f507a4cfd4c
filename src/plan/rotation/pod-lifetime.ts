import type { RotationState } from './rotation-state.ts';

/**
 * The longest lifetime that a rotation allows for certificates of pods, in milliseconds. Undefined when it sets no limit. The root
 * that signs in these phases may soon be replaced, and a certificate cannot be withdrawn from a pod: a rotation waits until it expires.
 */
export const longestPodLifetimeMs = (rotation: RotationState | undefined): number | undefined =>
  rotation !== undefined && (rotation.aborting || rotation.phase === 'Distributing' || rotation.phase === 'Switching')
    ? shortestLifetimeMs
    : undefined;

/** The shortest lifetime that the API server accepts for the certificate of a pod. */
const shortestLifetimeMs = 3_600_000;
