import type { Condition } from '../../api/types.ts';
import { timestamp } from '../timing/timestamp.ts';

type ConditionType =
  | 'Ready'
  | 'Issuing'
  | 'Rotating'
  | 'TrustPublished'
  | 'AdditionalRootsAccepted'
  | 'PodCertificatesServed'
  | 'IssuerKeyMissing'
  | 'CrlNearlyFull';

/** A condition as a plan states it. {@link mergeConditions} adds the time of its transition. */
export interface DesiredCondition {
  readonly type: ConditionType;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

interface WithConditions {
  readonly conditions?: readonly Condition[];
}

/** The condition of a type in status. Undefined when it was never set. */
export const conditionOf = ({ conditions }: WithConditions, type: ConditionType): Condition | undefined =>
  conditions?.find((condition) => condition.type === type);

/**
 * The condition of a type in status, as a desired condition that keeps it unchanged. Undefined when it was never set.
 */
export function restated(status: WithConditions, type: ConditionType): DesiredCondition | undefined {
  const condition = conditionOf(status, type);
  if (condition === undefined) return undefined;
  const { reason, message } = condition;
  return { type, status: condition.status === 'True' ? 'True' : 'False', reason, message };
}

/** A condition with status False, or none when it was never set. A condition that was set once stays. */
export const falseIfSet = (status: WithConditions, condition: Omit<DesiredCondition, 'status'>): DesiredCondition[] =>
  conditionOf(status, condition.type) === undefined ? [] : [{ ...condition, status: 'False' }];

type Undated = Omit<Condition, 'lastTransitionTime'>;

/**
 * The conditions to write: exactly the desired types. An existing condition keeps its place, and its lastTransitionTime
 * unless its status changes. New ones follow in the desired order. Without a change the result is deeply equal to
 * `previous`, so that equality means that no write is needed.
 */
export function mergeConditions(
  previous: readonly Condition[] | undefined,
  wanted: ReadonlyArray<Undated>,
  now: Date,
): Condition[] {
  const before = new Map((previous ?? []).map((condition) => [condition.type, condition]));
  const after = new Map(wanted.map((condition) => [condition.type, condition]));
  const ordered = [...before.keys(), ...after.keys()].flatMap((type) => after.get(type) ?? []);
  return [...new Set(ordered)].map((condition) => dated(condition, before.get(condition.type), now));
}

function dated(condition: Undated, old: Condition | undefined, now: Date): Condition {
  const { type, status, reason, message, observedGeneration } = condition;
  const lastTransitionTime = old?.status === status ? old.lastTransitionTime : timestamp(now);
  // A property with the value undefined would differ from the object that the API server returns.
  const generation = observedGeneration === undefined ? {} : { observedGeneration };
  return { type, status, reason, message, lastTransitionTime, ...generation };
}
