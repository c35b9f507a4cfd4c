import { isDeepStrictEqual } from 'node:util';
import { type Condition, mergeConditions } from '../kube/index.ts';
import type { WantedCondition } from '../plan/index.ts';

interface Status {
  readonly conditions?: readonly Condition[];
  readonly observedGeneration?: number;
}

/** A merge patch of a status, with null for what is to go. */
export type StatusPatch = Record<string, unknown>;

/**
 * The patch that brings a status to what is wanted; undefined when it is there already, which is the case in steady
 * state: nothing is written then.
 */
export function statusPatch(
  actual: Status,
  wanted: Omit<Status, 'conditions'> & { readonly conditions: readonly WantedCondition[] },
  now: Date,
): StatusPatch | undefined {
  const { observedGeneration } = wanted;
  const conditions = mergeConditions(
    actual.conditions,
    wanted.conditions.map((condition) => ({
      ...condition,
      ...(observedGeneration === undefined ? {} : { observedGeneration }),
    })),
    now,
  );
  const next: Record<string, unknown> = { ...wanted, conditions };
  const before = new Map<string, unknown>(Object.entries(actual));
  const changes = Object.entries(next).filter(([key, value]) => !isDeepStrictEqual(before.get(key), value));
  const gone = [...before.keys()].filter((key) => !(key in next)).map((key) => [key, null]);
  return changes.length + gone.length === 0 ? undefined : Object.fromEntries([...changes, ...gone]);
}
