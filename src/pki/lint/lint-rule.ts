import { PkiError } from '../pki-error.ts';

/** What is thrown where a rule is broken, with the rule in the message. */
export const violation = (rule: string): PkiError =>
  new PkiError('ProfileViolation', `the certificate is not signed: ${rule}`);

/**
 * A rule that what is about to be signed has to keep.
 * @throws PkiError ProfileViolation
 */
export function assertRule(holds: boolean, rule: string): asserts holds {
  if (!holds) throw violation(rule);
}
