import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { type Installation, install } from '../../support/behaviours/installation.ts';
import { judge } from '../../support/behaviours/judge.ts';

let world: Installation;
before(async () => {
  world = await install();
  await world.start();
});
after(() => world.end());

describe('issuing', { concurrency: 4 }, () => {
  const both = { service: 'db', serviceAccount: 'db' };
  const kinds = [
    { key: {}, kind: /^Public-Key: \(256 bit\)/, label: 'PRIVATE KEY' },
    { key: { algorithm: 'ECDSA', size: 384 }, kind: /\(384 bit\)/, label: 'PRIVATE KEY' },
    { key: { algorithm: 'ECDSA', size: 521, encoding: 'SEC1' }, kind: /\(521 bit\)/, label: 'EC PRIVATE KEY' },
    { key: { algorithm: 'RSA', size: 2048, encoding: 'PKCS1' }, kind: /\(2048 bit\)/, label: 'RSA PRIVATE KEY' },
    { key: { algorithm: 'RSA', size: 3072, encoding: 'PKCS8' }, kind: /\(3072 bit\)/, label: 'PRIVATE KEY' },
    { key: { algorithm: 'Ed25519' }, kind: /^ED25519/, label: 'PRIVATE KEY' },
  ];
  for (const { key, kind, label } of kinds) {
    const title = Object.values(key).join(' ') || 'nothing said';
    test(`1. Each Secret is whole: server, client and peer with keys of ${title}`, async () => {
      const tenant = await world.tenant('issuing');
      await tenant.create('db', { server: both, client: both, peer: both, privateKey: key });
      const { status } = await tenant.ready('db');
      const usages = {
        server: 'TLS Web Server Authentication',
        client: 'TLS Web Client Authentication',
        peer: 'TLS Web Server Authentication, TLS Web Client Authentication',
      };
      assert.deepEqual(status?.secrets?.map(({ role }) => role).sort(), Object.keys(usages).sort());
      for (const { role, secretName, ...entry } of status?.secrets ?? []) {
        const secret = await tenant.secret(secretName);
        assert.equal(secretName, `db-${role}-tls`);
        assert.equal(secret.type, 'kubernetes.io/tls');
        const judged = await judge(secret);
        assert.equal(judged.usage, usages[role]);
        assert.match(judged.keyKind, kind);
        assert.equal(judged.keyLabel, label);
        assert.partialDeepStrictEqual(entry, {
          serialNumber: judged.serialNumber,
          fingerprint: judged.fingerprint,
          authorityFingerprint: judged.roots[0],
          notBefore: rfc3339(judged.notBefore),
          notAfter: rfc3339(judged.notAfter),
          revision: 1,
        });
      }
    });
  }
});

const rfc3339 = (date: Date): string => date.toISOString().replace('.000Z', 'Z');
