import assert from 'node:assert/strict';

import type { Manifest } from '../chart/helm.ts';

/** The parts of a ServiceMonitor that the chart writes. */
export interface ServiceMonitor extends Manifest {
  readonly spec: {
    readonly jobLabel: string;
    readonly endpoints: readonly {
      readonly port: string;
      readonly path: string;
      readonly scheme: string;
      readonly honorLabels: boolean;
      readonly bearerTokenFile?: string;
      readonly tlsConfig: { readonly serverName: string };
    }[];
  };
}

/** Where a replica serves its metrics. */
export interface Target {
  readonly pod: string;
  readonly address: string;
}

/** The files that are mounted into the pod of Prometheus. */
export interface MountedFiles {
  readonly ca: string;
  /** The certificate that Prometheus presents, and its key. */
  readonly client?: { readonly cert: string; readonly key: string };
  /** The token of its ServiceAccount. */
  readonly token: string;
}

/** The scrape job that the Prometheus operator makes of a ServiceMonitor, with the addresses of the pods in place of discovery. */
export function scrapeJobOf({ metadata, spec }: ServiceMonitor, targets: readonly Target[], files: MountedFiles) {
  const [endpoint, ...others] = spec.endpoints;
  assert.ok(endpoint !== undefined && others.length === 0);
  const job = metadata.labels?.[spec.jobLabel];
  assert.ok(job !== undefined);
  const { client } = files;
  return {
    job_name: job,
    scheme: endpoint.scheme,
    metrics_path: endpoint.path,
    honor_labels: endpoint.honorLabels,
    tls_config: {
      server_name: endpoint.tlsConfig.serverName,
      ca_file: files.ca,
      ...(client === undefined ? {} : { cert_file: client.cert, key_file: client.key }),
    },
    ...(endpoint.bearerTokenFile === undefined ? {} : { authorization: { credentials_file: files.token } }),
    // The labels that Prometheus gives to a pod.
    static_configs: targets.map(({ pod, address }) => ({
      targets: [address],
      labels: { namespace: metadata.namespace, pod, container: 'operator', endpoint: endpoint.port },
    })),
  };
}
