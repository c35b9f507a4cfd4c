/** What can be wrong with bytes or values handed to this folder. The code is what callers and tests decide by. */
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

/** The only error this folder throws for bad input. Its message never holds key material. */
export class PkiError extends Error {
  override readonly name = 'PkiError';
  readonly code: PkiErrorCode;

  constructor(code: PkiErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
