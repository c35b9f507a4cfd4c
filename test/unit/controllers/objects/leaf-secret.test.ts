import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { annotations, labels } from '../../../../src/api/constants.ts';
import { keptKey } from '../../../../src/controllers/certificate/secret-delivery.ts';
import { secretRecord, secretRecordInPool, withChangeTime } from '../../../../src/controllers/objects/leaf-secret.ts';
import { authorityRecord, certificateRecord } from '../../../../src/controllers/objects/resources.ts';
import type { Secret } from '../../../../src/kube/index.ts';
import { encodePem } from '../../../../src/pki/asn1/pem.ts';
import { encodePrivateKey, trustBundle } from '../../../../src/pki/index.ts';
import { ownerReference } from '../../../../src/plan/index.ts';
import { certificate, requestOf } from '../../../support/fixtures/certificate.ts';
import { intermediate, privateKey, root } from '../../../support/fixtures/roots.ts';
import { orphaned, withData, withMarks, withMetadata } from '../../../support/fixtures/secret.ts';
import { now } from '../../../support/fixtures/times.ts';
import { issueContent, withSigner } from '../../../support/sign.ts';
import { throwsCode } from '../../pki/expect.ts';

const signer = root();
const roots = [signer.certificate];
const issued = certificate().issuedBy(signer);
const secret = issued.secret('server');

describe('the record of a Secret', () => {
  test('holds nothing of its key or its data', () => {
    const kept = JSON.stringify(secretRecord(secret, roots));
    for (const value of Object.values(secret.data ?? {})) {
      assert.ok(!kept.includes(value.slice(60, 100)));
      const text = Buffer.from(value, 'base64').toString().split('\n')[1] ?? '';
      assert.ok(text.length > 20 && !kept.includes(text));
    }
  });

  test('leaves out the annotations of other clients, which may have any size', () => {
    const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';
    const annotated = withMarks('annotations', { [lastApplied]: JSON.stringify(secret), 'example.com/a': 'b' })(secret);
    assert.deepEqual(Object.keys(secretRecord(annotated, roots).annotations), [
      annotations.secretName,
      annotations.revision,
    ]);
  });

  test('keeps the annotations of secretTemplate', () => {
    const template = { annotations: { note: 'x' } };
    const templated = certificate().asking({ secretTemplate: template }).issuedBy(signer).secret('server');
    const all = withMarks('annotations', { other: 'y' })(templated);
    assert.equal(secretRecord(all, roots).annotations['note'], 'x');
    assert.equal(secretRecord(all, roots).annotations['other'], undefined);
  });

  test('reports a problem of a key pair, and never throws for it', () => {
    const bad = [
      { 'tls.crt': 'x' },
      { 'tls.key': 'x' },
      { 'tls.crt': '\u{ff}'.repeat(2_000_000) },
      { 'tls.key': undefined },
    ];
    for (const data of bad) assert.ok('problem' in secretRecord(withData(data)(secret), roots).content);
    const { data: _, ...empty } = secret;
    assert.ok('problem' in secretRecord(empty, roots).content);
    assert.ok('problem' in secretRecord({ ...secret, data: { 'tls.crt': '!!!', 'tls.key': '' } }, roots).content);
  });

  test('is the same when the Secret is read in a list, whatever the Secret contains', async () => {
    const { data: _, ...empty } = secret;
    const damaged = [{ 'tls.crt': 'x' }, { 'tls.key': 'x' }, { 'ca.crt': 'x' }].map((data) => withData(data)(secret));
    for (const one of [secret, empty, ...damaged]) {
      assert.deepEqual(await secretRecordInPool(one, roots), secretRecord(one, roots));
    }
  });

  test('takes the content of a Secret that was just written without parsing it', () => {
    const content = { problem: 'stands for content' };
    assert.deepEqual(secretRecord(secret, roots, content).content, content);
  });

  test('has as its owner the MtlsCertificate that controls it, in any version of the API', () => {
    const { ownerReferences } = issued.secret('server').metadata;
    assert.deepEqual(ownerReferences, [ownerReference('MtlsCertificate', issued.record)]);
    const owned = (change: object) =>
      secretRecord(
        withMetadata(() => ({ ownerReferences: [{ ...ownerReference('MtlsCertificate', issued.record), ...change }] }))(
          secret,
        ),
        roots,
      ).owner;
    assert.equal(owned({}), issued.record.uid);
    assert.equal(owned({ apiVersion: 'mtls-operator.io/v1' }), issued.record.uid);
    assert.equal(owned({ apiVersion: 'mtls-operator.io.evil/v1' }), undefined);
    assert.equal(owned({ kind: 'MtlsAuthority' }), undefined);
    assert.equal(owned({ controller: undefined }), undefined);
  });
});

