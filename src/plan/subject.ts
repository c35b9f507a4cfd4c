import type { Subject } from '../api/types.ts';
import { isPlainText } from './names.ts';

/** The most characters that a value has, as the upper bounds of X.520 say. */
const lengths = {
  organizations: 64,
  organizationalUnits: 64,
  localities: 128,
  provinces: 128,
  streetAddresses: 128,
  postalCodes: 40,
} as const;

/** What is wrong with a subject, as a sentence; undefined when it can be signed as it is. */
export function subjectProblem(subject: Subject): string | undefined {
  for (const [field, length] of Object.entries(lengths) as [keyof typeof lengths, number][]) {
    if (!(subject[field] ?? []).every((value) => isPlainText(value, length))) {
      return `subject.${field}: use 1 to ${length} characters, no control characters, no space at either end`;
    }
  }
  if (!(subject.countries ?? []).every((value) => /^[A-Z]{2}$/.test(value))) {
    return 'subject.countries: use two capital letters';
  }
  const { serialNumber = '-' } = subject;
  return isPlainText(serialNumber, 64) && /^[A-Za-z0-9 '()+,./:=?-]+$/.test(serialNumber)
    ? undefined
    : "subject.serialNumber: use 1 to 64 letters, digits, and '()+,-./:=? with blanks between them";
}
