import { mock } from 'node:test';
import type { Queues } from '../../../../src/controllers/event-handlers.ts';
import { beginTerm, type Reconcilers, type ReconcilersOptions } from '../../../../src/controllers/reconcilers.ts';
import { Replica } from '../../../../src/controllers/replica.ts';
import { type KubeError, silentLog, WorkQueue } from '../../../../src/kube/index.ts';
import { fillCaches } from './fill-caches.ts';
import { Crash, type MemoryApi } from './memory-api.ts';
import { MemoryClient } from './memory-client.ts';

/** What happens in the middle of a reconcile, at one of its requests. */
export interface Interruption {
  /** So many requests have been answered before. */
  readonly at: number;
  /** Requests that only read do not count. */
  readonly countsWrites: boolean;
  /** The request has its effect first, and its answer comes later. */
  readonly isAfter: boolean;
  readonly act: () => Promise<unknown>;
}

interface ProcessOptions {
  readonly api: MemoryApi;
  readonly namespace: string;
  readonly now: () => Date;
  readonly monotonicMs: () => number;
  readonly onIssued: (reason: string) => void;
  /** Default: queues that nobody takes keys from, since everything is reconciled again and again. */
  readonly queues?: Queues;
}

const isWrite = (request: string): boolean => /^(create|mergePatch|delete) /.test(request);

/** Longer than a Reflector pauses after its first errors. */
const reflectorPauseMs = 10_000;

function idleQueues(): Queues {
  const clock = { now: () => 0, schedule: () => () => undefined };
  const queue = () => new WorkQueue({ clock });
  return { authority: queue(), certificate: queue(), trust: queue() };
}

/** One process of the operator. Its caches are kept by Caches.keep, and are behind until its watches deliver. */
export class WorldProcess {
  readonly replica: Replica;
  readonly #options: ReconcilersOptions;
  #reconcilers: Reconcilers | undefined;
  readonly #memory: MemoryClient;
  readonly #stop = new AbortController();
  #ended = (): Promise<void> => Promise.resolve();
  #interruption: Interruption | undefined;
  #hasEnded = false;
  #isReconciling = false;
  /** Another process leads since, and this one has not noticed yet. */
  isSuperseded = false;
  /** What the API server answers to a request in place of doing it. */
  refusal: (request: string) => KubeError | undefined = () => undefined;

  private constructor({ api, namespace, now, monotonicMs, onIssued, queues = idleQueues() }: ProcessOptions) {
    this.#memory = new MemoryClient(api);
    this.#memory.onRequest = (request, moment) => this.#onRequest(request, moment);
    const { client } = this.#memory;
    this.replica = new Replica({ client, namespace, log: silentLog, now, monotonicMs });
    this.#options = {
      client,
      namespace,
      replica: this.replica,
      rsaKeyWorkers: 1,
      recorder: { record: () => undefined },
      observer: { onIssued: (_, reason) => onIssued(reason) },
      log: silentLog,
      now,
      queues,
    };
  }

  /** Begins, and has its caches filled as the Operator does. */
  static async start(options: ProcessOptions): Promise<WorldProcess> {
    const process = new WorldProcess(options);
    const { replica } = process;
    const { signal } = process.#stop;
    process.#ended = await fillCaches(replica.caches, process.#memory, signal, () => replica.refreshRoots(signal));
    return process;
  }

  get isReconciling(): boolean {
    return this.#isReconciling;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Those of the present term. */
  get reconcilers(): Reconcilers {
    if (this.#reconcilers === undefined) throw new Error('this process has not begun to lead');
    return this.#reconcilers;
  }

  /** Begins to lead, as a LeaderTerm does. An earlier term of the process has ended. */
  async lead(): Promise<void> {
    this.#reconcilers?.stop();
    this.#reconcilers = await beginTerm(this.#options, this.#stop.signal);
  }

  /** The process is no more, whatever it was about to do. */
  async end(): Promise<void> {
    this.#hasEnded = true;
    this.#memory.end();
    this.#stop.abort();
    await this.#ended();
  }

  /** The watches, or those of one kind, bring what has happened. */
  async deliver(plural?: string): Promise<void> {
    // Whoever pauses after an error comes back.
    mock.timers.tick(reflectorPauseMs);
    await this.#memory.deliver(plural);
  }

  /** The watches of a kind end. @param isForgotten they cannot be resumed: all has to be listed again */
  cut = (plural: string, isForgotten: boolean): Promise<void> => this.#memory.cut(plural, isForgotten);

  /** Reconciles, and has something happen in the middle of it. Throws Crash when that ended the process. */
  async reconcile(
    work: (reconcilers: Reconcilers, signal: AbortSignal) => Promise<unknown>,
    interruption?: Interruption,
  ): Promise<void> {
    this.#interruption = interruption;
    this.#isReconciling = true;
    try {
      await work(this.reconcilers, this.#stop.signal);
    } finally {
      this.#interruption = undefined;
      this.#isReconciling = false;
    }
  }

  async #onRequest(request: string, moment: 'before' | 'after'): Promise<void> {
    // Its request would have to be on the way for longer than the lease lasts, and has no precondition that tells.
    if (this.isSuperseded && moment === 'before' && request.startsWith('create ')) throw new Crash();
    const refusal = moment === 'before' ? this.refusal(request) : undefined;
    if (refusal !== undefined) throw refusal;
    const interruption = this.#interruption;
    if (interruption === undefined || (interruption.countsWrites && !isWrite(request))) return;
    const { at, isAfter, act } = interruption;
    const isDue = at === 0 && moment === (isAfter ? 'after' : 'before');
    this.#interruption = moment === 'after' && !isDue ? { ...interruption, at: at - 1 } : interruption;
    if (!isDue) return;
    this.#interruption = undefined;
    await act();
  }
}
