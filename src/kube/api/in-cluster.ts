import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { ApiServer } from './api-server.ts';
import { KubeError } from './kube-error.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The folder where kubelet mounts the ServiceAccount of a pod by default. */
export const serviceAccountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';

export const hasServiceAccount = (directory: string): boolean => existsSync(join(directory, 'token'));

/**
 * The API server of the cluster that this pod runs in, with the pod's ServiceAccount. `credentials` reads the files each time,
 * because kubelet replaces the token before it expires.
 * @throws KubeError Configuration if the process does not run in a pod
 */
export function inClusterServer(directory: string, env: Environment): ApiServer {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  const url = `https://${isIPv6(host ?? '') ? `[${host}]` : host}:${port}`;
  if (!host || !port || !URL.canParse(url)) {
    throw new KubeError(
      'Configuration',
      'no API server: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set as in a pod; use --kubeconfig outside of a cluster',
    );
  }
  const read = (file: string): Promise<string> => readFile(join(directory, file), 'utf8');
  return {
    url,
    async credentials() {
      const [ca, token] = await Promise.all([read('ca.crt'), read('token')]);
      return { ca, headers: { authorization: `Bearer ${token.trim()}` } };
    },
  };
}
