import { eventually } from '../eventually.ts';
import type { Api, Secret } from './api.ts';

/** Every state in which a watcher from outside has seen the Secrets of a cluster. It holds keys: never print it. */
export interface WatchedSecrets {
  /** All states of all Secrets, in their order. */
  readonly states: readonly Secret[];
  /**
   * The states of one Secret up to the given one, in their order; of one that was made anew, those of its predecessors
   * too. Throws when the watch does not get there.
   */
  upTo(secret: Secret): Promise<readonly Secret[]>;
  /** Throws if the watch broke. To be awaited after the API was closed. */
  ended(): Promise<void>;
}

/** Watches the Secrets of all namespaces from now on. */
export function watchSecrets(api: Api): WatchedSecrets {
  const states: Secret[] = [];
  const watching = api.watch<Secret>('/api/v1/secrets', ({ type, object }) => {
    if (type === 'ADDED' || type === 'MODIFIED') states.push(object);
  });
  let broken: unknown;
  watching.catch((error: unknown) => {
    broken = error;
  });
  return {
    states,
    ended: () => watching,
    upTo: ({ metadata: { namespace, name, resourceVersion } }) =>
      eventually(
        () => {
          const all = states.filter(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
          const last = all.findIndex(({ metadata }) => metadata.resourceVersion === resourceVersion);
          if (last === -1) throw new Error('the watch has not seen it yet', { cause: broken });
          return all.slice(0, last + 1);
        },
        { message: `the history of Secret ${namespace}/${name} ends early` },
      ),
  };
}
