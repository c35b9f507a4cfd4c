import { crlKey, labels, managerName, revocationKeys } from '../api/names.ts';
import { configMaps, type KubeClient, type Secret } from '../kube/index.ts';
import { type Crl, encodeCrls, issueCrl, PkiError, parseCrls, type SigningRoot } from '../pki/index.ts';
import {
  type AuthorityRecord,
  authorityLabel,
  type CrlPlan,
  encodeRevocations,
  parseRevocations,
  type RevocationState,
} from '../plan/index.ts';
import { base64, dataText } from './secret-data.ts';

/** What a root Secret says of revocation; nothing where there is none, or where somebody has damaged it. */
export function revocationState(secret: Secret | undefined): RevocationState {
  if (secret === undefined) return { crls: [], revocations: [] };
  return {
    crls: readCrls(dataText(secret, revocationKeys.crl)),
    revocations: parseRevocations(dataText(secret, revocationKeys.revocations)),
  };
}

/** The data of a root Secret that carry out a plan: the lists that are kept, and those that are signed now. */
export function crlData({ crls, revocations }: CrlPlan, signers: readonly SigningRoot[]): Record<string, string> {
  const lists = crls.flatMap((list): Crl[] => {
    if ('keep' in list) return [list.keep];
    const signer = signers.find(({ certificate }) => certificate.fingerprint === list.sign.issuer);
    return signer === undefined ? [] : [issueCrl(signer, list.sign)];
  });
  return {
    [revocationKeys.crl]: base64(encodeCrls(lists)),
    [revocationKeys.revocations]: base64(encodeRevocations(revocations)),
  };
}

/** The CRLs in one of the ConfigMaps that an authority has published, whichever; none where it publishes none. */
export async function publishedCrls(
  client: KubeClient,
  { name, uid }: AuthorityRecord,
  signal: AbortSignal,
): Promise<readonly Crl[]> {
  const labelSelector = `${labels.managedBy}=${managerName},${labels.authority}=${authorityLabel(name)}`;
  const { items } = await client.list(configMaps, { labelSelector, limit: 10, signal });
  const own = items.filter(({ metadata }) => metadata.ownerReferences?.some((owner) => owner.uid === uid));
  return own.flatMap(({ data }) => readCrls(data?.[crlKey] ?? ''));
}

function readCrls(pem: string): Crl[] {
  try {
    return parseCrls(pem);
  } catch (error) {
    if (error instanceof PkiError) return [];
    throw error;
  }
}
