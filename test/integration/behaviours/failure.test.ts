import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { after, describe, test } from 'node:test';

import { base64, paths } from '../../support/api.ts';
import { broughtRoot } from '../../support/behaviours/brought-root.ts';
import { certificatesIn, digestOf, fileOf, judge } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { type Certificate, installation, type Tenant } from '../../support/installation.ts';
import { forbid, refuse, refuseChanges } from '../../support/refuse.ts';
import { scratchFolder } from '../../support/scratch.ts';

let temporary: string;
const world = installation({ args: ['--log-level=debug'], operator: false }, async () => {
  temporary = await scratchFolder('operator-tmp');
  await world.start({ env: { TMPDIR: temporary } });
});
after(() => rm(temporary, { recursive: true }));

const server = { server: { service: 'db' } };

/** Forbids new Secrets in the namespace until the returned function is called. */
const forbidSecrets = ({ namespace }: Tenant) => forbid(world, namespace, 'secrets');

/** Forbids new events in the namespace until the returned function is called. */
async function refuseEvents(tenant: Tenant): Promise<() => Promise<void>> {
  const rule = { apiGroups: ['', 'events.k8s.io'], resources: ['events'], operations: ['CREATE'] };
  const { namespace } = tenant;
  const involvedObject = { kind: 'Namespace', name: namespace, namespace };
  const path = `/api/v1/namespaces/${namespace}/events?dryRun=All`;
  return refuse(world, tenant, rule, () => world.api.create(path, { metadata: { name: 'probe' }, involvedObject }));
}

interface Failures {
  readonly attempts: number;
  readonly lastMs: number;
  readonly nextMs: number;
}

function failuresOf({ status }: Certificate): Failures {
  const { failedIssuanceAttempts, lastFailureTime, nextRetryTime } = status ?? {};
  assert.ok(failedIssuanceAttempts !== undefined && lastFailureTime !== undefined && nextRetryTime !== undefined);
  return { attempts: failedIssuanceAttempts, lastMs: Date.parse(lastFailureTime), nextMs: Date.parse(nextRetryTime) };
}

/** Waits until status reports at least this many failed attempts. */
const failed = (tenant: Tenant, attempts: number): Promise<Failures> =>
  eventually(async () => {
    const failures = failuresOf(await tenant.get('db'));
    assert.ok(failures.attempts >= attempts, `${failures.attempts} attempts`);
    return failures;
  });

function assertNoFailure({ status }: Certificate): void {
  const { failedIssuanceAttempts, lastFailureTime, nextRetryTime } = status ?? {};
  assert.deepEqual([failedIssuanceAttempts, lastFailureTime, nextRetryTime], [undefined, undefined, undefined]);
}

