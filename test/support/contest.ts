import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';

import { eventually } from './eventually.ts';
import { conditionOf, type Tenant } from './installation.ts';

/** Writes to a Secret of a resource until the operator pauses its repairs, as another client does that wants another content. */
export async function contest(tenant: Tenant, resource: string, secret: string): Promise<void> {
  await eventually(
    async () => {
      await damage(tenant, secret);
      assert.equal(conditionOf(await tenant.get(resource), 'Ready')?.reason, 'SecretContested');
    },
    { timeoutMs: 60_000, message: `the operator does not pause the repairs of ${secret}` },
  );
}

/** Like `contest`, and continues until the returned function is called. */
export async function keepContesting(tenant: Tenant, resource: string, secret: string): Promise<() => Promise<void>> {
  await contest(tenant, resource, secret);
  const stop = new AbortController();
  const ended = (async () => {
    while (!stop.signal.aborted) {
      // It fails when the cluster has ended before.
      await damage(tenant, secret).catch(() => stop.abort());
      await delay(1000, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  })();
  return () => {
    stop.abort();
    return ended;
  };
}

const damage = (tenant: Tenant, secret: string) => tenant.patchSecret(secret, { data: { 'ca.crt': 'AAAA' } });
