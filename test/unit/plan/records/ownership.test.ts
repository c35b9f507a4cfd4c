import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { annotations, labels } from '../../../../src/api/constants.ts';
import { secretRecord } from '../../../../src/controllers/objects/leaf-secret.ts';
import type { Secret } from '../../../../src/kube/index.ts';
import { belongsTo, canOwn, isOurs, ownedBy, ownerOf, ownerReference } from '../../../../src/plan/index.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { foreign, orphaned, withMarks, withMetadata } from '../../../support/fixtures/secret.ts';

const issued = certificate().issuedBy(root());
const secret = issued.secret('server');
const reference = ownerReference('MtlsCertificate', { name: 'payments', uid: 'certificate-uid' });
const ownedAs = (change: Partial<typeof reference>) =>
  withMetadata(() => ({ ownerReferences: [{ ...reference, ...change }] }))(secret);
const renamed = (one: Secret) => withMetadata(() => ({ name: 'other' }))(one);
const noted = (name: string, uid?: string) =>
  withMarks('annotations', { [annotations.secretName]: name, [annotations.certificateUid]: uid });

// The rights of a resource to a Secret, derived from the owner that the Secret names.
const rows: [title: string, secret: Secret, is: { belongs: boolean; owned: boolean; canOwn: boolean }][] = [
  ['with its ownerReference', secret, { belongs: true, owned: true, canOwn: true }],
  ['with its ownerReference, under another name', renamed(secret), { belongs: true, owned: true, canOwn: true }],
  [
    'with its name and UID in another namespace',
    withMetadata(() => ({ namespace: 'evil' }))(secret),
    { belongs: false, owned: false, canOwn: false },
  ],
  ['with the UID of another resource', ownedAs({ uid: 'other-uid' }), { belongs: false, owned: false, canOwn: false }],
  ['with the name of another resource', ownedAs({ name: 'other' }), { belongs: false, owned: false, canOwn: false }],
  ['with an owner of another kind', ownedAs({ kind: 'Deployment' }), { belongs: false, owned: false, canOwn: false }],
  [
    'with an owner of another group',
    ownedAs({ apiVersion: 'example.com/v1alpha1' }),
    { belongs: false, owned: false, canOwn: false },
  ],
  [
    'with an owner that is not its controller',
    ownedAs({ controller: false }),
    { belongs: true, owned: false, canOwn: true },
  ],
  ['that was handed over', orphaned(secret), { belongs: true, owned: false, canOwn: true }],
  [
    'that was handed over under another name than a role’s Secret name',
    orphaned(noted('other')(renamed(secret))),
    { belongs: true, owned: false, canOwn: false },
  ],
  [
    'that it retained, under another name',
    orphaned(noted('other', 'certificate-uid')(renamed(secret))),
    { belongs: true, owned: true, canOwn: true },
  ],
  [
    'that it retained, in another namespace',
    withMetadata(() => ({ namespace: 'evil' }))(orphaned(noted('payments-server-tls', 'certificate-uid')(secret))),
    { belongs: false, owned: false, canOwn: false },
  ],
  [
    'that was handed over without the label managed-by',
    orphaned(withMarks('labels', { [labels.managedBy]: undefined })(secret)),
    { belongs: false, owned: false, canOwn: false },
  ],
  [
    'that was handed over without a role',
    orphaned(withMarks('labels', { [labels.role]: 'x' })(secret)),
    { belongs: false, owned: false, canOwn: false },
  ],
  ['that was not handed over', foreign(secret), { belongs: false, owned: false, canOwn: false }],
  [
    'that was handed over to another resource',
    orphaned(withMarks('labels', { [labels.certificate]: 'other' })(secret)),
    { belongs: false, owned: false, canOwn: false },
  ],
];

describe('a resource and a Secret', () => {
  for (const [title, one, is] of rows) {
    test(title, () => {
      const record = secretRecord(one, []);
      const found = {
        belongs: belongsTo(record, issued.record),
        owned: ownedBy(record, issued.record) !== undefined,
        canOwn: canOwn(issued.record, record),
      };
      assert.deepEqual(found, is);
      assert.equal(isOurs(record, issued.record, 'server'), is.belongs);
    });
  }
});

test('an owner with a name or UID that no object can have is not kept', () => {
  const claim = { name: secret.metadata.name, labels: {}, annotations: {} };
  for (const [change, isKept] of [
    [{ name: 'n'.repeat(253), uid: 'u'.repeat(64) }, true],
    [{ name: 'n'.repeat(254) }, false],
    [{ uid: 'u'.repeat(65) }, false],
  ] as const) {
    const { controller, owner, ownerName } = ownerOf(claim, { ...reference, ...change });
    assert.deepEqual(
      [controller, owner !== undefined, ownerName !== undefined],
      [isKept ? 'certificate' : 'other', isKept, isKept],
    );
  }
});
