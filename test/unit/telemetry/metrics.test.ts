import assert from 'node:assert/strict';
import perfHooks from 'node:perf_hooks';
import { describe, test } from 'node:test';
import packageJson from '../../../package.json' with { type: 'json' };
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { exposeGauge, type Sample } from '../../../src/telemetry/mirrored-gauge.ts';
import { serveTelemetry, type Telemetry } from '../../../src/telemetry/server.ts';
import { version } from '../../../src/version.ts';
import { mirrorOf } from '../../support/metrics.ts';

const settings = { version: '1.2.3', perCertificate: true };

const lines = async (metrics: Metrics, name: string): Promise<string[]> =>
  [...(await metrics.expose()).body]
    .join('')
    .split('\n')
    .filter((line) => line.startsWith(name));

describe('metrics', () => {
  // Only the timer that measures the delay of the event loop wakes an idle process. With Node's default resolution, it would do
  // so a hundred times a second.
  test('wake an idle process at most five times a second', async (t) => {
    const { mock } = t.mock.method(perfHooks, 'monitorEventLoopDelay');
    await new Metrics(settings).expose();
    const [options, ...others] = mock.calls.map((call) => call.arguments[0]);
    assert.deepEqual(others, []);
    assert.ok((options?.resolution ?? 10) >= 200, `every ${options?.resolution} ms`);
  });

  test('count issued certificates by role and reason', async () => {
    const metrics = new Metrics(settings);
    metrics.issued.inc({ role: 'server', reason: 'RenewalDue' });
    metrics.issued.inc({ role: 'server', reason: 'RenewalDue' });
    const expected = ['mtls_operator_issued_total{role="server",reason="RenewalDue"} 2'];
    assert.deepEqual(await lines(metrics, 'mtls_operator_issued_total'), expected);
  });

  test('show the present content of the caches, without deleted objects', async () => {
    const metrics = new Metrics(settings);
    let samples: Sample[] = [{ labels: ['shop', 'a'], value: 1 }];
    const sources = mirrorOf();
    sources.certificateReady = () => samples;
    metrics.mirror(sources);
    const ready = () => lines(metrics, 'mtls_operator_certificate_ready{');
    assert.deepEqual(await ready(), ['mtls_operator_certificate_ready{namespace="shop",name="a"} 1']);
    samples = [{ labels: ['shop', 'b'], value: 0 }];
    assert.deepEqual(await ready(), ['mtls_operator_certificate_ready{namespace="shop",name="b"} 0']);
  });

  test('have series for each certificate unless they are turned off, and counts of certificates in any case', async () => {
    const named = async (perCertificate: boolean): Promise<Set<string>> => {
      const metrics = new Metrics({ ...settings, perCertificate });
      metrics.mirror(mirrorOf([{ labels: [], value: 1 }]));
      return new Set((await lines(metrics, 'mtls_operator_certificate')).map((line) => line.replace(/[{ ].*/, '')));
    };
    const counts = ['mtls_operator_certificates', 'mtls_operator_certificates_overdue'];
    assert.deepEqual(await named(false), new Set(counts));
    const each = ['expiry_seconds', 'renewal_seconds', 'ready'].map((name) => `mtls_operator_certificate_${name}`);
    assert.deepEqual(await named(true), new Set([...counts, ...each]));
  });

  test('have the version of the operator, which is that of the package', async () => {
    assert.deepEqual(await lines(new Metrics(settings), 'mtls_operator_build_info'), [
      'mtls_operator_build_info{version="1.2.3"} 1',
    ]);
    assert.equal(version, packageJson.version);
  });
});

describe('a gauge that mirrors the caches', () => {
  const gaugeOf = (labels: readonly string[], samples: readonly Sample[]) => ({
    name: 'a',
    help: 'b',
    labels,
    samples: () => samples,
  });

  test('is absent without samples', () => assert.deepEqual([...exposeGauge(gaugeOf(['x'], []))], []));

  test('can have no labels', () => {
    const text = [...exposeGauge(gaugeOf([], [{ labels: [], value: 7 }]))].join('');
    assert.equal(text, '# HELP a b\n# TYPE a gauge\na 7\n\n');
  });

  test('is valid in the text format with special characters and values', () => {
    const samples = [
      { labels: ['"\\\n', ''], value: -1.5 },
      { labels: ['1', '2'], value: Number.POSITIVE_INFINITY },
      { labels: ['1', '2'], value: Number.NaN },
    ];
    const text = '# HELP a b\n# TYPE a gauge\na{x="\\"\\\\\\n",y=""} -1.5\na{x="1",y="2"} Inf\na{x="1",y="2"} NaN\n\n';
    assert.equal([...exposeGauge(gaugeOf(['x', 'y'], samples))].join(''), text);
  });

  test('is written in pieces of bounded size, with every line once', () => {
    const samples = Array.from({ length: 1234 }, (_, i) => ({ labels: [String(i)], value: i }));
    const pieces = [...exposeGauge(gaugeOf(['i'], samples))];
    const lines = pieces
      .join('')
      .split('\n')
      .filter((line) => line.startsWith('a{'));
    assert.deepEqual(
      lines,
      samples.map(({ value }) => `a{i="${value}"} ${value}`),
    );
    assert.ok(pieces.length > 1 && pieces.every((piece) => piece.length < 10_000));
  });
});

describe('the server for health and metrics', () => {
  const telemetry = (more: Partial<Telemetry> = {}): Telemetry => ({
    healthy: () => undefined,
    ready: () => undefined,
    metrics: async () => ({ contentType: 'text/plain; version=0.0.4', body: ['a ', '1\n'] }),
    ...more,
  });

  async function get(path: string, served = telemetry(), method = 'GET') {
    const { server, address } = await serveTelemetry(served, { host: '127.0.0.1', port: 0 });
    try {
      const response = await fetch(`http://${address}${path}`, { method });
      return { status: response.status, type: response.headers.get('content-type'), body: await response.text() };
    } finally {
      server.close();
      server.closeAllConnections();
    }
  }

  const answers: [path: string, served: Telemetry, status: number, body: string][] = [
    ['/healthz', telemetry(), 200, 'ok\n'],
    ['/readyz', telemetry(), 200, 'ok\n'],
    ['/readyz?verbose', telemetry(), 200, 'ok\n'],
    ['/healthz', telemetry({ healthy: () => 'stuck' }), 503, 'stuck\n'],
    ['/readyz', telemetry({ ready: () => 'caches are empty' }), 503, 'caches are empty\n'],
    ['/metrics', telemetry(), 200, 'a 1\n'],
    ['/metrics', telemetry({ metrics: async () => Promise.reject(new Error('secret')) }), 500, ''],
    ['/', telemetry(), 404, 'not found\n'],
  ];
  for (const [path, served, status, body] of answers) {
    test(`answers ${path} with ${status} ${body.trim()}`, async () => {
      const answer = await get(path, served);
      assert.deepEqual([answer.status, answer.body], [status, body]);
    });
  }

  test('answers HEAD without a body, and /metrics with the content type of Prometheus', async () => {
    assert.equal((await get('/healthz', telemetry(), 'HEAD')).body, '');
    assert.equal((await get('/metrics')).type, 'text/plain; version=0.0.4');
  });

  test('rejects with EADDRINUSE when its address is in use', async () => {
    const { server, address } = await serveTelemetry(telemetry(), { host: '127.0.0.1', port: 0 });
    const port = Number(address.split(':').at(-1));
    await assert.rejects(serveTelemetry(telemetry(), { host: '127.0.0.1', port }), { code: 'EADDRINUSE' });
    server.close();
  });
});
