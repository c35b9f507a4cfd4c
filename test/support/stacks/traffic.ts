import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';

import { eventually } from '../eventually.ts';

/** A client that connects again and again. */
export interface TrafficClient {
  readonly name: string;
  /** Makes one connection. Throws if that fails. */
  connect(): Promise<void>;
}

/** Continuous connections of several clients. */
export interface Traffic {
  /** The number of connections. */
  readonly count: number;
  readonly failures: readonly { readonly name: string; readonly error: string }[];
  /** Resolves when every client has started and ended a connection after the call. */
  everyClientConnects(): Promise<void>;
  stop(): Promise<void>;
}

const leastPauseMs = 100;

/**
 * Connects all clients again and again, in parallel. Each pauses for as long as its connection took, to leave time for the
 * others.
 */
export function startTraffic(all: readonly TrafficClient[]): Traffic {
  const stopping = new AbortController();
  const failures: { name: string; error: string }[] = [];
  const ended = new Map(all.map(({ name }) => [name, 0]));
  let count = 0;

  async function keepConnecting(client: TrafficClient): Promise<void> {
    while (!stopping.signal.aborted) {
      const began = performance.now();
      await client.connect().catch((error: unknown) => failures.push({ name: client.name, error: String(error) }));
      count++;
      ended.set(client.name, began);
      await delay(Math.max(leastPauseMs, performance.now() - began));
    }
  }
  const running = all.map(keepConnecting);

  return {
    get count() {
      return count;
    },
    failures,
    async everyClientConnects() {
      const since = performance.now();
      const missing = (): string[] => [...ended].filter(([, began]) => began < since).map(([name]) => name);
      await eventually(() => assert.deepEqual(missing(), []), {
        timeoutMs: 120_000,
        message: 'some clients do not connect',
      });
    },
    async stop() {
      stopping.abort();
      await Promise.all(running);
    },
  };
}
