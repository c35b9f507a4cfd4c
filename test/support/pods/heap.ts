import assert from 'node:assert/strict';
import { PodCache } from '../../../src/controllers/cache/pod-cache.ts';
import { podRecord } from '../../../src/controllers/objects/running-pod.ts';
import { heapBytes } from '../heap.ts';

/** How a pod reads the Secret of its workload: once, at its start, or again after each change. */
export type Reading = 'subPath' | 'folder';

/**
 * The bytes of heap that the cache of pods needs for each of `count` pods. Each of `workloads` Deployments has a ReplicaSet and a
 * Secret of its own.
 */
export async function heapPerPod(count: number, workloads: number, reading: Reading): Promise<number> {
  const { store } = new PodCache(
    true,
    undefined,
    () => false,
    () => undefined,
  );
  const before = await heapBytes();
  for (let index = 0; index < count; index += 1) {
    const record = podRecord(JSON.parse(podText(index, index % workloads, reading)));
    if (record !== undefined) store.observe(record);
  }
  const bytes = (await heapBytes()) - before;
  // Also keeps the store from being collected before.
  assert.equal(store.size, reading === 'subPath' ? count : 0);
  return bytes / count;
}

/** The JSON of a pod, as the API server sends it: separate texts share no memory. */
function podText(index: number, workload: number, reading: Reading): string {
  const name = `service-${workload}`;
  const replicaSet = `${name}-${(0x10000000 + workload).toString(16)}`;
  const creationTimestamp = seconds(1_772_000_000 + index);
  const mount = { name: 'tls', mountPath: '/etc/tls', ...(reading === 'subPath' ? { subPath: 'tls.crt' } : {}) };
  return JSON.stringify({
    metadata: {
      namespace: `team-${workload % 800}`,
      name: `${replicaSet}-${(0x100000 + index).toString(36)}`,
      uid: `00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`,
      resourceVersion: String(1_000_000 + index),
      creationTimestamp,
      labels: { app: name },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: replicaSet,
          uid: `00000000-0000-4000-9000-${workload.toString(16).padStart(12, '0')}`,
          controller: true,
        },
      ],
    },
    spec: {
      nodeName: `node-${index % 500}`,
      containers: [{ name: 'app', image: 'registry.example/app:1', volumeMounts: [mount] }],
      volumes: [{ name: 'tls', secret: { secretName: `${name}-server-tls` } }],
    },
    status: {
      phase: 'Running',
      containerStatuses: [{ name: 'app', state: { running: { startedAt: seconds(1_772_000_005 + index) } } }],
    },
  });
}

const seconds = (s: number): string => new Date(s * 1000).toISOString().replace('.000', '');
