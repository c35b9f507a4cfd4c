import { authorities } from '../../../src/controllers/objects/resources.ts';
import { type KubeObject, keyOf, type PodCertificateRequest, podCertificateRequests } from '../../../src/kube/index.ts';
import { eventually } from '../../support/eventually.ts';
import { inParallel } from '../../support/parallel.ts';
import { AnswerOrder, mostLead, unevenBurst } from '../../support/pods/burst.ts';
import { grantPodCertificates } from '../../support/pods/grant.ts';
import { openPods, type Pod, type PodWorld } from '../../support/pods/pods.ts';
import { type Contestant, isReady } from '../contestant.ts';
import { following, metered, type Outcome, untilAllIssued, workedOff } from '../measure.ts';
import { operatorContestant } from '../operator-contestant.ts';
import type { Plane } from '../plane.ts';
import { Progress } from '../progress.ts';
import type { Scenario } from '../scenario.ts';

const nodes = Array.from({ length: 10 }, (_, index) => `node-${index}`);
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
      const order = new AnswerOrder();
      const signer = asSigner(contestant, order);
      const outcome = await following(plane, signer, async (running, progress) => {
        await progress.reached((await requestAll(pods, all)).size);
        const issuedBefore = progress.issuedAt.size;
        return metered(plane, signer, running, { certificates: all.length, settles }, async (): Promise<Outcome> => {
          const measured = untilAllIssued(plane, signer, running, progress, all.length, issuedBefore);
          const requestedAt = await requestAll(pods, all);
          const outcome = await measured;
          const latenciesMs = [...requestedAt].map(([key, at]) => (progress.issuedAt.get(key) ?? Number.NaN) - at);
          return { ...outcome, latenciesMs };
        });
      });
      return { ...outcome, figures: fairness(contestant, order) };
    });
  },
};

/** As after an outage of the operator. The latency of a request counts from the first answer. */
export const podBacklog: Scenario = {
  name: 'pods/backlog',
  about: 'all requests for pod certificates exist when the operator starts',
  takesPart: { ceiling: true, peer: false },
  async run(plane, contestant, { count, settles }) {
    return withPods(plane, requestsFor(count), async (pods, all) => {
      const order = new AnswerOrder();
      const signer = asSigner(contestant, order);
      await requestAll(pods, all);
      const { items } = await plane.client.list(podCertificateRequests);
      for (const request of items) note(order, request);
      const progress = await Progress.begin(plane.client, signer);
      const outcome = await workedOff(plane, signer, 'answer', progress, { objects: all.length, settles });
      const answeredAt = [...progress.issuedAt.values()];
      const latenciesMs = answeredAt.map((at) => at - (answeredAt[0] ?? Number.NaN));
      return { ...outcome, latenciesMs, figures: fairness(contestant, order) };
    });
  },
};

/** A contestant that answers requests of pods. The order of the answers is noted. */
const asSigner = (contestant: Contestant, order: AnswerOrder): Contestant => ({
  ...contestant,
  resource: podCertificateRequests,
  certificatesPerObject: 1,
  isIssued(object) {
    note(order, object);
    return isIssued(object);
  },
  start: (plane) => contestant.start(plane, 'answer'),
});

function note(order: AnswerOrder, { metadata, spec, status }: PodCertificateRequest): void {
  const flow = { namespace: metadata.namespace ?? '', node: spec?.nodeName ?? '' };
  order.see(keyOf(metadata), flow, status?.conditions !== undefined);
}

/**
 * How far the order of the answers was from turns. The ceiling knows no turns.
 * @throws when the operator answered one flow much more often than another that waited
 */
function fairness({ name }: Contestant, { leadOfNamespace, leadOfNode }: AnswerOrder): Record<string, number> {
  if (name !== 'ceiling' && Math.max(leadOfNamespace, leadOfNode) > mostLead) {
    const leads = `a namespace got ${leadOfNamespace}, and a node ${leadOfNode} answers more than another that waited`;
    throw new Error(`${name} is not fair: ${leads}; at most ${mostLead} are expected`);
  }
  return { 'largest lead of a namespace, answers': leadOfNamespace, 'largest lead of a node, answers': leadOfNode };
}

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
    const flows = [...unevenBurst(count, namespaces, nodes).entries()];
    const create = async ([index, { namespace, node }]: (typeof flows)[number]): Promise<void> => {
      all[index] = await pods.create(namespace, { node });
    };
    await inParallel(flows, create, 32);
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
