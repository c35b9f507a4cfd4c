import type { MetricRegistry } from './metric-registry.ts';
import type { Samples } from './mirrored-gauge.ts';

/** The sources of the gauges about the term of a leader. They yield nothing on a replica that does not lead. */
export interface RuntimeSources {
  queueDepth(): Samples;
  unfinishedWork(): Samples;
  longestRunning(): Samples;
  activeWorkers(): Samples;
  maxWorkers(): Samples;
}

/** Receives what a work queue reports. The same interface as WorkQueueObserver of `kube`. */
export interface QueueObserver {
  onAdd(): void;
  onGet(waitedSeconds: number): void;
  onDone(workedSeconds: number): void;
  onRetry(): void;
}

/** How a reconcile can end, and the label `result` that controller-runtime uses for it. */
const results = {
  success: 'success',
  requeued: 'requeue_after',
  interrupted: 'requeue',
  error: 'error',
  terminal: 'error',
} as const;

/** A request to the API server that has ended. */
interface RequestReport {
  readonly verb: string;
  readonly method: string;
  readonly host: string;
  readonly resource: string;
  readonly code: string;
}

/** Seconds. Most reconciles take a few milliseconds, and a request to the API server fails after 30 s. */
const durations = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30];
/** Seconds. With 20,000 certificates, the last key of a new leader waits for minutes. */
const waits = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 1800];

/**
 * The metrics of the runtime, with the names and labels that controller-runtime and client-go use, so that dashboards for
 * operators work.
 */
export class RuntimeMetrics {
  readonly #registry: MetricRegistry;
  readonly #queue;
  readonly #reconcile;
  readonly #requests;
  readonly #leader;

  constructor(registry: MetricRegistry) {
    this.#registry = registry;
    const names = ['name', 'controller'] as const;
    this.#queue = {
      adds: registry.counter('workqueue_adds_total', [...names], 'Keys added to the queue'),
      waits: registry.histogram(
        'workqueue_queue_duration_seconds',
        [...names],
        'How long a key waits in the queue before a worker takes it, in seconds',
        waits,
      ),
      work: registry.histogram(
        'workqueue_work_duration_seconds',
        [...names],
        'How long a worker processes a key, in seconds',
        durations,
      ),
      retries: registry.counter('workqueue_retries_total', [...names], 'Keys added again after an error, with a delay'),
    };
    this.#reconcile = {
      total: registry.counter('controller_runtime_reconcile_total', ['controller', 'result'], 'Finished reconciles'),
      errors: registry.counter(
        'controller_runtime_reconcile_errors_total',
        ['controller'],
        'Reconciles that ended with an error, including terminal errors',
      ),
      terminalErrors: registry.counter(
        'controller_runtime_terminal_reconcile_errors_total',
        ['controller'],
        'Reconciles that ended with an error and are not retried before the object changes',
      ),
      seconds: registry.histogram(
        'controller_runtime_reconcile_time_seconds',
        ['controller'],
        'Duration of reconciles in seconds',
        durations,
      ),
    };
    this.#requests = registry.counter(
      'rest_client_requests_total',
      ['code', 'method', 'host', 'verb', 'resource'],
      'Requests to the API server',
    );
    this.#leader = registry.gauge(
      'leader_election_master_status',
      ['name'],
      '1 while this replica leads, otherwise 0. name is the Lease',
    );
  }

  /** Adds the gauges that are read at each scrape. */
  mirror(sources: RuntimeSources): void {
    const queue = ['name', 'controller'];
    const gauges: [name: string, labels: string[], help: string, samples: () => Samples][] = [
      ['workqueue_depth', queue, 'Keys that wait for a worker', () => sources.queueDepth()],
      [
        'workqueue_unfinished_work_seconds',
        queue,
        'How long the reconciles in progress have taken so far, as a sum in seconds',
        () => sources.unfinishedWork(),
      ],
      [
        'workqueue_longest_running_processor_seconds',
        queue,
        'How long the longest reconcile in progress has taken so far, in seconds',
        () => sources.longestRunning(),
      ],
      [
        'controller_runtime_active_workers',
        ['controller'],
        'Workers that reconcile a key now',
        () => sources.activeWorkers(),
      ],
      [
        'controller_runtime_max_concurrent_reconciles',
        ['controller'],
        'How many keys a controller reconciles at the same time at most',
        () => sources.maxWorkers(),
      ],
    ];
    for (const [name, labels, help, samples] of gauges) this.#registry.mirror({ name, labels, help, samples });
  }

  /** Returns the observer of a controller's queue. Its labels are resolved once. */
  queueObserver(controller: string): QueueObserver {
    const labels = { name: controller, controller };
    const adds = this.#queue.adds.labels(labels);
    const waited = this.#queue.waits.labels(labels);
    const worked = this.#queue.work.labels(labels);
    const retries = this.#queue.retries.labels(labels);
    return {
      onAdd: () => adds.inc(),
      onGet: (seconds) => waited.observe(seconds),
      onDone: (seconds) => worked.observe(seconds),
      onRetry: () => retries.inc(),
    };
  }

  /** Starts the counters of a controller at 0: a rate does not see the first increment of a counter that appears with 1. */
  expectController(controller: string): void {
    const { total, errors, terminalErrors } = this.#reconcile;
    for (const result of new Set(Object.values(results))) total.inc({ controller, result }, 0);
    errors.inc({ controller }, 0);
    terminalErrors.inc({ controller }, 0);
  }

  onReconcile(controller: string, { outcome, seconds }: { outcome: keyof typeof results; seconds: number }): void {
    const { total, errors, terminalErrors, seconds: durations } = this.#reconcile;
    total.inc({ controller, result: results[outcome] });
    if (results[outcome] === 'error') errors.inc({ controller });
    if (outcome === 'terminal') terminalErrors.inc({ controller });
    durations.observe({ controller }, seconds);
  }

  onRequest({ code, method, host, verb, resource }: RequestReport): void {
    this.#requests.inc({ code, method, host, verb, resource });
  }

  onTransition(name: string, isLeader: boolean): void {
    this.#leader.set({ name }, isLeader ? 1 : 0);
  }
}
