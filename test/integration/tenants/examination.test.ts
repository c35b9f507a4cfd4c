import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';

import { parseCertificates } from '../../../src/pki/index.ts';
import { base64, paths, type Secret, type Stored } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { installation, type Tenant } from '../../support/installation.ts';
import { ecKey, type Issuer, inDays, type MadeCa, makeCa } from '../../support/roots/make.ts';

// Somebody with `edit` in one namespace writes Secrets whose content costs much to verify. Without the limits of examination
// one event of the first kind holds the event loop up for 100 ms.
const world = installation({}, () => world.authorityIs('default', 'True'));

const [notBefore, notAfter] = [inDays(-1), inDays(30)];

/** CAs on P-521, each of which has signed the one before; the last one is signed by `by`. */
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

/** Some 65 KB. */
const bomb = dataOf(chain(99));

const forged = (name: string, owner: string, more: object = {}) => ({
  metadata: {
    name,
    labels: {
      'app.kubernetes.io/managed-by': 'mtls-operator',
      'mtls-operator.io/certificate': owner,
      'mtls-operator.io/role': 'server',
    },
    // As on a copy: the operator never deletes it.
    annotations: { 'mtls-operator.io/secret-name': 'another' },
    ...more,
  },
  type: 'kubernetes.io/tls',
});

/** So many clients of the attacker write at a time, each a Secret of its own. */
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

/** Asks /healthz until the signal aborts; the longest time that an answer took, in milliseconds. */
async function longestHealthCheck(signal: AbortSignal): Promise<number> {
  let longest = 0;
  while (!signal.aborted) {
    const began = performance.now();
    const { status } = await fetch(`${world.operator.url}/healthz`, { signal: AbortSignal.timeout(15_000) });
    assert.equal(status, 200);
    longest = Math.max(longest, performance.now() - began);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return longest;
}

/** Writes Secrets for as long as other tenants ask for certificates: how long they wait, and the longest answer of /healthz. */
async function measure(write: (name: string, attempt: number) => Promise<unknown>) {
  const tenant = await world.tenant('victim');
  const stop = new AbortController();
  let attempts = 0;
  const clients = Array.from({ length: writers }, async (_, i) => {
    while (!stop.signal.aborted) await write(`bomb-${i}`, ++attempts);
  });
  const health = longestHealthCheck(stop.signal);
  try {
    // What was written before the first of the tenants asks is then being read.
    await eventually(() => assert.ok(attempts > 2 * writers));
    const [began, first] = [performance.now(), attempts];
    const readyMs = await timeToReady(tenant);
    const perSecond = (1000 * (attempts - first)) / (performance.now() - began);
    stop.abort();
    return { readyMs, perSecond, healthMs: await health };
  } finally {
    stop.abort();
    await Promise.allSettled([...clients, health]);
  }
}

/**
 * Carries an attack out, and compares what other tenants get meanwhile with what they get while the same is written to Secrets
 * that are no concern of the operator: both keep the API server busy.
 */
async function assertHolds(
  t: TestContext,
  attacker: Tenant,
  attack: (tenant: Tenant, name: string, attempt: number) => Promise<unknown>,
): Promise<void> {
  const bystander = await world.tenant('bystander');
  await createBombs(bystander, writers, 'nobody', { labels: {} });
  const quiet = await measure((name, attempt) => attack(bystander, name, attempt));
  const term = await leaseTerm();
  const attacked = await measure((name, attempt) => attack(attacker, name, attempt));
  t.diagnostic(
    `time to Ready ${quiet.readyMs.toFixed(0)} ms without (${quiet.perSecond.toFixed(0)} writes a second), ` +
      `${attacked.readyMs.toFixed(0)} ms with the attack (${attacked.perSecond.toFixed(0)}); ` +
      `longest /healthz ${quiet.healthMs.toFixed(0)} and ${attacked.healthMs.toFixed(0)} ms`,
  );
  assert.ok(
    attacked.readyMs < 5 * quiet.readyMs + 1000,
    `Ready after ${attacked.readyMs} ms, ${quiet.readyMs} ms without`,
  );
  assert.equal(await leaseTerm(), term, 'the Lease is kept');
}

/** The Secrets that the clients of the attacker write. */
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

/** An MtlsCertificate of a tenant, and the ownerReferences by which Secrets are its own. */
async function realOwner(tenant: Tenant) {
  const { metadata } = await tenant.issue('real', { server: { service: 'db' } });
  const kinds = { apiVersion: 'mtls-operator.io/v1alpha1', kind: 'MtlsCertificate', controller: true };
  return { ownerReferences: [{ ...kinds, name: 'real', uid: metadata.uid }] };
}

describe('a tenant that makes the operator verify', () => {
  const annotate = (tenant: Tenant, name: string, attempt: number) =>
    tenant.patchSecret(name, { metadata: { annotations: { note: `${attempt}` } } });

  test('keeps nobody waiting with Secrets of 99 certificates that it annotates all the time', async (t) => {
    const attacker = await world.tenant('attacker');
    await createBombs(attacker, writers, 'nobody');
    await assertHolds(t, attacker, annotate);
  });

  test('nor with some that a resource of its own owns', async (t) => {
    const attacker = await world.tenant('attacker');
    await createBombs(attacker, writers, 'real', await realOwner(attacker));
    await assertHolds(t, attacker, annotate);
  });

  test('nor with some whose content it changes all the time, below the root of the authority by their own word', async (t) => {
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

  test('does not delay a start with 400 of them', async (t) => {
    const startMs = async () => {
      const began = performance.now();
      await world.restart();
      await world.tenantWith('start');
      return performance.now() - began;
    };
    const quietMs = await startMs();
    const attacker = await world.tenant('attacker');
    await createBombs(attacker, 400, 'nobody');
    const attackedMs = await startMs();
    t.diagnostic(`a start took ${quietMs.toFixed(0)} ms without, ${attackedMs.toFixed(0)} ms with 400 Secrets`);
    assert.ok(attackedMs < 3 * quietMs + 3000, `${attackedMs} ms, ${quietMs} ms without the attack`);
  });
});
