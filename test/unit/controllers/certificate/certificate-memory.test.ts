import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { annotations } from '../../../../src/api/constants.ts';
import { certificates } from '../../../../src/controllers/objects/resources.ts';
import { secrets } from '../../../../src/kube/index.ts';
import { issuerIdOf, privateKey, root } from '../../../support/fixtures/roots.ts';
import { days, later, now } from '../../../support/fixtures/times.ts';
import { CertificateProcess, patch, secretName, signer, writeStatus } from '../world/certificate-process.ts';

const bytes = (text: string) => Buffer.from(text).toString('base64');
const tlsOf = (process: CertificateProcess) => process.secret()?.data?.['tls.crt'];
const eventsOf = ({ events }: CertificateProcess) => events.map(({ reason }) => reason);
const replacedIn = (process: CertificateProcess) =>
  (process.status().secrets ?? []).flatMap(({ replaced = [] }) => replaced.map(({ serialNumber }) => serialNumber));
const serialIn = (process: CertificateProcess) => process.status().secrets?.[0]?.serialNumber;

/** A certificate is issued, but the status that reports it is not written. */
async function issuedWithoutStatus(process: CertificateProcess): Promise<void> {
  process.refuse(writeStatus, 'Conflict');
  await process.settle();
}

/** Deletes a resource with its Secret, as the garbage collector does. */
async function deleteWithSecret(process: CertificateProcess): Promise<void> {
  await process.remove(certificates, 'payments');
  await process.remove(secrets, secretName);
  await process.settle();
}

describe('the memory of certificates that status does not have yet', () => {
  test('ends when status has them: a role that is removed and added again has no replaced certificates', async (t) => {
    const process = await CertificateProcess.issued(t, { client: { serviceAccount: 'checkout' } });
    await process.patch({ spec: { server: null } });
    await process.settle();
    assert.equal(process.secret(), undefined);
    await process.patch({ spec: { server: { service: 'payments' } } });
    await process.settle();
    assert.deepEqual([process.status().secrets?.length, replacedIn(process)], [2, []]);
  });

  test('ends with the resource: one that is created again has no replaced certificates', async (t) => {
    const process = await CertificateProcess.begin(t);
    await process.create();
    await issuedWithoutStatus(process);
    await deleteWithSecret(process);
    await process.create();
    await process.settle();
    assert.deepEqual(replacedIn(process), []);
  });

  test('ends with the term, because another leader may have written status', async (t) => {
    const process = await CertificateProcess.begin(t);
    await process.create({ client: { serviceAccount: 'checkout' } });
    await issuedWithoutStatus(process);
    const other = await CertificateProcess.begin(t, process.api);
    await other.patch({ spec: { server: null } });
    await other.settle();
    await other.patch({ spec: { server: { service: 'payments' } } });
    await other.settle();
    process.beginTerm();
    await process.annotate('rotate', 'a');
    const before = serialIn(other);
    await process.settle();
    assert.equal(process.status().lastHandledRotate, 'a');
    assert.ok(before !== undefined && replacedIn(process).includes(before));
    assert.equal(replacedIn(process).length, 2, 'one for each role');
  });

  test('lasts while the root is invalid: status then still gets the root of the certificate', async (t) => {
    const process = await CertificateProcess.begin(t);
    await process.create();
    await issuedWithoutStatus(process);
    process.judge({ state: 'notReady', reason: 'RootExpired', message: 'x' });
    await process.settle();
    const [entry] = process.status().secrets ?? [];
    assert.equal(entry?.rootFingerprint, signer.certificate.fingerprint);
  });
});

describe('repairs', () => {
  const damage = async (process: CertificateProcess) => {
    await process.changeSecret({ data: { 'tls.crt': bytes('x') } });
    await process.settle();
    return tlsOf(process) !== bytes('x');
  };
  const damageThrice = async (process: CertificateProcess) => [
    await damage(process),
    await damage(process),
    await damage(process),
  ];

  test('of an earlier term do not count if status does not have them', async (t) => {
    const process = await CertificateProcess.issued(t);
    assert.deepEqual([await damage(process), await damage(process)], [true, true]);
    process.beginTerm();
    assert.deepEqual(await damageThrice(process), [true, true, true]);
  });

  test('of a deleted resource of the same name do not count', async (t) => {
    const process = await CertificateProcess.issued(t);
    assert.deepEqual(await damageThrice(process), [true, true, true]);
    assert.equal(await damage(process), false);
    await deleteWithSecret(process);
    await process.create();
    await process.settle();
    assert.deepEqual(await damageThrice(process), [true, true, true]);
  });
});