describe('the owner of a Secret', () => {
  const found = issued.secret('server');
  const ownerIn = (secret: Secret) => {
    const { controller, owner, ownerName } = secretRecord(secret, roots);
    return [controller, owner, ownerName];
  };
  const label = (key: string, value: string | undefined) => withMarks('labels', { [key]: value });

  test('is its controller', () => {
    assert.deepEqual(ownerIn(found), ['certificate', issued.record.uid, 'payments']);
    const reference = {
      ...ownerReference('MtlsCertificate', issued.record),
      kind: 'ReplicaSet',
      apiVersion: 'apps/v1',
    };
    assert.deepEqual(ownerIn(withMetadata(() => ({ ownerReferences: [reference] }))(found)), [
      'other',
      undefined,
      undefined,
    ]);
  });

  test('is named by its labels and its annotation if it has no controller', () => {
    assert.deepEqual(ownerIn(orphaned(found)), ['none', undefined, 'payments']);
    const another = { ...ownerReference('MtlsCertificate', issued.record), kind: 'ConfigMap', controller: undefined };
    assert.deepEqual(ownerIn(withMetadata(() => ({ ownerReferences: [another] }))(found)), [
      'none',
      undefined,
      'payments',
    ]);
  });

  const withoutOwner: Record<string, (secret: Secret) => Secret> = {
    'the annotation is missing': withMarks('annotations', { [annotations.secretName]: undefined }),
    'the annotation names another Secret': withMetadata(() => ({ name: 'copy' })),
    'the label managed-by is missing': label(labels.managedBy, undefined),
    'the label managed-by names another program': label(labels.managedBy, 'Helm'),
    'no label names its certificate': label(labels.certificate, undefined),
    'no label names its role': label(labels.role, undefined),
    'the label role is no role': label(labels.role, 'constructor'),
  };
  for (const [why, change] of Object.entries(withoutOwner)) {
    test(`is unknown if ${why}`, () =>
      assert.deepEqual(ownerIn(change(orphaned(found))), ['none', undefined, undefined]));
  }
});

describe('the change time of a Secret', () => {
  const record = secretRecord(secret, roots);
  const before = { ...record, changedAtMs: 10 };
  const sinceOf = (after: typeof record) => withChangeTime(after, before, 50).changedAtMs;
  const another = root();

  test('is now if the Secret was unknown', () => assert.equal(withChangeTime(record, undefined, 50).changedAtMs, 50));
  test('stays the same while bundle and root stay the same', () =>
    assert.equal(sinceOf({ ...record, resourceVersion: '21' }), 10));
  test('stays the same when the certificate was renewed by the same root', () => {
    assert.equal(sinceOf(secretRecord(certificate().issuedBy(signer).secret('server'), roots)), 10);
  });
  test('stays the same when other clients change their own labels', () => {
    assert.equal(sinceOf(secretRecord(withMarks('labels', { a: 'b' })(secret), roots)), 10);
  });

  test('is now with another bundle', () => {
    assert.equal(sinceOf(secretRecord(withData({ 'ca.crt': 'x' })(secret), roots)), 50);
  });
  test('is now with a leaf of another root', () => {
    const { content: foreign } = secretRecord(
      withData({ 'ca.crt': trustBundle(signer.certificate, []).pem })(certificate().issuedBy(another).secret('server')),
      [another.certificate],
    );
    assert.equal(foreign.bundle, record.content.bundle);
    assert.equal(sinceOf({ ...record, content: foreign }), 50);
  });
  test('is now with a leaf that cannot be parsed any more', () => {
    assert.equal(sinceOf(secretRecord(withData({ 'tls.crt': 'x' })(secret), roots)), 50);
  });
  test('is now for another Secret of the same name', () => assert.equal(sinceOf({ ...record, uid: 'another' }), 50));
});

