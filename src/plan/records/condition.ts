import type { Condition } from '../../api/types.ts';
import { timestamp } from '../timing/timestamp.ts';

type ConditionType = 'Ready' | 'Issuing' | 'Rotating' | 'TrustPublished' | 'IssuerKeyMissing' | 'CrlNearlyFull';

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

/** The condition of a type as status has it; undefined where it was never set. */
export const conditionOf = ({ conditions }: WithConditions, type: ConditionType): Condition | undefined =>
  conditions?.find((condition) => condition.type === type);

/** The condition of a type as status has it, to be stated again; undefined where it was never set. */
export function restated(status: WithConditions, type: ConditionType): DesiredCondition | undefined {
  const condition = conditionOf(status, type);
  if (condition === undefined) return undefined;
  const { reason, message } = condition;
  return { type, status: condition.status === 'True' ? 'True' : 'False', reason, message };
}

/** A condition as False, with the reason why. Nothing where it was never set: a condition that was set once stays. */
export const falseIfSet = (status: WithConditions, condition: Omit<DesiredCondition, 'status'>): DesiredCondition[] =>
  conditionOf(status, condition.type) === undefined ? [] : [{ ...condition, status: 'False' }];

type Undated = Omit<Condition, 'lastTransitionTime'>;

/**
 * The conditions to write: exactly the wanted types. A type that was there keeps its place, and its lastTransitionTime
 * unless its status changed; new types follow in the order wanted. Given the same facts, the result is deeply equal to
 * `previous`, so that equality tells that there is nothing to write.
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
  // A key that holds undefined would make the result differ from what the API server gives back.
  const generation = observedGeneration === undefined ? {} : { observedGeneration };
  return { type, status, reason, message, lastTransitionTime, ...generation };
}
