import type { MetricSources } from '../../src/telemetry/metrics.ts';
import type { Samples } from '../../src/telemetry/mirrored-gauge.ts';

/** The input of `Metrics.mirror` when each gauge has the same samples, by default none. A source can be replaced. */
export const mirrorOf = (samples: Samples = []): MetricSources =>
  new Proxy({} as MetricSources, {
    get: (replaced, name) => replaced[name as keyof MetricSources] ?? (() => samples),
  });
