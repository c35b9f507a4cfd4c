import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { PodCache } from '../../../../src/controllers/cache/pod-cache.ts';
import { heapPerPod } from '../../../support/pods/heap.ts';

const places = (cache: PodCache): string[] => cache.unknown.map(({ namespace, why }) => `${namespace}: ${why}`);
const neverGone = () => false;
const ignore = () => undefined;

describe('pods are not known', () => {
  test('without --pod-evidence', () => {
    const cache = new PodCache(false, undefined, neverGone, ignore);
    assert.match(places(cache).join(), /^: start the operator with --pod-evidence \(chart: podEvidence.enabled\)/);
    assert.deepEqual(cache.readable, []);
  });

  test('before they are listed', () => {
    const listed = new Set<string>();
    const cache = new PodCache(true, undefined, neverGone, ignore);
    assert.deepEqual(places(cache), [': the operator has not listed them yet']);
    cache.follow((namespace) => listed.has(namespace));
    listed.add('');
    assert.deepEqual([places(cache), cache.readable], [[], ['']]);
  });

  test('while the operator may not list them, in the watched namespaces that exist', () => {
    const cache = new PodCache(true, ['gone', 'shop', 'web'], (namespace) => namespace === 'gone', ignore);
    cache.follow((namespace) => namespace !== 'gone');
    cache.notePermission('web', false);
    assert.deepEqual(places(cache), ['web: the operator may not list and watch them (chart: podEvidence.enabled)']);
    assert.deepEqual(cache.readable, ['shop']);
    cache.notePermission('web', true);
    assert.deepEqual(places(cache), []);
  });
});

// docs/how-to/rotate-the-root.md promises both figures.
describe('of 5,000 pods, each of a workload of its own, the cache needs', () => {
  const heap = (reading: 'subPath' | 'folder') => heapPerPod(5000, 5000, reading);

  test('1.1 KB of heap for a pod that never reads a changed Secret again', async (t) => {
    const bytes = await heap('subPath');
    t.diagnostic(`${Math.round(bytes)} bytes`);
    assert.ok(bytes < 1100, `${bytes} bytes`);
  });

  test('nothing for a pod that mounts its Secret as a folder', async () => {
    const bytes = await heap('folder');
    assert.ok(bytes < 20, `${bytes} bytes`);
  });
});
