import { authorities } from '../../../src/controllers/objects/resources.ts';
import { type KubeObject, keyOf, type PodCertificateRequest, podCertificateRequests } from '../../../src/kube/index.ts';
import { eventually } from '../../support/eventually.ts';
import { inParallel } from '../../support/parallel.ts';
import { grantPodCertificates } from '../../support/pods/grant.ts';
import { openPods, type Pod, type PodWorld } from '../../support/pods/pods.ts';
import { type Contestant, isReady } from '../contestant.ts';
import { following, metered, type Outcome, untilAllIssued, workedOff } from '../measure.ts';
import { operatorContestant } from '../operator-contestant.ts';
import type { Plane } from '../plane.ts';
import { Progress } from '../progress.ts';
import type { Scenario } from '../scenario.ts';

const nodeCount = 10;
/** How many requests one kubelet has open at a time. */
const requestsPerNode = 4;

/** A scenario with half as many pods as pairs: 500 by default. */
const requestsFor = (pairs: number): number => Math.ceil(pairs / 2);

/**
 * All kubelets restart and request certificates for all their pods, while the operator runs. This is the second burst: the first one
 * warms the programs up.
 */
export const podBurst: Scenario = {
  name: 'pods',
  about: '10 kubelets request pod certificates for all their pods in one burst',
  takesPart: { ceiling: true, peer: false },
  async run(plane, contestant, { count, settles }) {
    return withPods(plane, requestsFor(count), async (pods, all) => {
      const signer = asSigner(contestant);
      return following(plane, signer, async (running, progress) => {
        await progress.reached((await requestAll(pods, all)).size);
        const issuedBefore = progress.issuedAt.size;
        return metered(plane, signer, running, { certificates: all.length, settles }, async (): Promise<Outcome> => {
          const measured = untilAllIssued(plane, signer, running, progress, issuedBefore, all.length);
          const requestedAt = await requestAll(pods, all);
          const outcome = await measured;
          const latenciesMs = [...requestedAt].map(([key, at]) => (progress.issuedAt.get(key) ?? Number.NaN) - at);
          return { ...outcome, latenciesMs };
        });
      });
    });
  },
};

/** As after an outage of the operator. */
export const podBacklog: Scenario = {
  name: 'pods/backlog',
  about: 'all requests for pod certificates exist when the operator starts',
  takesPart: { ceiling: true, peer: false },
  async run(plane, contestant, { count, settles }) {
    return withPods(plane, requestsFor(count), async (pods, all) => {
      const signer = asSigner(contestant);
      await requestAll(pods, all);
      const progress = await Progress.begin(plane.client, signer);
      return workedOff(plane, signer, 'answer', progress, { objects: all.length, settles });
    });
  },
};

/** A contestant that answers requests of pods. */
const asSigner = (contestant: Contestant): Contestant => ({
  ...contestant,
  resource: podCertificateRequests,
  certificatesPerObject: 1,
  isIssued: (object) => isIssued(object),
  start: (plane) => contestant.start(plane, 'answer'),
});

/** @throws when the request was refused */
function isIssued(object: KubeObject): boolean {
  const [condition] = (object as PodCertificateRequest).status?.conditions ?? [];
  if (condition !== undefined && condition.type !== 'Issued') {
    throw new Error(`${keyOf(object.metadata)} was answered with ${condition.type}: ${condition.message}`);
  }
  return condition !== undefined;
}

/** Runs `work` with pods on all nodes and in all namespaces, and one request that the operator has answered already. */
async function withPods<T>(
  plane: Plane,
  count: number,
  work: (pods: PodWorld, all: readonly Pod[]) => Promise<T>,
): Promise<T> {
  const { cluster, client, namespaces } = plane;
  await grantPodCertificates(cluster);
  const pods = await openPods(cluster);
  try {
    const all: Pod[] = [];
    const create = async (index: number): Promise<void> => {
      const node = `node-${Math.floor(index / namespaces.length) % nodeCount}`;
      all.push(await pods.create(namespaces[index % namespaces.length] ?? '', { node }));
    };
    await inParallel(Array(count).keys(), create, 32);
    const operator = await operatorContestant.start(plane, 'answer');
    await eventually(async () => {
      if (!isReady(await client.get(authorities, { name: 'default' }))) throw new Error('the root is not ready');
    });
    await client.mergePatch(authorities, { name: 'default' }, { spec: { podCertificates: {} } });
    const [first] = all;
    if (first !== undefined) await pods.answered(await pods.request(first));
    await operator.stop();
    return await work(pods, all);
  } finally {
    await pods.close();
  }
}

/** Makes the requests of all kubelets. Returns the time before each request, by `namespace/name`. */
async function requestAll(pods: PodWorld, all: readonly Pod[]): Promise<Map<string, number>> {
  const specs = new Map(await Promise.all(all.map(async (pod) => [pod, await pods.specFor(pod)] as const)));
  const byNode = Map.groupBy(all, ({ spec }) => spec.nodeName);
  const requestedAt = new Map<string, number>();
  const requestFor = async (pod: Pod): Promise<void> => {
    const [{ api }, spec] = [await pods.node(pod.spec.nodeName), specs.get(pod)];
    if (spec === undefined) return;
    const at = performance.now();
    const { metadata } = await pods.requestAs(api, pod.metadata.namespace ?? '', spec);
    requestedAt.set(keyOf(metadata), at);
  };
  await Promise.all([...byNode.values()].map((own) => inParallel(own, requestFor, requestsPerNode)));
  return requestedAt;
}
