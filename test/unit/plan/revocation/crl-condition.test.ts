import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { crlCondition } from '../../../../src/plan/revocation/crl-condition.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { now } from '../../../support/fixtures/times.ts';

const entries = (total: number, byNamespace: Readonly<Record<string, number>> = {}) => ({
  total,
  byNamespace: new Map(Object.entries(byNamespace)),
});
const lastTransitionTime = now.toISOString();

describe('the condition CrlNearlyFull', () => {
  test('is absent until it was True once', () => {
    assert.deepEqual(crlCondition(authority(), entries(3999)), []);
  });

  test('is True from 80 %, and names the namespaces with most entries and the command', () => {
    const [condition] = crlCondition(authority(), entries(4000, { shop: 300, a: 900, b: 900, z: 400 }));
    assert.deepEqual(condition, {
      type: 'CrlNearlyFull',
      status: 'True',
      reason: 'EntriesAboveThreshold',
      message:
        '80 % of the 5000 entries of the CRL are in use, most of them by a, b, z. Entries leave when their certificates ' +
        'expire: issuance.maxDuration limits how long that takes. To empty the CRL, rotate the root: ' +
        'kubectl annotate mtlsauthority default --overwrite mtls-operator.io/rotate-root="$(date +%s)"',
    });
  });

  test('keeps its message within a step, so that not each revocation is an event', () => {
    const messages = [4000, 4100, 4249].map((total) => crlCondition(authority(), entries(total))[0]?.message);
    assert.equal(new Set(messages).size, 1);
    assert.match(crlCondition(authority(), entries(4250))[0]?.message ?? '', /^85 %/);
    assert.match(crlCondition(authority(), entries(5000))[0]?.message ?? '', /^100 %/);
  });

  test('stays as False once it was True', () => {
    const [was] = crlCondition(authority(), entries(4000));
    assert.ok(was !== undefined);
    const told = authority({ status: { conditions: [{ ...was, lastTransitionTime }] } });
    const [condition] = crlCondition(told, entries(0));
    assert.equal(condition?.status, 'False');
    assert.equal(condition?.reason, 'EntriesBelowThreshold');
    assert.deepEqual(crlCondition(told), [condition]);
  });
});
