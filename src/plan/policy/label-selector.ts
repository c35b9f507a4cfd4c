import type { LabelRequirement, LabelSelector } from '../../api/types.ts';
import { joinShortened } from '../text/message-text.ts';

/**
 * True when a selector selects an object with these labels, as in metav1.LabelSelector. An empty or absent selector
 * selects every object.
 */
export const selects = (selector: LabelSelector | undefined, labels: Readonly<Record<string, string>>): boolean =>
  Object.entries(selector?.matchLabels ?? {}).every(([key, value]) => label(labels, key) === value) &&
  (selector?.matchExpressions ?? []).every((requirement) => isMet(requirement, label(labels, requirement.key)));

/** True when a selector selects every object. */
export const selectsAll = ({ matchLabels, matchExpressions }: LabelSelector): boolean =>
  Object.keys(matchLabels ?? {}).length === 0 && (matchExpressions ?? []).length === 0;

/** A selector in the syntax of `kubectl get namespaces --selector`, shortened for a condition. */
export function selectorText({ matchLabels, matchExpressions }: LabelSelector): string {
  const equal = Object.entries(matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  return joinShortened([...equal, ...(matchExpressions ?? []).map(requirementText)], ',');
}

function requirementText({ key, operator, values = [] }: LabelRequirement): string {
  switch (operator) {
    case 'In':
      return `${key} in (${joinShortened(values, ',')})`;
    case 'NotIn':
      return `${key} notin (${joinShortened(values, ',')})`;
    case 'Exists':
      return key;
    case 'DoesNotExist':
      return `!${key}`;
  }
}

/** Own properties only: a label's key may be the name of a property of every object. */
const label = (labels: Readonly<Record<string, string>>, key: string): string | undefined =>
  Object.hasOwn(labels, key) ? labels[key] : undefined;

function isMet({ operator, values = [] }: LabelRequirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      // The schema rejects NotIn without values. Here it selects no object.
      return values.length > 0 && (value === undefined || !values.includes(value));
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}
