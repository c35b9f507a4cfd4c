import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';

import { eventually } from '../eventually.ts';

/** Somebody who connects. */
export interface Connecting {
  readonly name: string;
  /** Makes one connection. Throws if that fails. */
  connect(): Promise<void>;
}

/** Connections that are made all the time. */
export interface Traffic {
  /** How many there were. */
  readonly count: number;
  readonly failures: readonly { readonly name: string; readonly error: string }[];
  /** Resolves when everybody has begun and ended a connection after the call. */
  everybodyConnects(): Promise<void>;
  stop(): Promise<void>;
}

const leastPauseMs = 100;

/** Has everybody connect again and again, at the same time as the others; half of the time, so that others get on. */
export function startTraffic(all: readonly Connecting[]): Traffic {
  const stopping = new AbortController();
  const failures: { name: string; error: string }[] = [];
  const ended = new Map(all.map(({ name }) => [name, 0]));
  let count = 0;

  async function goOn(one: Connecting): Promise<void> {
    while (!stopping.signal.aborted) {
      const began = performance.now();
      await one.connect().catch((error: unknown) => failures.push({ name: one.name, error: String(error) }));
      count++;
      ended.set(one.name, began);
      await delay(Math.max(leastPauseMs, performance.now() - began));
    }
  }
  const going = all.map(goOn);

  return {
    get count() {
      return count;
    },
    failures,
    async everybodyConnects() {
      const since = performance.now();
      const missing = (): string[] => [...ended].filter(([, began]) => began < since).map(([name]) => name);
      await eventually(() => assert.deepEqual(missing(), []), { timeoutMs: 120_000, message: 'some do not connect' });
    },
    async stop() {
      stopping.abort();
      await Promise.all(going);
    },
  };
}
