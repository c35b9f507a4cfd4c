import { PkiError } from '../pki-error.ts';

/** The error for a broken rule. Its message contains the rule. */
export const violation = (rule: string): PkiError =>
  new PkiError('ProfileViolation', `the certificate is not signed, because it breaks this rule: ${rule}`);

/**
 * Checks one rule of the profile.
 * @throws PkiError ProfileViolation
 */
export function assertRule(holds: boolean, rule: string): asserts holds {
  if (!holds) throw violation(rule);
}
