export { type Access, type NonResourceRequest, reviewAccess } from './api/access-review.ts';
export { KubeClient } from './api/client.ts';
export type {
  DeleteOptions,
  JsonPatch,
  KubeClientOptions,
  ListOptions,
  ListPage,
  MergePatch,
  Selection,
  WatchOptions,
  WriteOptions,
} from './api/client-options.ts';
export { Connection, type ConnectionOptions, loadConnection } from './api/connection.ts';
export type { GuardedClient, GuardedPatch } from './api/guarded-client.ts';
export { isKubeError, KubeError, type KubeErrorCode } from './api/kube-error.ts';
export { type Log, type LogFields, silentLog } from './api/log.ts';
export { microTimestamp } from './api/micro-timestamp.ts';
export type { KubeObject, ObjectMeta, OwnerReference, Served } from './api/object.ts';
export type { RequestRecord } from './api/request.ts';
export {
  type ApiService,
  apiServices,
  type ClusterTrustBundle,
  type ConfigMap,
  type ContainerStatus,
  type CustomResourceDefinition,
  clusterTrustBundles,
  configMaps,
  customResourceDefinitions,
  daemonSets,
  defineResource,
  deployments,
  events,
  type Lease,
  leases,
  mutatingWebhookConfigurations,
  type Namespace,
  namespaces,
  type Pod,
  type PodCertificateRequest,
  type PodCertificateRequestStatus,
  podCertificateRequests,
  pods,
  type Resource,
  replicaSets,
  type Secret,
  type Service,
  secrets,
  services,
  statefulSets,
  validatingWebhookConfigurations,
  type WebhookClientConfig,
  type WebhookConfiguration,
  type Workload,
} from './api/resource.ts';
export type { WatchEvent } from './api/watch-stream.ts';
export { aborted, onAbort } from './async/abort.ts';
export { backoffMs, sleep } from './async/backoff.ts';
export { Limiter } from './async/limiter.ts';
export { OptionalReflector } from './cache/optional-reflector.ts';
export { PermittedReflector, type PermittedReflectorOptions } from './cache/permitted-reflector.ts';
export { Reflector, type ReflectorOptions } from './cache/reflector.ts';
export {
  compareResourceVersions,
  Store,
  type StoredForm,
  type StorePart,
  type StoreRecord,
} from './cache/store.ts';
export { Controller, type ControllerOptions, type ReconcileRecord, TerminalError } from './controller/controller.ts';
export { type EventDetails, EventRecorder, type EventRecorderOptions } from './events/event-recorder.ts';
export {
  type ElectorClock,
  LeaderElector,
  type LeaderElectorOptions,
  type RunAsLeader,
} from './leaderelection/leader-elector.ts';
export { defaultLeaseTiming, type LeaseTiming, leaseTimingProblem } from './leaderelection/lease-timing.ts';
export { FairQueue } from './workqueue/fair-queue.ts';
export { keyOf, type ObjectRef, refOf } from './workqueue/object-key.ts';
export { type Clock, WorkQueue, type WorkQueueObserver } from './workqueue/work-queue.ts';
