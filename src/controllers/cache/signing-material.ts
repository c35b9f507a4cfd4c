import type { LeafIssuer, TrustBundle } from '../../pki/index.ts';
import type { CrlBundle } from '../../plan/index.ts';

/** What certificates get from an authority: the roots that everyone trusts, and the issuer, if it may sign now. */
export interface SigningMaterial {
  readonly bundle: TrustBundle;
  readonly crl?: CrlBundle;
  readonly issuer?: LeafIssuer;
}
