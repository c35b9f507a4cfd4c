import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { lastContentWrite } from '../../../../src/plan/index.ts';

const created = '2026-03-01T10:00:00Z';
const later = '2026-03-01T11:00:00Z';
const entry = (time: string, fieldsV1: object) => ({ manager: 'mtls-operator', operation: 'Update', time, fieldsV1 });
const writeIn = (...managedFields: readonly object[]) =>
  lastContentWrite({ creationTimestamp: created, managedFields }, ['data']);

describe('the last write of the content of an object', () => {
  test('is the last one of any client', () => {
    const written = writeIn(entry(created, { 'f:data': {} }), entry(later, { 'f:data': { 'f:ca.crt': {} } }));
    assert.deepEqual(written, { atMs: Date.parse(later), isFirst: false });
  });

  test('is not a write of labels and annotations', () => {
    const written = writeIn(entry(created, { 'f:data': {} }), entry(later, { 'f:metadata': { 'f:labels': {} } }));
    assert.deepEqual(written, { atMs: Date.parse(created), isFirst: true });
  });

  test('is unknown without managedFields, and never throws for what a client wrote', () => {
    for (const fields of [[], [null], ['x'], [{ time: 7, fieldsV1: [] }], [entry('soon', { 'f:data': {} })]])
      assert.equal(writeIn(...(fields as object[])), undefined);
    assert.equal(lastContentWrite({}, ['data']), undefined);
    assert.equal(lastContentWrite({ managedFields: 'x' }, ['data']), undefined);
  });
});
