import { annotations, outputKeys } from '../../api/constants.ts';
import type { MtlsCertificateSpec } from '../../api/types.ts';
import type { SecretRecord } from '../records/secret-record.ts';
import type { CrlBundle } from '../revocation/crl-bundle.ts';

/** The data key of an additional output format. */
export type OutputKey = (typeof outputKeys)[keyof typeof outputKeys];

/** The state of the keystore password, known without reading the password. */
export type KeystorePassword =
  /** The passwords' Secrets have not been listed yet. */
  | { readonly state: 'unknown' }
  | { readonly state: 'missing' }
  /** `version` identifies the Secret, its revision and the key. Another version may be another password. */
  | { readonly state: 'found'; readonly version: string };

/** Where the password of the keystores is. */
export interface PasswordRef {
  readonly secretName: string;
  readonly key: string;
  /** See KeystorePassword. */
  readonly version: string;
}

/** The change that a write makes to the outputs of a Secret. */
export interface OutputsStep {
  /** The outputs to write. */
  readonly keys: readonly OutputKey[];
  /** The outputs to remove. */
  readonly removed: readonly OutputKey[];
  /** Set when `keys` has keystores. */
  readonly password?: PasswordRef;
  /** Digest of the CRLs. Set when `keys` has them. */
  readonly crl?: string;
}

/** The record of a Secret's outputs, an annotation that is written together with them. */
export interface OutputsRecord {
  readonly keys: readonly OutputKey[];
  /** Version of the password of the keystores. */
  readonly password?: string;
  /** Digest of the CRLs. */
  readonly crl?: string;
  /** Digest of all data that the operator wrote. It shows a change by another client. */
  readonly digest: string;
}

const knownKeys: readonly OutputKey[] = Object.values(outputKeys);

export const requestedOutputs = ({
  outputs: { combinedPEM, der, pkcs12, crl } = {},
}: MtlsCertificateSpec): OutputKey[] => [
  ...(combinedPEM === true ? [outputKeys.combinedPem] : []),
  ...(der === true ? [outputKeys.der] : []),
  ...(pkcs12 === undefined ? [] : [outputKeys.keystore, outputKeys.truststore]),
  ...(crl === true ? [outputKeys.crl] : []),
];

export const encodeOutputsRecord = (note: OutputsRecord): string => JSON.stringify(note);

/** Parses the annotation `outputs`. The result has no keys when the annotation is absent or not valid. */
export function parseOutputsRecord(annotation: string | undefined): OutputsRecord {
  const nothing = { keys: [], digest: '' };
  if (annotation === undefined) return nothing;
  try {
    const value = JSON.parse(annotation) as Partial<Record<keyof OutputsRecord, unknown>> | null;
    const { keys, password, crl, digest } = value ?? {};
    if (!Array.isArray(keys) || typeof digest !== 'string') return nothing;
    return {
      keys: knownKeys.filter((key) => keys.includes(key)),
      ...(typeof password === 'string' ? { password } : {}),
      ...(typeof crl === 'string' ? { crl } : {}),
      digest,
    };
  } catch {
    return nothing;
  }
}

const recordedOutputs = (secret: SecretRecord | undefined): OutputsRecord =>
  parseOutputsRecord(secret?.annotations[annotations.outputs]);

/** The sources of outputs other than spec and the key pair. */
export interface OutputSources {
  /** Absent when spec requests no keystores. */
  readonly keystorePassword?: KeystorePassword;
  /** Absent when there are no CRLs, or when that is not known yet. */
  readonly crl?: CrlBundle;
}

/** True for a Secret with every requested output, whatever password and CRL they were generated from. */
export const hasOutputs = (secret: SecretRecord, spec: MtlsCertificateSpec): boolean => {
  const { keys } = recordedOutputs(secret);
  return requestedOutputs(spec).every((key) => keys.includes(key));
};

/**
 * True when a Secret has the requested outputs, with the current password and CRLs. It does not check for changes by
 * other clients: a Secret whose outputs were changed has no bundle, see SecretContent.
 */
export function outputsMatch(
  secret: SecretRecord,
  spec: MtlsCertificateSpec,
  { keystorePassword, crl }: OutputSources,
): boolean {
  const noted = recordedOutputs(secret);
  if (!hasOutputs(secret, spec) || requestedOutputs(spec).length !== noted.keys.length) return false;
  // Outputs stay as they are when the password is gone, or when the CA no longer signs CRLs.
  const isUnderPassword = keystorePassword?.state !== 'found' || keystorePassword.version === noted.password;
  return isUnderPassword && (noted.crl === undefined || crl === undefined || crl.digest === noted.crl);
}

/** The change to the outputs. Undefined when the Secret has none and gets none. */
export function outputsStep(
  secret: SecretRecord | undefined,
  spec: MtlsCertificateSpec,
  { keystorePassword, crl }: OutputSources,
): OutputsStep | undefined {
  const keys = requestedOutputs(spec);
  const removed = recordedOutputs(secret).keys.filter((key) => !keys.includes(key));
  if (keys.length + removed.length === 0) return undefined;
  const ref = spec.outputs?.pkcs12?.passwordSecretRef;
  return {
    keys,
    removed,
    ...(ref !== undefined && keystorePassword?.state === 'found'
      ? { password: { secretName: ref.name, key: ref.key, version: keystorePassword.version } }
      : {}),
    ...(keys.includes(outputKeys.crl) && crl !== undefined ? { crl: crl.digest } : {}),
  };
}

/** Why the requested outputs cannot be generated. Undefined when they can. */
export function outputsProblem(
  { outputs, authorityRef }: MtlsCertificateSpec,
  { keystorePassword, crl }: OutputSources,
): { readonly reason: 'KeystorePasswordNotFound' | 'CrlUnavailable'; readonly message: string } | undefined {
  if (keystorePassword?.state === 'missing') {
    const { name, key } = outputs?.pkcs12?.passwordSecretRef ?? { name: '', key: '' };
    const message = `Secret ${name} with the password of the keystores (key ${key}) does not exist; create it`;
    return { reason: 'KeystorePasswordNotFound', message };
  }
  if (outputs?.crl === true && crl === undefined) {
    const message = `MtlsAuthority ${authorityRef.name} has no CRL: the key usage of its root or intermediate lacks cRLSign; remove outputs.crl`;
    return { reason: 'CrlUnavailable', message };
  }
  return undefined;
}
