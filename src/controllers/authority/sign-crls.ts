import { crlKey, revocationsKey } from '../../api/constants.ts';
import { type Crl, caId, encodeCrls, type Issuer, Prepared, prepareCrl } from '../../pki/index.ts';
import { type CrlPlan, encodeRevocations } from '../../plan/index.ts';
import { base64 } from '../objects/secret-data.ts';

/** Signs the CRLs of a plan. Returns data of the root Secret with the new CRLs and the CRLs that the plan keeps. */
export async function signCrls(plan: CrlPlan, issuers: readonly Issuer[]): Promise<Record<string, string>> {
  const signed = preparedCrls(plan, issuers).map(async (list) => (list instanceof Prepared ? list.sign() : list));
  return signedCrlData(plan, await Promise.all(signed));
}

/** The CRLs of a plan: kept ones as they are, new ones prepared for the signature of their issuer. */
export const preparedCrls = ({ crls }: CrlPlan, issuers: readonly Issuer[]): Array<Crl | Prepared<Crl>> =>
  crls.flatMap((list): Array<Crl | Prepared<Crl>> => {
    if ('keep' in list) return [list.keep];
    const issuer = issuers.find(({ certificate }) => caId(certificate) === list.sign.issuer);
    return issuer === undefined ? [] : [prepareCrl(issuer, list.sign)];
  });

/** The data of a root Secret with the signed CRLs of a plan. */
export const signedCrlData = ({ revocations, issuers }: CrlPlan, lists: readonly Crl[]): Record<string, string> => ({
  [crlKey]: base64(encodeCrls(lists)),
  [revocationsKey]: base64(encodeRevocations({ revocations, issuers })),
});
