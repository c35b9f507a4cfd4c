import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { RUNTIME_ENDPOINT } from './containerd.ts';
import { CLUSTER_DOMAIN, DNS_IP, type InsideProgram, NODE_IP, type Sandbox } from './sandbox.ts';

export interface KubeletOptions {
  readonly program: string;
  readonly nodeName: string;
  readonly kubeconfig: string;
  /** The certificate with which the API server connects. */
  readonly clientCertificate: string;
  /** The group of its pods, which exists. */
  readonly cgroupRoot: string;
  /** How often kubelet compares a pod and its volumes with the API server, for example `1s`. */
  readonly syncFrequency: string;
}

/** Starts kubelet, with its configuration in `folder`, and waits until it is healthy. */
export async function startKubelet(sandbox: Sandbox, folder: string, options: KubeletOptions): Promise<InsideProgram> {
  const { program, nodeName, kubeconfig, clientCertificate, cgroupRoot, syncFrequency } = options;
  const configuration = join(folder, 'kubelet.json');
  writeFileSync(
    configuration,
    JSON.stringify({
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      authentication: {
        anonymous: { enabled: false },
        webhook: { enabled: false },
        x509: { clientCAFile: clientCertificate },
      },
      // The API server is the only client with a certificate.
      authorization: { mode: 'AlwaysAllow' },
      cgroupDriver: 'cgroupfs',
      cgroupRoot,
      failCgroupV1: false,
      enforceNodeAllocatable: [],
      containerRuntimeEndpoint: RUNTIME_ENDPOINT,
      syncFrequency,
      // Nothing of the machine: no iptables, no resolv.conf, no eviction because its disk is full.
      makeIPTablesUtilChains: false,
      resolvConf: '',
      clusterDNS: [DNS_IP],
      clusterDomain: CLUSTER_DOMAIN,
      evictionHard: { 'memory.available': '1Mi' },
      imageGCHighThresholdPercent: 100,
      imageGCLowThresholdPercent: 99,
      localStorageCapacityIsolation: false,
      failSwapOn: false,
      maxPods: 250,
    }),
  );
  const kubelet = sandbox.start('kubelet', program, [
    `--config=${configuration}`,
    `--kubeconfig=${kubeconfig}`,
    `--hostname-override=${nodeName}`,
    `--node-ip=${NODE_IP}`,
  ]);
  const health = 'http://127.0.0.1:10248/healthz';
  await kubelet.waitUntilReady(
    async () => (await sandbox.run('busybox', ['wget', '-q', '-O-', health])).stdout === 'ok',
  );
  return kubelet;
}
