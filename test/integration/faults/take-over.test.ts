import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';

import { group, version } from '../../../src/api/constants.ts';
import type { MtlsAuthority } from '../../../src/api/types.ts';
import { eventually } from '../../support/eventually.ts';
import { certificatesPath, pairsAt } from '../../support/faults/certificates.ts';
import { type FaultCluster, startFaultCluster } from '../../support/faults/pairs.ts';
import { type Operator, startOperator } from '../../support/operator.ts';

let faults: FaultCluster;
let replicas: Operator[] = [];
before(async () => {
  faults = await startFaultCluster();
});
after(() => faults.stop());
afterEach(async () => {
  await Promise.all(replicas.map((replica) => replica.kill()));
  replicas = [];
  await faults.api.delete(leasePath);
});

const leasePath = '/apis/coordination.k8s.io/v1/namespaces/mtls-operator/leases/mtls-operator';
const authorityPath = `/apis/${group}/${version}/mtlsauthorities/default`;
const shortLease = ['--lease-duration=3s', '--renew-deadline=2s', '--retry-period=500ms'];

let started = 0;
async function startReplica(): Promise<Operator> {
  const replica = await startOperator(faults.cluster, { args: shortLease, env: { POD_NAME: `replica-${++started}` } });
  replicas.push(replica);
  return replica;
}

type Status = NonNullable<MtlsAuthority['status']>;
const status = async (): Promise<Status> => (await faults.api.get<MtlsAuthority>(authorityPath)).status ?? {};

const configure = (rotation: object) => faults.api.mergePatch(authorityPath, { spec: { rotation } });
const annotate = (verb: string, value: string) =>
  faults.api.mergePatch(authorityPath, { metadata: { annotations: { [`mtls-operator.io/${verb}`]: value } } });

/** Waits until the rotation is in a phase. */
const reaches = (phase: string) =>
  eventually(
    async () => {
      const { rotation } = await status();
      assert.equal(rotation?.phase, phase, JSON.stringify(rotation));
    },
    { timeoutMs: 90_000, message: `the rotation does not reach ${phase}` },
  );

/** How a rotation is held in each phase, so that a leader can end in it: by what its gate waits for. */
const phases = {
  Distributing: { approval: 'Manual', propagationDelay: '0s', reissuesPerSecond: 50 },
  // Ten Secrets at one each second.
  Switching: { approval: 'Automatic', propagationDelay: '0s', reissuesPerSecond: 1 },
  Draining: { approval: 'Automatic', propagationDelay: '10s', reissuesPerSecond: 50 },
  // Held by `freeze`.
  Retiring: { approval: 'Automatic', propagationDelay: '10s', reissuesPerSecond: 50 },
} as const;

const policies = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies';
const bindings = `${policies.slice(0, -'policies'.length)}policybindings`;

/** From now on nobody can write the Secrets of a namespace: the old root stays in their bundles. */
async function freeze(namespace: string): Promise<() => Promise<void>> {
  const metadata = { name: namespace };
  await faults.api.create(policies, {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata,
    spec: {
      matchConstraints: {
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
        resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['secrets'] }],
      },
      validations: [{ expression: 'false', message: 'frozen' }],
    },
  });
  await faults.api.create(bindings, {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata,
    spec: { policyName: namespace, validationActions: ['Deny'] },
  });
  return async () => {
    await faults.api.delete(`${bindings}/${namespace}`);
    await faults.api.delete(`${policies}/${namespace}`);
  };
}

describe('2. A standby that was there before the rotation carries it on (35 s: a Lease has to expire)', () => {
  for (const [phase, rotation] of Object.entries(phases)) {
    // Broken if it fails: the rotation waits for ever, because the replica takes certificates of the new root for those of
    // an unknown root; or the replica issues them again.
    it(`from ${phase}, after one leader was killed and the next one stopped`, async () => {
      const first = await startReplica();
      await eventually(async () => assert.notEqual((await status()).activeRoot, undefined), { timeoutMs: 60_000 });
      const namespace = await faults.cluster.namespace('take-over');
      const names = ['a', 'b', 'c', 'd', 'e'];
      await faults.createPairs(namespace, names);
      await faults.assertEndsAs(namespace, pairsAt(names, 1), first);
      const [second, third] = [await startReplica(), await startReplica()];
      await configure(rotation);
      const before = (await status()).activeRoot?.fingerprint;
      await annotate('rotate-root', phase);
      let thaw = (): Promise<void> => Promise.resolve();
      if (phase === 'Retiring') {
        await reaches('Draining');
        thaw = await freeze(namespace);
      }
      await reaches(phase);
      await first.kill();
      // One of the two leads now; the other one has stood by for all of it.
      const next = await leader(second, third);
      await next.stop();
      const last = next === second ? third : second;
      await leader(last);
      await thaw();
      await configure({ approval: 'Automatic', propagationDelay: '0s', reissuesPerSecond: 50 });
      await eventually(
        async () => {
          const { rotation: left, activeRoot } = await status();
          assert.equal(left, undefined, JSON.stringify(left));
          assert.notEqual(activeRoot?.fingerprint, before);
        },
        { timeoutMs: 120_000, message: 'the rotation does not end' },
      );
      await faults.assertEndsAs(namespace, pairsAt(names, 2), last);
      for (const name of names) await faults.api.delete(`${certificatesPath(namespace)}/${name}`);
    });
  }
});

/** Waits until one of them leads. */
const leader = (...candidates: readonly Operator[]): Promise<Operator> =>
  eventually(
    () => {
      const leading = candidates.find(({ logs }) => logs.some(({ message }) => message === 'became the leader'));
      assert.ok(leading !== undefined, 'nobody leads');
      return leading;
    },
    { timeoutMs: 60_000 },
  );
