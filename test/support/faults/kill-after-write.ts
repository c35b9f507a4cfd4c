import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { afterEach, type TestContext } from 'node:test';

import { type Installation, installation, type Tenant } from '../installation.ts';
import type { Operator } from '../operator.ts';
import type { Exchange } from '../proxy.ts';

/** A container that is started again in its Pod: it finds that the Lease is its own, and need not wait until it expires. */
export const samePod = { env: { POD_NAME: 'replica' } };

/** A write that belongs to the story: not the Lease and not an event. */
const isEffective = ({ method, path }: Exchange): boolean => method !== 'GET' && !/\/(leases|events)(\/|$)/.test(path);

/** What is played again and again. */
export interface Story {
  readonly world: Installation;
  /** Of all writes every n-th is the last one once, from a random one on. */
  readonly every: number;
  /** Asks for something while no operator runs; returns how to assert the outcome. `last` is different each time. */
  readonly begin: (last: number) => Promise<() => Promise<void>>;
}

/** Kills the operator right after one write of the story after the other. Returns a number of writes that it never makes. */
export async function killAfterWrites(t: TestContext, story: Story): Promise<number> {
  let last = randomInt(1, story.every + 1);
  let killed = 0;
  while (await isKilledAfterWrite(story, last)) {
    killed += 1;
    last += story.every;
  }
  t.diagnostic(`killed ${killed} times; ${last} writes were more than there are`);
  return last;
}

/** Plays the story with a kill after its `last`-th write. False when it had fewer writes. */
async function isKilledAfterWrite({ world, begin }: Story, last: number): Promise<boolean> {
  const started = Promise.withResolvers<Operator>();
  const killed = Promise.withResolvers<boolean>();
  let writes = 0;
  world.proxy.faults = {
    async onRequest({ method }) {
      if (method !== 'GET') await started.promise;
      return 'pass' as const;
    },
    async onReply(exchange, status) {
      if (isEffective(exchange) && status < 300) writes += 1;
      if (writes < last) return 'pass';
      process.kill((await started.promise).pid, 'SIGKILL');
      killed.resolve(true);
      return 'break';
    },
  };
  const assertEnd = await begin(last);
  started.resolve(await world.start({ ...samePod, server: world.proxy.server, waitUntilReady: false }));
  const restarted = killed.promise.then(async (wasKilled) => {
    await world.operator.kill();
    world.proxy.faults = {};
    if (wasKilled) await world.start(samePod);
    return wasKilled;
  });
  try {
    await assertEnd();
  } finally {
    killed.resolve(false);
    await restarted;
  }
  if (await restarted) await world.operator.stop();
  return restarted;
}

/** An installation with the authority `default`, two Ready resources of it, and an operator that has ended. */
export interface CrashSite {
  readonly world: Installation;
  readonly tenant: Tenant;
  readonly names: readonly string[];
  /** The revisions of all certificates of the resources. */
  revisions(): Promise<readonly number[]>;
}

/** The crash site of a test file: what the spec of its authority has besides the root, and that of its resources besides the roles. */
export function crashSite(prefix: string, authority: (namespace: string) => object, resource: object = {}): CrashSite {
  const names = ['a', 'b'];
  let tenant: Tenant | undefined;
  const world = installation({ operator: false }, async () => {
    tenant = await world.tenant(prefix);
    await world.createAuthority('default', { secretName: 'mtls-root', root: {}, ...authority(tenant.namespace) });
    await world.start(samePod);
    const spec = { server: { service: 'db' }, client: { serviceAccount: 'db' }, ...resource };
    for (const name of names) await tenant.create(name, spec);
    for (const name of names) await tenant.ready(name);
    await world.operator.stop();
  });
  afterEach(() => world.killOperators());
  const site: CrashSite = {
    world,
    names,
    get tenant() {
      assert.ok(tenant !== undefined, 'the crash site is not ready');
      return tenant;
    },
    async revisions() {
      const certificates = await Promise.all(names.map((name) => site.tenant.get(name)));
      return certificates.flatMap(({ status }) => (status?.secrets ?? []).map(({ revision }) => revision));
    },
  };
  return site;
}
