import assert from 'node:assert/strict';

import { paths } from './api.ts';
import { eventually } from './eventually.ts';
import type { Installation, Tenant } from './installation.ts';

/** The writes that an admission policy matches. */
export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly resources: readonly string[];
  readonly operations: readonly string[];
}

const group = 'admissionregistration.k8s.io/v1';
const policies = `/apis/${group}/validatingadmissionpolicies`;
const bindings = `/apis/${group}/validatingadmissionpolicybindings`;

/**
 * Makes the API server refuse the rule's writes in a namespace until the returned function is called. `probe` is one of
 * these writes as a dry run.
 */
export async function refuse(
  { api }: Installation,
  { namespace }: Tenant,
  rule: Rule,
  probe: () => Promise<unknown>,
): Promise<() => Promise<void>> {
  const create = (path: string, kind: string, spec: object): Promise<unknown> =>
    api.create(path, { apiVersion: group, kind, metadata: { name: namespace }, spec });
  await create(policies, 'ValidatingAdmissionPolicy', {
    matchConstraints: {
      resourceRules: [{ ...rule, apiVersions: ['v1'] }],
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
    },
    validations: [{ expression: 'false', message: 'frozen by policy' }],
  });
  const spec = { policyName: namespace, validationActions: ['Deny'] };
  await create(bindings, 'ValidatingAdmissionPolicyBinding', spec);
  // The policy takes effect once the API server has seen it.
  await eventually(() => assert.rejects(probe(), /frozen by policy/));
  return async () => {
    await api.delete(`${bindings}/${namespace}`);
    await api.delete(`${policies}/${namespace}`);
  };
}

/** Makes the API server refuse changes of Secrets in a namespace, of which `secretName` is one. */
export function refuseChanges(world: Installation, tenant: Tenant, secretName: string): Promise<() => Promise<void>> {
  const rule = { apiGroups: [''], resources: ['secrets'], operations: ['UPDATE'] };
  const path = `${paths.secrets(tenant.namespace, secretName)}?dryRun=All`;
  return refuse(world, tenant, rule, () => world.api.patch(path, { metadata: { labels: { probe: 'x' } } }));
}

/** Forbids new objects of a namespace, such as `secrets`, by a quota, until the returned function is called. */
export async function forbid({ api }: Installation, namespace: string, resource: string): Promise<() => Promise<void>> {
  const quotas = `/api/v1/namespaces/${namespace}/resourcequotas`;
  const spec = { hard: { [resource]: '0' } };
  await api.create(quotas, { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'none' }, spec });
  // The quota takes effect once its controller has seen it.
  await eventually(async () => {
    const { status } = await api.get<{ status?: { hard?: object } }>(`${quotas}/none`);
    assert.deepEqual(status?.hard, spec.hard);
  });
  return () => api.delete(`${quotas}/none`);
}
