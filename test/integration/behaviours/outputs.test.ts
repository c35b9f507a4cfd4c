import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { base64, paths, type Secret } from '../../support/api.ts';
import { broughtRoot } from '../../support/behaviours/brought-root.ts';
import { certificatesIn, digestOf, fileOf, judge, openssl } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { installation, type Tenant } from '../../support/installation.ts';
import { scratchFolder } from '../../support/scratch.ts';

const world = installation({ args: ['--workers=1'] });

const name = 'db-server-tls';
const password = 'correct horse battery staple';
const stores = { pkcs12: { passwordSecretRef: { name: 'store-password', key: 'password' } } };
const outputFiles = ['tls-combined.pem', 'key.der', 'keystore.p12', 'truststore.p12'] as const;

const requesting = (outputs: object | null) => ({ server: { service: 'db' }, outputs });
const bytesOf = (secret: Secret, file: string): Buffer => Buffer.from(secret.data?.[file] ?? '', 'base64');
const outputsOf = ({ data = {} }: Secret): string[] => Object.keys(data).filter((key) => !baseFiles.has(key));
const baseFiles = new Set(['ca.crt', 'tls.crt', 'tls.key']);

/** Creates or updates the user's Secret with the password. */
async function setPassword(tenant: Tenant, text: string, key = 'password'): Promise<void> {
  const data = { [key]: base64(text) };
  const metadata = { namespace: tenant.namespace, name: 'store-password' };
  if ((await tenant.findSecret('store-password')) !== undefined) await tenant.patchSecret('store-password', { data });
  else await world.api.create(paths.secrets(tenant.namespace), { metadata, type: 'Opaque', data });
}

/** A new namespace with a password and one Ready resource with these outputs. */
async function tenantWith(outputs: object): Promise<Tenant> {
  const tenant = await world.tenant('outputs');
  await setPassword(tenant, password);
  await tenant.issue('db', requesting(outputs));
  return tenant;
}

