import assert from 'node:assert/strict';
import perfHooks from 'node:perf_hooks';
import { describe, test } from 'node:test';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { exposeGauge, type Sample } from '../../../src/telemetry/mirrored-gauge.ts';
import { serveTelemetry, type Telemetry } from '../../../src/telemetry/server.ts';
import { nothingToMirror } from '../../support/metrics.ts';

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
    await new Metrics().expose();
    const [options, ...others] = mock.calls.map((call) => call.arguments[0]);
    assert.deepEqual(others, []);
    assert.ok((options?.resolution ?? 10) >= 200, `every ${options?.resolution} ms`);
  });

  test('count issued certificates by role and reason', async () => {
    const metrics = new Metrics();
    metrics.issued.inc({ role: 'server', reason: 'RenewalDue' });
    metrics.issued.inc({ role: 'server', reason: 'RenewalDue' });
    const expected = ['mtls_operator_issued_total{role="server",reason="RenewalDue"} 2'];
    assert.deepEqual(await lines(metrics, 'mtls_operator_issued_total'), expected);
  });

  test('show the present content of the caches, without deleted objects', async () => {
    const metrics = new Metrics();
    let samples: Sample[] = [{ labels: { namespace: 'shop', name: 'a' }, value: 1 }];
    metrics.mirror({ ...nothingToMirror, certificateReady: () => samples });
    const ready = () => lines(metrics, 'mtls_operator_certificate_ready{');
    assert.deepEqual(await ready(), ['mtls_operator_certificate_ready{namespace="shop",name="a"} 1']);
    samples = [{ labels: { namespace: 'shop', name: 'b' }, value: 0 }];
    assert.deepEqual(await ready(), ['mtls_operator_certificate_ready{namespace="shop",name="b"} 0']);
  });
});

describe('a gauge that mirrors the caches', () => {
  const gaugeOf = (samples: readonly Sample[]) => ({
    name: 'a',
    help: 'b',
    labels: Object.keys(samples[0]?.labels ?? {}),
    samples: () => samples,
  });

  test('is valid in the text format with special characters and values', () => {
    const samples = [
      { labels: { x: '"\\\n', y: '' }, value: -1.5 },
      { labels: { x: '1', y: '2' }, value: Number.POSITIVE_INFINITY },
      { labels: { x: '1', y: '2' }, value: Number.NaN },
    ];
    const text = '# HELP a b\n# TYPE a gauge\na{x="\\"\\\\\\n",y=""} -1.5\na{x="1",y="2"} Inf\na{x="1",y="2"} NaN\n\n';
    assert.equal([...exposeGauge(gaugeOf(samples))].join(''), text);
  });

  test('is written in pieces of bounded size, with every line once', () => {
    const samples = Array.from({ length: 1234 }, (_, i) => ({ labels: { i: String(i) }, value: i }));
    const pieces = [...exposeGauge(gaugeOf(samples))];
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