describe('9. Failure backs off (25 s: each pause is twice as long)', { concurrency: 5 }, () => {
  test('9. Failure backs off: the delay starts at seconds and doubles, and the certificate is issued when the quota allows it', async () => {
    const tenant = await world.tenant('quota');
    const allow = await forbidSecrets(tenant);
    // A watch misses no attempt, however busy the machine.
    const states: Certificate[] = [];
    const watching = world.api.watch<Certificate>(paths.certificates(tenant.namespace), ({ object }) => {
      states.push(object);
    });
    watching.catch((error: unknown) => assert.fail(String(error)));
    await tenant.create('db', server);
    const { message } = await tenant.notReady('db', 'IssuanceFailed');
    assert.match(message, /quota/);
    const delays: number[] = [];
    for (const attempts of [1, 2]) {
      const { nextMs, lastMs } = await eventually(() => {
        const state = states.find(({ status }) => status?.failedIssuanceAttempts === attempts);
        assert.ok(state !== undefined, `there was no attempt ${attempts}`);
        return failuresOf(state);
      });
      delays.push((nextMs - lastMs) / 1000);
    }
    // 5 and 10 seconds, each up to a tenth shorter, in whole seconds.
    for (const [i, delay] of delays.entries()) {
      const full = 5 * 2 ** i;
      assert.ok(delay >= full * 0.9 - 1 && delay <= full + 1, `delays of ${delays.join(', ')} s`);
    }
    await allow();
    assertNoFailure(await tenant.ready('db'));
    await judge(await tenant.secret('db-server-tls'));
  });

  for (const [what, change] of Object.entries({
    'a changed spec': { spec: { duration: '48h' } },
    'a new rotate token': { metadata: { annotations: { 'mtls-operator.io/rotate': 'again' } } },
  })) {
    test(`9. Failure backs off, but ${what} is tried immediately`, async () => {
      const tenant = await world.tenant('quota');
      const allow = await forbidSecrets(tenant);
      await tenant.create('db', server);
      const before = await failed(tenant, 3);
      await tenant.patch('db', change);
      const retried = await eventually(async () => {
        const failures = failuresOf(await tenant.get('db'));
        assert.equal(failures.attempts, 1, 'the count does not start at 1 again');
        return failures;
      });
      assert.ok(retried.lastMs < before.nextMs - 5000, 'the attempt waited for the delay');
      await allow();
      assertNoFailure(await tenant.ready('db'));
    });
  }

  test('9. Failure of one role neither delays the repair of the other role nor is reported for it', async () => {
    const tenant = await world.tenantWith('role', { ...server, client: { serviceAccount: 'db' } });
    const secrets = paths.secrets(tenant.namespace);
    const rule = { apiGroups: [''], resources: ['secrets'], resourceNames: ['db-client-tls'], operations: ['CREATE'] };
    const probe = { metadata: { name: 'db-client-tls' }, type: 'Opaque' };
    await world.api.delete(`${secrets}/db-client-tls`);
    await eventually(() => tenant.secret('db-client-tls'));
    const allow = await refuse(world, tenant, rule, () => world.api.create(`${secrets}?dryRun=All`, probe));
    await world.api.delete(`${secrets}/db-client-tls`);
    const before = await failed(tenant, 3);
    await world.api.delete(`${secrets}/db-server-tls`);
    await judge(await eventually(() => tenant.secret('db-server-tls')));
    const { status } = await eventually(async () => {
      const certificate = await tenant.get('db');
      assert.equal(certificate.status?.secrets?.find(({ role }) => role === 'server')?.revision, 2);
      return certificate;
    });
    assert.deepEqual(
      status?.failures?.map(({ role }) => role),
      ['client'],
    );
    assert.ok(Date.parse(status.lastFailureTime ?? '') >= before.lastMs);
    const { message } = await tenant.notReady('db', 'IssuanceFailed');
    assert.match(message, /^client: .*frozen by policy$/);
    await allow();
    await tenant.patch('db', { metadata: { annotations: { 'mtls-operator.io/retry': 'now' } } });
    assertNoFailure(await tenant.ready('db'));
  });

  test('9. Failure in one namespace does not delay other namespaces', async () => {
    const tenant = await world.tenant('quota');
    const allow = await forbidSecrets(tenant);
    const names = Array.from({ length: 40 }, (_, i) => `db-${i}`);
    await Promise.all(names.map((name) => tenant.create(name, server)));
    await world.tenantWith('other', server);
    for (const name of names) await tenant.notReady(name, 'IssuanceFailed');
    await allow();
    for (const name of names) assertNoFailure(await tenant.ready(name));
  });

  test('9. Failure of a rotation keeps the existing certificate Ready, and the rotation happens once when writes succeed again', async () => {
    const tenant = await world.tenantWith('frozen', server);
    const before = await tenant.secret('db-server-tls');
    const allow = await refuseChanges(world, tenant, 'db-server-tls');
    await tenant.rotate('db', 'first');
    await failed(tenant, 1);
    const { status } = await tenant.get('db');
    const conditions = Object.fromEntries((status?.conditions ?? []).map(({ type, ...rest }) => [type, rest]));
    assert.equal(conditions['Ready']?.status, 'True');
    assert.equal(conditions['Issuing']?.status, 'True');
    assert.match(conditions['Issuing'].message, /frozen/);
    assert.equal(status?.lastHandledRotate, undefined);
    assert.equal(digestOf(await tenant.secret('db-server-tls')), digestOf(before));
    await allow();
    const after = await tenant.ready('db');
    assertNoFailure(after);
    assert.deepEqual(
      after.status?.conditions?.map(({ type, status, reason }) => [type, status, reason]),
      [
        ['Ready', 'True', 'Issued'],
        ['Issuing', 'False', 'Issued'],
      ],
    );
    assert.equal(after.status?.secrets?.[0]?.revision, 2);
  });
});

