import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { implicit } from '../../../src/pki/asn1/der.ts';
import { base64, type Secret } from '../../support/api.ts';
import { certificatesIn, digestOf, fileOf, fingerprintOf, judge } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { installation, type Tenant } from '../../support/installation.ts';
import { filesOf } from '../../support/roots/corpus.ts';
import { isCa, keyUsage, permitting } from '../../support/roots/extensions.ts';
import { inDays, type MadeCa, makeCa } from '../../support/roots/make.ts';

const world = installation();

/** Creates an authority that signs with this CA below `chain` and `root`, and a namespace with one certificate. */
async function authorityOf(signer: MadeCa, chain: readonly MadeCa[], root: MadeCa) {
  const name = await world.ownAuthority({}, { ...filesOf(signer, chain, [root]) });
  await world.authorityIs(name, 'True');
  const tenant = await world.tenant('intermediate');
  await tenant.issue('db', serverOf(name, tenant));
  return { name, tenant };
}

const serverOf = (name: string, { namespace }: Tenant): object => ({
  authorityRef: { name },
  server: { dnsNames: [`db.${namespace}.svc.cluster.local`] },
});

const issuersIn = (secret: Secret): string[] => certificatesIn(fileOf(secret, 'tls.crt')).slice(1);
const changedTo = (pem: string): object => ({ data: { 'tls.crt': base64(pem) } });

describe('a Secret with intermediates', { concurrency: 2 }, () => {
  const damages: [title: string, change: (certificates: readonly string[], other: string) => readonly string[]][] = [
    ['lacks its intermediates', ([leaf = '']) => [leaf]],
    ['lacks the upper intermediate', ([leaf = '', issuer = '']) => [leaf, issuer]],
    ['lacks the lower intermediate', ([leaf = '', , upper = '']) => [leaf, upper]],
    ['has its intermediates in another order', ([leaf = '', issuer = '', upper = '']) => [leaf, upper, issuer]],
    [
      'has an intermediate of another root instead of the upper one',
      ([leaf = '', issuer = ''], other) => [leaf, issuer, other],
    ],
    ['has an additional intermediate of another root', (all, other) => [...all, other]],
  ];
  for (const [title, change] of damages) {
    test(`4. is repaired when it ${title}`, async () => {
      const root = makeCa();
      const upper = makeCa({ by: root });
      const { tenant } = await authorityOf(makeCa({ by: upper }), [upper], root);
      const before = await tenant.secret('db-server-tls');
      const [issuer, above, ...more] = issuersIn(before);
      assert.deepEqual([above, more], [upper.pem, []]);
      const damaged = change(certificatesIn(fileOf(before, 'tls.crt')), makeCa({ by: makeCa() }).pem).join('');
      await tenant.patchSecret('db-server-tls', changedTo(damaged));
      await eventually(async () => {
        const secret = await tenant.secret('db-server-tls');
        assert.deepEqual(issuersIn(secret), [issuer, upper.pem]);
        await judge(secret);
      });
    });
  }

  test('4. is repaired when the root follows the intermediates in tls.crt', async () => {
    const root = makeCa();
    const { tenant } = await authorityOf(makeCa({ by: root }), [], root);
    const whole = fileOf(await tenant.secret('db-server-tls'), 'tls.crt');
    await tenant.patchSecret('db-server-tls', changedTo(whole + root.pem));
    await eventually(async () => assert.equal(issuersIn(await tenant.secret('db-server-tls')).length, 1));
  });
});

