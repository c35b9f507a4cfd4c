import { randomBytes } from 'node:crypto';
import type { KubeClient } from '../api/client.ts';
import { type Log, silentLog } from '../api/log.ts';
import { microTimestamp } from '../api/micro-timestamp.ts';
import { type Event, events, type ObjectReference } from '../api/resource.ts';
import { sleep } from '../async/backoff.ts';
import { Fifo } from '../workqueue/fifo.ts';
import { EventCorrelator } from './event-correlator.ts';

/** Something a person would want to know about an object. */
export interface EventDetails {
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
  /** Whether there is work that matters more at this moment: then events are written slowly. Default: never. */
  readonly isBusy?: (() => boolean) | undefined;
  readonly log?: Log | undefined;
  /** Milliseconds on a monotonic clock. */
  readonly now?: (() => number) | undefined;
  /** Resolves after so many milliseconds. */
  readonly sleep?: ((ms: number) => Promise<void>) | undefined;
}

const queuedMax = 1000;
/** Of one namespace: its many failures leave room for the events of others. */
const queuedMaxOfOne = queuedMax / 2;
const concurrency = 2;
// While there is other work. Ten a second are under a percent of what an API server can write.
const busyIntervalMs = 100;
// Of so many events one is not a warning, if one waits: warnings go first, but not for ever.
const normalEvery = 4;
const maxNoteBytes = 1024;
/** The API server refuses an event whose reportingInstance is longer; a pod's name can be. */
const maxInstanceLength = 128;

interface Waiting {
  readonly note: EventDetails;
  readonly at: Date;
}

/**
 * Writes events (events.k8s.io/v1) in the background, as well as can be: warnings before the rest, slowly while there is
 * other work. A repetition is dropped, and so are too many for one object, for one namespace, or altogether. A failure is
 * only logged. Nothing here throws or makes its caller wait.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #log: Log;
  readonly #now: () => number;
  readonly #filter = new EventCorrelator();
  readonly #waiting = { Warning: new Fifo<Waiting>(), Normal: new Fifo<Waiting>() };
  /** How many of them are of a namespace. */
  readonly #waitingOf = new Map<string, number>();
  #taken = 0;
  /** Since there was last nothing to write. */
  #dropped = 0;
  /** When an event was last written although there was other work. */
  #busyWriteAtMs = Number.NEGATIVE_INFINITY;
  #isFlushing = false;
  /** Aborts what a flush has no more time for. */
  #cut = new AbortController();
  #writing = 0;
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.#now = options.now ?? ((): number => performance.now());
  }

  record(note: EventDetails): void {
    const { Warning, Normal } = this.#waiting;
    const isFull = Warning.length + Normal.length >= queuedMax;
    // Before anything else: in a burst these are most events, and what was never said may be said later.
    if (isFull && (note.type === 'Normal' || Normal.length === 0)) return this.#drop();
    if (this.#countOf(note) >= queuedMaxOfOne) return this.#drop();
    if (!this.#filter.admits(note, this.#now())) return;
    if (isFull) {
      // A warning takes the place of what matters less.
      this.#counted(Normal.shift(), -1);
      this.#drop();
    }
    const waiting = { note, at: new Date() };
    this.#waiting[note.type].push(waiting);
    this.#counted(waiting, 1);
    if (this.#writing < concurrency) void this.#write();
  }

  /** Resolves when all events are written, at full speed, or after `timeoutMs`, when the rest is dropped. */
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
        this.#log.debug('an event was not written', { reason, object: regarding.name, error });
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

  /** Resolves when it is time for the next event, or when none waits any more. */
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
    if (this.#dropped === 1) this.#log.warn('events are dropped: too many are waiting', { waiting: queuedMax });
  }

  #eventOf({ note: { regarding, type, reason, action, note }, at }: Waiting): Event {
    const { reportingController, reportingInstance } = this.#options;
    // The API server wants events about cluster-scoped objects in `default`. The name as in client-go: unique by its time.
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
      note: cutAtBytes(note, maxNoteBytes),
      regarding,
    };
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