describe('a failure', () => {
  test('of a deleted resource is not retried', async (t) => {
    const process = await CertificateProcess.failed(t);
    await process.remove(certificates, 'payments');
    await process.settle();
    process.nowMs += 5001;
    await process.create({}, 'other');
    await process.settle('other');
    assert.deepEqual(process.retried, []);
  });

  test('is retried when the current certificate expires, at the latest', async (t) => {
    const process = await CertificateProcess.issued(t);
    const notAfter = new Date(process.status().notAfter ?? '');
    process.nowMs = notAfter.getTime() - 2000;
    process.refuse(patch);
    const result = await process.settle();
    assert.deepEqual(result?.requeueAt, notAfter);
    process.nowMs = notAfter.getTime();
    await process.settle();
    assert.ok(process.requests.includes(patch));
    assert.equal(process.ready(), 'Issued');
  });
});

describe('an RSA key that is being generated', () => {
  const rsa = { privateKey: { algorithm: 'RSA', size: 2048, encoding: 'PKCS8', rotationPolicy: 'Always' } } as const;
  const ordered = async (t: TestContext) => {
    const process = await CertificateProcess.begin(t);
    await process.create(rsa);
    await process.deliver();
    const result = await process.reconcile();
    assert.equal(result?.requeueAt.getTime(), process.nowMs + 1000);
    assert.deepEqual(process.requests, []);
    return process;
  };

  test('is reported in status only after one second', async (t) => {
    const process = await ordered(t);
    process.nowMs += 999;
    await process.settle();
    assert.deepEqual(process.requests, []);
    process.nowMs += 1;
    await process.settle();
    assert.equal(process.ready(), 'Pending');
    process.rsaKey.resolve(privateKey({ algorithm: 'RSA', size: 2048 }));
    await process.settle();
    await process.settle();
    assert.equal(process.ready(), 'Issued');
  });

  test('is not used for a resource of the same name that is created later', async (t) => {
    const process = await ordered(t);
    await process.remove(certificates, 'payments');
    await process.settle();
    process.nowMs += 500;
    await process.create(rsa);
    await process.deliver();
    const result = await process.reconcile();
    assert.equal(result?.requeueAt.getTime(), process.nowMs + 1000);
  });
});

describe('a Secret that pods may have mounted', () => {
  const changedAtMs = ({ caches }: CertificateProcess) => caches.secrets.get(`shop/${secretName}`)?.changedAtMs;

  test('has the time of its last change, and none when it is new', async (t) => {
    const process = await CertificateProcess.issued(t);
    assert.equal(changedAtMs(process), Number.NEGATIVE_INFINITY);
    process.nowMs += 1000;
    process.sign(signer, root({ name: 'Second' }));
    await process.settle();
    assert.equal(changedAtMs(process), process.nowMs, 'another bundle');
    process.nowMs += 1000;
    await process.annotate('rotate', 'a');
    await process.settle();
    assert.equal(changedAtMs(process), process.nowMs - 1000, 'the same bundle, and a leaf of the same root');
    process.nowMs += 1000;
    await process.remove(secrets, secretName);
    await process.settle();
    assert.equal(changedAtMs(process), process.nowMs, 'it was deleted, and pods still mount it');
  });

  test('counts as modified by another writer until the operator writes it', async (t) => {
    const process = await CertificateProcess.issued(t);
    const touched = () => {
      const record = process.caches.secrets.get(`shop/${secretName}`);
      return record !== undefined && 'modifiedByOthers' in record;
    };
    await process.changeSecret({ data: { 'ca.crt': bytes('x') } });
    await process.deliver();
    assert.equal(touched(), true);
    await process.settle();
    assert.equal(touched(), false);
  });

  test('is cached as written, before the watch delivers it', async (t) => {
    const process = await CertificateProcess.begin(t);
    await process.create();
    await process.deliver();
    await process.reconcile();
    await process.reconcile();
    assert.deepEqual(process.requests, []);
    assert.equal(process.ready(), 'Issued');
  });
});

