import type { Issuer, TrustBundle } from '../../pki/index.ts';
import type { CrlBundle } from '../../plan/index.ts';

/** A signing root and the bundle that goes out with what it signs, taken together so that they cannot disagree. */
export interface Signer {
  readonly root: Issuer;
  readonly bundle: TrustBundle;
}

/** What an authority gives to the writer: the roots that everyone trusts, and what signs, if anything does now. */
export interface SigningMaterial {
  readonly bundle: TrustBundle;
  readonly crl?: CrlBundle;
  readonly signer?: Signer;
}
