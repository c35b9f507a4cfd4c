import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { PodLeafRequests } from '../../../../src/controllers/authority/pod-leaf-requests.ts';
import { later, now } from '../../../support/fixtures/times.ts';

describe('requests to record how long certificates for pods are valid', () => {
  const queued: string[] = [];
  let requests: PodLeafRequests;
  beforeEach(() => {
    queued.length = 0;
    requests = new PodLeafRequests((authority) => queued.push(authority));
  });

  test('keep the latest time of each root, and queue the authority each time', () => {
    requests.request('default', 'a', now);
    requests.request('default', 'a', later(2));
    requests.request('default', 'a', later(1));
    requests.request('default', 'b', now);
    requests.request('other', 'a', now);
    assert.deepEqual(Object.fromEntries(requests.of('default') ?? []), { a: later(2), b: now });
    assert.deepEqual(queued, ['default', 'default', 'default', 'default', 'other']);
  });

  test('stay when they come during the reconcile that answers the earlier ones', () => {
    requests.request('default', 'a', now);
    requests.request('default', 'b', now);
    const observed = requests.of('default');
    requests.request('default', 'a', later(1));
    requests.answered('default', observed);
    assert.deepEqual(Object.fromEntries(requests.of('default') ?? []), { a: later(1) });
    requests.answered('default', requests.of('default'));
    assert.equal(requests.of('default'), undefined);
  });

  test('go with their authority', () => {
    requests.request('default', 'a', now);
    requests.forget('default');
    assert.equal(requests.of('default'), undefined);
    requests.answered('default', undefined);
  });
});
