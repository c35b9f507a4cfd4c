import assert from 'node:assert/strict';

import type { Api, Secret } from './api.ts';
import { eventually } from './eventually.ts';

/**
 * Every state of the Secrets of a cluster, from a watch that is independent of the operator. It contains keys: never print
 * it.
 */
export interface WatchedSecrets {
  /** All states of all Secrets, in order. Throws if the watch has missed some. */
  readonly states: readonly Secret[];
  /**
   * The states of one Secret up to the given one, in order. If the Secret was deleted and created again, the states of its
   * predecessors are included. Throws if the watch does not reach the given state.
   */
  upTo(secret: Secret): Promise<readonly Secret[]>;
  /** Calls back for every later state. */
  follow(onState: (secret: Secret) => void): void;
  /** Resolves when the API client is closed. Throws if a callback threw. */
  ended(): Promise<void>;
}

/** Watches the Secrets of all namespaces. */
export function watchSecrets(api: Api): WatchedSecrets {
  const seen: Secret[] = [];
  const followers: ((secret: Secret) => void)[] = [];
  let isComplete = true;
  const watching = api.watch<Secret>(
    '/api/v1/secrets',
    ({ type, object }) => {
      if (type !== 'ADDED' && type !== 'MODIFIED') return;
      seen.push(object);
      for (const onState of followers) onState(object);
    },
    () => {
      isComplete = false;
    },
  );
  // `ended` reports the error.
  watching.catch(() => {});
  const states = (): readonly Secret[] => {
    assert.ok(isComplete, 'the watch of Secrets has missed states');
    return seen;
  };
  return {
    get states() {
      return states();
    },
    ended: () => watching,
    follow: (onState) => void followers.push(onState),
    upTo: ({ metadata: { namespace, name, resourceVersion } }) =>
      eventually(
        () => {
          const all = states().filter(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
          const last = all.findIndex(({ metadata }) => metadata.resourceVersion === resourceVersion);
          assert.notEqual(last, -1, 'the watch has not seen it yet');
          return all.slice(0, last + 1);
        },
        { message: `the history of Secret ${namespace}/${name} does not reach the expected state` },
      ),
  };
}
