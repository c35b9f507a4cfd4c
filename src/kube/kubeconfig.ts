import { registerHooks } from 'node:module';
import type { KubeConfig as KubeConfigClass } from '@kubernetes/client-node';

// client-node's generated classes for the whole Kubernetes API are what its import costs: 55 MiB of resident memory for
// as long as the process lives, and 0.4 s of CPU before it starts. Its kubeconfig, with all ways to log in, is one file that
// needs two names of them, for a method that makes clients of those classes; nobody here calls it. While that file is
// loaded, and only for it, they are these. A version that needs others fails here, when it is first started.
const standIn = `data:text/javascript,${encodeURIComponent(`
  export function createConfiguration() { throw new Error('the classes of the Kubernetes API are not loaded'); }
  export class ServerConfiguration {}
`)}`;

const hooks = registerHooks({
  resolve: (specifier, context, next) =>
    specifier === './gen/index.js' && context.parentURL?.endsWith('/@kubernetes/client-node/dist/config.js') === true
      ? { url: standIn, shortCircuit: true }
      : next(specifier, context),
});
const module = await import('@kubernetes/client-node/dist/config.js').finally(() => hooks.deregister());

/** client-node's reader of kubeconfigs and of a pod's ServiceAccount, which cannot make API clients. */
export type KubeConfig = Omit<KubeConfigClass, 'makeApiClient'>;

export const KubeConfig: new () => KubeConfig = module.KubeConfig;
