import { createHash } from 'node:crypto';
import type { Event, ObjectReference } from '../api/resource.ts';

/** The fields of an event that decide whether it is written. */
export interface EventKey {
  readonly regarding: ObjectReference;
  readonly type: Event['type'];
  readonly reason: string;
  readonly note: string;
}

// The limits of client-go's spam filter and aggregator. An object gets 25 events at once, then one every five minutes. The same
// event is written once in ten minutes. At most 4096 objects are remembered.
const burst = 25;
const refillMs = 300_000;
const repeatAfterMs = 600_000;
const rememberedMax = 4096;

interface Memory {
  tokens: number;
  /** When `tokens` was computed, in milliseconds. */
  atMs: number;
  /** When each event was last written, by the hash of its words: a user decides how long a note is. */
  readonly writtenAt: Map<string, number>;
}

/** Rejects repeated events, and too many events for one object. It remembers the objects of the latest events. */
export class EventCorrelator {
  // Two generations: when the newer one is full it becomes the older one, and the older one is dropped as a whole. That avoids a
  // search for the least recently used object.
  #newer = new Map<string, Memory>();
  #older = new Map<string, Memory>();

  /** Returns whether an event may be written at `nowMs`. If so, the event counts as written. */
  admits({ regarding, type, reason, note }: EventKey, nowMs: number): boolean {
    const memory = this.#memoryOf(regarding, nowMs);
    const words = createHash('sha256').update(`${type} ${reason} ${note}`).digest('base64').slice(0, 22);
    const writtenAt = memory.writtenAt.get(words);
    if (writtenAt !== undefined && nowMs - writtenAt < repeatAfterMs) return false;
    memory.tokens = Math.min(burst, memory.tokens + (nowMs - memory.atMs) / refillMs);
    memory.atMs = nowMs;
    if (memory.tokens < 1) return false;
    memory.tokens -= 1;
    memory.writtenAt.set(words, nowMs);
    // At most 2 * burst entries are younger than repeatAfterMs, because each of them has used a token.
    if (memory.writtenAt.size > 2 * burst) forgetBefore(memory.writtenAt, nowMs - repeatAfterMs);
    return true;
  }

  #memoryOf({ uid, kind, namespace = '', name }: ObjectReference, nowMs: number): Memory {
    const key = uid ?? `${kind}/${namespace}/${name}`;
    const known = this.#newer.get(key);
    if (known !== undefined) return known;
    const memory = this.#older.get(key) ?? { tokens: burst, atMs: nowMs, writtenAt: new Map() };
    if (this.#newer.size >= rememberedMax / 2) {
      this.#older = this.#newer;
      this.#newer = new Map();
    }
    this.#newer.set(key, memory);
    return memory;
  }
}

function forgetBefore(writtenAt: Map<string, number>, beforeMs: number): void {
  for (const [words, atMs] of writtenAt) if (atMs <= beforeMs) writtenAt.delete(words);
}
