import { mock } from 'node:test';
import type { Queues } from '../../../../src/controllers/event-handlers.ts';
import { beginTerm, type Reconcilers, type ReconcilersOptions } from '../../../../src/controllers/reconcilers.ts';
import { Replica } from '../../../../src/controllers/replica.ts';
import { type KubeError, silentLog, WorkQueue } from '../../../../src/kube/index.ts';
import { fillCaches } from './fill-caches.ts';
import { Crash, type MemoryApi } from './memory-api.ts';
import { MemoryClient } from './memory-client.ts';

/** Something that happens in the middle of a reconcile, at one of its requests. */
export interface Interruption {
  /** How many requests are answered first. */
  readonly at: number;
  /** Requests that only read are not counted. */
  readonly countsWrites: boolean;
  /** The request takes effect before the interruption, and is answered after it. */
  readonly isAfter: boolean;
  readonly act: () => Promise<unknown>;
}

interface ProcessOptions {
  readonly api: MemoryApi;
  readonly namespace: string;
  /** The clock of the operator. */
  readonly now: () => Date;
  /** The clock of the API server. */
  readonly serverTime?: () => Date | undefined;
  readonly monotonicMs: () => number;
  readonly onIssued: (reason: string) => void;
  /** Default: queues from which no controller takes keys, because the test reconciles every object repeatedly. */
  readonly queues?: Queues;
}

const isWrite = (request: string): boolean => /^(create|mergePatch|replace|delete) /.test(request);

/** Longer than a Reflector pauses after its first errors. */
const reflectorPauseMs = 10_000;

function idleQueues(): Queues {
  const clock = { now: () => 0, monotonicMs: () => 0, schedule: () => () => undefined };
  const queue = () => new WorkQueue({ clock });
  return { authority: queue(), certificate: queue(), trust: queue(), pods: queue() };
}

/** One process of the operator. keepCaches fills its caches, which are stale until its watches deliver. */
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
  /** Another process leads meanwhile, and this one has not noticed yet. */
  isSuperseded = false;
  /** The error with which the API server answers a request instead of executing it. */
  refusal: (request: string) => KubeError | undefined = () => undefined;

  private constructor({
    api,
    namespace,
    now,
    serverTime = () => undefined,
    monotonicMs,
    onIssued,
    queues = idleQueues(),
  }: ProcessOptions) {
    this.#memory = new MemoryClient(api);
    this.#memory.serverTime = serverTime;
    this.#memory.onRequest = (request, moment) => this.#onRequest(request, moment);
    const { client } = this.#memory;
    const forPods = { podCertificates: true, podEvidence: true };
    this.replica = new Replica({ client, namespace, log: silentLog, now, monotonicMs, ...forPods });
    this.#options = {
      client,
      namespace,
      replica: this.replica,
      rsaKeyWorkers: 1,
      restartWorkloads: true,
      recorder: { record: () => undefined },
      observer: {
        onIssued: (_, reason) => onIssued(reason),
        onPodCertificateIssued: () => undefined,
        onPodCertificateDenied: () => undefined,
      },
      log: silentLog,
      now,
      queues,
    };
  }

  /** Starts, and fills its caches as the Operator does. */
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

  /** The reconcilers of the current term. */
  get reconcilers(): Reconcilers {
    if (this.#reconcilers === undefined) throw new Error('this process has not begun to lead');
    return this.#reconcilers;
  }

  /** Begins a term, as a LeaderTerm does. An earlier term of the process ends. */
  async lead(): Promise<void> {
    this.#reconcilers?.stop();
    this.#reconcilers = await beginTerm(this.#options, this.#stop.signal);
  }

  /** Ends the process, whatever it was doing. */
  async end(): Promise<void> {
    this.#hasEnded = true;
    this.#memory.end();
    this.#stop.abort();
    await this.#ended();
  }

  /** Delivers all changes to the watches, of all kinds or of one. */
  async deliver(plural?: string): Promise<void> {
    // Ends the pauses of Reflectors after an error.
    mock.timers.tick(reflectorPauseMs);
    await this.#memory.deliver(plural);
  }

  /** Ends the watches of a kind. @param isForgotten the API server cannot resume the watches, so the client must list again */
  cut = (plural: string, isForgotten: boolean): Promise<void> => this.#memory.cut(plural, isForgotten);

  /** Reconciles, with an interruption. Throws Crash when the interruption ended the process. */
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
    // No precondition stops a creation by the former leader. It is ruled out here: it would have to be under way for longer than
    // the Lease lasts.
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
