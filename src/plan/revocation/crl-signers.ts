import { caId, firstOfEach, type Issuer, maySignCrls } from '../../pki/index.ts';

/** The signers that may sign CRLs, one for each CA. If a CA has several certificates, its first signer is used. */
export const crlSigners = (signers: readonly Issuer[]): Issuer[] =>
  firstOfEach(
    signers.filter(({ certificate }) => maySignCrls(certificate)),
    ({ certificate }) => caId(certificate),
  );
