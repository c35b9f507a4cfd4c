import type { KeyObject } from 'node:crypto';
import type { Issuer } from '../issuer/issuer.ts';
import { verifiedRoot } from '../leaf/leaf-record.ts';
import { PkiError } from '../pki-error.ts';
import { anchorId } from '../x509/ca-identity.ts';
import type { Certificate } from '../x509/certificate.ts';
import type { LeafProfile } from '../x509/leaf-profile.ts';
import type { TrustBundle } from '../x509/trust-bundle.ts';
import { type IssueContext, prepareLeaf } from './prepare-certificate.ts';

/** An issuer and the trust bundle that is delivered with its certificates. One value, so that the two cannot disagree. */
export interface LeafIssuer {
  readonly root: Issuer;
  readonly bundle: TrustBundle;
}

/** A certificate with its chain and the roots that verify it. This is what the operator delivers, in a Secret or elsewhere. */
export interface IssuedLeaf {
  readonly leaf: Certificate;
  readonly intermediates: readonly Certificate[];
  readonly bundle: TrustBundle;
}

/**
 * Issues a leaf. Every certificate for a workload comes from this function. It checks and lints the leaf, signs it, and
 * verifies it with the bundle.
 * @param key the private or the public key of the leaf
 * @throws PkiError when the request is invalid or the issuer may not sign it; SignerFailed, which is worth a retry
 */
export async function issueLeaf(
  profile: LeafProfile,
  key: KeyObject,
  issuer: LeafIssuer,
  context: IssueContext,
): Promise<IssuedLeaf> {
  return issuedLeaf(await prepareLeaf(profile, key, issuer.root, context).sign(), issuer);
}

/** Adds the chain to a signed leaf. @throws PkiError VerificationFailed when the leaf does not verify against the bundle */
export function issuedLeaf(leaf: Certificate, { root, bundle }: LeafIssuer): IssuedLeaf {
  const { intermediates, anchor } = root;
  const verified = verifiedRoot([leaf, ...intermediates], bundle.roots);
  if (verified === undefined || anchorId(verified) !== anchorId(anchor)) {
    throw new PkiError('VerificationFailed', 'the new certificate does not verify against the bundle');
  }
  return { leaf, intermediates, bundle };
}
