import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** A labelled value of a gauge that is worked out when it is asked for. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Where gauges that mirror the caches read from, so that nothing is kept twice. */
export interface MetricSources {
  certificateExpiry(): Iterable<Sample>;
  certificateReady(): Iterable<Sample>;
  rootExpiry(): Iterable<Sample>;
  crlNextUpdate(): Iterable<Sample>;
  crlEntries(): Iterable<Sample>;
  rotationPhase(): Iterable<Sample>;
  rotationRemaining(): Iterable<Sample>;
  queueLength(): Iterable<Sample>;
}

/** The metrics of the operator, in one registry. */
export class Metrics {
  readonly #registry = new Registry();
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
    collectDefaultMetrics({ register: this.#registry });
  }

  /** Adds the gauges that are read from the caches when somebody asks. */
  mirror(sources: MetricSources): void {
    const timestampOf = 'as a Unix time in seconds';
    this.#mirrored(
      'certificate_expiry_seconds',
      `notAfter of a certificate ${timestampOf}`,
      ['namespace', 'name', 'role'],
      () => sources.certificateExpiry(),
    );
    this.#mirrored('certificate_ready', '1 when the condition Ready of a resource is True', ['namespace', 'name'], () =>
      sources.certificateReady(),
    );
    this.#mirrored(
      'root_expiry_seconds',
      `Earliest notAfter of an active root and its intermediates ${timestampOf}`,
      ['authority'],
      () => sources.rootExpiry(),
    );
    this.#mirrored(
      'crl_next_update_seconds',
      `When the first of an authority's CRLs ends ${timestampOf}`,
      ['authority'],
      () => sources.crlNextUpdate(),
    );
    this.#mirrored('crl_entries', "Certificates on an authority's CRLs", ['authority'], () => sources.crlEntries());
    this.#mirrored(
      'rotation_phase',
      '1 for the phase of the rotation of a root that is under way',
      ['authority', 'phase'],
      () => sources.rotationPhase(),
    );
    this.#mirrored(
      'rotation_remaining',
      'Secrets and bundles that the phase of a rotation still waits for',
      ['authority'],
      () => sources.rotationRemaining(),
    );
    this.#mirrored('queue_length', 'Keys that wait to be reconciled', ['controller'], () => sources.queueLength());
  }

  /** The exposition format of Prometheus, and its content type. */
  async expose(): Promise<{ contentType: string; body: string }> {
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() };
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ name: `mtls_operator_${name}`, help, labelNames, registers: [this.#registry] });
  }

  #mirrored(name: string, help: string, labelNames: string[], samples: () => Iterable<Sample>): void {
    const gauge: Gauge = new Gauge({
      name: `mtls_operator_${name}`,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        gauge.reset();
        for (const { labels, value } of samples()) gauge.set(labels, value);
      },
    });
  }
}
