import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { authorities } from '../../../../src/controllers/objects/resources.ts';
import { secrets } from '../../../../src/kube/index.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { CertificateProcess, secretName, signer } from '../world/certificate-process.ts';

const bytes = (text: string) => Buffer.from(text).toString('base64');
const both = { server: { service: 'payments' }, client: { serviceAccount: 'checkout' } };
const clientSecret = 'payments-client-tls';
const readSecret = `find secrets ${secretName}`;

const reads = ({ requests }: CertificateProcess) => requests.filter((request) => /^(find|get|list) /.test(request));
const messageOf = (process: CertificateProcess) =>
  process.status().conditions?.find(({ type }) => type === 'Ready')?.message ?? '';
const managed = (manager: string) => [
  { manager, operation: 'Update', time: '2026-03-01T12:00:00Z', fieldsV1: { 'f:data': { 'f:tls.crt': {} } } },
];
/** Another client damages a Secret. */
const damage = (process: CertificateProcess, name = secretName, by = 'kubectl-edit') =>
  process.changeSecret({ metadata: { managedFields: managed(by) }, data: { 'tls.crt': bytes('x') } }, name);
/** Another client damages Secrets until their repair is delayed. */
async function contest(process: CertificateProcess, ...names: readonly string[]): Promise<void> {
  for (let times = 1; times <= 4; times += 1) {
    for (const name of names) await damage(process, name);
    await process.settle();
  }
  assert.equal(process.ready(), 'SecretContested');
}

/** The reads from the API server before a plan is made. */
const situations: Record<
  string,
  {
    readonly given?: (process: CertificateProcess) => unknown;
    readonly reads: readonly string[];
    readonly ready: string;
  }
> = {
  'nothing for a Secret in the cache': { reads: [], ready: 'Issued' },
  'nothing for another bundle': {
    given: (process) => process.sign(signer, root({ name: 'Second' })),
    reads: [],
    ready: 'Issued',
  },
  'nothing for an authority that does not exist': {
    given: (process) => process.api.byHand(() => process.api.delete(authorities, { name: 'default' })),
    reads: [],
    ready: 'AuthorityNotFound',
  },
  'the resource for a Secret that was deleted': {
    given: (process) => process.remove(secrets, secretName),
    reads: ['find mtlscertificates payments'],
    ready: 'Issued',
  },
  'a Secret that the resource does not own any more': {
    given: (process) => process.changeSecret({ metadata: { ownerReferences: null, annotations: null } }),
    reads: [readSecret],
    ready: 'SecretConflict',
  },
};

describe('the operator reads', () => {
  for (const [title, { given, reads: expected, ready }] of Object.entries(situations)) {
    test(title, async (t) => {
      const process = await CertificateProcess.issued(t);
      await given?.(process);
      await process.settle();
      assert.deepEqual([reads(process), process.ready()], [expected, ready]);
    });
  }
});

describe('the client that keeps undoing repairs', () => {
  test('is looked up at once, and only once', async (t) => {
    const process = await CertificateProcess.issued(t);
    await contest(process, secretName);
    assert.deepEqual(reads(process), [readSecret]);
    assert.match(messageOf(process), /changed again and again by kubectl-edit \(data\.tls\.crt\)/);
    await process.settle();
    assert.deepEqual(reads(process), []);
  });

  test('is looked up again after the next repair', async (t) => {
    const process = await CertificateProcess.issued(t);
    await contest(process, secretName);
    process.nowMs += 30_001;
    await process.settle();
    await damage(process, secretName, 'flux');
    await process.settle();
    assert.equal(reads(process).filter((request) => request === readSecret).length, 1);
    assert.match(messageOf(process), /by flux/);
  });

  test('is looked up once for each role', async (t) => {
    const process = await CertificateProcess.issued(t, both);
    await contest(process, secretName, clientSecret);
    assert.deepEqual(reads(process).sort(), [`find secrets ${clientSecret}`, readSecret]);
  });

  test('stays unknown while the API server does not answer, and the reconcile is retried', async (t) => {
    const process = await CertificateProcess.issued(t);
    for (let times = 1; times <= 3; times += 1) {
      await damage(process);
      await process.settle();
    }
    await damage(process);
    process.refuse(readSecret, 'Network');
    await assert.rejects(process.settle(), /exceeded quota/);
    await process.settle();
    assert.match(messageOf(process), /by kubectl-edit/);
  });
});

test('a Secret that has left the cache keeps its name for the resource that owns it', async (t) => {
  const process = await CertificateProcess.begin(t);
  const shared = { server: { service: 'payments', secretName: 'shared' } };
  await process.create({}, 'older');
  await process.create(shared, 'younger');
  await process.settle('younger');
  // The cache holds only Secrets with the operator’s labels.
  await process.changeSecret({ metadata: { labels: null } }, 'shared');
  await process.patch({ spec: shared }, 'older');
  await process.settle('older');
  await process.settle('older');
  const ready = process.status('older').conditions?.find(({ type }) => type === 'Ready');
  assert.deepEqual(
    [ready?.reason, ready?.message],
    [
      'SecretConflict',
      'server: Secret shared belongs to MtlsCertificate younger; set server.secretName to another name',
    ],
  );
});
