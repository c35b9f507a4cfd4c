import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { SecretDeleter } from '../../../../src/controllers/certificate/secret-deleter.ts';
import { SecretFinder } from '../../../../src/controllers/certificate/secret-finder.ts';
import { SecretWriter } from '../../../../src/controllers/certificate/secret-writer.ts';
import type { StepResult } from '../../../../src/controllers/certificate/step-result.ts';
import { StepRunner } from '../../../../src/controllers/certificate/step-runner.ts';
import { isKubeError, type KubeErrorCode, secrets, silentLog } from '../../../../src/kube/index.ts';
import {
  type ObservedCertificate,
  type ObservedRole,
  planSecret,
  type Repairs,
  type SecretStep,
} from '../../../../src/plan/index.ts';
import { rules } from '../../../support/fixtures/authority.ts';
import { privateKey, root } from '../../../support/fixtures/roots.ts';
import { days, earlier, later, now } from '../../../support/fixtures/times.ts';
import { CertificateProcess, create, patch, secretName, signer, writeStatus } from '../world/certificate-process.ts';

const never = new AbortController().signal;
const bytes = (text: string) => Buffer.from(text).toString('base64');
const second = root({ name: 'Second' });
const theirs = [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'theirs', uid: 'their-uid', controller: true }];
const readMetadata = `find secrets ${secretName}`;
const readKey = `get secrets ${secretName}`;
const readPassword = 'find secrets pw';
const remove = `delete secrets ${secretName}`;
const rsa = { privateKey: { algorithm: 'RSA', size: 2048, encoding: 'PKCS8', rotationPolicy: 'Always' } } as const;

type Act = (process: CertificateProcess, t: TestContext) => unknown;

/** Everything that is needed to carry out a step of the role `server`. */
async function begin(process: CertificateProcess, repairs?: Repairs) {
  const { caches, authorityStates, client, crlAwaited } = process;
  const now = () => new Date(process.nowMs);
  const ignore = () => undefined;
  const finder = new SecretFinder(client, caches);
  const roots = () => authorityStates.roots();
  const common = { client, caches, roots, now, log: silentLog };
  const writer = new SecretWriter({
    ...common,
    keys: process.newKeys(),
    observer: { onIssued: ignore },
    deleter: new SecretDeleter({ client, log: silentLog, onDeleted: ignore }),
  });
  const runner = new StepRunner({
    finder,
    writer,
    authorityStates,
    onCrlAwaited: (name) => crlAwaited.push(name),
    now,
  });
  await process.deliver();
  const certificate = caches.certificates.get('shop/payments') ?? assert.fail();
  const found = await finder.find(certificate, secretName, false, never);
  const role: ObservedRole = { role: 'server', secretName, ...found, ...(repairs && { repairs }) };
  const password = caches.keystorePassword(certificate);
  const observed: ObservedCertificate = {
    certificate,
    namespaceLabels: {},
    authority: { ...authorityStates.get('default'), ...rules },
    roles: [role],
    surplus: [],
    ...(password && { keystorePassword: password }),
  };
  const step = planSecret(observed, role, now());
  const observation = { observed, material: authorityStates.material('default') };
  process.requests.length = 0;
  return { step, run: () => runner.run(observation, role, step, never) };
}

/** A resource without a Secret. */
async function withoutSecret(t: TestContext): Promise<CertificateProcess> {
  const process = await CertificateProcess.begin(t);
  await process.create();
  return process;
}

/** The result of a step. After a step without a problem, the role has the Secret as it is in the API server. */
async function outcomeOf(process: CertificateProcess, run: () => Promise<StepResult>) {
  const { outcome, pendingSince, ...result } = await run();
  if (outcome.problem === undefined) {
    const { resourceVersion, content } = outcome.role.secret ?? assert.fail('the outcome has no Secret');
    assert.equal(resourceVersion, process.secret()?.metadata.resourceVersion);
    assert.equal(content.bundle, process.authorityStates.material('default')?.bundle.digest);
  }
  const { reason, canWait } = outcome.problem ?? {};
  const problem = canWait === true ? `${reason}, can wait` : reason;
  return { ...result, ...(problem && { problem }), ...(pendingSince && { pendingSince }) };
}

