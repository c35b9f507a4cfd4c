import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { rulesReader } from '../../../../src/controllers/objects/authority-rules.ts';
import { issuancePolicy } from '../../../../src/plan/index.ts';
import { authority, rules } from '../../../support/fixtures/authority.ts';

describe('the rules of an authority about names', () => {
  const { spec } = authority();
  const issuance = { maxDuration: '24h', allow: [{ namespaceSelector: {}, ipRanges: ['10.0.0.0/8'] }] };

  test('are only its domains if spec has nothing else', () => {
    assert.deepEqual(rulesReader()(authority()), rules);
  });

  test('are parsed once for a spec, whatever changes in the rest of the resource', () => {
    const rulesOf = rulesReader();
    const granting = authority({ spec: { ...spec, issuance } });
    const first = rulesOf(granting);
    assert.deepEqual(first.issuance, issuancePolicy(issuance));
    assert.equal(rulesOf({ ...granting, status: { certificates: 1 } }), first);
  });

  test('follow the newest spec', () => {
    const rulesOf = rulesReader();
    rulesOf(authority({ spec: { ...spec, issuance } }));
    assert.deepEqual(rulesOf(authority({ spec: { ...spec, issuance: {} } })).issuance, issuancePolicy({}));
  });
});
