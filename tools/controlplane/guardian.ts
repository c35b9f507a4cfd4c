// The process that guard.ts starts. It waits until its parent ends, and then ends the programs that the parent left behind.

import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { removeCgroups } from '../node/cgroups.ts';
import type { GuardMessage } from './guard.ts';
import { pollUntil } from './poll.ts';
import { isRunning, signalProcess } from './processes.ts';

const messages: GuardMessage[] = [];
for await (const line of createInterface({ input: process.stdin })) messages.push(JSON.parse(line) as GuardMessage);
if (messages.some((message) => 'release' in message)) process.exit();

const processes = messages.flatMap((message) => ('kill' in message ? [message] : []));
for (const { kill, group } of processes) signalProcess(kill, 'SIGKILL', { group });
await pollUntil(() => !processes.some(({ kill }) => isRunning(kill)), 60_000);
for (const message of messages) if ('cgroups' in message) await removeCgroups(message.cgroups).catch(() => {});
for (const message of messages) if ('remove' in message) rmSync(message.remove, { recursive: true, force: true });
