import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';

import {
  certificatesIn,
  digestOf,
  fileOf,
  fingerprintOf,
  judge,
  judgeLeniently,
} from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { type Certificate, installation, type Tenant } from '../../support/installation.ts';
import { inParallel } from '../../support/parallel.ts';
import { badCertificates } from '../../support/roots/bad-certificates.ts';
import { badChains } from '../../support/roots/bad-chains.ts';
import { badKeys } from '../../support/roots/bad-keys.ts';
import { rootFiles } from '../../support/roots/corpus.ts';
import { goodRoots } from '../../support/roots/good.ts';

let tenant: Tenant;
const world = installation({}, async () => {
  tenant = await world.tenant('corpus');
});

/** The number of certificates that the operator has issued, by its metrics and by its log. */
async function issued(): Promise<readonly [metric: number, logged: number]> {
  const metrics = await (await fetch(`${world.operator.url}/metrics`)).text();
  const counts = [...metrics.matchAll(/^mtls_operator_issued_total\{.*\} (\d+)$/gm)].map(([, count]) => Number(count));
  const logged = world.logs().filter(({ message }) => message === 'issued a certificate').length;
  return [counts.reduce((a, b) => a + b, 0), logged];
}

const certificateOf = (name: string): object => ({
  authorityRef: { name },
  server: { dnsNames: [`db.${tenant.namespace}.svc.cluster.local`] },
});

async function allAre(names: readonly string[], isDone: (certificate: Certificate) => boolean): Promise<void> {
  await eventually(
    async () => {
      const certificates = await tenant.list();
      const others = certificates.filter(
        (certificate) => names.includes(certificate.metadata.name) && !isDone(certificate),
      );
      assert.deepEqual(
        others.map(({ metadata, status }) => [metadata.name, status?.conditions]),
        [],
      );
      assert.equal(certificates.length >= names.length, true);
    },
    { timeoutMs: 120_000, message: 'some certificates did not reach the expected state' },
  );
}

const conditionOf = ({ status }: Certificate, expected: string) =>
  status?.conditions?.find(({ type }) => type === expected);
const isReady = (certificate: Certificate): boolean => conditionOf(certificate, 'Ready')?.status === 'True';

describe('8. A bad root signs nothing, and existing Secrets stay byte-identical:', () => {
  const cases = [...badCertificates, ...badKeys, ...badChains]
    .filter(({ isTooLargeToStore }) => isTooLargeToStore !== true)
    .map((root, index) => ({ ...root, name: `bad-${index}` }));
  const names = cases.map(({ name }) => name);
  let issuedBefore: Awaited<ReturnType<typeof issued>>;
  let written: ReadonlyMap<string, string>;

  const digests = async (): Promise<Map<string, string>> =>
    new Map((await tenant.secrets()).map((secret) => [secret.metadata.name, digestOf(secret)]));

  // Every authority has worked with a valid root and has written a Secret. Then a bad root replaces the valid one, and both
  // a new resource and a rotation of the old resource request a signature.
  before(async () => {
    const good = rootFiles();
    await inParallel(names, async (name) => {
      await world.bringRoot(name, { ...good, 'ca.crt': '' });
      await world.createAuthority(name, { secretName: name });
      await tenant.create(name, certificateOf(name));
    });
    await allAre(names, isReady);
    written = await digests();
    assert.equal(written.size, cases.length);
    issuedBefore = [cases.length, cases.length];
    await eventually(async () => assert.deepEqual(await issued(), issuedBefore));
    await inParallel(cases, ({ name, make }) => world.bringRoot(name, { 'ca.crt': '', ...make() }));
    await inParallel(cases, ({ name, reason }) => world.authorityIs(name, 'False', reason));
    await inParallel(names, async (name) => {
      await tenant.create(`${name}-new`, certificateOf(name));
      await tenant.rotate(name, 'with-the-bad-root');
    });
  });

  for (const { title, name, reason } of cases) {
    test(`8. ${reason}: ${title}`, async () => {
      const { status } = await world.authorityIs(name, 'False', reason);
      const condition = status?.conditions?.find(({ type }) => type === 'Ready');
      assert.match(condition?.message ?? '', /\w+ \w+/);
      const { message } = await tenant.notReady(`${name}-new`, 'AuthorityNotReady');
      assert.ok(message.includes(reason), message);
      await eventually(async () => {
        const issuing = conditionOf(await tenant.get(name), 'Issuing');
        assert.deepEqual([issuing?.status, issuing?.reason], ['True', 'AuthorityNotReady']);
      });
    });
  }

  test('8. No certificate was issued and no Secret was written', async () => {
    assert.deepEqual(await issued(), issuedBefore);
    assert.deepEqual(await digests(), written);
    const states = world.watched.states.filter(({ metadata }) => metadata.namespace === tenant.namespace);
    assert.equal(states.length, written.size, 'a Secret was written meanwhile');
  });
});

describe('1. A valid root signs certificates that openssl verifies, with its intermediates:', () => {
  const cases = goodRoots.map((root, index) => ({ ...root, name: `good-${index}` }));
  const names = cases.map(({ name }) => name);

  before(async () => {
    await inParallel(cases, async ({ name, make }) => {
      await world.bringRoot(name, { ...make() });
      await world.createAuthority(name, { secretName: name });
      await tenant.create(name, certificateOf(name));
    });
    await allAre(names, isReady);
  });

  for (const { title, name, intermediates = 0, isStrict = true } of cases) {
    test(`1. ${title}`, async () => {
      const secret = await tenant.secret(`${name}-server-tls`);
      const { roots } = await (isStrict ? judge : judgeLeniently)(secret);
      const carried = certificatesIn(fileOf(secret, 'tls.crt')).slice(1);
      assert.equal(carried.length, intermediates);
      const fingerprints = await Promise.all(carried.map(fingerprintOf));
      assert.ok(!fingerprints.some((fingerprint) => roots.includes(fingerprint)), 'tls.crt contains a root');
      const { status } = await world.authority(name);
      assert.equal(roots[0], status?.activeRoot?.fingerprint);
      assert.deepEqual(
        roots,
        status?.roots?.map(({ fingerprint }) => fingerprint),
      );
      const entry = (await tenant.get(name)).status?.secrets?.[0];
      assert.equal(entry?.rootFingerprint, roots[0]);
      const message = status?.conditions?.find(({ type }) => type === 'Ready')?.message ?? '';
      const [issuer] = fingerprints;
      const words = issuer === undefined ? 'root' : `intermediate ${issuer.slice(0, 16)} under root`;
      assert.ok(message.startsWith(`signs with ${words} ${roots[0]?.slice(0, 16)}, valid until `), message);
    });
  }
});
