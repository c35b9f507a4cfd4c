import { etcdStack } from './etcd.ts';
import { nginxStack } from './nginx.ts';
import { postgresqlStack } from './postgresql.ts';
import { programStacks } from './programs.ts';
import { redisStack } from './redis.ts';
import type { Stack } from './stack.ts';

export { isLetIn, shownSerial } from './shown.ts';
export { openSite, type Site } from './site.ts';
export type { Client, Outcome, RunningStack, Stack } from './stack.ts';
export { startTraffic, type Traffic } from './traffic.ts';

/** All stacks. */
export const stacks: readonly Stack[] = [nginxStack, postgresqlStack, redisStack, etcdStack, ...programStacks];
