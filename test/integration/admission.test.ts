import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import type { MtlsCertificate } from '../../src/api/types.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { type Operator, startOperator } from '../support/operator.ts';

/** A file of test/integration/manifests. $(NAMESPACE) in it stands for the namespace that it is applied to. */
interface Manifest {
  /** The file's name, which says what is wrong or special. */
  readonly name: string;
  readonly text: string;
  /** Part of the API server's message, from the first line `# refused: …`. */
  readonly refused: string | undefined;
  /** The reason of Ready=False, from the first line `# condition: …`. */
  readonly condition: string | undefined;
}

const invalid = readManifests('invalid');
const valid = readManifests('valid');
const validCertificates = valid.filter(({ text }) => text.includes('kind: MtlsCertificate'));

/** How many manifests are tried at a time: most of the time goes by in kubectl. */
const concurrency = 3;

const dryRun = ['apply', '--dry-run=server', '-f', '-'];

let cluster: TestCluster;
before(async () => {
  cluster = await startTestCluster();
});
after(() => cluster.stop());

it('has a corpus of at least 45 invalid and 15 valid manifests, and every invalid one says what it expects', () => {
  assert.ok(invalid.length >= 45, `${invalid.length} invalid manifests`);
  assert.ok(valid.length >= 15, `${valid.length} valid manifests`);
  const unclear = invalid.filter(({ refused, condition }) => refused === undefined && condition === undefined);
  assert.deepEqual(unclear, []);
});

describe('the API server refuses, with a message that names the fault', { concurrency }, () => {
  for (const { name, text, refused } of invalid) {
    if (refused === undefined) continue;
    it(sentence(name), async () => {
      const { code, stderr } = await cluster.tryKubectl(dryRun, { input: inNamespace(text, 'default') });
      assert.notEqual(code, 0, 'it was accepted');
      assert.ok(stderr.includes(refused), `expected a message with "${refused}", got: ${stderr}`);
    });
  }
});

describe('the API server accepts', { concurrency }, () => {
  for (const { name, text, refused, condition } of [...valid, ...invalid]) {
    if (refused !== undefined) continue;
    it(condition === undefined ? sentence(name) : `${sentence(name)}, which only the operator can judge`, async () => {
      await cluster.kubectl(dryRun, { input: inNamespace(text, 'default') });
    });
  }
});

it('the API server accepts the examples of deploy/', async () => {
  // A dry run does not create the namespace that the examples are in.
  await cluster.kubectl(['create', 'namespace', 'shop']);
  await cluster.kubectl(['apply', '--dry-run=server', '-f', join(import.meta.dirname, '../../deploy/examples')]);
});

it('the API server fills in the defaults, so that a stored resource says what it means', async () => {
  const input = valid.find(({ name }) => name === 'server')?.text ?? '';
  const { spec } = JSON.parse(await cluster.kubectl([...dryRun, '-o', 'json'], { input })) as MtlsCertificate;
  assert.deepEqual(spec, {
    authorityRef: { name: 'default' },
    server: { service: 'payments' },
    duration: '2160h',
    privateKey: { algorithm: 'ECDSA', encoding: 'PKCS8', rotationPolicy: 'Always' },
  });
});

it('the API server refuses another secretName for an MtlsAuthority that exists', async () => {
  const minimal = valid.find(({ name }) => name === 'authority-brought')?.text ?? '';
  const authority = (secretName: string) => minimal.replace('brought-root', secretName);
  await cluster.kubectl(['apply', '-f', '-'], { input: authority('first') });
  const { code, stderr } = await cluster.tryKubectl(['apply', '-f', '-'], { input: authority('second') });
  // The operator makes the default authority in a cluster that has none at all.
  await cluster.kubectl(['delete', 'mauth', '--all']);
  assert.notEqual(code, 0, 'the secretName was changed');
  assert.match(stderr, /secretName cannot be changed/);
});

describe('the operator', () => {
  let operator: Operator;
  before(async () => {
    operator = await startOperator(cluster);
  });
  after(() => operator.stop());

  describe('answers with a condition and writes no Secret', { concurrency }, () => {
    for (const { name, text, condition } of invalid) {
      if (condition === undefined) continue;
      it(`${condition}: ${sentence(name)}`, async () => {
        const namespace = await apply(text);
        const message = await readyCondition(namespace, { status: 'False', reason: condition });
        assert.match(message, /\S/, 'the condition has no message');
        const owned = await cluster.json<{ items: unknown[] }>([
          'get',
          'secrets',
          `--namespace=${namespace}`,
          '--selector=app.kubernetes.io/managed-by=mtls-operator',
        ]);
        assert.deepEqual(owned.items, []);
      });
    }
  });

  describe('makes Ready', { concurrency }, () => {
    for (const { name, text } of validCertificates) {
      it(sentence(name), async () => {
        await readyCondition(await apply(text), { status: 'True' });
      });
    }
  });

  it('is well after all of that', async () => {
    assert.equal((await fetch(`${operator.url}/healthz`)).status, 200);
    assert.equal((await fetch(`${operator.url}/readyz`)).status, 200);
  });

  /** Applies a manifest in a namespace of its own. */
  async function apply(text: string): Promise<string> {
    const namespace = await cluster.namespace('admission');
    await cluster.kubectl(['apply', `--namespace=${namespace}`, '-f', '-'], { input: inNamespace(text, namespace) });
    return namespace;
  }

  /** Waits until the one MtlsCertificate of a namespace has this condition Ready, and returns its message. */
  async function readyCondition(namespace: string, expected: { status: string; reason?: string }): Promise<string> {
    const [field, value] = expected.reason === undefined ? ['status', expected.status] : ['reason', expected.reason];
    const jsonpath = `{.status.conditions[?(@.type=="Ready")].${field}}=${value}`;
    // kubectl watches instead of asking again and again; what came about is judged below, with the operator's message.
    const wait = ['wait', 'mcert', '--all', `--namespace=${namespace}`, `--for=jsonpath=${jsonpath}`, '--timeout=120s'];
    const { stderr } = await cluster.tryKubectl(wait);
    const { items } = await cluster.json<{ items: MtlsCertificate[] }>(['get', 'mcert', `--namespace=${namespace}`]);
    const ready = items[0]?.status?.conditions?.find(({ type }) => type === 'Ready');
    assert.ok(ready !== undefined, `there is no condition Ready: ${stderr}`);
    assert.equal(ready.status, expected.status, `${ready.reason}: ${ready.message}`);
    if (expected.reason !== undefined) assert.equal(ready.reason, expected.reason, ready.message);
    assert.equal(ready.observedGeneration, items[0]?.metadata.generation);
    return ready.message;
  }
});

function readManifests(folder: 'valid' | 'invalid'): readonly Manifest[] {
  const path = join(import.meta.dirname, 'manifests', folder);
  return readdirSync(path).map((file) => {
    const text = readFileSync(join(path, file), 'utf8');
    const [, refused] = /^# refused: (.+)\n/.exec(text) ?? [];
    const [, condition] = /^# condition: (.+)\n/.exec(text) ?? [];
    return { name: file.replace(/\.yaml$/, ''), text, refused, condition };
  });
}

function inNamespace(text: string, namespace: string): string {
  return text.replaceAll('$(NAMESPACE)', namespace);
}

function sentence(name: string): string {
  return name.replaceAll('-', ' ');
}