const written = { isWritten: true, isRepaired: false, adopted: false };
const repaired = { isWritten: true, isRepaired: true, adopted: false };

const trustSecond = (process: CertificateProcess) => process.sign(signer, second);
const rotate: Act = (process) => process.annotate('rotate', 'now');
/** A user requests a label. That is neither a repair nor a reason to issue. */
const relabel: Act = (process) => process.patch({ spec: { secretTemplate: { labels: { team: 'a' } } } });
/** A renewal is due, and the current certificate is still valid for some days. */
const due = (process: CertificateProcess) => {
  process.nowMs += days(80);
};
const damage: Act = (process) => process.changeSecret({ data: { 'ca.crt': bytes('x') } });
/** The resource requests keystores with this password. The cache lists passwords only once a resource requests keystores. */
const setPassword = async (process: CertificateProcess, password: string): Promise<void> => {
  const data = { p: bytes(password) };
  await process.api.byHand(() => process.api.create(secrets, { metadata: { namespace: 'shop', name: 'pw' }, data }));
  await process.patch({ spec: { outputs: { pkcs12: { passwordSecretRef: { name: 'pw', key: 'p' } } } } });
  await process.settle();
};
const makeOpaque: Act = async (process) => {
  const { metadata, data = {} } = process.secret() ?? assert.fail();
  const { uid: _, resourceVersion: __, ...named } = metadata;
  await process.remove(secrets, secretName);
  await process.api.byHand(() => process.api.create(secrets, { metadata: named, type: 'Opaque', data }));
};

interface Row {
  /** There is a resource without a Secret. Default: its certificate is issued. */
  readonly isFirst?: true;
  readonly given?: Act;
  /** What happens after the plan. */
  readonly meanwhile?: Act;
  readonly step: SecretStep['step'];
  readonly requests: readonly string[];
  readonly outcome: object;
  readonly crlAwaited?: true;
}

