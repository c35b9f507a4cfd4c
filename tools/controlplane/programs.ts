import { join } from 'node:path';

/** The programs' file names, as in KUBEBUILDER_ASSETS. */
export const PROGRAMS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl'] as const;

/** The programs that a cluster with a node needs in addition (Linux). */
export const NODE_PROGRAMS = ['kube-scheduler', 'kubelet'] as const;

/** The programs of a control plane, as absolute paths. */
export interface Binaries {
  readonly etcd: string;
  readonly kubeApiserver: string;
  readonly kubeControllerManager: string;
  readonly kubectl: string;
}

/** The control plane's programs are missing. The message says what to install. */
export class BinariesError extends Error {
  override readonly name = 'BinariesError';
}

/** The programs of a folder that contains all of them. */
export function binariesIn(folder: string): Binaries {
  return {
    etcd: join(folder, 'etcd'),
    kubeApiserver: join(folder, 'kube-apiserver'),
    kubeControllerManager: join(folder, 'kube-controller-manager'),
    kubectl: join(folder, 'kubectl'),
  };
}

/** The additional programs of a cluster with a node, as absolute paths. */
export interface NodeBinaries {
  readonly kubeScheduler: string;
  readonly kubelet: string;
}

/** The additional programs of a folder that contains all of them. */
export function nodeBinariesIn(folder: string): NodeBinaries {
  return { kubeScheduler: join(folder, 'kube-scheduler'), kubelet: join(folder, 'kubelet') };
}
