import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lastWriter } from '../../../../src/plan/index.ts';
import * as fc from '../../../support/properties.ts';

const entry = (manager: string, time: string, fieldsV1: object, more: object = {}) => ({
  manager,
  operation: 'Update',
  time: `2026-03-01T12:00:${time}Z`,
  fieldsV1,
  ...more,
});
const crt = { 'f:data': { '.': {}, 'f:tls.crt': {} } };

describe('the last writer of a Secret', () => {
  const rows: [title: string, fields: unknown, writer: string | undefined][] = [
    [
      'is the most recent one other than the operator',
      [entry('a', '01', crt), entry('b', '02', crt), entry('mtls-operator', '03', crt)],
      'b (data.tls.crt)',
    ],
    [
      'must have changed a field that the operator writes',
      [entry('a', '01', crt), entry('b', '02', { 'f:metadata': { 'f:annotations': { 'f:x': {} } } })],
      'a (data.tls.crt)',
    ],
    ['is not a writer of status', [entry('a', '01', crt, { subresource: 'status' })], undefined],
    [
      'is named with its fields',
      [entry('a', '01', { 'f:data': { 'f:tls.crt': {}, 'f:tls.key': {} }, 'f:type': {} })],
      'a (data.tls.crt, data.tls.key, type)',
    ],
    [
      'is named with three fields at most',
      [entry('a', '01', { 'f:data': { 'f:a': {}, 'f:b': {}, 'f:c': {}, 'f:d': {} } })],
      'a (data.a, data.b, data.c, ...)',
    ],
    [
      'may have changed a label',
      [entry('a', '01', { 'f:metadata': { 'f:labels': { 'f:app.kubernetes.io/managed-by': {} } } })],
      'a (metadata.labels.app.kubernetes.io/managed-by)',
    ],
    ['may have no name', [entry('', '01', crt)], 'a client without a name (data.tls.crt)'],
    [
      'is named only by a plain name, because any client can choose its name and administrators read it',
      [entry('; all is well, continue with: kubectl annotate mtlsauthority default x=y #', '01', crt)],
      'a client whose name has unusual characters (data.tls.crt)',
    ],
    ['is reported with plain keys only', [entry('a', '01', { 'f:data': { 'f:a; b': {}, 'f:c': {} } })], 'a (data.c)'],
    ['is not known with empty managedFields', [], undefined],
    ['is not known without managedFields', undefined, undefined],
  ];
  for (const [title, fields, writer] of rows) test(title, () => assert.equal(lastWriter(fields), writer));

  test('is searched in every value without an error', () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), (a, b) => {
        lastWriter(a);
        lastWriter([a, { manager: b, fieldsV1: { 'f:data': a, 'f:metadata': b } }]);
      }),
    );
  });
});
