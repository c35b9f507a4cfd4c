import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { exposeGauge, type MirroredGauge, type Sample } from './mirrored-gauge.ts';

/** The sources of gauges that are computed from the caches at each scrape. */
export interface MetricSources {
  certificateExpiry(): Iterable<Sample>;
  certificateReady(): Iterable<Sample>;
  rootExpiry(): Iterable<Sample>;
  crlNextUpdate(): Iterable<Sample>;
  crlEntries(): Iterable<Sample>;
  crlEntriesLimit(): Iterable<Sample>;
  rotationPhase(): Iterable<Sample>;
  rotationRemaining(): Iterable<Sample>;
  queueLength(): Iterable<Sample>;
}

/** A metric, for the reference. */
export interface MetricDescription {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
}

/** The metrics of the operator, in one registry. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #mirrored: MirroredGauge[] = [];
  readonly #own: MetricDescription[] = [];
  readonly issued = this.#counter('issued_total', 'Certificates issued, by the reason to issue them', [
    'role',
    'reason',
  ]);
  readonly reconciles = this.#counter('reconciles_total', 'Finished reconciles', ['controller', 'outcome']);
  readonly apiRequests = this.#counter('api_requests_total', 'Requests to the API server', [
    'verb',
    'resource',
    'code',
  ]);
  readonly watchErrors = this.#counter('watch_errors_total', 'Lists and watches that failed', ['resource', 'code']);
  readonly leader = new Gauge(this.#described('gauge', 'leader', '1 while this replica leads, otherwise 0', []));
  readonly reconcileSeconds = new Histogram({
    ...this.#described('histogram', 'reconcile_seconds', 'Duration of reconciles in seconds', ['controller']),
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30],
  });

  constructor() {
    // A timer measures the delay of the event loop. By default it wakes the process a hundred times a second.
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: 200 });
  }

  /** Adds the gauges that are read from the caches at each scrape. */
  mirror(sources: MetricSources): void {
    const gauges: [name: string, labels: string[], help: string, samples: () => Iterable<Sample>][] = [
      [
        'certificate_expiry_seconds',
        ['namespace', 'name', 'role'],
        'Unix time at which a certificate expires',
        () => sources.certificateExpiry(),
      ],
      [
        'certificate_ready',
        ['namespace', 'name'],
        '1 while the condition Ready of an MtlsCertificate is True, otherwise 0',
        () => sources.certificateReady(),
      ],
      [
        'root_expiry_seconds',
        ['authority'],
        'Unix time of the earliest expiry among the signing root and its intermediates',
        () => sources.rootExpiry(),
      ],
      [
        'crl_next_update_seconds',
        ['authority'],
        'Unix time of the earliest expiry among the CRLs of an authority; the operator renews a CRL 20 days before',
        () => sources.crlNextUpdate(),
      ],
      [
        'crl_entries',
        ['authority'],
        'Unexpired revoked certificates on the CRLs of an authority',
        () => sources.crlEntries(),
      ],
      [
        'crl_entries_limit',
        ['authority'],
        'The most revoked certificates that the CRLs of an authority can hold',
        () => sources.crlEntriesLimit(),
      ],
      [
        'rotation_phase',
        ['authority', 'phase'],
        '1 for the current phase of a rotation of the root, 0 for the other phases; absent without a rotation',
        () => sources.rotationPhase(),
      ],
      [
        'rotation_remaining',
        ['authority'],
        'Secrets and bundles that the phase of a rotation still waits for',
        () => sources.rotationRemaining(),
      ],
      ['queue_length', ['controller'], 'Keys that wait to be reconciled', () => sources.queueLength()],
    ];
    for (const [name, labels, help, samples] of gauges)
      this.#mirrored.push({ name: `mtls_operator_${name}`, labels, help, samples });
  }

  /** The metrics of the operator itself, without those of the Node.js process. */
  describe(): readonly MetricDescription[] {
    return [
      ...this.#mirrored.map(({ name, help, labels }) => ({ name, help, labels, type: 'gauge' as const })),
      ...this.#own,
    ];
  }

  /** The exposition format of Prometheus, in pieces, and its content type. */
  async expose(): Promise<{ contentType: string; body: Iterable<string> }> {
    const kept = await this.#registry.metrics();
    return { contentType: this.#registry.contentType, body: this.#pieces(kept) };
  }

  *#pieces(kept: string): Generator<string, void, undefined> {
    yield `${kept}\n`;
    for (const gauge of this.#mirrored) yield* exposeGauge(gauge);
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter(this.#described('counter', name, help, labelNames));
  }

  /** The options of a metric for prom-client. Adds the metric to the reference. */
  #described<Label extends string>(type: MetricDescription['type'], suffix: string, help: string, labelNames: Label[]) {
    const name = `mtls_operator_${suffix}`;
    this.#own.push({ name, type, help, labels: labelNames });
    return { name, help, labelNames, registers: [this.#registry] };
  }
}
