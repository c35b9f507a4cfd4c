import { operatorNamespace } from '../api.ts';
import type { Installation, Tenant } from '../installation.ts';
import { reading, type WorkloadKind, Workloads } from '../pods/workloads.ts';

/** The permissions that a restart needs, and the kind of the workload that the operator restarts with each. */
const kindFor: Readonly<Record<string, WorkloadKind>> = {
  'get replicasets.apps': 'Deployment',
  'get deployments.apps': 'Deployment',
  'patch deployments.apps': 'Deployment',
  'get statefulsets.apps': 'StatefulSet',
  'patch statefulsets.apps': 'StatefulSet',
  'get daemonsets.apps': 'DaemonSet',
  'patch daemonsets.apps': 'DaemonSet',
};

export const permissionsOfRestarts: readonly string[] = Object.keys(kindFor);

/** The workload that only one permission is about. The operator tries the restart of each workload at once, and again after 30 s. */
const workloadFor = (permission: string): string => permission.replaceAll(/[ .]/g, '-');

/** The workloads in each namespace. */
const prepared = new Map<string, Workloads>();

/**
 * Prepares the occasions in a namespace: a rotation that waits for the pods of workloads. A workload of each kind restarts, so
 * that the operator uses every permission. Each of the others has to restart when its pod is reported to have started.
 */
export async function prepareRestarts(world: Installation, tenant: Tenant): Promise<void> {
  const { namespace } = tenant;
  const authority = `restarts-${namespace}`;
  await world.createAuthority(authority, {
    secretName: authority,
    root: {},
    // Without an approval, the rotation stays in its first phase, and the restarts do not wait for the approval.
    rotation: { approval: 'Manual', propagationDelay: '1s', podEvidence: true, restartWorkloads: true },
  });
  await tenant.issue('frozen', { authorityRef: { name: authority }, server: { service: 'db' } });
  const workloads = new Workloads(world.api, namespace);
  prepared.set(namespace, workloads);
  await workloads.begin();
  // The tests remove no permission in the operator's namespace.
  const removed = namespace === operatorNamespace ? [] : Object.entries(kindFor);
  const spec = reading.bySubPath('frozen-server-tls', 'ca.crt');
  await Promise.all([
    ...[...new Set(Object.values(kindFor))].map(async (kind) => {
      const name = `any-${kind.toLowerCase()}`;
      await workloads.create(kind, name, spec);
      await workloads.isAvailable(name);
    }),
    ...removed.map(([permission, kind]) => workloads.createWaiting(kind, workloadFor(permission), spec)),
  ]);
  await world.rotateRoot(authority, 'one');
}

/** The rotation has to restart the workload for a permission. */
export async function needRestart(permission: string, { namespace }: Tenant): Promise<void> {
  await prepared.get(namespace)?.reportStart(workloadFor(permission));
}
