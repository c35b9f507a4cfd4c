import type { LeafIssuer, TrustBundle } from '../../pki/index.ts';
import type { CrlBundle } from '../../plan/index.ts';

/** The parts that an authority contributes to a certificate: the trust bundle, the CRLs, and the issuer if it may sign now. */
export interface SigningMaterial {
  readonly bundle: TrustBundle;
  readonly crl?: CrlBundle;
  readonly issuer?: LeafIssuer;
}
