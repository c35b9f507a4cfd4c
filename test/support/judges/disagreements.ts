import type { Combination } from './combination.ts';
import type { Question } from './question.ts';
import type { Topic } from './questions.ts';

/** Where judges do not say what they should of certificates that are as they should be, and why. */
export interface Disagreement {
  readonly judges: readonly string[];
  readonly topics: readonly Topic[];
  readonly when: (combination: Combination, question: Question) => boolean;
  /** The words of a refusal. */
  readonly says?: RegExp;
  readonly because: string;
  /** Where that can be read. */
  readonly source: string;
}

export const disagreements: readonly Disagreement[] = [];
