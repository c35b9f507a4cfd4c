import type { Condition } from '../api/object.ts';

/** A condition as a decision states it: when it changed is worked out by {@link mergeConditions}. */
export type WantedCondition = Omit<Condition, 'lastTransitionTime'>;

/**
 * The conditions to write: exactly the wanted types. A type that was there keeps its place, and its lastTransitionTime
 * unless its status changed; new types follow in the order wanted. Given the same facts, the result is deeply equal to
 * `previous`, so that equality tells that there is nothing to write.
 */
export function mergeConditions(
  previous: readonly Condition[] | undefined,
  wanted: readonly WantedCondition[],
  now: Date,
): Condition[] {
  const before = new Map((previous ?? []).map((condition) => [condition.type, condition]));
  const after = new Map(wanted.map((condition) => [condition.type, condition]));
  const ordered = [...before.keys(), ...after.keys()].flatMap((type) => after.get(type) ?? []);
  return [...new Set(ordered)].map((condition) => dated(condition, before.get(condition.type), now));
}

function dated(condition: WantedCondition, old: Condition | undefined, now: Date): Condition {
  const { type, status, reason, message, observedGeneration } = condition;
  const lastTransitionTime = old?.status === status ? old.lastTransitionTime : timestamp(now);
  // A key that holds undefined would make the result differ from what the API server gives back.
  const generation = observedGeneration === undefined ? {} : { observedGeneration };
  return { type, status, reason, message, lastTransitionTime, ...generation };
}

/** metav1.Time: RFC 3339 in UTC, whole seconds. */
export function timestamp(date: Date): string {
  return date.toISOString().replace(/\.\d{3}Z$/, 'Z');
}

/** metav1.MicroTime: RFC 3339 in UTC with six digits; the API server refuses fewer where it wants them. */
export function microTimestamp(date: Date): string {
  return date.toISOString().replace(/Z$/, '000Z');
}
