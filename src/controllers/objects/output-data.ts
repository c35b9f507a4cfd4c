import { createHash } from 'node:crypto';
import { outputKeys, secretKeys } from '../../api/constants.ts';
import {
  encodeKeystore,
  encodeTruststore,
  parseCertificates,
  parsePrivateKey,
  privateKeyDer,
} from '../../pki/index.ts';
import { encodeOutputsRecord, type OutputKey, type OutputsStep } from '../../plan/index.ts';
import { dataText } from './secret-data.ts';

/** The data of a Secret, base64, by key; null takes a key away. */
export type SecretData = Record<string, string | null>;

/** What outputs are made from beside the data of the Secret. */
export interface OutputIngredients {
  /** There when there are stores. */
  readonly password?: string | undefined;
  /** The CRLs in PEM; there when they are wanted. */
  readonly crl?: string | undefined;
}

/** The outputs of a Secret, and what is noted of them on it. Key material, as all data of a Secret. */
export interface Outputs {
  readonly data: SecretData;
  /** The value of the annotation `outputs`; null when there are none. */
  readonly note: string | null;
}

/**
 * Makes the outputs of a Secret from the data that are in it, or will be with the same write. The same sources give the same
 * bytes.
 * @throws PkiError for sources that cannot be read
 */
export async function makeOutputs(
  { keys, removed, password: ref, crl }: OutputsStep,
  data: Readonly<Record<string, string>>,
  ingredients: OutputIngredients,
): Promise<Outputs> {
  const made: SecretData = Object.fromEntries(removed.map((key) => [key, null]));
  const text = (key: string) => dataText({ data }, key);
  for (const key of keys) made[key] = (await makers[key](text, ingredients)).toString('base64');
  if (keys.length === 0) return { data: made, note: null };
  const note = encodeOutputsRecord({
    keys,
    ...(ref === undefined ? {} : { password: ref.version }),
    ...(crl === undefined ? {} : { crl }),
    digest: outputsDigest({ ...data, ...made }, keys),
  });
  return { data: made, note };
}

/** What a Secret's note has to say for its outputs to be as they were written, with the key pair and bundle beside them. */
export function outputsDigest(data: Readonly<SecretData>, keys: readonly OutputKey[]): string {
  const digest = createHash('sha256');
  for (const key of [...Object.values(secretKeys), ...keys]) digest.update(`${key}=${data[key] ?? ''}\n`);
  return digest.digest('hex');
}

const { certificate, privateKey, bundle } = secretKeys;

/** How each output is made of the texts in the Secret, by their keys. */
const makers: Record<
  OutputKey,
  (text: (key: string) => string, ingredients: OutputIngredients) => Promise<Buffer> | Buffer
> = {
  [outputKeys.combinedPem]: (text) => Buffer.from(text(privateKey) + text(certificate), 'latin1'),
  [outputKeys.der]: (text) => privateKeyDer(text(privateKey)),
  [outputKeys.keystore]: async (text, { password = '' }) =>
    encodeKeystore(parsePrivateKey(text(privateKey)).key, parseCertificates(text(certificate)), password),
  [outputKeys.truststore]: async (text, { password = '' }) =>
    encodeTruststore(parseCertificates(text(bundle)), password, parsePrivateKey(text(privateKey)).key),
  [outputKeys.crl]: (_, { crl = '' }) => Buffer.from(crl, 'latin1'),
};
