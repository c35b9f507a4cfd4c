import type { KeyObject } from 'node:crypto';
import type { Issuer } from '../issuer/issuer.ts';
import { verifiedRoot } from '../leaf/leaf-record.ts';
import { PkiError } from '../pki-error.ts';
import { anchorId } from '../x509/ca-identity.ts';
import type { Certificate } from '../x509/certificate.ts';
import type { LeafProfile } from '../x509/leaf-profile.ts';
import type { TrustBundle } from '../x509/trust-bundle.ts';
import { type IssueContext, prepareLeaf } from './prepare-certificate.ts';

/** An issuer and the bundle that goes out with its certificates, taken together so that they cannot disagree. */
export interface LeafIssuer {
  readonly root: Issuer;
  readonly bundle: TrustBundle;
}

/** A certificate with its chain and the roots that verify it: what a delivery hands over, in a Secret or elsewhere. */
export interface IssuedLeaf {
  readonly leaf: Certificate;
  readonly intermediates: readonly Certificate[];
  readonly bundle: TrustBundle;
}

/**
 * The one way to a leaf for a workload. The leaf is checked and linted before it is signed, and verified with its bundle after.
 * @param key either half of the pair that the leaf is for
 * @throws PkiError when the request or the issuer does not allow it; SignerFailed, which can pass
 */
export async function issueLeaf(
  profile: LeafProfile,
  key: KeyObject,
  issuer: LeafIssuer,
  context: IssueContext,
): Promise<IssuedLeaf> {
  return issuedLeaf(await prepareLeaf(profile, key, issuer.root, context).sign(), issuer);
}

/** A leaf that was just signed, with its chain. @throws PkiError VerificationFailed when the bundle does not verify it */
export function issuedLeaf(leaf: Certificate, { root, bundle }: LeafIssuer): IssuedLeaf {
  const { intermediates, anchor } = root;
  const verified = verifiedRoot([leaf, ...intermediates], bundle.roots);
  if (verified === undefined || anchorId(verified) !== anchorId(anchor)) {
    throw new PkiError('VerificationFailed', 'the bundle does not verify the new certificate');
  }
  return { leaf, intermediates, bundle };
}
