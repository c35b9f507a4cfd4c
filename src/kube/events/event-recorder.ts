import { randomBytes } from 'node:crypto';
import type { KubeClient } from '../api/client.ts';
import { type Log, silentLog } from '../api/log.ts';
import { microTimestamp } from '../api/micro-timestamp.ts';
import { type Event, events, type ObjectReference } from '../api/resource.ts';
import { sleep } from '../async/backoff.ts';
import { Fifo } from '../workqueue/fifo.ts';
import { EventCorrelator } from './event-correlator.ts';

/** An event about an object, for people. */
export interface EventDetails {
  readonly regarding: ObjectReference;
  readonly type: Event['type'];
  /** Why, in PascalCase; at most 128 characters. */
  readonly reason: string;
  /** The action that was taken or tried, in PascalCase. */
  readonly action: string;
  /** The message; truncated at 1,024 bytes. Must not contain key material. */
  readonly note: string;
}

export interface EventRecorderOptions {
  readonly client: KubeClient;
  /** For instance `example.org/widget-operator`. */
  readonly reportingController: string;
  /** For instance the name of the pod. */
  readonly reportingInstance: string;
  /** Returns true while more important work waits. Events are then written slowly. Default: always false. */
  readonly isBusy?: (() => boolean) | undefined;
  readonly log?: Log | undefined;
  /** Milliseconds on a monotonic clock. */
  readonly now?: (() => number) | undefined;
  /** Resolves after `ms` milliseconds. */
  readonly sleep?: ((ms: number) => Promise<void>) | undefined;
}

const queuedMax = 1000;
/** The limit for one namespace, so that its failures leave room for the events of other namespaces. */
const queuedMaxOfOne = queuedMax / 2;
const concurrency = 2;
// The interval while there is other work. Ten events a second are less than a percent of the writes that an API server handles.
const busyIntervalMs = 100;
// Warnings go first, but every fourth event is a normal one if one waits.
const normalEvery = 4;
const maxNoteBytes = 1024;
/** The API server refuses a longer reportingInstance. The name of a pod can be longer. */
const maxInstanceLength = 128;

interface Waiting {
  readonly note: EventDetails;
  readonly at: Date;
}

