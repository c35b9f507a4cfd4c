import { PkiError } from '../pki-error.ts';

/** Long enough for any password, and short enough for every reader: OpenSSL's commands truncate at 1023 characters. */
const maxLength = 256;

/**
 * Why a text cannot be the password of a keystore or truststore, as a message for the user that does not quote it;
 * undefined when it can. Only printable ASCII works: PKCS#12 derives one key from the password in UTF-16 and another from the
 * password in UTF-8, and for UTF-8 Java accepts only ASCII ("Password is not ASCII").
 */
export function keystorePasswordProblem(password: string): string | undefined {
  if (password === '') return 'the password is empty';
  // Checked first: editors and echo add a line break, and the user does not see it.
  if (/[\r\n]$/.test(password)) {
    return 'the password ends with a line break: store it without one (use printf, or kubectl create secret --from-literal)';
  }
  if (password.length > maxLength) {
    return `the password has ${password.length} characters: choose one of at most ${maxLength}`;
  }
  if (/[^\x20-\x7e]/.test(password)) {
    return 'the password has characters that Java does not accept: use only ASCII letters, digits, punctuation and spaces';
  }
  return undefined;
}

/** @throws PkiError InvalidRequest with the message of keystorePasswordProblem */
export function checkKeystorePassword(password: string): void {
  const problem = keystorePasswordProblem(password);
  if (problem !== undefined) throw new PkiError('InvalidRequest', problem);
}
