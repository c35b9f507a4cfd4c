import { randomInt } from 'node:crypto';
import type { TestContext } from 'node:test';

import type { Installation } from '../behaviours/installation.ts';
import { startOperator } from '../operator.ts';
import type { Exchange, FaultyProxy } from '../proxy.ts';

/** A container that is started again in its Pod: it finds the Lease to be its own, and need not wait for it to expire. */
export const samePod = { env: { POD_NAME: 'replica' } };

/** A write that is part of the story: neither the Lease nor an event is. */
export const isEffective = ({ method, path }: Exchange): boolean =>
  method !== 'GET' && !/\/(leases|events)(\/|$)/.test(path);

/** What is played again and again. */
export interface Story {
  readonly world: Installation;
  readonly proxy: FaultyProxy;
  /** Of all writes every n-th is the last one once, from a random one on. */
  readonly every: number;
  /** Asks for something while no operator runs; returns what has to come of it. `last` tells one time from another. */
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
async function isKilledAfterWrite({ world, proxy, begin }: Story, last: number): Promise<boolean> {
  const killed = Promise.withResolvers<boolean>();
  let writes = 0;
  proxy.faults = {
    onReply(exchange, status) {
      if (isEffective(exchange) && status < 300) writes += 1;
      if (writes < last) return 'pass';
      process.kill(operator.pid, 'SIGKILL');
      killed.resolve(true);
      return 'break';
    },
  };
  const assertEnd = await begin(last);
  const operator = await startOperator(world.cluster, { ...samePod, server: proxy.server, waitUntilReady: false });
  const restarted = killed.promise.then(async (wasKilled) => {
    await operator.kill();
    proxy.faults = {};
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
