import { annotations, outputKeys } from '../../api/constants.ts';
import type { MtlsCertificateSpec } from '../../api/types.ts';
import type { SecretRecord } from '../records/secret-record.ts';
import type { CrlBundle } from '../revocation/crl-bundle.ts';

/** A further form of the content of a Secret, by the key of its data. */
export type OutputKey = (typeof outputKeys)[keyof typeof outputKeys];

/** The password of the keystores of a resource, as far as it is known without being read. */
export type KeystorePassword =
  /** The Secrets that may hold it have not been listed yet. */
  | { readonly state: 'unknown' }
  | { readonly state: 'missing' }
  /** `version` names the Secret, its revision and the key: another version may be another password. */
  | { readonly state: 'found'; readonly version: string };

/** Where the password of the keystores is. */
export interface PasswordRef {
  readonly secretName: string;
  readonly key: string;
  /** See KeystorePassword. */
  readonly version: string;
}

/** What a write makes of the outputs of a Secret. */
export interface OutputsStep {
  /** What the Secret is to hold. */
  readonly keys: readonly OutputKey[];
  /** What it holds of the operator's, and is not to hold any more. */
  readonly removed: readonly OutputKey[];
  /** There when keys has keystores. */
  readonly password?: PasswordRef;
  /** Digest of the CRLs; there when keys has them. */
  readonly crl?: string;
}

/** What is noted on a Secret of its outputs, in the same write. */
export interface OutputsRecord {
  readonly keys: readonly OutputKey[];
  /** Version of the password of the keystores. */
  readonly password?: string;
  /** Digest of the CRLs. */
  readonly crl?: string;
  /** Over the whole data that the operator wrote: what others have changed since does not fit it. */
  readonly digest: string;
}

const knownKeys: readonly OutputKey[] = Object.values(outputKeys);

/** The outputs that a spec asks for. */
export const requestedOutputs = ({
  outputs: { combinedPEM, der, pkcs12, crl } = {},
}: MtlsCertificateSpec): OutputKey[] => [
  ...(combinedPEM === true ? [outputKeys.combinedPem] : []),
  ...(der === true ? [outputKeys.der] : []),
  ...(pkcs12 === undefined ? [] : [outputKeys.keystore, outputKeys.truststore]),
  ...(crl === true ? [outputKeys.crl] : []),
];

export const encodeOutputsRecord = (note: OutputsRecord): string => JSON.stringify(note);

/** What the annotation `outputs` says; without keys when it is absent or was tampered with. */
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

/** What is noted of the outputs of a Secret; nothing for one that is not there. */
const recordedOutputs = (secret: SecretRecord | undefined): OutputsRecord =>
  parseOutputsRecord(secret?.annotations[annotations.outputs]);

/** What outputs depend on beside spec and the key pair. */
export interface OutputSources {
  /** Absent when spec asks for no keystores. */
  readonly keystorePassword?: KeystorePassword;
  /** Absent when there are no CRLs, or it is not known whether there are. */
  readonly crl?: CrlBundle;
}

/** True for a Secret with every output that a spec asks for, whatever they were made from. */
export const hasOutputs = (secret: SecretRecord, spec: MtlsCertificateSpec): boolean => {
  const { keys } = recordedOutputs(secret);
  return requestedOutputs(spec).every((key) => keys.includes(key));
};

/**
 * Whether a Secret has the outputs that a spec asks for, under the password and with the CRLs that there are now. That
 * they are as they were written is not asked here: a Secret in which they are not has no bundle, see SecretContent.
 */
export function outputsMatch(
  secret: SecretRecord,
  spec: MtlsCertificateSpec,
  { keystorePassword, crl }: OutputSources,
): boolean {
  const noted = recordedOutputs(secret);
  if (!hasOutputs(secret, spec) || requestedOutputs(spec).length !== noted.keys.length) return false;
  // What is under a password that is gone, or of a CA that signs no lists any more, is as good as it can be.
  const isUnderPassword = keystorePassword?.state !== 'found' || keystorePassword.version === noted.password;
  return isUnderPassword && (noted.crl === undefined || crl === undefined || crl.digest === noted.crl);
}

/** What a write makes of the outputs; undefined when the Secret has none and gets none. */
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

/** Why the outputs that a spec asks for cannot be made; undefined when they can. */
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