/**
 * Writes events (events.k8s.io/v1) in the background, on a best-effort basis: warnings first, and slowly while there is other
 * work. It drops repeated events, and events beyond the limits for an object, for a namespace and in total. It only logs
 * failures: `record` never throws and never blocks its caller.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #log: Log;
  readonly #now: () => number;
  readonly #filter = new EventCorrelator();
  readonly #waiting = { Warning: new Fifo<Waiting>(), Normal: new Fifo<Waiting>() };
  /** How many waiting events each namespace has. */
  readonly #waitingOf = new Map<string, number>();
  #taken = 0;
  /** How many events were dropped since the queue was last empty. */
  #dropped = 0;
  /** When an event was last written while there was other work. */
  #busyWriteAtMs = Number.NEGATIVE_INFINITY;
  #isFlushing = false;
  /** Aborts the remaining requests when a flush times out. */
  #cut = new AbortController();
  #writing = 0;
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.#now = options.now ?? ((): number => performance.now());
  }

  record(details: EventDetails): void {
    // Cut it here, so that the events that wait are small.
    const note = { ...details, note: cutAtBytes(details.note, maxNoteBytes) };
    const { Warning, Normal } = this.#waiting;
    const isFull = Warning.length + Normal.length >= queuedMax;
    // Check this before the filter: in a burst most events end here, and an event that was dropped must not count as written.
    if (isFull && (note.type === 'Normal' || Normal.length === 0)) return this.#drop();
    if (this.#countOf(note) >= queuedMaxOfOne) return this.#drop();
    if (!this.#filter.admits(note, this.#now())) return;
    if (isFull) {
      // A warning replaces the oldest normal event.
      this.#counted(Normal.shift(), -1);
      this.#drop();
    }
    const waiting = { note, at: new Date() };
    this.#waiting[note.type].push(waiting);
    this.#counted(waiting, 1);
    if (this.#writing < concurrency) void this.#write();
  }

  /** Writes the waiting events at full speed. After `timeoutMs` it drops the rest. */
  async flush(timeoutMs: number): Promise<void> {
    if (this.#writing === 0) return;
    this.#isFlushing = true;
    this.#idle ??= Promise.withResolvers();
    const timer = setTimeout(() => this.#cut.abort(), timeoutMs);
    await this.#idle.promise;
    clearTimeout(timer);
  }

  async #write(): Promise<void> {
    this.#writing += 1;
    for (;;) {
      await this.#pace();
      const next = this.#take();
      if (next === undefined) break;
      const { reason, regarding } = next.note;
      try {
        const options = { signal: this.#cut.signal, metadataOnly: true } as const;
        await this.#options.client.create(events, this.#eventOf(next), options);
      } catch (error) {
        this.#log.debug('could not write an event', { reason, object: regarding.name, error });
      }
    }
    this.#writing -= 1;
    if (this.#writing > 0) return;
    if (this.#dropped > 0) this.#log.info('events were dropped', { dropped: this.#dropped });
    this.#dropped = 0;
    this.#cut = new AbortController();
    this.#isFlushing = false;
    this.#idle?.resolve();
    this.#idle = undefined;
  }

  /** Resolves when the next event may be written, or when no event waits. */
  async #pace(): Promise<void> {
    const wait = this.#options.sleep ?? sleep;
    const { Warning, Normal } = this.#waiting;
    while (Warning.length + Normal.length > 0 && !this.#isFlushing && this.#options.isBusy?.()) {
      const now = this.#now();
      const waitMs = this.#busyWriteAtMs + busyIntervalMs - now;
      if (waitMs <= 0) {
        this.#busyWriteAtMs = now;
        return;
      }
      await wait(waitMs);
    }
  }

  #take(): Waiting | undefined {
    const { Warning, Normal } = this.#waiting;
    this.#taken += 1;
    const [first, second] = this.#taken % normalEvery === 0 ? [Normal, Warning] : [Warning, Normal];
    return this.#counted(first.shift() ?? second.shift(), -1);
  }

  #countOf({ regarding: { namespace = '' } }: EventDetails): number {
    return this.#waitingOf.get(namespace) ?? 0;
  }

  #counted(waiting: Waiting | undefined, change: 1 | -1): Waiting | undefined {
    if (waiting === undefined) return undefined;
    const { namespace = '' } = waiting.note.regarding;
    const count = this.#countOf(waiting.note) + change;
    if (count > 0) this.#waitingOf.set(namespace, count);
    else this.#waitingOf.delete(namespace);
    return waiting;
  }

  #drop(): void {
    this.#dropped += 1;
    if (this.#dropped === 1)
      this.#log.warn('too many events are waiting; further events are dropped', { waiting: queuedMax });
  }

  #eventOf({ note: { regarding, type, reason, action, note }, at }: Waiting): Event {
    const { reportingController, reportingInstance } = this.#options;
    // The API server accepts events about cluster-scoped objects only in `default`. The name contains the time, as in client-go.
    const namespace = regarding.namespace || 'default';
    const prefix = regarding.name.slice(0, 220).replace(/[^a-z0-9]+$/, '');
    const name = `${prefix}.${at.getTime().toString(16)}${randomBytes(4).toString('hex')}`;
    return {
      metadata: { namespace, name },
      eventTime: microTimestamp(at),
      reportingController,
      reportingInstance: reportingInstance.slice(0, maxInstanceLength),
      action,
      reason,
      type,
      note,
      regarding,
    };
  }
}

function cutAtBytes(text: string, max: number): string {
  if (Buffer.byteLength(text) <= max) return text;
  // The cut may split a character, which then decodes to U+FFFD. U+FFFD has as many bytes as the ellipsis.
  const cut = Buffer.from(text)
    .subarray(0, max - 3)
    .toString()
    .replace(/\uFFFD+$/, '');
  return `${cut}…`;
}
