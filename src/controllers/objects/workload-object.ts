import { annotations } from '../../api/constants.ts';
import {
  daemonSets,
  deployments,
  type GuardedPatch,
  type Resource,
  type Served,
  statefulSets,
  type Workload,
} from '../../kube/index.ts';

/** The kinds of workloads that a changed pod template restarts. */
export const workloadKinds = {
  Deployment: deployments,
  StatefulSet: statefulSets,
  DaemonSet: daemonSets,
} as const satisfies Readonly<Record<string, Resource<Workload>>>;
export type WorkloadKind = keyof typeof workloadKinds;

export const isWorkloadKind = (kind: string): kind is WorkloadKind => Object.hasOwn(workloadKinds, kind);

/** The annotation that `kubectl rollout restart` sets in a pod template. */
const restartedAt = 'kubectl.kubernetes.io/restartedAt';

/** Changes the pod template, so that the controller of the workload replaces its pods. @param key see restartKey */
export const restartPatch = (
  { metadata: { resourceVersion } }: Served<Workload>,
  key: string,
  now: Date,
): GuardedPatch<Workload> => ({
  metadata: { resourceVersion },
  spec: {
    template: {
      metadata: {
        annotations: { [restartedAt]: now.toISOString().replace(/\.\d+Z$/, 'Z'), [annotations.restartedFor]: key },
      },
    },
  },
});

/** The key of the last restart by the operator; undefined if it has never restarted the workload. */
export const restartedFor = ({ spec }: Workload): string | undefined =>
  spec?.template?.metadata?.annotations?.[annotations.restartedFor];

/** Why a new pod template would not replace the pods; undefined if it would. */
export function restartObstacle({ spec = {} }: Workload): string | undefined {
  if (spec.paused === true) return 'is paused';
  if (spec.updateStrategy?.type === 'OnDelete') return 'has the update strategy OnDelete: delete its pods';
  return (spec.updateStrategy?.rollingUpdate?.partition ?? 0) > 0
    ? 'has a partition in its update strategy: delete its pods'
    : undefined;
}

/** True when all pods of a workload have its present template and are available. */
export function isRolledOut(kind: WorkloadKind, { metadata, spec = {}, status = {} }: Workload): boolean {
  if ((status.observedGeneration ?? 0) < (metadata.generation ?? 0)) return false;
  const [desired, updated, available, all] =
    kind === 'DaemonSet'
      ? [status.desiredNumberScheduled, status.updatedNumberScheduled, status.numberAvailable, undefined]
      : [spec.replicas ?? 1, status.updatedReplicas, status.availableReplicas, status.replicas];
  const wanted = desired ?? 0;
  return (updated ?? 0) >= wanted && (available ?? 0) >= wanted && (all ?? 0) <= wanted;
}
