import type { Subject as AskedSubject, SubjectGrant } from '../../api/types.ts';
import type { Subject } from '../../pki/index.ts';
import { isPlainText } from './name-normalisation.ts';

/** The field of a grant for one attribute of a subject. */
export type SubjectField = keyof SubjectGrant;

type GrantedAttribute = Exclude<keyof Subject, 'commonName'>;

/** The type requires an entry for every attribute that can be signed, so that a new attribute cannot be signed without a grant. */
const fieldOf: Readonly<Record<GrantedAttribute, SubjectField>> = {
  organizations: 'organizations',
  organizationalUnits: 'organizationalUnits',
  countries: 'countries',
  localities: 'localities',
  provinces: 'provinces',
  streetAddresses: 'streetAddresses',
  postalCodes: 'postalCodes',
  serialNumber: 'serialNumbers',
};

export const subjectFields: readonly SubjectField[] = Object.values(fieldOf);

/** The values of a subject that a field of a grant covers. */
export const subjectValues = (subject: Subject, field: SubjectField): readonly string[] =>
  (Object.keys(fieldOf) as GrantedAttribute[])
    .filter((attribute) => fieldOf[attribute] === field)
    .flatMap((attribute) => subject[attribute] ?? []);

/** The largest number of characters of a value: the upper bounds of X.520. */
const lengths = {
  organizations: 64,
  organizationalUnits: 64,
  localities: 128,
  provinces: 128,
  streetAddresses: 128,
  postalCodes: 40,
} as const;

/** The problem of a subject, as a message. Undefined when the subject can be signed. */
export function subjectProblem(subject: AskedSubject): string | undefined {
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
    : "subject.serialNumber: use 1 to 64 letters, digits, spaces and '()+,-./:=?, no space at either end";
}
