import assert from 'node:assert/strict';

import { type Crl, parseCrls } from '../../../src/pki/index.ts';
import { type Api, type ConfigMap, paths, type Secret } from '../behaviours/api.ts';
import { type Certificate, operatorNamespace, type Tenant } from '../behaviours/installation.ts';
import { eventually } from '../eventually.ts';

/** The CRLs that a root Secret holds, in their order. */
export async function crlsInRootSecret(api: Api, name: string): Promise<readonly Crl[]> {
  const { data } = await api.get<Secret>(paths.secrets(operatorNamespace, name));
  return parseCrls(Buffer.from(data?.['ca.crl'] ?? '', 'base64').toString('latin1'));
}

/** The CRLs in a ConfigMap that an authority publishes. */
export async function crlsInConfigMap(api: Api, namespace: string, name: string): Promise<readonly Crl[]> {
  const { data } = await api.get<ConfigMap>(paths.configMaps(namespace, name));
  return parseCrls(data?.['ca.crl'] ?? '');
}

/** Serial numbers on CRLs, sorted; one that is on two of them is there twice. */
export const serialsOn = (crls: readonly Crl[]): string[] =>
  crls.flatMap(({ revoked }) => revoked.map(({ serialNumber }) => serialNumber)).sort();

/** Serial numbers in the status of a resource, by role. */
export async function serialsOf(tenant: Tenant, name: string): Promise<Readonly<Record<string, string>>> {
  const { status } = await tenant.get(name);
  return Object.fromEntries((status?.secrets ?? []).map(({ role, serialNumber }) => [role, serialNumber]));
}

export const revokeAnnotation = 'mtls-operator.io/revoke';

/** Asks for what is in the Secrets of a resource to be revoked. */
export const askToRevoke = (tenant: Tenant, name: string, token: string): Promise<unknown> =>
  tenant.patch(name, { metadata: { annotations: { [revokeAnnotation]: token } } });

/** Waits until a request is handled. */
export const revocationIsHandled = (tenant: Tenant, name: string, token: string): Promise<Certificate> =>
  eventually(
    async () => {
      const certificate = await tenant.get(name);
      assert.equal(certificate.status?.lastHandledRevoke, token);
      return certificate;
    },
    { timeoutMs: 60_000, message: `the revocation of ${name} is not handled` },
  );

/** Revokes what is in the Secrets of a resource, and waits until others are there. */
export async function revoke(tenant: Tenant, name: string, token: string): Promise<void> {
  await askToRevoke(tenant, name, token);
  await revocationIsHandled(tenant, name, token);
  await tenant.ready(name);
}
