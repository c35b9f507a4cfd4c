import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { exposeGauge, type MirroredGauge, type Sample } from './mirrored-gauge.ts';

/** Where gauges that mirror the caches read from, so that nothing is kept twice. */
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

/** The metrics of the operator, in one registry. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #mirrored: MirroredGauge[] = [];
  readonly issued = this.#counter('issued_total', 'Certificates issued', ['role', 'reason']);
  readonly reconciles = this.#counter('reconciles_total', 'Finished reconciles', ['controller', 'outcome']);
  readonly apiRequests = this.#counter('api_requests_total', 'Requests to the API server', [
    'verb',
    'resource',
    'code',
  ]);
  readonly watchErrors = this.#counter('watch_errors_total', 'Errors of lists and watches', ['resource', 'code']);
  readonly leader = new Gauge({
    name: 'mtls_operator_leader',
    help: '1 while this replica leads',
    registers: [this.#registry],
  });
  readonly reconcileSeconds = new Histogram({
    name: 'mtls_operator_reconcile_seconds',
    help: 'Duration of reconciles',
    labelNames: ['controller'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30],
    registers: [this.#registry],
  });

  constructor() {
    // The delay of the event loop is measured by a timer, which by default wakes the process a hundred times a second.
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: 200 });
  }

  /** Adds the gauges that are read from the caches when somebody asks. */
  mirror(sources: MetricSources): void {
    const gauges: [name: string, help: string, samples: () => Iterable<Sample>][] = [
      [
        'certificate_expiry_seconds',
        'notAfter of a certificate as a Unix time in seconds',
        () => sources.certificateExpiry(),
      ],
      ['certificate_ready', '1 when the condition Ready of a resource is True', () => sources.certificateReady()],
      [
        'root_expiry_seconds',
        'Earliest notAfter of an active root and its intermediates as a Unix time in seconds',
        () => sources.rootExpiry(),
      ],
      [
        'crl_next_update_seconds',
        "When the first of an authority's CRLs ends as a Unix time in seconds",
        () => sources.crlNextUpdate(),
      ],
      ['crl_entries', "Certificates on an authority's CRLs", () => sources.crlEntries()],
      ['crl_entries_limit', "How many certificates an authority's CRLs have room for", () => sources.crlEntriesLimit()],
      ['rotation_phase', '1 for the phase of the rotation of a root that is under way', () => sources.rotationPhase()],
      [
        'rotation_remaining',
        'Secrets and bundles that the phase of a rotation still waits for',
        () => sources.rotationRemaining(),
      ],
      ['queue_length', 'Keys that wait to be reconciled', () => sources.queueLength()],
    ];
    this.#mirrored.push(...gauges.map(([name, help, samples]) => ({ name: `mtls_operator_${name}`, help, samples })));
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
    return new Counter({ name: `mtls_operator_${name}`, help, labelNames, registers: [this.#registry] });
  }
}
