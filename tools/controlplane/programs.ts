import { join } from 'node:path';

/** The programs' file names, as in KUBEBUILDER_ASSETS. */
export const PROGRAMS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl'] as const;

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
