import { randomBytes } from 'node:crypto';
import type { KubeClient } from './client.ts';
import { microTimestamp } from './conditions.ts';
import { type Log, silentLog } from './log.ts';
import { type Event, events, type ObjectReference } from './resource.ts';

/** Something a person would want to know about an object. */
export interface EventNote {
  readonly regarding: ObjectReference;
  readonly type: Event['type'];
  /** PascalCase, at most 128 characters: why. */
  readonly reason: string;
  /** PascalCase: what was done, or tried. */
  readonly action: string;
  /** For people; cut at 1,024 bytes. Never key material. */
  readonly note: string;
}

export interface EventRecorderOptions {
  readonly client: KubeClient;
  /** Such as `example.org/widget-operator`. */
  readonly reportingController: string;
  /** Such as the name of the pod. */
  readonly reportingInstance: string;
  readonly log?: Log | undefined;
  /** Milliseconds on a monotonic clock. */
  readonly now?: (() => number) | undefined;
}

// The first three are client-go's spam filter and aggregator: 25 at once, then one every five minutes for one object;
// the same event is not said again within ten minutes; so many objects are remembered.
const burst = 25;
const refillMs = 300_000;
const rememberedMax = 4096;
const repeatAfterMs = 600_000;
const queuedMax = 1000;
const concurrency = 2;
const maxNoteBytes = 1024;

/**
 * Writes events (events.k8s.io/v1) in the background, as well as can be: a repetition, too many for one object, or too
 * many altogether are dropped, and a failure is only logged. Nothing here throws or makes its caller wait.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #log: Log;
  readonly #now: () => number;
  readonly #queue: Event[] = [];
  readonly #saidAt = new Map<string, number>();
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();
  /** Aborts what a flush has no more time for. */
  #cut = new AbortController();
  #writing = 0;
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.#now = options.now ?? ((): number => performance.now());
  }

  record(note: EventNote): void {
    const { regarding, reason } = note;
    if (this.#wasSaid(note) || this.#isSpam(regarding)) return;
    if (this.#queue.length >= queuedMax) {
      this.#log.warn('an event is dropped: too many are waiting', { reason, object: regarding.name });
      return;
    }
    this.#queue.push(this.#eventOf(note));
    if (this.#writing < concurrency) void this.#write();
  }

  /** Resolves when all events are written, or after `timeoutMs`, when the rest is dropped. */
  async flush(timeoutMs: number): Promise<void> {
    if (this.#writing === 0) return;
    this.#idle ??= Promise.withResolvers();
    const timer = setTimeout(() => this.#cut.abort(), timeoutMs);
    await this.#idle.promise;
    clearTimeout(timer);
  }

  async #write(): Promise<void> {
    this.#writing += 1;
    for (let event = this.#queue.shift(); event !== undefined; event = this.#queue.shift()) {
      try {
        await this.#options.client.create(events, event, { signal: this.#cut.signal });
      } catch (error) {
        this.#log.debug('an event was not written', { reason: event.reason, object: event.regarding.name, error });
      }
    }
    this.#writing -= 1;
    if (this.#writing > 0) return;
    this.#cut = new AbortController();
    this.#idle?.resolve();
    this.#idle = undefined;
  }

  #eventOf({ regarding, type, reason, action, note }: EventNote): Event {
    const { reportingController, reportingInstance } = this.#options;
    const now = new Date();
    // The API server wants events about cluster-scoped objects in `default`. The name as in client-go: unique by its time.
    const namespace = regarding.namespace || 'default';
    const prefix = regarding.name.slice(0, 220).replace(/[^a-z0-9]+$/, '');
    const name = `${prefix}.${now.getTime().toString(16)}${randomBytes(4).toString('hex')}`;
    return {
      metadata: { namespace, name },
      eventTime: microTimestamp(now),
      reportingController,
      reportingInstance,
      action,
      reason,
      type,
      note: cutAtBytes(note, maxNoteBytes),
      regarding,
    };
  }

  #wasSaid({ regarding, type, reason, note }: EventNote): boolean {
    const key = JSON.stringify([objectKey(regarding), type, reason, note]);
    const now = this.#now();
    const saidAt = this.#saidAt.get(key);
    if (saidAt !== undefined && now - saidAt < repeatAfterMs) return true;
    remember(this.#saidAt, key, now);
    return false;
  }

  #isSpam(regarding: ObjectReference): boolean {
    const key = objectKey(regarding);
    const now = this.#now();
    const bucket = this.#buckets.get(key) ?? { tokens: burst, atMs: now };
    const tokens = Math.min(burst, bucket.tokens + (now - bucket.atMs) / refillMs);
    remember(this.#buckets, key, { tokens: tokens < 1 ? tokens : tokens - 1, atMs: now });
    return tokens < 1;
  }
}

function objectKey({ kind, namespace, name, uid }: ObjectReference): string {
  return uid ?? JSON.stringify([kind, namespace, name]);
}

/** Sets a key as the latest one, and forgets the oldest when there are too many. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= rememberedMax) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}

function cutAtBytes(text: string, max: number): string {
  if (Buffer.byteLength(text) <= max) return text;
  // Cutting may halve a character; what is left of it decodes to U+FFFD, which is as long as the ellipsis.
  const cut = Buffer.from(text)
    .subarray(0, max - 3)
    .toString()
    .replace(/\uFFFD+$/, '');
  return `${cut}…`;
}
