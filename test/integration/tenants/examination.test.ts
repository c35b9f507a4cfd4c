import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';

import { parseCertificates } from '../../../src/pki/index.ts';
import { base64, paths, type Secret, type Stored } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { installation, type Tenant } from '../../support/installation.ts';
import { ecKey, type Issuer, inDays, type MadeCa, makeCa } from '../../support/roots/make.ts';

// A user with the role `edit` in one namespace writes Secrets whose content is expensive to verify. Without the limits of
// the examination, one event of the first kind blocks the event loop for 100 ms.
const world = installation({}, () => world.authorityIs('default', 'True'));

const [notBefore, notAfter] = [inDays(-1), inDays(30)];

/** CAs on P-521. Each has signed the previous one. `by` signs the last one. */
function chain(length: number, by?: Issuer): MadeCa[] {
  const cas = [makeCa({ key: ecKey('P-521'), notBefore, notAfter, ...(by && { by }) })];
  while (cas.length < length) {
    const [above] = cas;
    cas.unshift(makeCa({ key: ecKey('P-521'), notBefore, notAfter, ...(above && { by: above }) }));
  }
  return cas;
}

const dataOf = (cas: readonly MadeCa[]) => ({
  'tls.crt': base64(cas.map(({ pem }) => pem).join('')),
  'tls.key': base64(cas[0]?.keyPem ?? ''),
});

/** About 65 KB. */
const bomb = dataOf(chain(99));

const forged = (name: string, owner: string, more: object = {}) => ({
  metadata: {
    name,
    labels: {
      'app.kubernetes.io/managed-by': 'mtls-operator',
      'mtls-operator.io/certificate': owner,
      'mtls-operator.io/role': 'server',
    },
    // Like the annotation of a copy, so that the operator never deletes the Secret.
    annotations: { 'mtls-operator.io/secret-name': 'another' },
    ...more,
  },
  type: 'kubernetes.io/tls',
});

/** The number of concurrent clients of the attacker. Each writes its own Secret. */
const writers = 8;

let victims = 0;
/** How long another tenant waits for a certificate, in milliseconds: the median of three. */
async function timeToReady(tenant: Tenant): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 3; i += 1) {
    const began = performance.now();
    const name = `db-${++victims}`;
    await tenant.issue(name, { server: { service: 'db' } });
    times.push(performance.now() - began);
  }
  return times.sort((a, b) => a - b)[1] ?? 0;
}

type Lease = Stored & { readonly spec: { readonly holderIdentity: string; readonly leaseTransitions?: number } };
async function leaseTerm(): Promise<string> {
  const { spec } = await world.api.get<Lease>(paths.lease);
  return `${spec.holderIdentity} ${spec.leaseTransitions ?? 0}`;
}

/** Requests /healthz until the signal aborts. Returns the longest response time in milliseconds. */
async function longestHealthCheck(signal: AbortSignal): Promise<number> {
  let longest = 0;
  while (!signal.aborted) {
    const began = performance.now();
    const { status } = await fetch(`${world.operator.url}/healthz`, { signal: AbortSignal.timeout(60_000) });
    assert.equal(status, 200);
    longest = Math.max(longest, performance.now() - began);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return longest;
}

/** Writes Secrets while another tenant requests certificates. Returns how long the certificates take, and the slowest /healthz. */
async function measure(write: (name: string, attempt: number) => Promise<unknown>) {
  const tenant = await world.tenant('victim');
  const stop = new AbortController();
  let [attempts, writes] = [0, 0];
  const clients = Array.from({ length: writers }, async (_, i) => {
    while (!stop.signal.aborted) {
      // A client of the attacker tries again when the API server refuses a write.
      await write(`bomb-${i}`, ++attempts).then(
        () => (writes += 1),
        () => {},
      );
    }
  });
  const health = longestHealthCheck(stop.signal);
  // Awaited below.
  health.catch(() => {});
  try {
    // The operator now reads Secrets that were written before the first request.
    await eventually(() => assert.ok(writes > 2 * writers));
    const [began, first] = [performance.now(), writes];
    const readyMs = await timeToReady(tenant);
    const perSecond = (1000 * (writes - first)) / (performance.now() - began);
    stop.abort();
    return { readyMs, perSecond, healthMs: await health };
  } finally {
    stop.abort();
    await Promise.allSettled([...clients, health]);
  }
}

/**
 * Measures until a time is below the limit, at most three times. Returns the last time. A stall of the machine delays one
 * measurement, and an attack that works delays all.
 */
async function untilBelow(limitMs: number, measureMs: () => Promise<number>): Promise<number> {
  let ms = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 3 && ms >= limitMs; turn += 1) ms = await measureMs();
  return ms;
}

