import assert from 'node:assert/strict';

import { eventually } from '../eventually.ts';
import type { Installation, Tenant } from '../installation.ts';
import { inParallel } from '../parallel.ts';
import { type NamespaceState, namespaceState, pairsAt } from './namespace-state.ts';
import { recordSecrets, type SecretHistory } from './secret-history.ts';

/** A namespace of pairs: MtlsCertificates with a server and a client, which the operator issues while faults disturb it. */
export interface Pairs {
  readonly tenant: Tenant;
  readonly namespace: string;
  readonly history: SecretHistory;
  create(names: readonly string[]): Promise<void>;
  rotate(names: readonly string[], token: string): Promise<void>;
  /** Waits until the namespace has the expected state. Asserts that every earlier state was valid, too. */
  endAs(expected: NamespaceState): Promise<void>;
}

/** Creates a namespace for pairs. */
export async function pairsIn(world: Installation, prefix: string): Promise<Pairs> {
  const tenant = await world.tenant(prefix);
  const { namespace } = tenant;
  const history = recordSecrets(world, namespace);
  return {
    tenant,
    namespace,
    history,
    create: (names) =>
      inParallel(names, (name) => tenant.create(name, { server: { service: name }, client: { serviceAccount: name } })),
    rotate: (names, token) => inParallel(names, (name) => tenant.rotate(name, token)),
    async endAs(expected) {
      // Longer than the longest time-out that a fault can cause in the operator.
      const options = { timeoutMs: 150_000, message: `${namespace} does not reach the expected state` };
      try {
        await eventually(async () => assert.deepEqual(await namespaceState(tenant), expected), options);
        await eventually(() => history.assertOneKeyPerRevision());
      } catch (error) {
        throw new Error(`${(error as Error).message}\n${world.logTails()}`, { cause: error });
      }
    },
  };
}

/** A namespace of pairs that an operator has issued. The operator is stopped. */
export async function issuedPairs(world: Installation, prefix: string, names: readonly string[]): Promise<Pairs> {
  const pairs = await pairsIn(world, prefix);
  await pairs.create(names);
  await pairs.endAs(pairsAt(names, 1));
  await world.operator.stop();
  return pairs;
}

/** Names for this number of pairs. */
export const pairNames = (count: number): string[] => Array.from({ length: count }, (_, index) => `app-${index}`);