describe('the record of a resource', () => {
  const metadata = {
    namespace: 'shop',
    name: 'payments',
    uid: 'u',
    resourceVersion: '1',
    generation: 2,
    creationTimestamp: '2026-01-01T00:00:00Z',
  };
  const resource = (more: object) => ({
    apiVersion: 'mtls-operator.io/v1alpha1' as const,
    kind: 'MtlsCertificate' as const,
    metadata: { ...metadata, ...more },
    spec: issued.record.spec,
  });

  const tokens: [title: string, value: string | undefined, token: string | undefined][] = [
    ['a value', '2026-03-01', '2026-03-01'],
    ['an empty value, which is not a request', '', undefined],
    ['none', undefined, undefined],
    ['the longest value', 'x'.repeat(1024), 'x'.repeat(1024)],
    ['a value that is too long', 'x'.repeat(1025), undefined],
  ];
  for (const [title, value, token] of tokens) {
    test(`reads ${title} from the annotation rotate`, () => {
      const marks = value === undefined ? {} : { annotations: { [annotations.rotate]: value } };
      assert.equal(certificateRecord(resource(marks)).rotateToken, token);
    });
  }

  test('reports whether it is being deleted', () => {
    assert.equal(certificateRecord(resource({})).deleting, false);
    assert.equal(certificateRecord(resource({ deletionTimestamp: '2026-03-01T00:00:00Z' })).deleting, true);
    const rotation = {
      approval: 'Manual',
      propagationDelay: '1s',
      clusterTrustBundleDelay: '7m',
      reissuesPerSecond: 1,
    } as const;
    const spec = { secretName: 'a', trustDomain: 'a', clusterDomain: 'a', rotation };
    const kinds = { apiVersion: 'mtls-operator.io/v1alpha1', kind: 'MtlsAuthority' } as const;
    assert.equal(authorityRecord({ ...kinds, metadata, spec }).deleting, false);
  });
});

describe('the content of a new Secret', () => {
  const request = requestOf(issued.record, 'server');
  const bundle = trustBundle(signer.certificate, [root().certificate]);

  test('is equal to the content of its record', () => {
    const key = privateKey();
    const { data, content } = issueContent(request, key, { root: signer, bundle }, now);
    assert.deepEqual(secretRecord({ ...secret, data }, bundle.roots).content, content);
    assert.deepEqual(Object.keys(data), ['tls.crt', 'tls.key', 'ca.crt']);
  });

  test('is not issued if the bundle does not hold the signing root', () => {
    const foreign = trustBundle(root().certificate, []);
    throwsCode('VerificationFailed', () => issueContent(request, privateKey(), { root: signer, bundle: foreign }, now));
  });

  test('is not issued if the intermediates of the signer do not form its chain', () => {
    const [first, second] = [intermediate(signer, { name: 'A' }), intermediate(signer, { name: 'A' })];
    const sound = { ...first, intermediates: [first.certificate] };
    assert.ok('leaf' in issueContent(request, privateKey(), { root: sound, bundle }, now).content);
    // The same name with another key, as when files are mixed up; and the key of another certificate.
    const mixed = { ...first, intermediates: [first.certificate, second.certificate] };
    throwsCode('VerificationFailed', () => issueContent(request, privateKey(), { root: mixed, bundle }, now));
    const other = withSigner({ ...first, key: second.key });
    throwsCode('VerificationFailed', () => issueContent(request, privateKey(), { root: other, bundle }, now));
  });

  test('is not issued if the bundle holds another root of the same name', () => {
    const above = root({ name: 'Org' });
    const { key, certificate: twin } = root({ name: 'Org' });
    const namesake = { ...twin, subject: above.certificate.subject, issuer: above.certificate.subject };
    assert.ok(!key.equals(above.key));
    const mistaken = { ...bundle, roots: [namesake] };
    throwsCode('VerificationFailed', () => issueContent(request, privateKey(), { root: above, bundle: mistaken }, now));
  });

  test('keeps a key of the requested kind in any encoding, and no other key', () => {
    const key = privateKey();
    assert.ok(keptKey(request, encodePrivateKey(key, 'PKCS8'))?.equals(key));
    assert.ok(keptKey(request, encodePrivateKey(key, 'SEC1'))?.equals(key));
    assert.equal(keptKey(request, encodePrivateKey(privateKey({ algorithm: 'ECDSA', size: 384 }), 'PKCS8')), undefined);
    // One bit of the private number. The public half is unchanged.
    const damaged = Buffer.from(key.export({ type: 'pkcs8', format: 'der' }));
    damaged.writeUInt8(damaged.readUInt8(40) ^ 1, 40);
    assert.equal(keptKey(request, encodePem('PRIVATE KEY', damaged)), undefined);
    for (const text of ['', 'garbage', '-----BEGIN PRIVATE KEY-----']) assert.equal(keptKey(request, text), undefined);
  });
});
