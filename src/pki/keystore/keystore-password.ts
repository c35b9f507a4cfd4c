import { PkiError } from '../pki-error.ts';

/** Far beyond any password, and well within what readers take: OpenSSL's commands cut one off after 1023. */
const maxLength = 256;

/**
 * Why a text cannot be the password of a keystore or truststore, in words for the person who chose it and without any
 * of it; undefined when it can. Only printable ASCII can: the two derivations of PKCS#12 take UTF-16 and UTF-8, and Java
 * refuses anything else for the second ("Password is not ASCII"), with a message that blames the password itself.
 */
export function keystorePasswordProblem(password: string): string | undefined {
  if (password === '') return 'the password is empty';
  // Before anything else: it is what an editor or echo leaves behind, and nothing that a person sees.
  if (/[\r\n]$/.test(password)) {
    return 'the password ends with a line break, which would be part of it: write it without one (printf, or kubectl create secret --from-literal)';
  }
  if (password.length > maxLength) {
    return `the password has ${password.length} characters: choose one of at most ${maxLength}`;
  }
  if (/[^\x20-\x7e]/.test(password)) {
    return 'the password has characters other than ASCII letters, digits, punctuation and spaces, which Java cannot read in a store: choose one without them';
  }
  return undefined;
}

/** @throws PkiError InvalidRequest, with what keystorePasswordProblem says */
export function checkKeystorePassword(password: string): void {
  const problem = keystorePasswordProblem(password);
  if (problem !== undefined) throw new PkiError('InvalidRequest', problem);
}
