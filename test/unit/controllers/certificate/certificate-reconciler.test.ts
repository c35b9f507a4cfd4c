import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { annotations } from '../../../../src/api/constants.ts';
import { certificates } from '../../../../src/controllers/objects/resources.ts';
import { isKubeError, secrets } from '../../../../src/kube/index.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { days, minutes } from '../../../support/fixtures/times.ts';
import { CertificateProcess, create, patch, secretName, signer, writeStatus } from '../world/certificate-process.ts';

const readSecret = `find secrets ${secretName}`;
const readResource = 'find mtlscertificates payments';

const both = { server: { service: 'payments' }, client: { serviceAccount: 'checkout' } };
const count = ({ requests }: CertificateProcess, wanted: string) => requests.filter((one) => one === wanted).length;
const revisionOf = (process: CertificateProcess) => process.secret()?.metadata.resourceVersion;
const eventsOf = ({ events }: CertificateProcess) => events.map(({ reason, note }) => `${reason}: ${note}`);
const bytes = (text: string) => Buffer.from(text).toString('base64');
const otherOwner = [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'theirs', uid: 'their-uid', controller: true }];

describe('a reconcile', () => {
  test('writes a Secret once and the status once, and nothing in steady state', async (t) => {
    const process = await CertificateProcess.issued(t);
    assert.deepEqual(process.requests, [create, writeStatus]);
    await process.settle();
    assert.deepEqual(process.requests, []);
  });

  test('of a deleted resource writes nothing', async (t) => {
    const process = await CertificateProcess.issued(t);
    await process.remove(certificates, 'payments');
    await process.settle();
    assert.deepEqual(process.requests, []);
  });

  test('waits for every role, reports what was issued, and fails when one role has failed', async (t) => {
    const process = await CertificateProcess.begin(t);
    await process.create(both);
    await process.deliver();
    process.refuse(create, 'Network');
    await assert.rejects(process.reconcile(), (error) => isKubeError(error, 'Network'));
    assert.ok(process.secret('payments-client-tls') !== undefined);
    assert.deepEqual(
      eventsOf(process).map((text) => text.split(':')[0]),
      ['Issued'],
    );
    assert.equal(process.ready(), undefined);
    await process.settle();
    assert.equal(process.ready(), 'Issued');
  });
});

