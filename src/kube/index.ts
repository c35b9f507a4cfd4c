export {
  type CallOptions,
  type DeleteOptions,
  KubeClient,
  type KubeClientOptions,
  type ListOptions,
  type ListPage,
  type MergePatch,
  type MetadataOnly,
  type Selection,
  type WatchOptions,
  type WriteOptions,
} from './api/client.ts';
export { Connection, type ConnectionOptions, loadConnection } from './api/connection.ts';
export type { GuardedClient, GuardedDeletion, GuardedPatch } from './api/guarded-client.ts';
export { isKubeError, KubeError, type KubeErrorCode } from './api/kube-error.ts';
export { type Log, type LogFields, silentLog } from './api/log.ts';
export { microTimestamp } from './api/micro-timestamp.ts';
export type { KubeObject, ObjectMeta, OwnerReference, Served } from './api/object.ts';
export type { RequestRecord, Verb } from './api/request.ts';
export {
  apiVersionOf,
  type ClusterTrustBundle,
  type ConfigMap,
  clusterTrustBundles,
  configMaps,
  defineResource,
  type Event,
  events,
  type Lease,
  leases,
  type Namespace,
  namespaces,
  type ObjectReference,
  type Resource,
  type Secret,
  secrets,
} from './api/resource.ts';
export type { WatchEvent } from './api/watch-stream.ts';
export { aborted, onAbort } from './async/abort.ts';
export { type Backoff, backoffMs, sleep } from './async/backoff.ts';
export { OptionalReflector, type OptionalReflectorOptions } from './cache/optional-reflector.ts';
export { Reflector, type ReflectorOptions } from './cache/reflector.ts';
export {
  compareResourceVersions,
  Store,
  type StoredForm,
  type StoreListener,
  type StoreOptions,
  type StoreRecord,
} from './cache/store.ts';
export {
  Controller,
  type ControllerOptions,
  type ReconcileRecord,
  type Result,
  TerminalError,
} from './controller/controller.ts';
export { type EventNote, EventRecorder, type EventRecorderOptions } from './events/event-recorder.ts';
export {
  type ElectorClock,
  type Lead,
  LeaderElector,
  type LeaderElectorOptions,
} from './leaderelection/leader-elector.ts';
export { defaultLeaseTiming, type LeaseTiming, timingProblem } from './leaderelection/lease-timing.ts';
export { FairQueue } from './workqueue/fair-queue.ts';
export { keyOf, type ObjectRef, refOf } from './workqueue/object-key.ts';
export { type Clock, WorkQueue, type WorkQueueOptions } from './workqueue/work-queue.ts';
