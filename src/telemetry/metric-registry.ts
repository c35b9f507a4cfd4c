import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { exposeGauge, type MirroredGauge } from './mirrored-gauge.ts';

/** A metric, for the reference. */
export interface MetricDescription {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
}

/** Gauges of the Node.js process whose names end like those of counters. The linter of Prometheus refuses them. */
const misnamed = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

/** Metrics that keep their values, gauges that are read at each scrape, and the metrics of the Node.js process. */
export class MetricRegistry {
  readonly #registry = new Registry();
  readonly #mirrored: MirroredGauge[] = [];
  readonly #kept: MetricDescription[] = [];

  constructor() {
    // A timer measures the delay of the event loop. By default it wakes the process a hundred times a second.
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: 200 });
    for (const name of misnamed) this.#registry.removeSingleMetric(name);
  }

  /** All metrics except those of the Node.js process. */
  get descriptions(): readonly MetricDescription[] {
    return [
      ...this.#mirrored.map(({ name, help, labels }) => ({ name, help, labels, type: 'gauge' as const })),
      ...this.#kept,
    ];
  }

  counter<Label extends string>(name: string, labelNames: Label[], help: string): Counter<Label> {
    return new Counter(this.#described('counter', name, labelNames, help));
  }

  gauge<Label extends string>(name: string, labelNames: Label[], help: string): Gauge<Label> {
    return new Gauge(this.#described('gauge', name, labelNames, help));
  }

  histogram<Label extends string>(
    name: string,
    labelNames: Label[],
    help: string,
    buckets: number[],
  ): Histogram<Label> {
    return new Histogram({ ...this.#described('histogram', name, labelNames, help), buckets });
  }

  /** Adds a gauge that is read from its source at each scrape. */
  mirror(gauge: MirroredGauge): void {
    this.#mirrored.push(gauge);
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

  /** The options of a metric for prom-client. Adds the metric to the descriptions. */
  #described<Label extends string>(type: MetricDescription['type'], name: string, labelNames: Label[], help: string) {
    this.#kept.push({ name, type, help, labels: labelNames });
    return { name, help, labelNames, registers: [this.#registry] };
  }
}
