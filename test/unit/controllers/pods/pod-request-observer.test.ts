import assert from 'node:assert/strict';
import { test } from 'node:test';

import { podRequestRecord } from '../../../../src/controllers/objects/pod-objects.ts';
import { PodRequestObserver } from '../../../../src/controllers/pods/pod-request-observer.ts';
import type { GuardedClient } from '../../../../src/kube/index.ts';
import type { AuthorityRecord, PodRequestRecord } from '../../../../src/plan/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';

const org: AuthorityRecord = authority({
  name: 'org',
  spec: { ...authority().spec, podCertificates: { keyTypes: ['ED25519'], maxDuration: '24h' } },
});

function requestFor(index: number): PodRequestRecord {
  const [name, uid] = [`request-${index}`, `uid-${index}`];
  const creationTimestamp = '2026-06-01T12:00:00Z';
  const record = podRequestRecord({
    metadata: { namespace: `team-${index % 4}`, name, uid, resourceVersion: '1', creationTimestamp },
    spec: {
      signerName: 'mtls-operator.io/org',
      podName: 'large',
      podUID: 'pod',
      serviceAccountName: 'default',
      nodeName: 'n1',
    },
  });
  assert.ok(record !== undefined);
  return record;
}

// A failure means: the pods of a few tenants, of a megabyte each, fill the memory of the operator, or keep it busy until its
// Lease is over.
test('as many pods as fit into memory are read at the same time, and each ends the wait of the next', async () => {
  const reads: (() => void)[] = [];
  const find = () => new Promise<undefined>((resolve) => void reads.push(() => resolve(undefined)));
  const observer = new PodRequestObserver({
    client: { find } as unknown as GuardedClient,
    authorities: { get: () => org, observe: () => true },
    namespaces: { observe: () => true },
    namespace: () => undefined,
    authorityStates: { get: () => ({ state: 'unknown' }), material: () => undefined, uidOf: () => undefined },
  });
  const { signal } = new AbortController();
  const observing = Array.from({ length: 32 }, (_, i) => observer.observe(requestFor(i), signal));
  assert.equal(reads.length, 8);
  let most = 0;
  for (let answered = 0; answered < 32; answered += 1) {
    most = Math.max(most, reads.length - answered);
    reads[answered]?.();
    await observing[answered];
  }
  assert.deepEqual({ most, reads: reads.length }, { most: 8, reads: 32 });
});