const rows: Record<string, Row> = {
  'a Secret that is up to date is kept': { step: 'keep', requests: [], outcome: {} },
  'a Secret that belongs to another object is left unchanged': {
    given: (process) => process.changeSecret({ metadata: { ownerReferences: theirs } }),
    step: 'blocked',
    requests: [],
    outcome: { problem: 'SecretConflict' },
  },
  'a renewal that the authority blocks can wait': {
    given: (process) => {
      due(process);
      process.judge({ state: 'notReady', reason: 'RootExpired', message: 'x' });
    },
    step: 'blocked',
    requests: [],
    outcome: { problem: 'AuthorityNotReady, can wait' },
  },
  'a certificate that is to be revoked waits for the CRL, and its authority is queued': {
    given: async (process) => {
      process.signCrl([]);
      await process.annotate('revoke', 'now');
    },
    step: 'blocked',
    requests: [],
    outcome: { problem: 'Pending, can wait' },
    crlAwaited: true,
  },
  'a certificate that waits for the CRL gets a new bundle': {
    given: async (process) => {
      process.signCrl([], second);
      await process.annotate('revoke', 'now');
    },
    step: 'update',
    requests: [patch],
    outcome: { ...written, problem: 'Pending, can wait' },
    crlAwaited: true,
  },
  'a first certificate is issued': {
    isFirst: true,
    step: 'issue',
    requests: [create],
    outcome: { ...written, issued: { reason: 'SecretMissing', keptKey: false } },
  },
  'a new certificate is issued for a new key': {
    given: rotate,
    step: 'issue',
    requests: [patch],
    outcome: { ...written, issued: { reason: 'RotationRequested', keptKey: false } },
  },
  'a new certificate is issued for the same key': {
    given: (process) => process.patch({ spec: { duration: '48h', privateKey: { rotationPolicy: 'Never' } } }),
    step: 'issue',
    requests: [readKey, patch],
    outcome: { ...written, issued: { reason: 'SpecChanged', keptKey: true } },
  },
  'a Secret of another type is replaced': {
    given: makeOpaque,
    step: 'issue',
    requests: [readKey, remove, create],
    outcome: { ...repaired, issued: { reason: 'SecretCorrupted', keptKey: true } },
  },
  'a new bundle is written': { given: trustSecond, step: 'update', requests: [patch], outcome: written },
  'a change by another writer is repaired': {
    given: damage,
    step: 'update',
    requests: [patch],
    outcome: repaired,
  },
  'a Secret without a controller is adopted': {
    given: (process) => process.changeSecret({ metadata: { ownerReferences: null } }),
    step: 'update',
    requests: [readKey, patch],
    outcome: { ...repaired, adopted: true },
  },
  'a Secret that will be retained loses its owner, and is not adopted': {
    given: (process) => process.patch({ spec: { deletionPolicy: 'Retain' } }),
    step: 'update',
    requests: [readKey, patch],
    outcome: written,
  },
  'a first certificate waits for its RSA key': {
    isFirst: true,
    given: (process) => process.patch({ spec: rsa }),
    step: 'issue',
    requests: [],
    outcome: { problem: 'Pending', pendingSince: now },
  },
  'a renewal waits for its RSA key, and can wait': {
    isFirst: true,
    given: async (process) => {
      process.rsaKey.resolve(privateKey({ algorithm: 'RSA', size: 2048 }));
      await process.patch({ spec: rsa });
      await process.settle();
      await process.settle();
      due(process);
    },
    step: 'issue',
    requests: [],
    outcome: { problem: 'Pending, can wait', pendingSince: later(days(80)) },
  },
  'an invalid password is refused': {
    isFirst: true,
    given: (process) => setPassword(process, '\u00e9'),
    step: 'issue',
    requests: [readPassword],
    outcome: { problem: 'KeystorePasswordInvalid' },
  },
  'keystores with a new password can wait while that password is invalid': {
    isFirst: true,
    given: async (process) => {
      await setPassword(process, 'password');
      await process.settle();
      assert.equal(process.ready(), 'Issued');
      await process.byHand(secrets, 'pw', { data: { p: bytes('\u00e9') } });
    },
    step: 'update',
    requests: [readPassword],
    outcome: { problem: 'KeystorePasswordInvalid, can wait' },
  },
  'a certificate that the root may not sign any more is a failure, but not a refusal': {
    isFirst: true,
    // The clock was changed while the operator planned.
    meanwhile: (process) => {
      process.nowMs += days(4000);
    },
    step: 'issue',
    requests: [],
    outcome: { problem: 'IssuanceFailed', failure: { isRefusal: false } },
  },
  'a renewal that the API server refuses can wait': {
    given: due,
    meanwhile: (process) => process.refuse(patch),
    step: 'issue',
    requests: [patch],
    outcome: { problem: 'IssuanceFailed, can wait', failure: { isRefusal: true } },
  },
};
for (const code of ['Forbidden', 'Invalid', 'BadRequest', 'ServerError'] as const) {
  rows[`a write that the API server refuses with ${code} is a failure`] = {
    isFirst: true,
    meanwhile: (process) => process.refuse(create, code),
    step: 'issue',
    requests: [create],
    outcome: { problem: 'IssuanceFailed', failure: { isRefusal: true } },
  };
}

describe('a step', () => {
  for (const [title, { isFirst, given, meanwhile, step, requests, outcome, crlAwaited }] of Object.entries(rows)) {
    test(title, async (t) => {
      const process = await (isFirst ? withoutSecret(t) : CertificateProcess.issued(t));
      await given?.(process, t);
      const begun = await begin(process);
      assert.equal(begun.step.step, step);
      await meanwhile?.(process, t);
      assert.deepEqual(await outcomeOf(process, begun.run), outcome);
      assert.deepEqual(process.requests, requests);
      assert.deepEqual(process.crlAwaited, crlAwaited ? ['default'] : []);
    });
  }
});

