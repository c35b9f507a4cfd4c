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
  test('writes a Secret once and the status once, and nothing when all is well', async (t) => {
    const process = await CertificateProcess.issued(t);
    assert.deepEqual(process.requests, [create, writeStatus]);
    await process.settle();
    assert.deepEqual(process.requests, []);
  });

  test('of a resource that is gone writes nothing', async (t) => {
    const process = await CertificateProcess.issued(t);
    await process.remove(certificates, 'payments');
    await process.settle();
    assert.deepEqual(process.requests, []);
  });

  test('waits for the end of every role, tells what was issued, and fails when one of them has failed', async (t) => {
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

describe('a resource that the cache has not seen change', () => {
  /** What may have happened to the resource since, and what another leader may have done for it. */
  const changes: Record<string, (process: CertificateProcess) => Promise<unknown>> = {
    'was deleted': (process) => process.remove(certificates, 'payments'),
    'was deleted and made again': async (process) => {
      await process.remove(certificates, 'payments');
      await process.create();
    },
    'is being deleted': async (process) => {
      await process.patch({ metadata: { finalizers: ['example.com/held'] } });
      await process.remove(certificates, 'payments');
    },
    'has another spec': (process) => process.patch({ spec: { server: { service: 'other' } } }),
    'has another value of rotate': (process) => process.annotate('rotate', 'later'),
    'has a value of revoke': (process) => process.annotate('revoke', 'now'),
    'says that the value of rotate is handled': (process) => process.patchStatus({ lastHandledRotate: 'asked' }),
    'says that another value of revoke is handled': (process) => process.patchStatus({ lastHandledRevoke: 'x' }),
    'says that one role has answered': (process) =>
      process.patchStatus({
        secrets: (process.status().secrets ?? []).map((entry) => ({ ...entry, handledRotate: 'asked' })),
      }),
  };
  /** What the cache has the operator do, each of it wrong if the resource is another one by now. */
  const steps: Record<string, (process: CertificateProcess) => Promise<unknown>> = {
    'a rotation': (process) => process.annotate('rotate', 'asked'),
    'a repair': (process) => process.changeSecret({ data: { 'tls.crt': bytes('x') } }),
    'a Secret that is lost': (process) => process.remove(secrets, secretName),
    'an adoption': (process) => process.changeSecret({ metadata: { ownerReferences: null } }),
  };
  for (const [what, prepare] of Object.entries(steps)) {
    for (const [how, change] of Object.entries(changes)) {
      test(`gets no new Secret by ${what} when it ${how}`, async (t) => {
        const process = await CertificateProcess.issued(t);
        await prepare(process);
        await process.deliver();
        await change(process);
        const before = revisionOf(process);
        await process.reconcile();
        assert.deepEqual(process.requests.slice(0, 1), [readResource]);
        assert.equal(revisionOf(process), before, 'the Secret was written');
        // The cache has it now: the next reconcile acts on what is asked for.
        const live = process.api.find(certificates, { namespace: 'shop', name: 'payments' });
        if (live === undefined) return;
        const seen = process.caches.certificates.get('shop/payments');
        assert.equal(seen?.resourceVersion, live.metadata.resourceVersion);
      });
    }
    test(`is read once for ${what}, and gets it when nothing has changed but its status and labels`, async (t) => {
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

  test('gets no new Secret when it was deleted, although its status does not know yet that it has one', async (t) => {
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

  test('gets no new Secret when the request for it was taken back', async (t) => {
    const process = await CertificateProcess.issued(t);
    await process.annotate('rotate', 'asked');
    await process.deliver();
    await process.patch({ metadata: { annotations: { [annotations.rotate]: null } } });
    const before = revisionOf(process);
    await process.reconcile();
    assert.equal(revisionOf(process), before);
  });

  test('is not read for its first Secret, which nothing can have come before', async (t) => {
    const process = await CertificateProcess.issued(t);
    assert.ok(!process.requests.includes(readResource));
  });

  for (const isMadeAgain of [false, true]) {
    const what = isMadeAgain ? 'have been made again' : 'be gone';
    test(`is read for its first Secret when nothing would delete that should the resource ${what}`, async (t) => {
      const process = await CertificateProcess.begin(t);
      await process.create({ deletionPolicy: 'Retain' });
      await process.deliver();
      await process.remove(certificates, 'payments');
      if (isMadeAgain) await process.create({ deletionPolicy: 'Retain' });
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

describe('a write that meets a Secret that is newer than the cache', () => {
  /** A resource whose Secret gets another bundle. */
  const behind = async (t: TestContext) => {
    const process = await CertificateProcess.issued(t);
    process.sign(signer, root({ name: 'Second' }));
    return process;
  };
  /** Another writer does something right before the operator writes, as often as there are changes. */
  const interrupt = (process: CertificateProcess, ...changes: readonly object[]) => {
    for (const change of changes) process.before(patch, () => process.changeSecret(change).then(() => undefined));
  };
  const bundleOf = (process: CertificateProcess) => process.secret()?.data?.['ca.crt'];
  const labelled = (n: string) => ({ metadata: { labels: { theirs: n } } });

  test('is planned again, and done once', async (t) => {
    const process = await behind(t);
    const before = bundleOf(process);
    interrupt(process, labelled('1'), labelled('2'));
    await process.reconcile();
    assert.equal(count(process, patch), 3);
    assert.notEqual(bundleOf(process), before);
    assert.equal(process.secret()?.metadata.labels?.['theirs'], '2');
    assert.equal(process.ready(), 'Issued');
  });

  test('is not made again without asking for the resource when the Secret was deleted', async (t) => {
    const process = await CertificateProcess.issued(t);
    await process.annotate('rotate', 'a');
    await process.deliver();
    process.before(patch, () => process.remove(secrets, secretName));
    await assert.rejects(process.reconcile(), (error) => isKubeError(error, 'NotFound'));
    assert.equal(process.secret(), undefined);
    await process.settle();
    assert.equal(process.ready(), 'Issued');
  });

  test('leaves a foreign Secret alone that has come to be where there was none', async (t) => {
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

  test('is deleted once the new one is there', async (t) => {
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

  test('stays while the new one cannot be written, and while the write fails', async (t) => {
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

  test('stays while another role cannot have what it needs', async (t) => {
    const process = await CertificateProcess.issued(t, both);
    await process.patch({ spec: { ...renamed.spec, client: { serviceAccount: 'other' } } });
    process.refuse('mergePatch secrets payments-client-tls');
    await process.settle();
    assert.equal(process.ready(), 'IssuanceFailed');
    assert.ok(process.secret('renamed') !== undefined && process.secret() !== undefined);
  });

  test('stays when it was handed to another object in the moment before', async (t) => {
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

  test('stays when it was deleted and made again by somebody in the moment before', async (t) => {
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

describe('a Secret that cannot be written, of another type', () => {
  const opaque = async (t: TestContext) => {
    const process = await CertificateProcess.issued(t);
    const { metadata, data } = process.secret() ?? assert.fail();
    const { uid: _, resourceVersion: __, ...named } = metadata;
    await process.remove(secrets, secretName);
    await process.api.byHand(() => process.api.create(secrets, { metadata: named, type: 'Opaque', data: data ?? {} }));
    await process.deliver();
    return process;
  };

  test('is deleted and made again, with its key', async (t) => {
    const process = await opaque(t);
    const key = process.secret()?.data?.['tls.key'];
    await process.settle();
    assert.equal(process.secret()?.type, 'kubernetes.io/tls');
    assert.equal(process.secret()?.data?.['tls.key'], key);
  });

  test('stays when it has come to belong to another object', async (t) => {
    const process = await opaque(t);
    process.before(`delete secrets ${secretName}`, () =>
      process.changeSecret({ metadata: { ownerReferences: otherOwner } }).then(() => undefined),
    );
    await process.reconcile();
    assert.equal(process.secret()?.type, 'Opaque');
    assert.equal(process.ready(), 'SecretConflict');
  });
});

describe('what was issued before status could say so', () => {
  test('is in status afterwards, as replaced: it can still be revoked', async (t) => {
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
  test('is tried again after its delay and not before, and at once with a new spec', async (t) => {
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

  test('is brought back when another resource of its namespace could be written, and not when that only needed its status', async (t) => {
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

  test('waits for its delay although status does not say so, until the next term', async (t) => {
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

  test('waits for its delay in the next term, and in another process, when status says so', async (t) => {
    const process = await CertificateProcess.failed(t);
    assert.equal(process.ready(), 'IssuanceFailed');
    process.beginTerm();
    await process.settle();
    const next = await CertificateProcess.begin(t, process.api);
    await next.settle();
    assert.deepEqual([process.requests, next.requests], [[], []]);
  });

  test('is another one when the resource is deleted and made again: nothing of the first counts', async (t) => {
    const process = await CertificateProcess.failed(t);
    await process.remove(certificates, 'payments');
    await process.settle();
    await process.create();
    await process.settle();
    assert.equal(process.ready(), 'Issued');
  });
});

describe('a Secret that another writer keeps changing', () => {
  /** Damages the Secret, and lets the operator act. */
  const damage = async (process: CertificateProcess) => {
    await process.changeSecret({ data: { 'tls.crt': bytes('x') } });
    await process.settle();
    return process.secret()?.data?.['tls.crt'] !== bytes('x');
  };

  test('is repaired at once three times, then after pauses, and the writer is asked for once each time', async (t) => {
    const process = await CertificateProcess.issued(t);
    assert.deepEqual([await damage(process), await damage(process), await damage(process)], [true, true, true]);
    assert.equal(process.ready(), 'Issued');
    assert.equal(await damage(process), false);
    assert.equal(process.ready(), 'SecretContested');
    assert.equal(count(process, readSecret), 1);
    await process.settle();
    assert.equal(count(process, readSecret), 0, 'it was asked for twice');
    process.nowMs += 30_001;
    await process.settle();
    assert.notEqual(process.secret()?.data?.['tls.crt'], bytes('x'));
    assert.equal(process.ready(), 'SecretContested', 'it has to stay right for a while');
  });

  test('is repaired at once when a person asks for it', async (t) => {
    const process = await CertificateProcess.issued(t);
    for (let i = 0; i < 4; i += 1) await damage(process);
    assert.equal(process.ready(), 'SecretContested');
    await process.annotate('retry', 'now');
    await process.settle();
    assert.equal(process.ready(), 'Issued');
    assert.equal(process.status().lastHandledRetry, 'now');
    assert.deepEqual([await damage(process), await damage(process), await damage(process)], [true, true, true]);
  });

  test('is repaired at once when a person asks for it while the operator is down, and then as if for the first time', async (t) => {
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

  test('is repaired in its time, and forgotten an hour later, without anything else happening', async (t) => {
    const process = await CertificateProcess.issued(t);
    for (let i = 0; i < 4; i += 1) await damage(process);
    const history: [afterMs: number, ready: string | undefined, remembered: boolean][] = [];
    const beganMs = process.nowMs;
    for (let turn = 0; turn < 4; turn += 1) {
      const result = await process.settle();
      process.nowMs = result?.requeueAt.getTime() ?? assert.fail('it is not brought back');
      await process.settle();
      const isRemembered = process.status().secrets?.[0]?.repairs !== undefined;
      history.push([process.nowMs - beganMs, process.ready(), isRemembered]);
    }
    const [repaired, calm, forgotten, later] = history;
    assert.ok(repaired !== undefined && calm !== undefined && forgotten !== undefined && later !== undefined);
    // 30 s after three repairs, 60 s after the fourth, each up to a tenth less.
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

test('an authority that is not known yet leaves everything as it is', async (t) => {
  const process = await CertificateProcess.issued(t);
  process.authorityStates.clear();
  await process.annotate('rotate', 'a');
  await process.settle();
  assert.deepEqual(process.requests, []);
  assert.equal(process.ready(), 'Issued');
});