describe('a resource that has changed since it was cached', () => {
  /** What may have changed in the resource, or what another leader may have done for it. */
  const changes: Record<string, (process: CertificateProcess) => Promise<unknown>> = {
    'was deleted': (process) => process.remove(certificates, 'payments'),
    'was deleted and created again': async (process) => {
      await process.remove(certificates, 'payments');
      await process.create();
    },
    'is being deleted': async (process) => {
      await process.patch({ metadata: { finalizers: ['example.com/held'] } });
      await process.remove(certificates, 'payments');
    },
    'has another spec': (process) => process.patch({ spec: { server: { service: 'other' } } }),
    'has another rotate token': (process) => process.annotate('rotate', 'later'),
    'has a revoke token': (process) => process.annotate('revoke', 'now'),
    'has handled the rotate token': (process) => process.patchStatus({ lastHandledRotate: 'asked' }),
    'has handled another revoke token': (process) => process.patchStatus({ lastHandledRevoke: 'x' }),
    'has handled the rotate token for one role': (process) =>
      process.patchStatus({
        secrets: (process.status().secrets ?? []).map((entry) => ({ ...entry, handledRotate: 'asked' })),
      }),
  };
  /** Steps that follow from the cache. Each is wrong if the resource has changed. */
  const steps: Record<string, (process: CertificateProcess) => Promise<unknown>> = {
    'a rotation': (process) => process.annotate('rotate', 'asked'),
    'a repair': (process) => process.changeSecret({ data: { 'tls.crt': bytes('x') } }),
    'a deleted Secret': (process) => process.remove(secrets, secretName),
    'an adoption': (process) => process.changeSecret({ metadata: { ownerReferences: null } }),
  };
  for (const [what, prepare] of Object.entries(steps)) {
    for (const [how, change] of Object.entries(changes)) {
      test(`gets no new Secret by ${what} if it ${how}`, async (t) => {
        const process = await CertificateProcess.issued(t);
        await prepare(process);
        await process.deliver();
        await change(process);
        const before = revisionOf(process);
        await process.reconcile();
        assert.deepEqual(process.requests.slice(0, 1), [readResource]);
        assert.equal(revisionOf(process), before, 'the Secret was written');
        // The cache now has the live version: the next reconcile acts on it.
        const live = process.api.find(certificates, { namespace: 'shop', name: 'payments' });
        if (live === undefined) return;
        const seen = process.caches.certificates.get('shop/payments');
        assert.equal(seen?.resourceVersion, live.metadata.resourceVersion);
      });
    }
    test(`is read once for ${what}, which is carried out if only its status and labels have changed`, async (t) => {
      const process = await CertificateProcess.issued(t);
      await prepare(process);
      await process.deliver();
      await process.patch({ metadata: { labels: { theirs: 'x' } } });
      const before = revisionOf(process);
      await process.reconcile();
      assert.equal(count(process, readResource), 1);
      assert.notEqual(revisionOf(process), before);
    });
  }

  test('gets no new Secret if it was deleted, even if its status does not have the first one yet', async (t) => {
    const process = await CertificateProcess.begin(t);
    await process.create();
    process.refuse(writeStatus, 'Conflict');
    await process.settle();
    await process.annotate('rotate', 'asked');
    await process.deliver();
    await process.remove(certificates, 'payments');
    const before = revisionOf(process);
    await process.reconcile();
    assert.equal(revisionOf(process), before);
  });

  test('gets no new Secret if the request was withdrawn', async (t) => {
    const process = await CertificateProcess.issued(t);
    await process.annotate('rotate', 'asked');
    await process.deliver();
    await process.patch({ metadata: { annotations: { [annotations.rotate]: null } } });
    const before = revisionOf(process);
    await process.reconcile();
    assert.equal(revisionOf(process), before);
  });

  test('is not read for its first Secret, because no earlier request can exist', async (t) => {
    const process = await CertificateProcess.issued(t);
    assert.ok(!process.requests.includes(readResource));
  });

  for (const isRecreated of [false, true]) {
    const what = isRecreated ? 'was deleted and created again' : 'was deleted';
    test(`is read for its first Secret if the Secret is retained and the resource ${what}`, async (t) => {
      const process = await CertificateProcess.begin(t);
      await process.create({ deletionPolicy: 'Retain' });
      await process.deliver();
      await process.remove(certificates, 'payments');
      if (isRecreated) await process.create({ deletionPolicy: 'Retain' });
      await process.reconcile();
      assert.deepEqual(process.requests, [readResource]);
      assert.equal(process.secret(), undefined);
    });
  }

  test('is not read for an update of the bundle', async (t) => {
    const process = await CertificateProcess.issued(t);
    process.sign(signer, root({ name: 'Second' }));
    await process.reconcile();
    assert.deepEqual(process.requests, [patch]);
  });
});

describe('a write that finds a Secret newer than the cache', () => {
  /** A resource whose Secret gets another bundle. */
  const behind = async (t: TestContext) => {
    const process = await CertificateProcess.issued(t);
    process.sign(signer, root({ name: 'Second' }));
    return process;
  };
  /** Another client makes these changes, one before each write of the operator. */
  const interrupt = (process: CertificateProcess, ...changes: readonly object[]) => {
    for (const change of changes) process.before(patch, () => process.changeSecret(change).then(() => undefined));
  };
  const bundleOf = (process: CertificateProcess) => process.secret()?.data?.['ca.crt'];
  const labelled = (n: string) => ({ metadata: { labels: { theirs: n } } });

  test('is planned again, and carried out once', async (t) => {
    const process = await behind(t);
    const before = bundleOf(process);
    interrupt(process, labelled('1'), labelled('2'));
    await process.reconcile();
    assert.equal(count(process, patch), 3);
    assert.notEqual(bundleOf(process), before);
    assert.equal(process.secret()?.metadata.labels?.['theirs'], '2');
    assert.equal(process.ready(), 'Issued');
  });

  test('does not create a deleted Secret again without reading the resource', async (t) => {
    const process = await CertificateProcess.issued(t);
    await process.annotate('rotate', 'a');
    await process.deliver();
    process.before(patch, () => process.remove(secrets, secretName));
    await assert.rejects(process.reconcile(), (error) => isKubeError(error, 'NotFound'));
    assert.equal(process.secret(), undefined);
    await process.settle();
    assert.equal(process.ready(), 'Issued');
  });

  test('leaves a foreign Secret unchanged that was created meanwhile', async (t) => {
    const process = await CertificateProcess.begin(t);
    await process.create();
    await process.deliver();
    const theirs = { metadata: { namespace: 'shop', name: secretName }, type: 'Opaque', data: { a: bytes('x') } };
    process.before(create, async () => {
      await process.api.byHand(() => process.api.create(secrets, theirs));
    });
    await process.reconcile();
    assert.deepEqual(process.secret()?.data, theirs.data);
    assert.equal(process.ready(), 'SecretConflict');
  });
});