describe('a role is blocked', () => {
  test('by a foreign Secret that is not cached: the operator reads it, and writes nothing', async (t) => {
    const process = await CertificateProcess.begin(t);
    const theirs = { metadata: { namespace: 'shop', name: secretName }, type: 'Opaque', data: {} };
    await process.api.byHand(() => process.api.create(secrets, theirs));
    await process.create();
    await process.settle();
    assert.equal(process.ready(), 'SecretConflict');
    process.nowMs += 30_000;
    await process.settle();
    assert.deepEqual(process.requests, [`find secrets ${secretName}`]);
    process.nowMs += 30_000;
    await process.remove(secrets, secretName);
    await process.settle();
    assert.equal(process.ready(), 'Issued');
  });

  test('by another resource that owns the name, before a Secret exists', async (t) => {
    const process = await CertificateProcess.begin(t);
    const shared = { server: { service: 'payments', secretName: 'shared' } };
    await process.create(shared, 'one');
    await process.create(shared, 'two');
    await process.deliver();
    const [first = '', second = ''] = ['one', 'two'].toSorted((a, b) =>
      uidOf(process, a) < uidOf(process, b) ? -1 : 1,
    );
    await process.settle(second);
    assert.equal(process.ready(second), 'SecretConflict');
    assert.equal(process.secret('shared'), undefined);
    await process.settle(first);
    assert.equal(process.ready(first), 'Issued');
  });
  const uidOf = ({ caches }: CertificateProcess, name: string) => caches.certificates.get(`shop/${name}`)?.uid ?? '';

  test('in status although its bundle could be written', async (t) => {
    const process = await CertificateProcess.issued(t);
    await process.patch({ spec: { server: { dnsNames: ['a.other'] } } });
    process.sign(signer, root({ name: 'Second' }));
    const before = process.secret()?.data?.['ca.crt'];
    await process.settle();
    assert.notEqual(process.secret()?.data?.['ca.crt'], before);
    assert.equal(process.ready(), 'Denied');
  });

  test('by a text that is not a valid password', async (t) => {
    const process = await CertificateProcess.begin(t);
    const password = { metadata: { namespace: 'shop', name: 'pw' }, type: 'Opaque', data: { p: bytes('\u00e9') } };
    await process.api.byHand(() => process.api.create(secrets, password));
    await process.create({ outputs: { pkcs12: { passwordSecretRef: { name: 'pw', key: 'p' } } } });
    await process.settle();
    await process.settle();
    assert.equal(process.ready(), 'KeystorePasswordInvalid');
    assert.equal(process.secret(), undefined);
    await process.byHand(secrets, 'pw', { data: { p: bytes('password') } });
    await process.settle();
    assert.equal(process.ready(), 'Issued');
  });
});

test('a certificate that is to be revoked waits for the CRL, and its authority is queued', async (t) => {
  const process = await CertificateProcess.issued(t);
  process.signCrl([]);
  const [before, serialNumber = ''] = [tlsOf(process), serialIn(process)];
  await process.annotate('revoke', 'a');
  await process.settle();
  assert.deepEqual([process.crlAwaited, tlsOf(process)], [['default'], before]);
  assert.equal(process.status().lastHandledRevoke, undefined);
  process.signCrl([
    { serialNumber, issuer: issuerIdOf(signer), revokedAt: now, notAfter: later(days(90)), namespace: 'shop' },
  ]);
  await process.settle();
  assert.notEqual(tlsOf(process), before);
  assert.equal(process.status().lastHandledRevoke, 'a');
});

for (const [what, data] of Object.entries({ 'a good Secret': {}, 'a damaged Secret': { 'tls.crt': bytes('x') } })) {
  test(`the adoption of ${what} is reported, and keeps other owners`, async (t) => {
    const process = await CertificateProcess.issued(t);
    const others = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'theirs', uid: 'their-uid' }];
    await process.changeSecret({ metadata: { ownerReferences: others }, data });
    await process.settle();
    assert.ok(eventsOf(process).includes('SecretAdopted'));
    const owners = process.secret()?.metadata.ownerReferences ?? [];
    assert.deepEqual(
      owners.map(({ kind, controller = false }) => [kind, controller]),
      [
        ['ConfigMap', false],
        ['MtlsCertificate', true],
      ],
    );
  });
}

test('a Secret that is older than the annotation secret-name gets the annotation before it is deleted', async (t) => {
  const process = await CertificateProcess.issued(t);
  await process.changeSecret({ metadata: { annotations: { [annotations.secretName]: null } } });
  await process.patch({ spec: { server: { service: 'payments', secretName: 'renamed' } } });
  let noted: string | undefined;
  process.before(`delete secrets ${secretName}`, () => {
    noted = process.secret()?.metadata.annotations?.[annotations.secretName];
  });
  await process.settle();
  assert.equal(process.secret(), undefined);
  assert.equal(noted, secretName);
});

test('a Secret that cannot be deleted fails the reconcile, which is retried', async (t) => {
  const process = await CertificateProcess.issued(t);
  await process.patch({ spec: { server: { service: 'payments', secretName: 'renamed' } } });
  process.refuse(`delete secrets ${secretName}`, 'ServerError');
  await assert.rejects(process.settle(), /exceeded quota/);
  assert.ok(process.secret() !== undefined);
  await process.settle();
  assert.equal(process.secret(), undefined);
});
