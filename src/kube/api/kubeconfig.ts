import { KubeConfig } from '@kubernetes/client-node';
import type { ApiServer } from './api-server.ts';
import { KubeError } from './kube-error.ts';

// Import this file dynamically: client-node costs 55 MiB of resident memory and 0.4 s of CPU, and a pod does not need it.

/**
 * The API server of a kubeconfig: of `file`, or of the file in KUBECONFIG, or of ~/.kube/config. client-node implements all the
 * ways to log in.
 * @param context default: the current context
 * @throws KubeError Configuration
 */
export function kubeconfigServer(file: string | undefined, context: string | undefined): ApiServer {
  const config = loadConfig(file);
  if (context !== undefined) chooseContext(config, context);
  const { server: url, proxyUrl } = clusterOf(config);
  return {
    url,
    proxyUrl,
    async credentials() {
      const options = {};
      await config.applyToHTTPSOptions(options);
      return options;
    },
  };
}

function loadConfig(file: string | undefined): KubeConfig {
  const config = new KubeConfig();
  try {
    if (file === undefined) config.loadFromDefault();
    else config.loadFromFile(file);
  } catch (error) {
    // Omit the error of the parser: it quotes the lines around the mistake, which may contain a key.
    const why = error instanceof Error && 'syscall' in error ? error.message : 'it is not a valid kubeconfig';
    throw new KubeError(
      'Configuration',
      `cannot read the kubeconfig ${file ?? process.env['KUBECONFIG'] ?? ''}: ${why}`,
    );
  }
  return config;
}

function chooseContext(config: KubeConfig, context: string): void {
  const names = config.getContexts().map(({ name }) => name);
  if (!names.includes(context)) {
    throw new KubeError(
      'Configuration',
      `the kubeconfig has no context ${context}; its contexts: ${names.join(', ') || 'none'}`,
    );
  }
  config.setCurrentContext(context);
}

function clusterOf(config: KubeConfig): { readonly server: string; readonly proxyUrl?: string } {
  const cluster = config.getCurrentCluster();
  // client-node invents this cluster if it finds none.
  const isInvented = cluster?.name === 'cluster' && cluster.server === 'http://localhost:8080' && !cluster.caData;
  if (!cluster || isInvented) {
    throw new KubeError('Configuration', 'no API server: use --kubeconfig, set KUBECONFIG, or run in a pod');
  }
  if (!/^https?:/i.test(cluster.server) || !URL.canParse(cluster.server)) {
    throw new KubeError(
      'Configuration',
      `the server of cluster ${cluster.name} is not a URL such as https://HOST:PORT: ${cluster.server}`,
    );
  }
  return cluster;
}