describe('a Secret that no role names any more', () => {
  const renamed = { spec: { server: { service: 'payments', secretName: 'renamed' } } };

  test('is deleted when its successor exists', async (t) => {
    const process = await CertificateProcess.issued(t);
    await process.patch(renamed);
    await process.settle();
    assert.equal(process.secret(), undefined);
    assert.ok(process.secret('renamed') !== undefined);
    const writes = process.requests.filter((request) => /^(create|delete|mergePatch) secrets/.test(request));
    assert.deepEqual(writes, ['create secrets renamed', `delete secrets ${secretName}`]);
    const deletions = process.events.filter(({ reason }) => reason === 'SecretDeleted');
    assert.deepEqual(
      deletions.map(({ regarding, note }) => [regarding.name, note]),
      [['payments', `Deleted Secret ${secretName} because no role of the resource uses it`]],
    );
  });

  test('stays while its successor cannot be written', async (t) => {
    const process = await CertificateProcess.issued(t);
    await process.patch(renamed);
    for (const code of ['Forbidden', 'Network'] as const) {
      process.refuse('create secrets renamed', code);
      await process.settle().catch(() => undefined);
      assert.ok(process.secret() !== undefined, code);
      process.nowMs += minutes(11);
    }
    await process.settle();
    assert.equal(process.secret(), undefined);
  });

  test('stays while another role is blocked', async (t) => {
    const process = await CertificateProcess.issued(t, both);
    await process.patch({ spec: { ...renamed.spec, client: { serviceAccount: 'other' } } });
    process.refuse('mergePatch secrets payments-client-tls');
    await process.settle();
    assert.equal(process.ready(), 'IssuanceFailed');
    assert.ok(process.secret('renamed') !== undefined && process.secret() !== undefined);
  });

  test('stays if another object became its owner just before the deletion', async (t) => {
    const process = await CertificateProcess.issued(t);
    await process.patch(renamed);
    process.before(`delete secrets ${secretName}`, () =>
      process.changeSecret({ metadata: { ownerReferences: otherOwner } }).then(() => undefined),
    );
    await process.settle();
    assert.ok(process.secret() !== undefined);
    await process.settle();
    assert.ok(process.secret() !== undefined);
  });

  test('stays if another client deleted and created it again just before the deletion', async (t) => {
    const process = await CertificateProcess.issued(t);
    await process.patch(renamed);
    process.before(`delete secrets ${secretName}`, async () => {
      const { metadata, ...rest } = process.secret() ?? assert.fail();
      const { uid: _, resourceVersion: __, ...named } = metadata;
      await process.remove(secrets, secretName);
      await process.api.byHand(() => process.api.create(secrets, { ...rest, metadata: named }));
    });
    await process.settle();
    assert.ok(process.secret() !== undefined);
  });
});

describe('a Secret of another type, which cannot be updated,', () => {
  const opaque = async (t: TestContext) => {
    const process = await CertificateProcess.issued(t);
    const { metadata, data } = process.secret() ?? assert.fail();
    const { uid: _, resourceVersion: __, ...named } = metadata;
    await process.remove(secrets, secretName);
    await process.api.byHand(() => process.api.create(secrets, { metadata: named, type: 'Opaque', data: data ?? {} }));
    await process.deliver();
    return process;
  };

  test('is deleted and created again with its key', async (t) => {
    const process = await opaque(t);
    const key = process.secret()?.data?.['tls.key'];
    await process.settle();
    assert.equal(process.secret()?.type, 'kubernetes.io/tls');
    assert.equal(process.secret()?.data?.['tls.key'], key);
  });

  test('stays if another object has become its owner', async (t) => {
    const process = await opaque(t);
    process.before(`delete secrets ${secretName}`, () =>
      process.changeSecret({ metadata: { ownerReferences: otherOwner } }).then(() => undefined),
    );
    await process.reconcile();
    assert.equal(process.secret()?.type, 'Opaque');
    assert.equal(process.ready(), 'SecretConflict');
  });
});

