import { type KeyObject, randomBytes } from 'node:crypto';
import { secretKeys } from '../../api/constants.ts';
import {
  anchorId,
  describeKey,
  describeKeySpec,
  encodeCertificates,
  encodePrivateKey,
  leafRecord,
  PkiError,
  parseSoundKey,
  prepareLeaf,
} from '../../pki/index.ts';
import type { LeafRequest, SecretContent } from '../../plan/index.ts';
import type { Signer } from '../cache/signing-material.ts';
import { keyPairDigest } from '../objects/leaf-secret.ts';
import { base64 } from '../objects/secret-data.ts';

/** The data of a Secret, base64, and what is to be remembered of it. The data is key material: it goes into the write. */
export interface IssuedContent {
  readonly data: Record<string, string>;
  readonly content: SecretContent;
}

/**
 * Makes the content of a Secret: leaf with its intermediates, and bundle, for a key, verified against each other before anyone sees them.
 * @throws PkiError when the request or the root does not allow it
 */
export function issueContent(request: LeafRequest, key: KeyObject, { root, bundle }: Signer, now: Date): IssuedContent {
  const privateKey = encodePrivateKey(key, request.keyEncoding);
  const serialSeed = randomBytes(20);
  const leaf = prepareLeaf(request.profile, key, root, { now, serialSeed }).sign();
  const record = leafRecord(leaf, root.intermediates, privateKey, bundle.roots);
  if (record.root !== anchorId(root.anchor)) {
    throw new PkiError('VerificationFailed', 'the bundle does not verify the new certificate');
  }
  const data = {
    [secretKeys.certificate]: base64(encodeCertificates([leaf, ...root.intermediates])),
    [secretKeys.privateKey]: base64(privateKey),
    [secretKeys.bundle]: base64(bundle.pem),
  };
  return { data, content: { leaf: record, bundle: bundle.digest, digest: keyPairDigest(data) } };
}

/** The key in place, when it is whole and of the kind that is asked for. */
export function keptKey(request: LeafRequest, keyPem: string): KeyObject | undefined {
  try {
    const key = parseSoundKey(keyPem);
    return describeKey(key) === describeKeySpec(request.key) ? key : undefined;
  } catch (error) {
    if (error instanceof PkiError) return undefined;
    throw error;
  }
}
