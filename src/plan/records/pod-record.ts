/** What a program gets from an object: the roots that it trusts, or its certificate and key. */
export type RotatedPart = 'roots' | 'certificate';

/**
 * Content that a container read when it started, and does not read again: kubelet changes neither a subPath mount nor an
 * environment variable of a running container, and a copy that an init container made stays as it is.
 */
export interface FrozenContent {
  /** The object with the content, as displayName in RolloutObservation, or one of bundlesOf, podCertificatesOf and anyObject. */
  readonly object: string;
  readonly parts: readonly RotatedPart[];
  readonly by: 'subPath' | 'variable' | 'copy';
}

/** The fields of a pod that a rotation needs. Only pods that run on a node and have frozen content or a podCertificate are kept. */
export interface PodRecord {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** When the API server created it, in milliseconds since the epoch. */
  readonly createdAtMs: number;
  /**
   * When the first of the containers with frozen content started, in milliseconds since the epoch by the clock of its
   * node. Not before createdAtMs.
   */
  readonly startedAtMs: number;
  readonly frozen: readonly FrozenContent[];
  /** The authorities that it gets certificates from, once for each podCertificate source. May be anyAuthority. */
  readonly signers: readonly string[];
  /** Its controller, by ownerReference: any client can write one. */
  readonly owner?: PodOwner;
  /** The phase of a rotation for which the operator restarted its workload, see restartKey. */
  readonly restartedFor?: string;
}

/** The controller of a pod. */
export interface PodOwner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

/** The ClusterTrustBundles of an authority, as FrozenContent names them when a pod selects them by the signer's name. */
export const bundlesOf = (authority: string): string => `the ClusterTrustBundles of ${authority}`;

/** The podCertificates of an authority, as FrozenContent names them. */
export const podCertificatesOf = (authority: string): string => `its podCertificate of ${authority}`;

/** A signer of a pod whose podCertificates the operator did not read. */
export const anyAuthority = '*';

/** FrozenContent of a pod with more of it than a record holds: any object of the namespace, and any bundle. */
export const anyObject = 'more objects than the operator remembers';
