import assert from 'node:assert/strict';
import { test } from 'node:test';
import { annotations, labels } from '../../../../src/api/constants.ts';
import { secretRecord } from '../../../../src/controllers/objects/leaf-secret.ts';
import { metadataMatches, secretMetadata } from '../../../../src/plan/certificate/secret-metadata.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { withMarks, withMetadata } from '../../../support/fixtures/secret.ts';

const signer = root();
const roots = [signer.certificate];
const secret = certificate().issuedBy(signer).secret('server');
const sizeOf = (record: object): number => JSON.stringify(record).length;
const bytesOf = (record: object): number => sizeOf({ ...record, content: undefined });
const many = (count: number, entry: (i: number) => [string, string]): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => entry(i)));

const forged: [what: string, metadata: { labels?: Record<string, string>; annotations?: Record<string, string> }][] = [
  ['8,000 labels', { labels: many(8000, (i) => [`example.com/label-${i}`, 'x'.repeat(63)]) }],
  [
    "8,000 annotations of the operator's domain",
    { annotations: many(8000, (i) => [`mtls-operator.io/a-${i}`, 'xyz']) },
  ],
  ['a token of 200,000 characters', { annotations: { [annotations.rotate]: 'x'.repeat(200_000) } }],
  [
    'a template that lists 3,000 annotations',
    {
      annotations: {
        ...many(3000, (i) => [`a-${i}`, 'x'.repeat(40)]),
        [annotations.template]: JSON.stringify({ annotations: Array.from({ length: 3000 }, (_, i) => `a-${i}`) }),
      },
    },
  ],
  [
    'a template with values of 4,096 characters',
    {
      annotations: {
        ...many(32, (i) => [`a-${i}`, 'x'.repeat(4096)]),
        [annotations.template]: JSON.stringify({ annotations: Array.from({ length: 32 }, (_, i) => `a-${i}`) }),
      },
    },
  ],
];

for (const [what, { labels = {}, annotations: notes = {} }] of forged) {
  test(`a Secret with ${what} is kept in less than 30 KB`, () => {
    const given = withMarks('annotations', notes)(withMarks('labels', labels)(secret));
    assert.ok(sizeOf(given) > 100_000, `${sizeOf(given)}`);
    const size = bytesOf(secretRecord(given, roots));
    assert.ok(size < 30_000, `${size} characters`);
  });
}

test('an ownerReference of a megabyte is not kept', () => {
  for (const change of [{ name: 'x'.repeat(1_000_000) }, { uid: 'x'.repeat(1_000_000) }]) {
    const [reference = assert.fail()] = secret.metadata.ownerReferences ?? [];
    const record = secretRecord(
      withMetadata(() => ({ ownerReferences: [{ ...reference, ...change }] }))(secret),
      roots,
    );
    assert.equal(record.controller, 'other');
    assert.ok(bytesOf(record) < 2000);
  }
});

test('only labels of the operator and of the template are kept', () => {
  const template = { labels: { team: 'edge' }, annotations: { note: 'x' } };
  const given = certificate().asking({ secretTemplate: template }).issuedBy(signer).secret('server');
  const record = secretRecord(withMarks('labels', { other: 'y' })(given), roots);
  assert.deepEqual(
    Object.keys(record.labels).sort(),
    [labels.managedBy, labels.certificate, labels.role, 'team'].sort(),
  );
});

test('a long annotation of the template matches by its digest, and another value does not', () => {
  const asking = (note: string) =>
    certificate()
      .asking({ secretTemplate: { annotations: { note } } })
      .issuedBy(signer);
  const [long, other] = ['x'.repeat(4000), `${'x'.repeat(3999)}y`];
  const record = secretRecord(asking(long).secret('server'), roots);
  assert.ok((record.annotations['note'] ?? '').length < 100);
  const wanted = (note: string) => secretMetadata(asking(note).record, 'server', { revision: 1 }, record);
  assert.equal(metadataMatches(record, wanted(long)), true);
  assert.equal(metadataMatches(record, wanted(other)), false);
});
