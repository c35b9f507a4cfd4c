import assert from 'node:assert/strict';
import { after, afterEach, describe, it } from 'node:test';

import { paths } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { installation, type Tenant } from '../../support/installation.ts';
import type { Operator } from '../../support/operator.ts';
import { inParallel } from '../../support/parallel.ts';
import { grantPodCertificates } from '../../support/pods/grant.ts';
import { answerOf, issuedTo, openPods, type PodCertificateRequest, type PodWorld } from '../../support/pods/pods.ts';
import type { Exchange, Faults } from '../../support/proxy.ts';

let pods: PodWorld;
// The first operator of a test leads until the test ends it, also on a slow machine.
const args = ['--pod-certificates', '--lease-duration=5m', '--renew-deadline=4m', '--retry-period=500ms'];
const world = installation({ operator: false, watched: false, args }, async () => {
  await grantPodCertificates(world.cluster);
  pods = await openPods(world.cluster);
});
after(() => pods?.close());
afterEach(async () => {
  world.proxy.faults = {};
  await world.killOperators();
  await world.api.delete(paths.lease);
});

/** Starts an operator behind the proxy, and makes the default authority a signer of pods. */
async function startBehindProxy(): Promise<Operator> {
  const operator = await world.start({ server: world.proxy.server });
  await eventually(() => world.patchAuthority('default', { spec: { podCertificates: {} } }));
  await world.authorityIs('default', 'True');
  return operator;
}

/** The requests for pods of one namespace on several nodes, all at once. */
async function burst({ namespace }: Tenant, count: number): Promise<readonly PodCertificateRequest[]> {
  const requests: PodCertificateRequest[] = [];
  await inParallel(Array(count).keys(), async (index) => {
    const pod = await pods.create(namespace, { node: `node-${index % 4}` });
    requests.push(await pods.request(pod));
  });
  return requests;
}

const isAnswer = ({ method, path }: Exchange): boolean =>
  method === 'PUT' && path.endsWith('/status') && path.includes('/podcertificaterequests/');

/** Waits until all requests are issued. Returns their serial numbers by name of request. */
async function serials(requests: readonly PodCertificateRequest[]): Promise<ReadonlyMap<string, string>> {
  const found = await Promise.all(
    requests.map(async (request) => {
      const { metadata, ...rest } = await pods.answered(request);
      return [metadata.name, issuedTo({ metadata, ...rest }).serialNumber] as const;
    }),
  );
  return new Map(found);
}

/** The serial numbers in the audit lines of an operator about a request. */
const audited = (request: string): readonly string[] =>
  world
    .logs()
    .filter((line) => line['message'] === 'issued a certificate to a pod' && line['request'] === request)
    .map((line) => String(line['serial']).toUpperCase());

describe('Each request of a burst gets one answer, which the audit log has,', () => {
  /** Faults for the first answer of each request. The second one passes. */
  const once = (fault: Faults): Faults => {
    const met = new Set<string>();
    const isFirst = (exchange: Exchange): boolean => isAnswer(exchange) && !met.has(exchange.path);
    return {
      onRequest: async (exchange) => {
        if (fault.onRequest === undefined || !isFirst(exchange)) return 'pass';
        met.add(exchange.path);
        return fault.onRequest(exchange);
      },
      onReply: async (exchange, status) => {
        if (fault.onReply === undefined || !isFirst(exchange)) return 'pass';
        met.add(exchange.path);
        return fault.onReply(exchange, status);
      },
    };
  };
  const faults: Record<string, Faults> = {
    'when the API server answers 500': {
      onRequest: () => ({ status: 500, body: { kind: 'Status', code: 500, message: 'etcd is away' } }),
    },
    'when the connection breaks before the API server has the answer': { onRequest: () => 'break' },
    'when the reply of the API server is lost': { onReply: () => 'break' },
  };
  for (const [title, fault] of Object.entries(faults)) {
    it(title, async () => {
      await startBehindProxy();
      world.proxy.faults = once(fault);
      const requests = await burst(await world.tenant('burst'), 24);
      for (const [request, serial] of await serials(requests)) {
        await eventually(() => assert.ok(audited(request).includes(serial), `${request}: no audit line for ${serial}`));
      }
    });
  }
});

it('A standby answers what a leader that was killed in the middle of a burst has left', async () => {
  const leader = await startBehindProxy();
  let answers = 0;
  // From the tenth answer on, nothing of the leader reaches the API server.
  world.proxy.faults = {
    onRequest: (exchange) => (isAnswer(exchange) && (answers += 1) > 10 ? new Promise<never>(() => {}) : 'pass'),
  };
  await world.start();
  const requests = await burst(await world.tenant('take-over'), 60);
  await eventually(() => assert.ok(answers > 10));
  await leader.kill();
  // Otherwise the standby would wait until the Lease expires.
  await world.api.delete(paths.lease);
  await serials(requests);
  for (const request of requests) assert.equal(answerOf(await pods.find(request))?.type, 'Issued');
});
