import type { LabelRequirement, LabelSelector } from '../api/types.ts';

/** True when a selector selects what has these labels, as in metav1.LabelSelector. One that is empty or absent selects all. */
export const selects = (selector: LabelSelector | undefined, labels: Readonly<Record<string, string>>): boolean =>
  Object.entries(selector?.matchLabels ?? {}).every(([key, value]) => label(labels, key) === value) &&
  (selector?.matchExpressions ?? []).every((requirement) => isMet(requirement, label(labels, requirement.key)));

/** Own properties only: a key may be called like something that every object has. */
const label = (labels: Readonly<Record<string, string>>, key: string): string | undefined =>
  Object.hasOwn(labels, key) ? labels[key] : undefined;

function isMet({ operator, values = [] }: LabelRequirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}