describe('a write that finds a Secret newer than the observation', () => {
  const again = [readMetadata, `find secrets ${secretName}`];
  const label = (n: string) => (process: CertificateProcess) =>
    process.changeSecret({ metadata: { labels: { theirs: n } } });
  /** Makes these changes, one before each of the first requests. */
  const before =
    (request: string, ...acts: readonly Act[]): Act =>
    (process, t) => {
      for (const act of acts) process.before(request, () => act(process, t));
    };
  /** A Secret that status does not have yet. */
  const unreported = async (process: CertificateProcess) => {
    process.refuse(writeStatus, 'Conflict');
    await process.settle();
  };

  const superseded: Record<string, Omit<Row, 'step' | 'crlAwaited'> & { readonly throws?: KubeErrorCode }> = {
    'is planned again once': {
      given: relabel,
      meanwhile: before(patch, label('1')),
      requests: [patch, ...again, patch],
      outcome: written,
    },
    'is planned again twice': {
      given: relabel,
      meanwhile: before(patch, label('1'), label('2')),
      requests: [patch, ...again, patch, ...again, patch],
      outcome: written,
    },
    'fails after three attempts': {
      given: relabel,
      meanwhile: before(patch, label('1'), label('2'), label('3')),
      requests: [patch, ...again, patch, ...again, patch],
      outcome: {},
      throws: 'Conflict',
    },
    'fails if the resource itself has to be read again': {
      given: relabel,
      meanwhile: before(patch, (process) => process.changeSecret({ data: { 'tls.crt': bytes('x') } })),
      requests: [patch, ...again],
      outcome: {},
      throws: 'Conflict',
    },
    'is no longer needed if another replica has done it': {
      isFirst: true,
      meanwhile: before(create, async (process, t) => {
        const other = await CertificateProcess.begin(t, process.api);
        await other.reconcile();
      }),
      requests: [create, ...again],
      outcome: {},
    },
    'leaves a Secret unchanged that belongs to another object meanwhile': {
      given: relabel,
      meanwhile: before(patch, (process) => process.changeSecret({ metadata: { ownerReferences: theirs } })),
      requests: [patch, readMetadata],
      outcome: { problem: 'SecretConflict' },
    },
    'creates a Secret that was deleted': {
      isFirst: true,
      given: async (process) => {
        await unreported(process);
        trustSecond(process);
      },
      meanwhile: before(patch, (process) => process.remove(secrets, secretName)),
      requests: [patch, readMetadata, create],
      outcome: { ...written, issued: { reason: 'SecretMissing', keptKey: false } },
    },
    'fails if the authority has changed': {
      given: rotate,
      meanwhile: (process) => process.sign(second),
      requests: again,
      outcome: {},
      throws: 'Conflict',
    },
    'fails if the authority does not sign any more': {
      given: rotate,
      meanwhile: (process) => process.judge({ state: 'notReady', reason: 'RootExpired', message: 'x' }),
      requests: again,
      outcome: {},
      throws: 'Conflict',
    },
    'fails if the API server cannot be reached': {
      given: relabel,
      meanwhile: (process) => process.refuse(patch, 'Network'),
      requests: [patch],
      outcome: {},
      throws: 'Network',
    },
  };
  for (const [title, { isFirst, given, meanwhile, requests, outcome, throws }] of Object.entries(superseded)) {
    test(title, async (t) => {
      const process = await (isFirst ? withoutSecret(t) : CertificateProcess.issued(t));
      await given?.(process, t);
      const { run } = await begin(process);
      await meanwhile?.(process, t);
      if (throws === undefined) assert.deepEqual(await outcomeOf(process, run), outcome);
      else await assert.rejects(run, (error) => isKubeError(error, throws));
      assert.deepEqual(process.requests, requests);
    });
  }

  const repairs = (count: number): Repairs => ({ count, lastTime: earlier(days(1)) });
  const rounds: [title: string, given: Act, count: number, isContested: boolean][] = [
    ['a repair is contested if the Secret was repaired often', damage, 3, true],
    ['a repair fails if the Secret was repaired only twice', damage, 2, false],
    ['a request of a user fails, however often the Secret was repaired,', relabel, 3, false],
  ];
  for (const [title, given, count, isContested] of rounds) {
    test(`${title} and another client is faster three times`, async (t) => {
      const process = await CertificateProcess.issued(t);
      await given(process, t);
      const { run } = await begin(process, repairs(count));
      before(patch, label('1'), label('2'), label('3'))(process, t);
      if (isContested)
        assert.deepEqual(await outcomeOf(process, run), { problem: 'SecretContested', isRepaired: true });
      else await assert.rejects(run, (error) => isKubeError(error, 'Conflict'));
    });
  }
});