describe('an intermediate', { concurrency: 2 }, () => {
  test('7. that expires before its root limits the lifetime of leaves', async () => {
    const root = makeCa();
    const notAfter = new Date(Math.floor(Date.now() / 1000) * 1000 + 3_600_000);
    const { name, tenant } = await authorityOf(makeCa({ by: root, notAfter }), [], root);
    assert.deepEqual((await judge(await tenant.secret('db-server-tls'))).notAfter, notAfter);
    const metrics = await (await fetch(`${world.operator.url}/metrics`)).text();
    const gauge = new RegExp(`root_expiry.*authority="${name}".* (\\S+)$`, 'm').exec(metrics);
    assert.equal(Number(gauge?.[1]), notAfter.getTime() / 1000);
    const { status } = await world.authority(name);
    assert.ok(new Date(status?.activeRoot?.notAfter ?? 0) > notAfter, 'status.activeRoot is the intermediate');
  });

  test('7. whose root expires first issues leaves that expire with the root', async () => {
    const notAfter = new Date(Math.floor(Date.now() / 1000) * 1000 + 3_600_000);
    const root = makeCa({ notAfter });
    const { tenant } = await authorityOf(makeCa({ by: root }), [], root);
    assert.deepEqual((await judge(await tenant.secret('db-server-tls'))).notAfter, notAfter);
  });

  test('8. that expires while it is in use stops signing', async () => {
    const root = makeCa();
    const notAfter = new Date(Math.ceil(Date.now() / 1000) * 1000 + 12_000);
    const { name, tenant } = await authorityOf(makeCa({ by: root, notAfter }), [], root);
    await world.authorityIs(name, 'False', 'RootExpired');
    assert.ok(Date.now() >= notAfter.getTime(), 'RootExpired was reported before the intermediate expired');
    await world.bringRoot(name, { ...filesOf(makeCa({ by: root }), [], [root]) });
    await tenant.ready('db');
    await judge(await tenant.secret('db-server-tls'));
  });

  test('3. that is replaced below the same root leaves existing leaves unchanged, and signs those that are issued later', async () => {
    const root = makeCa();
    const [first, second] = [makeCa({ by: root }), makeCa({ by: root, notAfter: inDays(900) })];
    const { name, tenant } = await authorityOf(first, [], root);
    const digest = digestOf(await tenant.secret('db-server-tls'));
    await world.bringRoot(name, { ...filesOf(second, [], [root]) });
    const fingerprint = await fingerprintOf(second.pem);
    await eventually(async () => {
      const { status } = await world.authority(name);
      assert.match(status?.conditions?.[0]?.message ?? '', new RegExp(`intermediate ${fingerprint.slice(0, 16)} `));
    });
    await tenant.issue('next', serverOf(name, tenant));
    assert.deepEqual(issuersIn(await tenant.secret('next-server-tls')), [second.pem]);
    assert.equal(digestOf(await tenant.secret('db-server-tls')), digest);
    await tenant.rotate('db', 'onto-the-second');
    await tenant.ready('db');
    const secret = await tenant.secret('db-server-tls');
    assert.deepEqual(issuersIn(secret), [second.pem]);
    const { roots } = await judge(secret);
    assert.deepEqual(roots, [await fingerprintOf(root.pem)], 'the bundle changed with the intermediate');
  });

  test('3. that becomes valid again keeps the leaves that were read while it was invalid', async () => {
    // Neither CA has a key identifier: chains are built by names.
    const root = makeCa({ extensions: [isCa(), keyUsage([5])] });
    const signer = makeCa({ by: root, extensions: [isCa(), keyUsage([5])] });
    const { name, tenant } = await authorityOf(signer, [], root);
    const before = fileOf(await tenant.secret('db-server-tls'), 'tls.crt');
    await world.bringRoot(name, { 'tls.key': '' });
    await world.authorityIs(name, 'False', 'RootKeyMalformed');
    await tenant.patchSecret('db-server-tls', { metadata: { labels: { 'example.com/touched': 'yes' } } });
    await tenant.create('new', serverOf(name, tenant));
    await tenant.notReady('new', 'AuthorityNotReady');
    await world.bringRoot(name, { 'tls.key': signer.keyPem });
    await tenant.ready('new');
    await tenant.patch('db', { spec: { renewBefore: '25h' } });
    await tenant.ready('db');
    assert.equal(fileOf(await tenant.secret('db-server-tls'), 'tls.crt'), before);
  });

  test('8. below a root with name constraints signs only permitted names', async () => {
    const tenant = await world.tenant('constrained');
    const inside = `${tenant.namespace}.svc.cluster.local`;
    const root = makeCa({ more: [permitting(implicit(2, Buffer.from(inside)))] });
    const name = await world.ownAuthority({}, { ...filesOf(makeCa({ by: root }), [root]) });
    await tenant.create('outside', { authorityRef: { name }, server: { service: 'db' } });
    const { message } = await tenant.notReady('outside', 'NameConstrained');
    assert.match(message, /\bdb\b/);
    await tenant.issue('inside', serverOf(name, tenant));
    assert.deepEqual((await judge(await tenant.secret('inside-server-tls'))).names, [`DNS:db.${inside}`]);
    assert.deepEqual(await tenant.secretNames(), ['inside-server-tls']);
  });
});

test('3. A restart accepts Secrets with intermediates, and issues nothing again', async () => {
  const root = makeCa();
  const upper = makeCa({ by: root });
  const { name, tenant } = await authorityOf(makeCa({ by: upper }), [root, upper], root);
  const digest = digestOf(await tenant.secret('db-server-tls'));
  const { logs } = await world.restart();
  await tenant.issue('later', serverOf(name, tenant));
  assert.equal(digestOf(await tenant.secret('db-server-tls')), digest);
  await eventually(() => {
    const issued = logs.filter(({ message }) => message === 'issued a certificate').map(({ secret }) => secret);
    assert.deepEqual(issued, ['later-server-tls']);
  });
});
