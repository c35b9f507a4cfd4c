import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MetricsCertificate } from '../../../../src/controllers/certificate/metrics-certificate.ts';
import { KubeError, silentLog } from '../../../../src/kube/index.ts';
import { begin } from '../../../support/begin.ts';
import { eventually } from '../../../support/eventually.ts';

/** Keeps the certificate while an API server answers the n-th request with `answers[n]`, by default with success. */
function harness(answers: readonly (KubeError | undefined)[] = []) {
  const existing = new Set<string>();
  const created: unknown[] = [];
  const warnings: string[] = [];
  const certificate = new MetricsCertificate({
    client: {
      create: (async (_: unknown, manifest: { metadata: { namespace: string; name: string } }) => {
        created.push(manifest);
        const answer = answers[created.length - 1];
        if (answer !== undefined) throw answer;
        existing.add(`${manifest.metadata.namespace}/${manifest.metadata.name}`);
      }) as never,
    },
    certificates: { has: (key: string) => existing.has(key) },
    namespace: 'pki',
    service: { name: 'mtls-operator', authority: 'internal' },
    log: { ...silentLog, warn: (message: string) => warnings.push(message) },
    intervalMs: 1,
  });
  return { existing, created, warnings, end: begin((signal) => certificate.keep(signal)) };
}

const manifest = {
  apiVersion: 'mtls-operator.io/v1alpha1',
  kind: 'MtlsCertificate',
  metadata: { namespace: 'pki', name: 'mtls-operator-metrics' },
  spec: { authorityRef: { name: 'internal' }, server: { service: 'mtls-operator' } },
};

test('the certificate of the metrics server is created once, and again when it is deleted', async () => {
  const { existing, created, end } = harness();
  await eventually(() => assert.equal(existing.size, 1));
  assert.deepEqual(created, [manifest]);
  existing.clear();
  await eventually(() => assert.equal(existing.size, 1));
  await end();
  assert.deepEqual(created, [manifest, manifest]);
});

test('a certificate of the metrics server that exists is not changed', async () => {
  const { existing, created, warnings, end } = harness([new KubeError('AlreadyExists', 'it exists')]);
  await eventually(() => assert.equal(created.length, 1));
  existing.add('pki/mtls-operator-metrics');
  await end();
  assert.deepEqual(warnings, []);
});

test('creating the certificate of the metrics server is retried while the API server refuses it', async () => {
  const { existing, created, warnings, end } = harness([
    new KubeError('Forbidden', 'no'),
    new KubeError('NotFound', 'the CRD does not exist'),
  ]);
  await eventually(() => assert.equal(existing.size, 1));
  await end();
  assert.equal(created.length, 3);
  assert.equal(warnings.length, 2);
});
