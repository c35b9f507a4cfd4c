import { caId, firstOfEach, type Issuer, maySignCrls } from '../../pki/index.ts';

/** The signers that sign CRLs, one for each CA. Of several certificates of one CA the first one signs. */
export const crlSigners = (signers: readonly Issuer[]): Issuer[] =>
  firstOfEach(
    signers.filter(({ certificate }) => maySignCrls(certificate)),
    ({ certificate }) => caId(certificate),
  );
