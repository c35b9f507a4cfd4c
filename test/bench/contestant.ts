import type { KubeObject, Resource } from '../../src/kube/index.ts';
import type { KeySpec } from '../../src/pki/index.ts';
import type { Plane } from './plane.ts';

/** A request for a client and a server certificate. */
export interface Pair {
  readonly namespace: string;
  readonly name: string;
  readonly key?: KeySpec;
  /** The duration of the certificates, and how long before their expiry they are renewed. */
  readonly lifetime?: { readonly duration: string; readonly renewBefore: string };
}

/** A program under measurement. */
export interface Running {
  readonly pid: number;
  /** The URL of its own metrics, if it serves any. */
  readonly url?: string;
  /** When it started its job, in milliseconds since the epoch. Only the ceiling has it. */
  beganAt?(): number;
  stop(): Promise<void>;
}

/** The task of a contestant in a scenario. */
export type Job =
  /** Issue for all existing resources; no more are created. */
  | 'issue'
  /** Issue for resources as they are created. */
  | 'follow'
  /** Issue again for all existing resources. */
  | 'renew'
  /** Make the three writes of a root rotation for all existing resources. */
  | 'rotate'
  /** Answer requests for pod certificates. */
  | 'answer';

/** A controller that issues certificates, or the ceiling program. */
export interface Contestant {
  readonly name: string;
  /** The kind that requests certificates. */
  readonly resource: Resource<KubeObject>;
  /** Installs CRDs and a root on a control plane. Does not start the contestant. */
  prepare(plane: Plane): Promise<void>;
  /** Certificates per object. */
  readonly certificatesPerObject: number;
  /** The objects that request a pair. */
  requestsFor(pair: Pair): readonly KubeObject[];
  /** Whether the status of an object says that its certificates were issued `times` times. */
  isIssued(object: KubeObject, times: number): boolean;
  start(plane: Plane, job: Job): Promise<Running>;
}

interface WithStatus extends KubeObject {
  readonly status?: {
    readonly conditions?: ReadonlyArray<{ readonly type: string; readonly status: string }>;
  };
}

/** Whether the condition Ready is True. All contestants use this convention. */
export const isReady = (object: KubeObject): boolean =>
  (object as WithStatus).status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
