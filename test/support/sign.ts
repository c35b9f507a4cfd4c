/**
 * Certificates and CRLs of the project's own code, signed synchronously: the keys are in memory, and fixtures need no
 * promises.
 */

import { type KeyObject, randomBytes } from 'node:crypto';
import { preparedCrls, signedCrlData } from '../../src/controllers/authority/sign-crls.ts';
import { deliverInSecret, type SecretDelivery } from '../../src/controllers/certificate/secret-delivery.ts';
import {
  type Certificate,
  type Crl,
  type CrlContent,
  encodePrivateKey,
  type IssueContext,
  type Issuer,
  KeySigner,
  type LeafIssuer,
  Prepared,
  prepareCrl,
  prepareLeaf,
  prepareRoot,
  type RootProfile,
} from '../../src/pki/index.ts';
import { issuedLeaf } from '../../src/pki/issue/issue-leaf.ts';
import type { CrlPlan, LeafRequest } from '../../src/plan/index.ts';

/** An issuer with its private key. */
export interface TestIssuer extends Issuer {
  readonly key: KeyObject;
}

/** Adds a signer for the key. */
export const withSigner = <T extends { readonly key: KeyObject }>(issuer: T): T & { readonly signer: KeySigner } => ({
  ...issuer,
  signer: new KeySigner(issuer.key),
});

export function signNow<T>(prepared: Prepared<T>): T {
  if (!(prepared.signer instanceof KeySigner)) throw new TypeError('the key is not in memory');
  return prepared.complete(prepared.signer.signNow(prepared.fields));
}

export const issueLeafNow = (...request: Parameters<typeof prepareLeaf>): Certificate =>
  signNow(prepareLeaf(...request));

export const issueRoot = (profile: RootProfile, key: KeyObject, context: IssueContext): Certificate =>
  signNow(prepareRoot(profile, new KeySigner(key), context));

export const issueCrl = (issuer: Pick<Issuer, 'certificate' | 'signer'>, content: CrlContent): Crl =>
  signNow(prepareCrl(issuer, content));

/** The result of signCrls. */
export const crlDataNow = (plan: CrlPlan, issuers: readonly Issuer[]): Record<string, string> =>
  signedCrlData(
    plan,
    preparedCrls(plan, issuers).map((list) => (list instanceof Prepared ? signNow(list) : list)),
  );

/** The content of a Secret that SecretWriter would write. */
export function issueContent(request: LeafRequest, key: KeyObject, issuer: LeafIssuer, now: Date): SecretDelivery {
  const privateKey = encodePrivateKey(key, request.keyEncoding);
  const leaf = issueLeafNow(request.profile, key, issuer.root, { now, serialSeed: randomBytes(20) });
  return deliverInSecret(issuedLeaf(leaf, issuer), privateKey);
}
