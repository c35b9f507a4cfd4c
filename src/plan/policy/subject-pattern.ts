import { isPlainText } from './name-normalisation.ts';
import { matchesWildcard, mayMatchSystemName } from './wildcard.ts';

/** A pattern for values of a subject attribute, as it was written. */
export interface SubjectPattern {
  readonly text: string;
}

/** The longest value of an attribute (see subjectProblem) and so the longest pattern. */
const maxLength = 128;

/** Undefined for what is no pattern, which then grants nothing. */
export const parseSubjectPattern = (text: string): SubjectPattern | undefined =>
  isPlainText(text, maxLength) ? { text } : undefined;

/**
 * Compares the value as it will be signed. A `*` in a pattern stands for letters, digits, dashes and underscores, as in common
 * names; a lone `*` stands for any plain value, since values have spaces and commas. Neither stands for `system:`.
 */
export function subjectMatcher(value: string): (pattern: SubjectPattern) => boolean {
  const isPlain = isPlainValue(value);
  return ({ text }) => mayMatchSystemName(text, value) && (text === '*' ? isPlain : matchesWildcard(text, value));
}

/**
 * Letters, digits, punctuation and spaces, without what makes lists of attributes (`=`, `\`) or patterns (`*`), and without
 * characters that nobody sees.
 */
const isPlainValue = (value: string): boolean =>
  /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]+$/u.test(value) && !/[=\\*\p{Default_Ignorable_Code_Point}]/u.test(value);
