export { aborted, onAbort } from './abort.ts';
export { type Backoff, backoffMs, sleep } from './backoff.ts';
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
} from './client.ts';
export { mergeConditions, microTimestamp, timestamp, type WantedCondition } from './conditions.ts';
export { Connection, type ConnectionOptions, loadConnection } from './connection.ts';
export { Controller, type ControllerOptions, type ReconcileRecord, type Result, TerminalError } from './controller.ts';
export { isKubeError, KubeError, type KubeErrorCode } from './error.ts';
export { type EventNote, EventRecorder, type EventRecorderOptions } from './events.ts';
export { FairQueue } from './fair-queue.ts';
export type { GuardedClient, GuardedDeletion, GuardedPatch } from './guarded-client.ts';
export { keyOf, type ObjectRef, refOf } from './key.ts';
export { type ElectorClock, type Lead, LeaderElector, type LeaderElectorOptions } from './leader.ts';
export { defaultLeaseTiming, type LeaseTiming, timingProblem } from './lease-timing.ts';
export { type Log, type LogFields, silentLog } from './log.ts';
export type { Condition, KubeObject, ObjectMeta, OwnerReference, Served } from './object.ts';
export { OptionalReflector, type OptionalReflectorOptions } from './optional-reflector.ts';
export { type Clock, WorkQueue, type WorkQueueOptions } from './queue.ts';
export { Reflector, type ReflectorOptions } from './reflector.ts';
export type { RequestRecord, Verb } from './request.ts';
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
} from './resource.ts';
export {
  compareResourceVersions,
  Store,
  type StoredForm,
  type StoreListener,
  type StoreOptions,
  type StoreRecord,
} from './store.ts';
export type { WatchEvent } from './watch.ts';
