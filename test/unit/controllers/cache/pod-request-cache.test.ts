import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PodRequestCache } from '../../../../src/controllers/cache/pod-request-cache.ts';

test('the access to the requests of pods is the worst of all watched namespaces that exist', () => {
  let changes = 0;
  const gone = new Set(['later']);
  const cache = new PodRequestCache(
    true,
    (name) => gone.has(name),
    () => (changes += 1),
  );
  assert.deepEqual(cache.access, { access: 'unknown', namespaces: [] });
  cache.note('shop', 'permitted');
  cache.note('later', 'forbidden');
  assert.deepEqual(cache.access, { access: 'permitted', namespaces: [] });
  cache.note('closed', 'forbidden');
  cache.note('closed', 'forbidden');
  assert.deepEqual(cache.access, { access: 'forbidden', namespaces: ['closed'] });
  cache.note('closed', 'unserved');
  assert.deepEqual(cache.access, { access: 'unserved', namespaces: ['closed'] });
  assert.equal(changes, 4);
});

test('one watch for all namespaces names none of them', () => {
  const cache = new PodRequestCache(
    true,
    () => false,
    () => undefined,
  );
  cache.note('', 'forbidden');
  assert.deepEqual(cache.access, { access: 'forbidden', namespaces: [] });
});

test('an operator without --pod-certificates sees no requests', () => {
  const cache = new PodRequestCache(
    false,
    () => false,
    () => undefined,
  );
  assert.deepEqual(cache.access, { access: 'off', namespaces: [] });
});
