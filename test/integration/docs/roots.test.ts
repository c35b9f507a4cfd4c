import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { paths, type Secret } from '../../support/api.ts';
import { fileOf, fingerprintOf, openssl } from '../../support/behaviours/judge.ts';
import { assertTrustedRoots } from '../../support/behaviours/trusted-roots.ts';
import { runPage } from '../../support/docs/run-page.ts';
import { eventually } from '../../support/eventually.ts';
import { conditionOf, installation } from '../../support/installation.ts';

const PAYMENTS = fileURLToPath(new URL('../../../deploy/examples/payments.yaml', import.meta.url));

const world = installation({}, async () => {
  await world.cluster.kubectl(['apply', '-f', PAYMENTS]);
  await world.tenantOf('shop').ready('payments');
  await withoutDelays('default');
});

/** No pods here that a rotation would have to wait for. */
const withoutDelays = (name: string) => world.patchAuthority(name, { spec: { rotation: { propagationDelay: '1s' } } });

const rotation = async (name: string) => (await world.authority(name)).status?.rotation;
const activeRoot = async (name = 'default') => (await world.authority(name)).status?.activeRoot?.fingerprint;

/** The roots that have signed so far. */
const signed: (string | undefined)[] = [];

runPage('docs/how-to/rotate-the-root.md', world, {
  before: async () => signed.push(await activeRoot()),
  after: {
    Rotate: assertReplaced,
    'Decide when certificates switch': assertReplaced,
    Abort: () => assertTrusted([signed.at(-1)]),
    'Replace a stolen root key': assertReplaced,
  },
  instead: {
    // Until then both roots are trusted, and the old one signs.
    'approve-rotation=': async (reader, command) => {
      await eventually(async () => assert.match((await rotation('default'))?.blockers?.join() ?? '', /^approval/));
      await assertTrusted([signed.at(-1), (await rotation('default'))?.newRoot]);
      await reader.run(command);
      await eventually(async () => assert.notEqual((await rotation('default'))?.phase, 'Distributing'));
    },
  },
});

runPage('docs/how-to/trust-other-roots.md', world, {
  before: async ({ folder }) => {
    const partner = await world.ownAuthority({ root: {} });
    const { status } = await world.authorityIs(partner, 'True');
    writeFileSync(join(folder, 'partner-roots.pem'), status?.trustBundle ?? '');
  },
  after: {
    Steps: async ({ folder }) => {
      const [ours, theirs] = ['our-roots.pem', 'partner-roots.pem'].map((name) =>
        readFileSync(join(folder, name), 'utf8'),
      );
      await eventually(async () => {
        const secret = await world.tenantOf('shop').secret('payments-server-tls');
        assert.equal(fileOf(secret, 'ca.crt'), `${ours}${theirs}`);
      });
    },
    'Stop trusting a partner': async ({ folder }) => {
      const ours = readFileSync(join(folder, 'our-roots.pem'), 'utf8');
      await eventually(async () => {
        const secret = await world.tenantOf('shop').secret('payments-server-tls');
        assert.equal(fileOf(secret, 'ca.crt'), ours);
      });
    },
  },
});

runPage('docs/how-to/own-root.md', world, {
  after: {
    'Use a root': async ({ folder }) => {
      await withoutDelays('own');
      assert.equal(await activeRoot('own'), await fingerprintIn(folder, 'root.crt'));
    },
    'Use an intermediate': async ({ folder }) => {
      const orders = await world.tenantOf('bank').secret('orders-server-tls');
      assert.equal(fileOf(orders, 'ca.crt'), readFileSync(join(folder, 'root.crt'), 'utf8'));
      await openssl(
        ['verify', '-CAfile', join(folder, 'root.crt'), '-untrusted', join(folder, 'issuing.crt')],
        fileOf(orders, 'tls.crt'),
      );
    },
    'Publish the CRL of the root': async () => {
      await eventually(async () => assert.equal((await world.crls('issuing-ca')).length, 2));
    },
    'Replace the intermediate': async ({ folder }) => {
      const second = await fingerprintIn(folder, 'issuing-2.crt');
      await eventually(async () => {
        const message = conditionOf(await world.authority('issuing'), 'Ready')?.message ?? '';
        assert.match(message, new RegExp(`^signs with intermediate ${second.slice(0, 16)} `));
      });
      const { data } = await world.rootSecret('issuing-ca');
      const firstKey = readFileSync(join(folder, 'issuing.key')).toString('base64');
      assert.equal(data?.['previous.key'], firstKey);
      assert.equal(await rotation('issuing'), undefined);
      // The list of the root stays next to those that the operator signs.
      await eventually(async () => assert.equal((await world.crls('issuing-ca')).length, 3));
    },
    'Renew a root or intermediate with the same key': async ({ folder }) => {
      const before = await world.tenantOf('bank').serials('ledger');
      const renewed = await fingerprintIn(folder, 'renewed.crt');
      await eventually(async () => assert.equal(await activeRoot('own'), renewed));
      await eventually(async () => {
        const ledger = await world.tenantOf('bank').secret('ledger-server-tls');
        assert.equal(await fingerprintOf(fileOf(ledger, 'ca.crt')), renewed);
      });
      assert.deepEqual(await world.tenantOf('bank').serials('ledger'), before);
      assert.equal(await rotation('own'), undefined);
    },
    'Replace the root': async ({ folder }) => {
      assert.equal(await activeRoot('own'), await fingerprintIn(folder, 'new.crt'));
      assert.equal(await rotation('own'), undefined);
    },
  },
});

const fingerprintIn = (folder: string, file: string): Promise<string> =>
  fingerprintOf(readFileSync(join(folder, file), 'utf8'));

/** Another root signs, and it alone is trusted. */
async function assertReplaced(): Promise<void> {
  const now = await activeRoot();
  assert.ok(!signed.includes(now), 'the root was not replaced');
  assert.equal(await rotation('default'), undefined);
  await assertTrusted([now]);
  signed.push(now);
}

/** Both Secrets trust exactly these roots, and every certificate verifies against the roots of every Secret. */
async function assertTrusted(roots: readonly (string | undefined)[]): Promise<void> {
  const all = await world.api.list<Secret>(paths.secrets('shop'));
  assert.equal(all.length, 2);
  await assertTrustedRoots(all, roots);
}
