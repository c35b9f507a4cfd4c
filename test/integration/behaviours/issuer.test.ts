import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { encoded } from '../../../src/pki/asn1/der.ts';
import { operatorNamespace, paths, type Secret } from '../../support/api.ts';
import { certificatesIn, fileOf, fingerprintOf } from '../../support/behaviours/judge.ts';
import { serialsOn } from '../../support/crl/lists.ts';
import { eventually } from '../../support/eventually.ts';
import { conditionOf, installation, type Tenant } from '../../support/installation.ts';
import { openssl, scratchFile } from '../../support/openssl.ts';
import { filesOf } from '../../support/roots/corpus.ts';
import { isCa, keyUsage } from '../../support/roots/extensions.ts';
import { inDays, type MadeCa, makeCa } from '../../support/roots/make.ts';

const world = installation({ args: ['--workers=1'] });

interface Signed {
  readonly name: string;
  readonly tenant: Tenant;
}

/** Creates an authority that signs with this CA, and a namespace with two certificates. */
async function authorityOf(signer: MadeCa, root: MadeCa = signer): Promise<Signed> {
  const spec = { rotation: { propagationDelay: '300ms' } };
  const name = await world.ownAuthority(spec, { ...filesOf(signer, [], [root]) });
  await world.publishTrust(name);
  const tenant = await world.tenant('issuer');
  await tenant.trust(name);
  for (const resource of ['a', 'b']) {
    await tenant.issue(resource, { authorityRef: { name }, server: { service: resource }, outputs: { crl: true } });
  }
  return { name, tenant };
}

/** The same CA with another certificate that expires later. */
const renewed = ({ key, subject, keyId }: MadeCa): MadeCa =>
  makeCa({ key, subject: encoded(subject), keyId, notBefore: new Date(), notAfter: inDays(7300) });

const condition = async (name: string, type: string) => conditionOf(await world.authority(name), type);

/** Waits until every Secret of the namespace has exactly these roots in ca.crt. */
const allTrust = ({ tenant }: Signed, ...roots: readonly MadeCa[]): Promise<void> =>
  eventually(
    async () => {
      for (const secret of await tenant.secrets()) {
        assert.deepEqual(
          certificatesIn(fileOf(secret, 'ca.crt')),
          roots.map(({ pem }) => pem),
        );
      }
    },
    { timeoutMs: 60_000 },
  );

/** Waits until the root Secret has CRLs with these serial numbers, one argument for each CRL. */
const listsAre = ({ name }: Signed, ...lists: readonly (readonly string[])[]): Promise<void> =>
  eventually(
    async () => {
      const found = await world.crls(name);
      assert.deepEqual(
        found.map((crl) => serialsOn([crl])),
        lists.map((serials) => serials.toSorted()),
      );
    },
    { timeoutMs: 60_000 },
  );

/** OpenSSL's verdict on a leaf, checked against the CRLs of the authority. */
function verifyWithCrl(leafAndChain: string, secret: Secret): string {
  const [leaf = '', ...chain] = certificatesIn(leafAndChain);
  const files = ['-CAfile', scratchFile(fileOf(secret, 'ca.crt') + fileOf(secret, 'ca.crl'))];
  const untrusted = chain.length === 0 ? [] : ['-untrusted', scratchFile(chain.join(''))];
  try {
    return openssl(['verify', '-crl_check', ...files, ...untrusted, scratchFile(leaf)]);
  } catch (error) {
    return String(error);
  }
}

const root = (): MadeCa => makeCa({ notBefore: inDays(-2), notAfter: inDays(60) });

/**
 * Creates an authority with one revoked certificate (`thief`). `next` is the renewed certificate of its root, not yet in
 * its Secret.
 */
async function revokedAndRenewed() {
  const old = root();
  const signed = await authorityOf(old);
  const { server: thief = '' } = await signed.tenant.serials('a');
  await signed.tenant.revoke('a', 'incident-1');
  return { old, next: renewed(old), signed, thief };
}

