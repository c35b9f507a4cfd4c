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

/** The data of a Secret in base64, by key. Null removes a key. */
export type SecretData = Record<string, string | null>;

/** The sources of outputs in addition to the data of the Secret. */
export interface OutputIngredients {
  /** Present when a keystore or truststore is requested. */
  readonly password?: string | undefined;
  /** The CRLs in PEM. Present when they are requested. */
  readonly crl?: string | undefined;
}

/** The outputs of a Secret, which are key material, and the record of them for its annotation. */
export interface Outputs {
  readonly data: SecretData;
  /** The value of the annotation `outputs`; null when there are no outputs. */
  readonly note: string | null;
}

/**
 * Makes the outputs of a Secret from its data, as it will be after the write. Equal sources give equal bytes.
 * @throws PkiError when a source cannot be parsed
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

/** The digest of outputs, key pair and bundle. It is in the annotation, so that a change of any of them is detected. */
export function outputsDigest(data: Readonly<SecretData>, keys: readonly OutputKey[]): string {
  const digest = createHash('sha256');
  for (const key of [...Object.values(secretKeys), ...keys]) digest.update(`${key}=${data[key] ?? ''}\n`);
  return digest.digest('hex');
}

const { certificate, privateKey, bundle } = secretKeys;

/** Encodes each output. `text` returns the data under a key of the Secret. */
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
