import { createHash } from 'node:crypto';
import { outputKeys, secretKeys } from '../api/names.ts';
import { encodeKeyStore, encodeTrustStore, parseCertificates, parsePrivateKey, privateKeyDer } from '../pki/index.ts';
import { encodeOutputsNote, type OutputKey, type OutputsStep } from '../plan/index.ts';
import { base64 } from './secret-data.ts';

/** The data of a Secret, base64, by key; null takes a key away. */
export type SecretData = Record<string, string | null>;

/** What outputs are made from: the texts that are in the Secret, or will be with the same write. */
export interface OutputSources {
  readonly certificate: string;
  readonly privateKey: string;
  readonly bundle: string;
  /** There when there are stores. */
  readonly password?: string;
  /** The CRLs; there when they are wanted. */
  readonly crl?: string;
}

/** The outputs of a Secret, and what is noted of them on it. Key material, as all data of a Secret. */
export interface Outputs {
  readonly data: SecretData;
  /** The value of the annotation `outputs`; null when there are none. */
  readonly note: string | null;
}

/**
 * Makes the outputs of a Secret. The same sources give the same bytes.
 * @throws PkiError for sources that cannot be read
 */
export async function makeOutputs(
  { keys, removed, password: ref, crl }: OutputsStep,
  sources: OutputSources,
): Promise<Outputs> {
  const made: SecretData = Object.fromEntries(removed.map((key) => [key, null]));
  for (const key of keys) made[key] = (await makers[key](sources)).toString('base64');
  if (keys.length === 0) return { data: made, note: null };
  const { certificate, privateKey, bundle } = sources;
  const all = {
    [secretKeys.certificate]: base64(certificate),
    [secretKeys.privateKey]: base64(privateKey),
    [secretKeys.bundle]: base64(bundle),
    ...made,
  };
  const digest = outputsDigest(all, keys);
  const note = encodeOutputsNote({
    keys,
    ...(ref === undefined ? {} : { password: ref.version }),
    ...(crl === undefined ? {} : { crl }),
    digest,
  });
  return { data: made, note };
}

/** What a Secret's note has to say for its outputs to be as they were written, with the key pair and bundle beside them. */
export function outputsDigest(data: Readonly<SecretData>, keys: readonly OutputKey[]): string {
  const digest = createHash('sha256');
  for (const key of [...Object.values(secretKeys), ...keys]) digest.update(`${key}=${data[key] ?? ''}\n`);
  return digest.digest('hex');
}

const makers: Record<OutputKey, (sources: OutputSources) => Promise<Buffer> | Buffer> = {
  [outputKeys.combinedPem]: ({ privateKey, certificate }) => Buffer.from(privateKey + certificate, 'latin1'),
  [outputKeys.der]: ({ privateKey }) => privateKeyDer(privateKey),
  [outputKeys.keyStore]: async ({ privateKey, certificate, password = '' }) =>
    encodeKeyStore(parsePrivateKey(privateKey).key, parseCertificates(certificate), password),
  [outputKeys.trustStore]: async ({ privateKey, bundle, password = '' }) =>
    encodeTrustStore(parseCertificates(bundle), password, parsePrivateKey(privateKey).key),
  [outputKeys.crl]: ({ crl = '' }) => Buffer.from(crl, 'latin1'),
};