describe('9. a root renewed with the same key', { concurrency: 2 }, () => {
  const ways: readonly [how: string, renew: (name: string, next: MadeCa) => Promise<unknown>][] = [
    ['in tls.crt', (name, next) => world.bringRoot(name, { 'tls.crt': next.pem })],
    [
      'as next.crt and next.key',
      (name, next) => world.bringRoot(name, { 'next.crt': next.pem, 'next.key': next.keyPem }),
    ],
  ];
  for (const [how, renew] of ways) {
    test(`${how}, replaces the root certificate in every bundle, keeps every serial on its only CRL, and issues nothing`, async () => {
      const old = root();
      const next = renewed(old);
      const signed = await authorityOf(old);
      const { name, tenant } = signed;
      const { server: thief = '' } = await tenant.serials('a');
      const stolen = fileOf(await tenant.secret('a-server-tls'), 'tls.crt');
      await tenant.revoke('a', 'incident-1');
      const before = { a: await tenant.serials('a'), b: await tenant.serials('b') };
      const writesBefore = await revisionsOf(name);
      await renew(name, next);
      await allTrust(signed, next);
      await listsAre(signed, [thief]);
      await eventually(async () => {
        const { status } = await world.authority(name);
        assert.equal(status?.activeRoot?.fingerprint, await fingerprintOf(next.pem));
        assert.equal(status?.rotation, undefined);
      });
      assert.deepEqual({ a: await tenant.serials('a'), b: await tenant.serials('b') }, before);
      assert.ok((await revisionsOf(name)) - writesBefore <= 5, 'the root Secret was written too often');

      const { server: second = '' } = await tenant.serials('b');
      const loaded = fileOf(await tenant.secret('b-server-tls'), 'tls.crt');
      await tenant.revoke('b', 'incident-2');
      await listsAre(signed, [thief, second]);
      const secret = await tenant.secret('b-server-tls');
      assert.match(verifyWithCrl(stolen, secret), /certificate revoked/);
      assert.match(verifyWithCrl(loaded, secret), /certificate revoked/);
      assert.match(verifyWithCrl(fileOf(secret, 'tls.crt'), secret), /: OK/);
    });
  }

  test('is picked up by an operator that starts after the change, and a further restart writes nothing', async () => {
    const { next, signed, thief } = await revokedAndRenewed();
    const { name, tenant } = signed;
    const before = { a: await tenant.serials('a'), b: await tenant.serials('b') };
    await world.restart(() => world.bringRoot(name, { 'tls.crt': next.pem }));
    await allTrust(signed, next);
    await listsAre(signed, [thief]);
    await tenant.ready('a');
    assert.deepEqual({ a: await tenant.serials('a'), b: await tenant.serials('b') }, before);
    const revisions = async () => [
      (await world.rootSecret(name)).metadata.resourceVersion,
      ...(await tenant.secrets()).map(({ metadata }) => metadata.resourceVersion),
      ...(await Promise.all(['a', 'b'].map((resource) => tenant.get(resource)))).map(
        (certificate) => certificate.metadata.resourceVersion,
      ),
    ];
    await tenant.reconcileAgain('b');
    const settled = await revisions();
    await world.restart();
    // There is one worker, so this resource is reconciled after all others.
    await tenant.issue('later', { authorityRef: { name }, server: { service: 'later' } });
    const afterwards = new Set(await revisions());
    assert.deepEqual(
      settled.filter((revision) => !afterwards.has(revision)),
      [],
      'the restart wrote objects',
    );
  });

  test('has both of its certificates removed from the bundles when another root replaces it', async () => {
    const { old, next, signed, thief } = await revokedAndRenewed();
    const { name, tenant } = signed;
    await world.bringRoot(name, { 'tls.crt': next.pem, 'ca.crt': next.pem + old.pem });
    await allTrust(signed, next);
    await listsAre(signed, [thief]);
    const other = makeCa();
    await world.bringRoot(name, { 'next.crt': other.pem, 'next.key': other.keyPem });
    await allTrust(signed, other);
    await listsAre(signed, []);
    await eventually(async () => {
      const published = await tenant.crls(`trust-${name}`);
      assert.equal(published.length, 1, 'a CRL of the retired root is still published');
    });
    const { data = {} } = await world.rootSecret(name);
    assert.deepEqual(certificatesIn(Buffer.from(data['ca.crt'] ?? '', 'base64').toString('latin1')), [other.pem]);
  });
});

/** The number of revisions of the root Secret since the first call. A resourceVersion does not count revisions. */
async function revisionsOf(name: string): Promise<number> {
  const seen = revisions.get(name) ?? new Set<string>();
  if (!revisions.has(name)) {
    revisions.set(name, seen);
    void world.api.watch<Secret>(paths.secrets(operatorNamespace), ({ object: { metadata } }) => {
      if (metadata.name === name) seen.add(metadata.resourceVersion);
    });
    await eventually(() => assert.ok(seen.size > 0));
  }
  return seen.size;
}
const revisions = new Map<string, Set<string>>();

/** Creates an authority that signs with the first of two intermediates below one root. */
async function underIntermediate() {
  const anchor = root();
  const [first, second] = [makeCa({ by: anchor }), makeCa({ by: anchor })];
  return { first, second, signed: await authorityOf(first, anchor) };
}

