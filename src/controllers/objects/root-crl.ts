import { crlKey, revocationsKey } from '../../api/constants.ts';
import { configMaps, type GuardedClient, type Secret } from '../../kube/index.ts';
import {
  type Crl,
  caId,
  encodeCrls,
  type Issuer,
  PkiError,
  Prepared,
  parseCrls,
  prepareCrl,
  sha256Hex,
} from '../../pki/index.ts';
import {
  type AuthorityRecord,
  type CrlPlan,
  controllerOf,
  encodeRevocations,
  parseRevocations,
  type RevocationState,
} from '../../plan/index.ts';
import { base64, dataText } from './secret-data.ts';

/** What a root Secret says of revocation; nothing where there is none, or where somebody has damaged it. */
export function revocationState(secret: Secret | undefined): RevocationState {
  if (secret === undefined) return { crls: [], revocations: [] };
  return {
    crls: readCrls(dataText(secret, crlKey)),
    ...parseRevocations(dataText(secret, revocationsKey)),
  };
}

/**
 * Reads what root Secrets say of revocation, once for as long as they say the same: a full list is thousands of entries,
 * and every look at an authority asks for it.
 */
export function revocationReader(): typeof revocationState {
  const last = new Map<string, { readonly digest: string; readonly state: RevocationState }>();
  return (secret) => {
    if (secret === undefined) return revocationState(secret);
    const { name } = secret.metadata;
    const digest = sha256Hex([crlKey, revocationsKey].map((key) => secret.data?.[key] ?? '').join('.'));
    const known = last.get(name);
    const state = known?.digest === digest ? known.state : revocationState(secret);
    last.set(name, { digest, state });
    return state;
  };
}

/** The data of a root Secret that carry out a plan: the lists that are kept, and those that are signed now. */
export async function crlData(plan: CrlPlan, issuers: readonly Issuer[]): Promise<Record<string, string>> {
  const signed = preparedCrls(plan, issuers).map(async (list) => (list instanceof Prepared ? list.sign() : list));
  return signedCrlData(plan, await Promise.all(signed));
}

/** The lists of a plan: those that are kept, and those that wait for the signature of their issuer. */
export const preparedCrls = ({ crls }: CrlPlan, issuers: readonly Issuer[]): Array<Crl | Prepared<Crl>> =>
  crls.flatMap((list): Array<Crl | Prepared<Crl>> => {
    if ('keep' in list) return [list.keep];
    const issuer = issuers.find(({ certificate }) => caId(certificate) === list.sign.issuer);
    return issuer === undefined ? [] : [prepareCrl(issuer, list.sign)];
  });

/** The data of a root Secret with the lists of a plan, all of which are signed. */
export const signedCrlData = ({ revocations, issuers }: CrlPlan, lists: readonly Crl[]): Record<string, string> => ({
  [crlKey]: base64(encodeCrls(lists)),
  [revocationsKey]: base64(encodeRevocations({ revocations, issuers })),
});

/**
 * The CRLs that an authority has published in the operator's own namespace; none where it publishes none there. ConfigMaps
 * of other namespaces are not read: whoever may write those could decide what the operator finds.
 */
export async function publishedCrls(
  client: GuardedClient,
  namespace: string,
  { uid, spec }: AuthorityRecord,
  signal: AbortSignal,
): Promise<readonly Crl[]> {
  const name = spec.trustBundle?.configMap?.name;
  if (name === undefined) return [];
  const found = await client.find(configMaps, { namespace, name }, { signal });
  const isOwn = controllerOf(found?.metadata.ownerReferences)?.uid === uid;
  return isOwn ? readCrls(found?.data?.[crlKey] ?? '') : [];
}

function readCrls(pem: string): Crl[] {
  try {
    return parseCrls(pem);
  } catch (error) {
    if (error instanceof PkiError) return [];
    throw error;
  }
}
