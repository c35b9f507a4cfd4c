import type { KeyObject } from 'node:crypto';
import { secretKeys } from '../../api/constants.ts';
import {
  describeKey,
  describeKeySpec,
  encodeCertificates,
  type IssuedLeaf,
  leafRecord,
  PkiError,
  parseValidKey,
} from '../../pki/index.ts';
import type { LeafRequest, SecretContent } from '../../plan/index.ts';
import { keyPairDigest } from '../objects/leaf-secret.ts';
import { base64 } from '../objects/secret-data.ts';

/** The data of a Secret in base64, which includes the private key, and the content record without it. */
export interface SecretDelivery {
  readonly data: Record<string, string>;
  readonly content: SecretContent;
}

/**
 * Delivers a leaf in a Secret.
 * @param privateKey in PEM, see encodePrivateKey
 * @throws PkiError VerificationFailed when the key does not belong to the leaf
 */
export function deliverInSecret({ leaf, intermediates, bundle }: IssuedLeaf, privateKey: string): SecretDelivery {
  const data = {
    [secretKeys.certificate]: base64(encodeCertificates([leaf, ...intermediates])),
    [secretKeys.privateKey]: base64(privateKey),
    [secretKeys.bundle]: base64(bundle.pem),
  };
  const record = leafRecord(leaf, intermediates, privateKey, bundle.roots);
  return { data, content: { leaf: record, bundle: bundle.digest, digest: keyPairDigest(data) } };
}

/** The current key, if it is valid and of the requested kind. */
export function keptKey(request: LeafRequest, keyPem: string): KeyObject | undefined {
  try {
    const key = parseValidKey(keyPem);
    return describeKey(key) === describeKeySpec(request.key) ? key : undefined;
  } catch (error) {
    if (error instanceof PkiError) return undefined;
    throw error;
  }
}