test('9. Failure keeps its delay and count when the operator restarts', async () => {
  const tenant = await world.tenant('quota');
  const allow = await forbidSecrets(tenant);
  await tenant.create('db', server);
  const before = await failed(tenant, 2);
  await world.operator.stop();
  await world.start({ env: { TMPDIR: temporary } });
  const after = await failed(tenant, 3);
  assert.equal(after.attempts, 3);
  assert.ok(after.lastMs >= before.nextMs - 1000, 'the attempt did not wait for the delay');
  await allow();
});

/** Creates a resource with a status that reports many failures and the next attempt in nine minutes. */
async function failedOften(tenant: Tenant, name: string): Promise<void> {
  const { metadata } = await tenant.create(name, server);
  const [lastFailureTime, nextRetryTime] = [-1, 9].map((minutes) =>
    new Date(Date.now() + minutes * 60_000).toISOString().replace(/\.\d+/, ''),
  );
  const failure = { lastFailureTime, nextRetryTime };
  const status = {
    observedGeneration: 1,
    failedIssuanceAttempts: 9,
    ...failure,
    failures: [{ role: 'server', attempts: 9, ...failure, message: 'exceeded quota' }],
  };
  await world.api.patch(`${paths.certificates(tenant.namespace, metadata.name)}/status`, { status });
}

test('9. Failure with a long delay is retried immediately for the retry annotation, and when another write in its namespace succeeds', async () => {
  await world.operator.stop();
  const [asking, crowd] = [await world.tenant('retry'), await world.tenant('crowd')];
  const names = ['a', 'b', 'c', 'd', 'e'];
  await failedOften(asking, 'db');
  for (const name of names) await failedOften(crowd, name);
  await world.start({ env: { TMPDIR: temporary } });

  const { message } = await asking.notReady('db', 'IssuanceFailed');
  assert.equal(message, 'server: exceeded quota');
  const { status } = await asking.get('db');
  const issuing = status?.conditions?.find(({ type }) => type === 'Issuing')?.message ?? '';
  const [, command = ''] = /to retry now: (.*)$/.exec(issuing) ?? [];
  assert.match(command, /^kubectl -n \S+ annotate mcert db mtls-operator.io\/retry=/);
  await asking.patch('db', { metadata: { annotations: { 'mtls-operator.io/retry': 'now' } } });
  const certificate = await asking.ready('db');
  assertNoFailure(certificate);
  assert.equal(certificate.status?.lastHandledRetry, 'now');
  assert.equal(certificate.status.secrets?.[0]?.revision, 1, 'the retry generated another key');

  for (const name of names) await crowd.notReady(name, 'IssuanceFailed');
  await crowd.create('other', server);
  for (const name of names) assertNoFailure(await crowd.ready(name));
});