/**
 * Runs an attack, and compares the waiting times of other tenants with those during the same writes to Secrets that the
 * operator ignores: both keep the API server busy.
 */
async function assertHolds(
  t: TestContext,
  attacker: Tenant,
  attack: (tenant: Tenant, name: string, attempt: number) => Promise<unknown>,
): Promise<void> {
  const bystander = await world.tenant('bystander');
  await createBombs(bystander, writers, 'missing', { labels: {} });
  const quiet = await measure((name, attempt) => attack(bystander, name, attempt));
  const term = await leaseTerm();
  const limitMs = 5 * quiet.readyMs + 1000;
  const attackedMs = await untilBelow(limitMs, async () => {
    const attacked = await measure((name, attempt) => attack(attacker, name, attempt));
    t.diagnostic(
      `time to Ready ${quiet.readyMs.toFixed(0)} ms without (${quiet.perSecond.toFixed(0)} writes a second), ` +
        `${attacked.readyMs.toFixed(0)} ms with the attack (${attacked.perSecond.toFixed(0)}); ` +
        `longest /healthz ${quiet.healthMs.toFixed(0)} and ${attacked.healthMs.toFixed(0)} ms`,
    );
    return attacked.readyMs;
  });
  assert.ok(attackedMs < limitMs, `Ready after ${attackedMs} ms, ${quiet.readyMs} ms without`);
  assert.equal(await leaseTerm(), term, 'the leader lost its Lease');
}

/** Creates the Secrets that the clients of the attacker write. */
async function createBombs(tenant: Tenant, count: number, owner: string, more: object = {}): Promise<void> {
  const names = Array.from({ length: count }, (_, i) => `bomb-${i}`);
  while (names.length > 0) {
    await Promise.all(
      names
        .splice(0, 10)
        .map((name) =>
          world.api.create<Secret>(paths.secrets(tenant.namespace), { ...forged(name, owner, more), data: bomb }),
        ),
    );
  }
}

/** Issues an MtlsCertificate of a tenant. Returns the ownerReferences of its Secrets. */
async function realOwner(tenant: Tenant) {
  const { metadata } = await tenant.issue('real', { server: { service: 'db' } });
  const kinds = { apiVersion: 'mtls-operator.io/v1alpha1', kind: 'MtlsCertificate', controller: true };
  return { ownerReferences: [{ ...kinds, name: 'real', uid: metadata.uid }] };
}

describe('a tenant that makes the operator verify expensive Secrets', () => {
  const annotate = (tenant: Tenant, name: string, attempt: number) =>
    tenant.patchSecret(name, { metadata: { annotations: { note: `${attempt}` } } });

  test('does not delay other tenants by annotating Secrets of 99 certificates all the time', async (t) => {
    const attacker = await world.tenant('attacker');
    await createBombs(attacker, writers, 'missing');
    await assertHolds(t, attacker, annotate);
  });

  test('does not delay other tenants by annotating such Secrets that its own resource owns', async (t) => {
    const attacker = await world.tenant('attacker');
    await createBombs(attacker, writers, 'real', await realOwner(attacker));
    await assertHolds(t, attacker, annotate);
  });

  test('does not delay other tenants by changing the content of such Secrets, which claim to be issued by the root of the authority', async (t) => {
    const attacker = await world.tenant('attacker');
    await createBombs(attacker, writers, 'real', await realOwner(attacker));
    const { data } = await attacker.secret('real-server-tls');
    const [root] = parseCertificates(Buffer.from(data?.['ca.crt'] ?? '', 'base64').toString());
    assert.ok(root !== undefined);
    const keyId = Buffer.from(root.subjectKeyId ?? '', 'hex');
    const variants = Array.from({ length: 12 }, (_, i) =>
      dataOf(i % 4 === 0 ? chain(99) : chain(8, { key: ecKey('P-521'), subject: root.subject, keyId })),
    );
    await assertHolds(t, attacker, (tenant, name, attempt) =>
      tenant.patchSecret(name, { data: variants[attempt % variants.length] ?? {} }),
    );
  });

  test('does not delay the start of an operator with 400 such Secrets', async (t) => {
    const startMs = async () => {
      const began = performance.now();
      await world.restart();
      await world.tenantWith('start');
      return performance.now() - began;
    };
    const quietMs = await startMs();
    const attacker = await world.tenant('attacker');
    await createBombs(attacker, 400, 'missing');
    const limitMs = 3 * quietMs + 3000;
    const attackedMs = await untilBelow(limitMs, startMs);
    t.diagnostic(`a start took ${quietMs.toFixed(0)} ms without, ${attackedMs.toFixed(0)} ms with 400 Secrets`);
    assert.ok(attackedMs < limitMs, `${attackedMs} ms, ${quietMs} ms without the attack`);
  });
});
