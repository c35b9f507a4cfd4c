import { crlKey, revocationsKey } from '../../api/constants.ts';
import { configMaps, type GuardedClient, type Secret } from '../../kube/index.ts';
import { type Crl, PkiError, parseCrls, sha256Hex } from '../../pki/index.ts';
import { type AuthorityRecord, controllerOf, parseRevocations, type RevocationState } from '../../plan/index.ts';
import { dataText } from './secret-data.ts';

/** The CRLs and revocations in a root Secret; empty if there is no Secret, or if its data cannot be parsed. */
export function revocationState(secret: Secret | undefined): RevocationState {
  if (secret === undefined) return { crls: [], revocations: [] };
  return {
    crls: readCrls(dataText(secret, crlKey)),
    ...parseRevocations(dataText(secret, revocationsKey)),
  };
}

/**
 * Returns a revocationState that parses each root Secret again only if its data changed: a full CRL has thousands of entries,
 * and every reconcile of an authority reads it.
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
 * The CRLs that an authority has published in the operator's own namespace. ConfigMaps in other namespaces are not read: their
 * users can write them, and could choose which CRLs the operator finds.
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
