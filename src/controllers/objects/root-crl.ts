import { crlKey, revocationsKey } from '../../api/constants.ts';
import { configMaps, type GuardedClient, type Secret } from '../../kube/index.ts';
import { type Crl, PkiError, parseCrls, sha256Hex } from '../../pki/index.ts';
import { type AuthorityRecord, controllerOf, parseRevocations, type RevocationState } from '../../plan/index.ts';
import { dataText } from './secret-data.ts';

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