describe('certificates that were issued while status could not be written', () => {
  test('are in status afterwards as replaced, so that they can still be revoked', async (t) => {
    const process = await CertificateProcess.issued(t);
    const first = process.status().secrets?.[0]?.serialNumber;
    for (const token of ['a', 'b']) {
      await process.annotate('rotate', token);
      await process.deliver();
      process.refuse(writeStatus, 'Conflict');
      await process.reconcile();
    }
    await process.settle();
    await process.annotate('rotate', 'c');
    await process.settle();
    const [entry] = process.status().secrets ?? [];
    const replaced = entry?.replaced?.map(({ serialNumber }) => serialNumber) ?? [];
    assert.equal(replaced.length, 3);
    assert.ok(replaced.includes(first ?? ''));
    assert.equal(new Set([...replaced, entry?.serialNumber]).size, 4);
  });
});

describe('a role that fails', () => {
  test('is retried after its delay and not before, and at once with a new spec', async (t) => {
    const process = await CertificateProcess.begin(t);
    await process.create();
    process.refuse(create, 'Forbidden', 2);
    const result = await process.settle();
    assert.equal(process.ready(), 'IssuanceFailed');
    const delayMs = (result?.requeueAt.getTime() ?? 0) - process.nowMs;
    assert.ok(delayMs >= 4500 && delayMs <= 5000, `${delayMs} ms`);
    process.nowMs += delayMs - 1;
    await process.settle();
    assert.deepEqual(process.requests, []);
    process.nowMs += 1;
    await process.settle();
    assert.equal(count(process, create), 1);
    assert.equal(process.status().failedIssuanceAttempts, 2);
    await process.patch({ spec: { server: { service: 'other' } } });
    await process.settle();
    assert.equal(process.ready(), 'Issued');
    assert.equal(process.status().failedIssuanceAttempts, undefined);
  });

  test('is retried after another resource in its namespace was written, but not after a write of status alone', async (t) => {
    const process = await CertificateProcess.failed(t);
    process.nowMs += 5001;
    await process.create({}, 'other');
    await process.settle('other');
    assert.deepEqual(process.retried, ['shop/payments']);
    process.retried.length = 0;
    process.refuse(create);
    await process.settle();
    process.nowMs += 5001;
    await process.settle('other');
    assert.deepEqual(process.retried, []);
  });

  test('waits for its delay although status does not have it, until the next term', async (t) => {
    const process = await CertificateProcess.begin(t);
    await process.create();
    await process.deliver();
    process.refuse(create);
    process.refuse(writeStatus, 'Conflict', 2);
    await process.reconcile();
    assert.deepEqual(process.requests, [create, writeStatus]);
    await process.reconcile();
    assert.deepEqual(process.requests, [writeStatus]);
    process.beginTerm();
    await process.reconcile();
    assert.deepEqual(process.requests, [create, writeStatus]);
  });

  test('waits for its delay in the next term and in another process if status has it', async (t) => {
    const process = await CertificateProcess.failed(t);
    assert.equal(process.ready(), 'IssuanceFailed');
    process.beginTerm();
    await process.settle();
    const next = await CertificateProcess.begin(t, process.api);
    await next.settle();
    assert.deepEqual([process.requests, next.requests], [[], []]);
  });

  test('is forgotten when the resource is deleted and created again', async (t) => {
    const process = await CertificateProcess.failed(t);
    await process.remove(certificates, 'payments');
    await process.settle();
    await process.create();
    await process.settle();
    assert.equal(process.ready(), 'Issued');
  });
});

