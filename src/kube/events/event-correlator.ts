import type { Event, ObjectReference } from '../api/resource.ts';

/** What of an event tells whether it is worth writing. */
export interface EventKey {
  readonly regarding: ObjectReference;
  readonly type: Event['type'];
  readonly reason: string;
  readonly note: string;
}

// client-go's spam filter and aggregator: 25 at once, then one every five minutes for one object; the same event is not
// said again within ten minutes; so many objects are remembered at most.
const burst = 25;
const refillMs = 300_000;
const repeatAfterMs = 600_000;
const rememberedMax = 4096;

interface Memory {
  tokens: number;
  /** When `tokens` was right, in milliseconds. */
  atMs: number;
  /** When what was last said. */
  readonly writtenAt: Map<string, number>;
}

/** Keeps back repetitions, and what is too much for one object. It remembers those objects that it met last. */
export class EventCorrelator {
  // Two generations: a full one becomes the older, and the older is forgotten whole. Nothing is ever searched for.
  #newer = new Map<string, Memory>();
  #older = new Map<string, Memory>();

  /** Whether an event may be written at `nowMs`. If so, it counts as said. */
  admits({ regarding, type, reason, note }: EventKey, nowMs: number): boolean {
    const memory = this.#memoryOf(regarding, nowMs);
    const words = `${type} ${reason} ${note}`;
    const writtenAt = memory.writtenAt.get(words);
    if (writtenAt !== undefined && nowMs - writtenAt < repeatAfterMs) return false;
    memory.tokens = Math.min(burst, memory.tokens + (nowMs - memory.atMs) / refillMs);
    memory.atMs = nowMs;
    if (memory.tokens < 1) return false;
    memory.tokens -= 1;
    memory.writtenAt.set(words, nowMs);
    // There are never more that count than that: for each a token was spent.
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
