import assert from 'node:assert/strict';
import { afterEach, type TestContext } from 'node:test';

import { type Installation, installation, type Tenant } from '../installation.ts';
import type { Operator } from '../operator.ts';
import type { Exchange } from '../proxy.ts';
import { randomFrom } from '../random.ts';

/**
 * The environment of a container that restarts in the same Pod: it still holds the Lease and does not wait until it
 * expires.
 */
export const samePod = { env: { POD_NAME: 'replica' } };

/** A write that counts: neither of the Lease nor of an event. */
const isEffective = ({ method, path }: Exchange): boolean => method !== 'GET' && !/\/(leases|events)(\/|$)/.test(path);

/** A run of the operator that is repeated with a kill after a different write each time. */
export interface Story {
  readonly world: Installation;
  /** The operator is killed after every n-th write. FUZZ_SEED moves the first one. */
  readonly every: number;
  /** Makes requests while no operator runs. Returns a function that asserts the outcome. `last` differs in every run. */
  readonly begin: (last: number) => Promise<() => Promise<void>>;
}

/**
 * Runs the story again and again, and kills the operator after a later write each time. Returns a number of writes that it
 * never reaches.
 */
export async function killAfterWrites(t: TestContext, story: Story): Promise<number> {
  const seed = Number(process.env['FUZZ_SEED'] ?? 20_261_130);
  const first = 1 + Math.floor(randomFrom(seed)() * story.every);
  let last = first;
  let killed = 0;
  while (await isKilledAfterWrite(story, last)) {
    killed += 1;
    last += story.every;
  }
  t.diagnostic(
    `FUZZ_SEED=${seed}: killed the operator ${killed} times, first after ${first} writes; the story has fewer than ${last} writes`,
  );
  return last;
}

/** Runs the story and kills the operator after its `last`-th write. False if the story has fewer writes. */
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

/** An installation with the authority `default` and two Ready resources that it issued. The operator has ended. */
export interface CrashSite {
  readonly world: Installation;
  readonly tenant: Tenant;
  readonly names: readonly string[];
  /** The revisions of all certificates of the two resources. */
  revisions(): Promise<readonly number[]>;
}

/**
 * The crash site of a test file. `authority` and `resource` add to the spec of the authority (besides the root) and of the
 * resources (besides the roles).
 */
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