/** The content of a keystore in PEM, as openssl reads it. Throws if the password is wrong. */
async function opened(secret: Secret, file: string, opener: string, options: readonly string[]): Promise<string> {
  const folder = await scratchFolder('store');
  try {
    await writeFile(join(folder, 'store'), bytesOf(secret, file), { mode: 0o600 });
    return await openssl(['pkcs12', '-in', join(folder, 'store'), '-passin', 'stdin', '-nodes', ...options], opener);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Checks every output in a Secret against tls.crt, tls.key and ca.crt. */
async function judgeOutputs(secret: Secret, opener = password): Promise<void> {
  await judge(secret);
  for (const output of outputsOf(secret)) {
    switch (output) {
      case 'tls-combined.pem':
        assert.ok(fileOf(secret, output) === fileOf(secret, 'tls.key') + fileOf(secret, 'tls.crt'), output);
        break;
      case 'key.der': {
        const body = fileOf(secret, 'tls.key').replaceAll(/-----.*-----|\n/g, '');
        assert.ok(bytesOf(secret, output).toString('base64') === body, output);
        break;
      }
      case 'keystore.p12': {
        const chain = certificatesIn(await opened(secret, output, opener, ['-nokeys']));
        assert.deepEqual(chain, certificatesIn(fileOf(secret, 'tls.crt')));
        const publicKey = await openssl(['pkey', '-pubout'], await opened(secret, output, opener, ['-nocerts']));
        assert.equal(publicKey, await openssl(['pkey', '-pubout'], fileOf(secret, 'tls.key')));
        break;
      }
      case 'truststore.p12': {
        const roots = certificatesIn(await opened(secret, output, opener, ['-nokeys']));
        assert.deepEqual(roots.toSorted(), certificatesIn(fileOf(secret, 'ca.crt')).toSorted());
        break;
      }
      default:
        assert.fail(`${output} is not an output`);
    }
  }
}

/** Waits until the Secret has exactly these outputs and openssl accepts them. */
const has = (tenant: Tenant, files: readonly string[], opener?: string): Promise<Secret> =>
  eventually(async () => {
    const secret = await tenant.secret(name);
    assert.deepEqual(outputsOf(secret).toSorted(), files.toSorted());
    await judgeOutputs(secret, opener);
    return secret;
  });

const pairOf = ({ data }: Secret) => [data?.['tls.crt'], data?.['tls.key']];
function assertSamePair(a: Secret, b: Secret): void {
  assert.ok(
    pairOf(a).every((value, i) => value === pairOf(b)[i]),
    'key or certificate changed',
  );
}

describe('outputs', { concurrency: 4 }, () => {
  test('are written together with the first certificate in one write', async () => {
    const tenant = await tenantWith({ combinedPEM: true, der: true, ...stores });
    const secret = await has(tenant, outputFiles);
    assert.equal((await world.watched.upTo(secret)).length, 1);
  });

  test('are added and removed without a new certificate, and keys of other writers stay', async () => {
    const tenant = await tenantWith({});
    const before = await tenant.patchSecret(name, { data: { 'key.txt': base64('theirs') } });
    for (const outputs of [{ der: true }, { der: true, combinedPEM: true }, { combinedPEM: true }, stores, null]) {
      await tenant.patch('db', { spec: { outputs: null } });
      await tenant.patch('db', { spec: { outputs } });
      const files = {
        'key.der': 'der' in (outputs ?? {}),
        'tls-combined.pem': 'combinedPEM' in (outputs ?? {}),
        'keystore.p12': outputs === stores,
        'truststore.p12': outputs === stores,
      };
      const expected = outputFiles.filter((file) => files[file]);
      const secret = await eventually(async () => {
        const { data, ...found } = await tenant.secret(name);
        assert.equal(data?.['key.txt'], base64('theirs'));
        const { 'key.txt': _, ...ours } = data;
        assert.deepEqual(outputsOf({ ...found, data: ours }).toSorted(), expected.toSorted());
        await judgeOutputs({ ...found, data: ours });
        return { ...found, data: ours };
      });
      assertSamePair(secret, before);
      assert.equal(secret.metadata.annotations?.['mtls-operator.io/revision'], '1');
      assert.equal(secret.metadata.annotations?.['mtls-operator.io/outputs'] === undefined, expected.length === 0);
    }
  });

  for (const encoding of ['PKCS8', 'PKCS1'] as const) {
    test(`include key.der in the encoding ${encoding} of spec.privateKey`, async () => {
      const tenant = await world.tenantWith('outputs', {
        ...requesting({ der: true }),
        privateKey: { algorithm: 'RSA', encoding },
      });
      const key = bytesOf(await has(tenant, ['key.der']), 'key.der');
      const folder = await scratchFolder('key');
      try {
        await writeFile(join(folder, 'key.der'), key, { mode: 0o600 });
        const text = await openssl(['asn1parse', '-inform', 'DER', '-in', join(folder, 'key.der')]);
        // The third line shows the algorithm of a PKCS#8 key, or the modulus of a PKCS#1 key.
        assert.match(text.split('\n')[2] ?? '', encoding === 'PKCS8' ? /SEQUENCE/ : /INTEGER/);
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  }

  for (const file of outputFiles) {
    test(`include a ${file} that is repaired when another client changes or deletes it`, async () => {
      const tenant = await tenantWith({ combinedPEM: true, der: true, ...stores });
      const before = await tenant.secret(name);
      for (const value of [base64('tampered'), null, before.data?.['tls.crt']]) {
        await tenant.patchSecret(name, { data: { [file]: value } });
        const after = await has(tenant, outputFiles);
        assertSamePair(after, before);
        assert.ok(after.data?.[file] === before.data?.[file], 'the same content must give the same bytes');
      }
    });
  }

  test('are updated when the certificate is rotated and when the roots change', async () => {
    const secretName = 'outputs-root';
    await world.bringRoot(secretName, await broughtRoot());
    await world.createAuthority('outputs', { secretName });
    await world.authorityIs('outputs', 'True');
    const tenant = await world.tenant('outputs');
    await setPassword(tenant, password);
    const spec = { authorityRef: { name: 'outputs' }, ...requesting({ combinedPEM: true, ...stores }) };
    await tenant.issue('db', spec);
    const files = ['tls-combined.pem', 'keystore.p12', 'truststore.p12'];
    const first = await has(tenant, files);
    await tenant.rotate('db', 'again');
    await tenant.ready('db');
    const second = await has(tenant, files);
    assert.notEqual((await judge(second)).serialNumber, (await judge(first)).serialNumber);

    const other = await broughtRoot({ commonName: 'Another Root' });
    await world.bringRoot(secretName, { 'ca.crt': other['tls.crt'] });
    await eventually(async () => assert.equal((await judge(await tenant.secret(name))).roots.length, 2));
    const third = await has(tenant, files);
    assertSamePair(third, second);
    // Every revision that a pod may have mounted must be complete.
    for (const revision of await world.watched.upTo(third)) await judgeOutputs(revision);
  });
});

describe('keystores and their password:', { concurrency: 4 }, () => {
  test('a new password rewrites the keystores and nothing else', async () => {
    const tenant = await tenantWith({ der: true, ...stores });
    const before = await tenant.secret(name);
    await setPassword(tenant, 'p4$$ "w0rd" ~');
    const after = await has(tenant, ['key.der', 'keystore.p12', 'truststore.p12'], 'p4$$ "w0rd" ~');
    assertSamePair(after, before);
    for (const file of ['keystore.p12', 'truststore.p12']) {
      await assert.rejects(opened(after, file, password, ['-nokeys']), /invalid password|mac verify/i);
    }
  });

  test('the password may be under another key, and in another Secret', async () => {
    const tenant = await tenantWith(stores);
    await setPassword(tenant, 'another', 'other.txt');
    await tenant.patch('db', {
      spec: { outputs: { pkcs12: { passwordSecretRef: { name: 'store-password', key: 'other.txt' } } } },
    });
    await has(tenant, ['keystore.p12', 'truststore.p12'], 'another');
  });

  test('without a password nothing is issued; the condition says what to do, and issuing continues when the password exists', async () => {
    const tenant = await world.tenant('outputs');
    await tenant.create('db', requesting(stores));
    const condition = await tenant.notReady('db', 'KeystorePasswordNotFound');
    assert.match(condition.message, /Secret store-password .*\(key password\) does not exist; create it/);
    assert.deepEqual(await tenant.secretNames(), []);
    await setPassword(tenant, password);
    await tenant.ready('db');
    await has(tenant, ['keystore.p12', 'truststore.p12']);
  });

  for (const [what, text] of Object.entries({
    'an empty password': '',
    'a password with a newline at the end': `${password}\n`,
    'a password that Java cannot read': `${password} ✓`,
  })) {
    test(`${what} is refused; the condition has the reason but not the password`, async () => {
      const tenant = await world.tenant('outputs');
      await setPassword(tenant, text);
      await tenant.create('db', requesting(stores));
      const condition = await tenant.notReady('db', 'KeystorePasswordInvalid');
      assert.match(condition.message, /key password of Secret store-password is not a valid keystore password/);
      assert.doesNotMatch(condition.message, new RegExp(password));
      await setPassword(tenant, password);
      await tenant.ready('db');
      await has(tenant, ['keystore.p12', 'truststore.p12']);
    });
  }

  test('a password Secret without the key is refused until it has the key', async () => {
    const tenant = await world.tenant('outputs');
    await setPassword(tenant, password, 'elsewhere');
    await tenant.create('db', requesting(stores));
    assert.match(
      (await tenant.notReady('db', 'KeystorePasswordInvalid')).message,
      /^server: Secret store-password has no key password /,
    );
    await setPassword(tenant, password);
    await tenant.ready('db');
    await has(tenant, ['keystore.p12', 'truststore.p12']);
  });

  test('a deleted password keeps the Secret unchanged, and blocks the next rotation', async () => {
    const tenant = await tenantWith(stores);
    const before = await tenant.secret(name);
    await world.api.delete(paths.secrets(tenant.namespace, 'store-password'));
    await tenant.rotate('db', 'again');
    await eventually(async () => {
      const { status } = await tenant.get('db');
      const issuing = status?.conditions?.find(({ type }) => type === 'Issuing');
      assert.equal(issuing?.reason, 'KeystorePasswordNotFound');
      assert.equal(status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'True');
    });
    assert.equal(digestOf(await tenant.secret(name)), digestOf(before));
    await setPassword(tenant, 'found again');
    await tenant.ready('db');
    await has(tenant, ['keystore.p12', 'truststore.p12'], 'found again');
  });

  test('another revision of the password Secret with the same password keeps the keystores byte-identical', async () => {
    const tenant = await tenantWith(stores);
    const before = await tenant.secret(name);
    await tenant.patchSecret('store-password', { metadata: { labels: { 'example.com/seen': 'yes' } } });
    const after = await eventually(async () => {
      const secret = await tenant.secret(name);
      assert.notEqual(
        secret.metadata.annotations?.['mtls-operator.io/outputs'],
        before.metadata.annotations?.['mtls-operator.io/outputs'],
      );
      return secret;
    });
    assert.ok(JSON.stringify(after.data) === JSON.stringify(before.data), 'the data changed');
  });
});

test('a Secret with correct outputs is not written again by another reconcile or after a restart', async () => {
  const tenant = await tenantWith({ combinedPEM: true, der: true, ...stores });
  const { metadata } = await tenant.secret(name);
  await tenant.reconcileAgain('db');
  assert.equal((await tenant.secret(name)).metadata.resourceVersion, metadata.resourceVersion);
  await world.restart();
  await tenant.reconcileAgain('db');
  assert.equal((await tenant.secret(name)).metadata.resourceVersion, metadata.resourceVersion);
});

test('no log line, status or event contains a keystore password', async () => {
  const everything = [
    JSON.stringify(world.logs()),
    JSON.stringify(await world.api.list('/apis/mtls-operator.io/v1alpha1/mtlscertificates')),
    JSON.stringify(await world.api.list(paths.events)),
  ];
  for (const secret of [password, 'p4$$ "w0rd" ~', 'found again', base64(password)]) {
    for (const text of everything) assert.ok(!text.includes(secret), 'a password has leaked');
  }
});