test('11. Key material is only in Secrets, never in logs, events, resources, metrics or files', async () => {
  const tenant = await world.tenant('keys');
  // In addition to the tests above: conflicts, bad roots, every kind of key, and a corrupted key.
  await world.bringRoot('leaky', await broughtRoot());
  await world.createAuthority('leaky', { secretName: 'leaky' });
  const kinds = [{ algorithm: 'RSA', encoding: 'PKCS1' }, { algorithm: 'Ed25519' }, { encoding: 'SEC1' }];
  for (const [i, privateKey] of kinds.entries()) {
    const spec = { ...server, authorityRef: { name: 'leaky' }, privateKey };
    await tenant.issue(`db-${i}`, spec);
    await tenant.rotate(`db-${i}`, 'once');
    await tenant.ready(`db-${i}`);
  }
  const key = fileOf(await tenant.secret('db-0-server-tls'), 'tls.key');
  const corrupted = { 'tls.key': Buffer.from(key.replace('MII', 'M!I')).toString('base64') };
  await tenant.patchSecret('db-0-server-tls', { data: corrupted });
  await eventually(async () => assert.equal((await tenant.get('db-0')).status?.secrets?.[0]?.revision, 3));
  await world.bringRoot('leaky', { 'tls.key': key });
  await world.authorityIs('leaky', 'False', 'RootKeyMismatch');
  await world.bringRoot('leaky', { 'tls.key': key.replace('MII', 'M!I') });
  await world.authorityIs('leaky', 'False', 'RootKeyMalformed');
  const foreign = { metadata: { name: 'foreign' }, type: 'kubernetes.io/tls', data: corrupted };
  await world.api.create(paths.secrets(tenant.namespace), {
    ...foreign,
    data: { 'tls.crt': '', 'tls.key': base64(key) },
  });
  await tenant.create('conflict', { server: { service: 'db', secretName: 'foreign' } });
  await tenant.notReady('conflict', 'SecretConflict');

  // An error that is logged only at level debug: an event that cannot be written.
  const mute = await world.tenant('mute');
  await refuseEvents(mute);
  await mute.issue('db', server);
  await eventually(() =>
    assert.ok(
      world.logs().some(({ level }) => level === 'debug'),
      'the log is not at level debug',
    ),
  );

  const metrics = await (await fetch(`${world.operator.url}/metrics`)).text();
  await world.operator.stop();
  const haystacks: Record<string, string> = {
    logs: world
      .logs()
      .map((line) => JSON.stringify(line))
      .join('\n'),
    events: JSON.stringify(await world.api.list(paths.events)),
    certificates: JSON.stringify(await world.api.list('/apis/mtls-operator.io/v1alpha1/mtlscertificates')),
    authorities: JSON.stringify(await world.api.list(paths.authorities())),
    'metadata of Secrets': JSON.stringify(world.watched.states.map(({ metadata }) => metadata)),
    metrics,
  };
  // The encoding of an EC key ends with its public key, which is also in the certificates. Certificates are public.
  const publicTexts = world.watched.states.flatMap(({ data }) => publicTextsOf(data?.['tls.crt'] ?? '')).join(' ');
  const pieces = world.watched.states.flatMap(({ data }) => piecesOf(data?.['tls.key'] ?? ''));
  const needles = new Set(pieces.filter((piece) => !publicTexts.includes(piece)));
  assert.ok(needles.size > 500, `only ${needles.size} pieces of keys to search for`);
  for (const [where, haystack] of Object.entries(haystacks)) {
    assert.ok(haystack.length > 1000, `${where} has almost no text to search`);
    assert.ok(!haystack.includes('PRIVATE KEY'), `a private key in ${where}`);
    // The message must not contain the piece of the key.
    assert.equal([...needles].filter((needle) => haystack.includes(needle)).length, 0, `pieces of keys in ${where}`);
  }
  assert.deepEqual(await readdir(temporary), []);
});

/** The DER of the certificates in a file, in hex, and in base64 at each of the three possible alignments. */
const publicTextsOf = (data: string): string[] =>
  certificatesIn(Buffer.from(data, 'base64').toString('latin1'))
    .map((pem) => Buffer.from(pem.replaceAll(/-----[^-]*-----|\s/g, ''), 'base64'))
    .flatMap((der) => [der.toString('hex'), ...[0, 1, 2].map((skipped) => der.subarray(skipped).toString('base64'))]);

/** Pieces that identify a copy of a key: of its PEM text, of that text in base64, and of its DER in hex. */
function piecesOf(data: string): string[] {
  const pem = Buffer.from(data, 'base64').toString('latin1');
  const body = pem.replaceAll(/-----[^-]*-----|\s/g, '');
  const texts = [body, data, Buffer.from(body, 'base64').toString('hex')];
  const length = 24;
  // Skip the beginning, which only encodes the kind of key and also occurs in public keys.
  return texts.flatMap((text) => {
    const start = Math.floor(text.length / 4);
    return Array.from({ length: Math.max(0, Math.floor((text.length - start) / length)) }, (_, i) =>
      text.slice(start + i * length, start + (i + 1) * length),
    ).filter((piece) => piece.length === length);
  });
}