describe('a Secret that another writer keeps changing', () => {
  /** Damages the Secret, and lets the operator reconcile. True if it was repaired. */
  const damage = async (process: CertificateProcess) => {
    await process.changeSecret({ data: { 'tls.crt': bytes('x') } });
    await process.settle();
    return process.secret()?.data?.['tls.crt'] !== bytes('x');
  };

  test('is repaired at once three times and then after pauses, and the writer is looked up once each time', async (t) => {
    const process = await CertificateProcess.issued(t);
    assert.deepEqual([await damage(process), await damage(process), await damage(process)], [true, true, true]);
    assert.equal(process.ready(), 'Issued');
    assert.equal(await damage(process), false);
    assert.equal(process.ready(), 'SecretContested');
    assert.equal(count(process, readSecret), 1);
    await process.settle();
    assert.equal(count(process, readSecret), 0, 'the writer was looked up twice');
    process.nowMs += 30_001;
    await process.settle();
    assert.notEqual(process.secret()?.data?.['tls.crt'], bytes('x'));
    assert.equal(process.ready(), 'SecretContested', 'it has to stay unchanged for a while');
  });

  test('is repaired at once when a user requests it', async (t) => {
    const process = await CertificateProcess.issued(t);
    for (let i = 0; i < 4; i += 1) await damage(process);
    assert.equal(process.ready(), 'SecretContested');
    await process.annotate('retry', 'now');
    await process.settle();
    assert.equal(process.ready(), 'Issued');
    assert.equal(process.status().lastHandledRetry, 'now');
    assert.deepEqual([await damage(process), await damage(process), await damage(process)], [true, true, true]);
  });

  test('is repaired at once when a user requests it while the operator is down, and the repairs count from zero again', async (t) => {
    const process = await CertificateProcess.issued(t);
    for (let i = 0; i < 4; i += 1) await damage(process);
    await process.annotate('retry', 'now');
    const next = await CertificateProcess.begin(t, process.api);
    next.nowMs = process.nowMs;
    await next.settle();
    assert.equal(next.ready(), 'Issued');
    assert.deepEqual([await damage(next), await damage(next), await damage(next)], [true, true, true]);
  });

  test('gets no free repairs from a restart or another leader', async (t) => {
    const process = await CertificateProcess.issued(t);
    for (let i = 0; i < 4; i += 1) await damage(process);
    const next = await CertificateProcess.begin(t, process.api);
    next.nowMs = process.nowMs;
    await next.settle();
    assert.equal(next.secret()?.data?.['tls.crt'], bytes('x'));
    process.beginTerm();
    await process.settle();
    assert.equal(process.secret()?.data?.['tls.crt'], bytes('x'));
  });

  test('is repaired when due, and its repairs are forgotten an hour later, without any other event', async (t) => {
    const process = await CertificateProcess.issued(t);
    for (let i = 0; i < 4; i += 1) await damage(process);
    const history: [afterMs: number, ready: string | undefined, remembered: boolean][] = [];
    const beganMs = process.nowMs;
    for (let turn = 0; turn < 4; turn += 1) {
      const result = await process.settle();
      process.nowMs = result?.requeueAt.getTime() ?? assert.fail('no requeue');
      await process.settle();
      const isRemembered = process.status().secrets?.[0]?.repairs !== undefined;
      history.push([process.nowMs - beganMs, process.ready(), isRemembered]);
    }
    const [repaired, calm, forgotten, later] = history;
    assert.ok(repaired !== undefined && calm !== undefined && forgotten !== undefined && later !== undefined);
    // 30 s after three repairs and 60 s after the fourth, each up to 10% less.
    assert.ok(repaired[0] >= 27_000 && repaired[0] <= 30_000, `${repaired[0]} ms`);
    assert.ok(calm[0] - repaired[0] >= 54_000 && calm[0] - repaired[0] <= 60_000, `${calm[0]} ms`);
    assert.equal(forgotten[0] - repaired[0], minutes(60));
    assert.ok(later[0] > days(30));
    assert.deepEqual(
      history.map(([, ...rest]) => rest),
      [
        ['SecretContested', true],
        ['Issued', true],
        ['Issued', false],
        ['Issued', false],
      ],
    );
  });
});

test('an authority that is not known yet leaves everything unchanged', async (t) => {
  const process = await CertificateProcess.issued(t);
  process.authorityStates.clear();
  await process.annotate('rotate', 'a');
  await process.settle();
  assert.deepEqual(process.requests, []);
  assert.equal(process.ready(), 'Issued');
});
