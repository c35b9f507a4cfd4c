import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { PodIssuances } from '../../../../src/controllers/pods/pod-issuances.ts';

const [first, second] = ['2026-03-01T12:00:00Z', '2026-03-01T12:00:05Z'];

describe('the certificate of a pod', () => {
  test('is known after the answer was written', () => {
    const issuances = new PodIssuances(() => 7);
    issuances.begin('default', 'pod', first);
    assert.equal(issuances.of('default').get('pod')?.root, '');
    issuances.note('default', 'pod', { root: 'new', requestedAt: first });
    assert.equal(issuances.of('default').get('pod')?.root, 'new');
    assert.equal(issuances.of('default').get('pod')?.atMs, 7);
  });

  test('is unknown again while the next is written: the answer to the write may get lost', () => {
    const issuances = new PodIssuances(() => 7);
    issuances.note('default', 'pod', { root: 'old', requestedAt: first });
    issuances.begin('default', 'pod', second);
    assert.notEqual(issuances.of('default').get('pod')?.root, 'old');
  });

  test('is the one of its last request: kubelet does not read the answer to an earlier one', () => {
    const issuances = new PodIssuances(() => 7);
    issuances.begin('default', 'pod', second);
    issuances.note('default', 'pod', { root: 'old', requestedAt: second });
    issuances.begin('default', 'pod', first);
    issuances.note('default', 'pod', { root: 'new', requestedAt: first });
    assert.notEqual(issuances.of('default').get('pod')?.root, 'new');
  });
});
