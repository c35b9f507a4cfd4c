import type { PodRecord } from '../records/pod-record.ts';

/** The pods of all namespaces, as far as a rotation needs them. */
export interface ObservedPods {
  /** Where the operator does not know all pods, and why. */
  readonly unknown: readonly UnknownPods[];
  readonly all: () => Iterable<PodRecord>;
  /** By UID of pod: the last certificate that this process issued to it. */
  readonly issuances: ReadonlyMap<string, PodIssuance>;
  /** By UID of a pod's controller: what the operator did to restart the pod, or why it does not. For messages. */
  readonly restarts: ReadonlyMap<string, string>;
}

export interface UnknownPods {
  /** Empty for all namespaces. */
  readonly namespace: string;
  readonly why: string;
}

export interface PodIssuance {
  /** The root that issued the certificate, see anchorId. */
  readonly root: string;
  /** In milliseconds of the clock of RolloutObservation. */
  readonly atMs: number;
}
