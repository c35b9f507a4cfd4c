import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { judge } from '../../support/behaviours/judge.ts';
import { serialsOn } from '../../support/crl/lists.ts';
import { eventually } from '../../support/eventually.ts';
import { crashSite, killAfterWrites, samePod } from '../../support/faults/kill-after-write.ts';
import { conditionOf } from '../../support/installation.ts';

/** The operator is killed after every n-th write of a revocation. CRASH_EVERY=1 covers every write, in about a minute. */
const every = Number(process.env['CRASH_EVERY'] ?? 4);

const site = crashSite(
  'revocation-crash',
  (namespace) => {
    const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': namespace } };
    return { trustBundle: { configMap: { name: 'mtls-trust', namespaceSelector } } };
  },
  { outputs: { crl: true } },
);
const { world, names } = site;

describe('2. Intent survives: the operator, killed after a write of a revocation', () => {
  // A failure means: a certificate is replaced before its serial number is on the CRL, and the serial is lost with the
  // process; or the token is stored separately from the certificate issued for it, and is handled twice; or the CRL is
  // signed from the memory of the process, and the next process loses its entries.
  it('puts each replaced certificate on the CRL once, and replaces each once, whichever write was the last', async (t) => {
    const last = await killAfterWrites(t, {
      world,
      every,
      async begin(run) {
        const before = await state();
        const token = `after-${run}-${before.number}`;
        await askAll(token);
        return () => assertRevokedOnce(before, token);
      },
    });
    // The root Secret, four Secrets, the ConfigMap, the status of two resources and of the authority.
    assert.ok(last >= 1 + 4 + 1 + 2 + 1, `the operator made fewer than ${last} writes`);
  });
});

describe('2. Intent survives: the operator, killed while the CRL cannot be written', () => {
  // A failure means: a certificate is replaced before it is on the CRL, and its serial is lost with the process.
  it('has not replaced any certificate', async () => {
    const before = await state();
    world.proxy.faults = {
      onRequest: ({ method, path }) =>
        method === 'PATCH' && path.endsWith('/secrets/mtls-root') ? { status: 500, body: internalError } : 'pass',
    };
    await askAll('held');
    const operator = await world.start({ ...samePod, server: world.proxy.server });
    await eventually(
      async () => {
        for (const name of names) {
          const issuing = conditionOf(await site.tenant.get(name), 'Issuing');
          assert.match(
            issuing?.message ?? '',
            /^(server|client): waiting for the CRL of MtlsAuthority default to list \w+/,
          );
        }
      },
      { timeoutMs: 60_000, message: 'the certificates do not wait for the CRL' },
    );
    assert.deepEqual((await state()).serials, before.serials);
    await operator.kill();
    world.proxy.faults = {};
    await world.start(samePod);
    await assertRevokedOnce(before, 'held');
  });
});

const internalError = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'InternalError', code: 500 };

/** Requests revocation of both resources together. One is also rotated, which the same new certificates satisfy. */
async function askAll(token: string): Promise<void> {
  const revoke = { 'mtls-operator.io/revoke': token };
  const requests = [revoke, { ...revoke, 'mtls-operator.io/rotate': token }];
  await Promise.all(names.map((name, i) => site.tenant.patch(name, { metadata: { annotations: requests[i] } })));
}

interface State {
  /** The serial numbers in the Secrets. */
  readonly serials: readonly string[];
  readonly revisions: readonly number[];
  readonly revoked: readonly string[];
  readonly number: bigint;
}

async function state(): Promise<State> {
  const judged = await Promise.all((await site.tenant.secrets()).map(judge));
  const crls = await world.crls('mtls-root');
  return {
    serials: judged.map(({ serialNumber }) => serialNumber),
    revisions: await site.revisions(),
    revoked: serialsOn(crls),
    number: crls[0]?.number ?? 0n,
  };
}

async function assertRevokedOnce(before: State, token: string): Promise<void> {
  await eventually(
    async () => {
      const [a, b] = await Promise.all(names.map((name) => site.tenant.get(name)));
      assert.equal(a?.status?.lastHandledRevoke, token);
      assert.equal(b?.status?.lastHandledRevoke, token);
      assert.equal(b?.status?.lastHandledRotate, token);
      const now = await state();
      assert.deepEqual(now.revoked, [...before.revoked, ...before.serials].sort());
      assert.ok(now.number > before.number, `CRL number ${now.number} after ${before.number}`);
      const once = before.revisions.map((revision) => revision + 1);
      assert.deepEqual(now.revisions, once, 'every certificate must be issued once for the revocation');
      assert.deepEqual(
        now.serials.filter((serial) => now.revoked.includes(serial)),
        [],
      );
      assert.deepEqual(serialsOn(await site.tenant.crls('mtls-trust')), now.revoked);
      const root = await world.rootSecret('mtls-root');
      for (const { data } of await site.tenant.secrets()) {
        assert.equal(data?.['ca.crl'], root.data?.['ca.crl'], 'a Secret has another CRL');
      }
      const { status } = await world.authority('default');
      assert.equal(status?.crl?.revoked, now.revoked.length);
    },
    { timeoutMs: 90_000, message: 'the certificates are not revoked exactly once' },
  );
}
