import type { KubeObject, Resource } from '../../src/kube/index.ts';
import type { KeySpec } from '../../src/pki/index.ts';
import type { Plane } from './plane.ts';

/** What is asked for: a client and a server certificate that belong together. */
export interface Pair {
  readonly namespace: string;
  readonly name: string;
  readonly key?: KeySpec;
  /** How long the certificates last, and how long before their end they are due. */
  readonly lifetime?: { readonly duration: string; readonly renewBefore: string };
}

/** A program under measurement. */
export interface Running {
  readonly pid: number;
  /** Where it serves metrics of its own, should it. */
  readonly url?: string;
  /** When it began with its job, in milliseconds since the epoch; only of the ceiling. */
  beganAt?(): number;
  stop(): Promise<void>;
}

/** What the contestants do in a scenario. */
export type Job =
  /** Issue all that is there; when done, nothing more comes. */
  | 'issue'
  /** Issue what comes. */
  | 'follow'
  /** Issue anew all that is there. */
  | 'renew'
  /** Take all that is there through the three writes of a root rotation. */
  | 'rotate';

/** A controller that issues certificates, or what stands for one. */
export interface Contestant {
  readonly name: string;
  /** The kind by which certificates are asked for. */
  readonly resource: Resource<KubeObject>;
  /** Brings what it needs on a control plane: CRDs, a root. Nothing of it runs yet. */
  prepare(plane: Plane): Promise<void>;
  /** How many certificates such an object asks for. */
  readonly certificatesPerObject: number;
  /** The objects that ask for a pair. */
  requestsFor(pair: Pair): readonly KubeObject[];
  /** Whether an object says that all it asks for has been issued, so many times. */
  isIssued(object: KubeObject, times: number): boolean;
  start(plane: Plane, job: Job): Promise<Running>;
}

interface WithStatus extends KubeObject {
  readonly status?: {
    readonly conditions?: ReadonlyArray<{ readonly type: string; readonly status: string }>;
  };
}

/** Whether the condition Ready is True; that is one convention for all of them. */
export const isReady = (object: KubeObject): boolean =>
  (object as WithStatus).status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
