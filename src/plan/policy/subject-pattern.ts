import { isPlainText } from './name-normalisation.ts';
import { matchesWildcard, mayMatchSystemName } from './wildcard.ts';

/** A pattern for values of a subject attribute, as written. */
export interface SubjectPattern {
  readonly text: string;
}

/** The longest value of an attribute, see subjectProblem. A longer pattern matches nothing. */
const maxLength = 128;

/** Undefined for a text that is not a pattern. It grants nothing. */
export const parseSubjectPattern = (text: string): SubjectPattern | undefined =>
  isPlainText(text, maxLength) ? { text } : undefined;

/**
 * Compares the value as it will be signed. A `*` in a pattern stands for letters, digits, dashes and underscores, as in
 * common names. A lone `*` stands for any plain value, because values hold spaces and commas. No `*` matches the prefix
 * `system:`.
 */
export function subjectMatcher(value: string): (pattern: SubjectPattern) => boolean {
  const isPlain = isPlainValue(value);
  return ({ text }) => mayMatchSystemName(text, value) && (text === '*' ? isPlain : matchesWildcard(text, value));
}

/**
 * True for letters, digits, punctuation and spaces. False for the characters of attribute lists (`=`, `\`) and patterns
 * (`*`), and for invisible characters.
 */
const isPlainValue = (value: string): boolean =>
  /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]+$/u.test(value) && !/[=\\*\p{Default_Ignorable_Code_Point}]/u.test(value);
