/** The kinds of problems with the input of this folder. Callers and tests check the code, never the message. */
export type PkiErrorCode =
  | 'MalformedPem'
  | 'MalformedDer'
  | 'MalformedCertificate'
  | 'MalformedCrl'
  | 'MalformedKey'
  | 'EncryptedKey'
  | 'TooLarge'
  | 'UnsupportedKey'
  | 'InvalidName'
  | 'InvalidRequest'
  | 'IssuerRefuses'
  | 'ProfileViolation'
  | 'SignerFailed'
  | 'VerificationFailed';

/** The only error that this folder throws for bad input. The message never contains key material. */
export class PkiError extends Error {
  override readonly name = 'PkiError';
  readonly code: PkiErrorCode;

  constructor(code: PkiErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