describe('9. an intermediate that is replaced by another one below the same root', { concurrency: 2 }, () => {
  test('in next.crt and next.key keeps its key for its CRL until its last certificate is gone', async () => {
    const { second, signed } = await underIntermediate();
    const { name, tenant } = signed;
    await world.bringRoot(name, { 'next.crt': second.pem, 'next.key': second.keyPem });
    await listsAre(signed, [], []);
    const { server: thief = '' } = await tenant.serials('a');
    const stolen = fileOf(await tenant.secret('a-server-tls'), 'tls.crt');
    await tenant.revoke('a', 'incident-1');
    // The first CRL is that of the second intermediate, which now signs. The CRL of the first intermediate follows.
    await listsAre(signed, [], [thief]);
    const secret = await tenant.secret('a-server-tls');
    assert.match(verifyWithCrl(stolen, secret), /certificate revoked/);
    assert.match(verifyWithCrl(fileOf(secret, 'tls.crt'), secret), /: OK/);
    assert.ok(
      (await world.rootSecret(name)).data?.['previous.key'] !== undefined,
      'the key of the first intermediate is gone',
    );
    assert.equal(await condition(name, 'IssuerKeyMissing'), undefined);
  });

  test('in tls.crt and tls.key cannot revoke its certificates; IssuerKeyMissing reports it, and restoring the key resolves it', async () => {
    const { first, second, signed } = await underIntermediate();
    const { name, tenant } = signed;
    await world.bringRoot(name, { 'tls.crt': second.pem, 'tls.key': second.keyPem });
    await eventually(async () => {
      const missing = await condition(name, 'IssuerKeyMissing');
      assert.equal(missing?.status, 'True');
      assert.match(missing?.message ?? '', /previous\.crt and previous\.key/);
    });
    const before = await tenant.serials('a');
    await tenant.askToRevoke('a', 'incident-1');
    await eventually(async () => {
      const issuing = conditionOf(await tenant.get('a'), 'Issuing');
      assert.equal(issuing?.reason, 'CrlUnavailable', JSON.stringify(issuing));
      assert.match(issuing?.message ?? '', /put that CA into the Secret as previous\.crt and previous\.key/);
    });
    assert.deepEqual(await tenant.serials('a'), before);
    await world.bringRoot(name, { 'previous.crt': first.pem, 'previous.key': first.keyPem });
    await listsAre(signed, [], [before['server'] ?? '']);
    await eventually(async () => assert.equal((await tenant.get('a')).status?.lastHandledRevoke, 'incident-1'));
    await eventually(async () => assert.equal((await condition(name, 'IssuerKeyMissing'))?.status, 'False'));
  });

  test('loses its key and its CRL when no certificate issued by it is left', async () => {
    const { second, signed } = await underIntermediate();
    const { name, tenant } = signed;
    await world.bringRoot(name, { 'next.crt': second.pem, 'next.key': second.keyPem });
    await listsAre(signed, [], []);
    for (const resource of ['a', 'b']) {
      await tenant.rotate(resource, 'onto-the-second');
      await tenant.ready(resource);
    }
    // The operator checks every half minute, and also when the authority changes.
    await eventually(
      async () => {
        await world.patchAuthority(name, { metadata: { annotations: { touched: `${Date.now()}` } } });
        assert.equal((await world.rootSecret(name)).data?.['previous.key'], undefined);
      },
      { timeoutMs: 60_000 },
    );
    await listsAre(signed, []);
  });
});

test('9. a root without a subject key identifier has a published CRL that lists revoked certificates', async () => {
  const plain = makeCa({ extensions: [isCa(), keyUsage([5, 6])] });
  const signed = await authorityOf(plain);
  const { tenant, name } = signed;
  const { server: thief = '' } = await tenant.serials('a');
  await tenant.revoke('a', 'incident-1');
  await listsAre(signed, [thief]);
  await eventually(async () => {
    assert.deepEqual(serialsOn(await tenant.crls(`trust-${name}`)), [thief]);
  });
  assert.equal((await tenant.get('a')).metadata.annotations?.['mtls-operator.io/revoke'], 'incident-1');
});

test('8. a root in ca.crt leaves every bundle when it expires', async () => {
  const signer = root();
  const signed = await authorityOf(signer);
  const ends = new Date(Math.ceil(Date.now() / 1000) * 1000 + 12_000);
  const partner = makeCa({ notAfter: ends });
  await world.bringRoot(signed.name, { 'ca.crt': signer.pem + partner.pem });
  await allTrust(signed, signer, partner);
  assert.ok(new Date() < ends, 'this machine is too slow: the root expired before it was in every bundle');
  await allTrust(signed, signer);
  assert.ok(new Date() >= ends, 'the root left the bundles before it expired');
});
