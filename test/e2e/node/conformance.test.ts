import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { agnhostImage } from '../../../tools/node/agnhost.ts';
import { openHelm } from '../../support/chart/helm.ts';
import { exampleImages } from '../../support/conformance/images.ts';
import {
  clientObjects,
  credentialsPath,
  inspectorPod,
  mountTestPod,
  type PodCertificateOptions,
  serverObjects,
} from '../../support/conformance/manifests.ts';
import { runPage } from '../../support/docs/run-page.ts';
import { eventually } from '../../support/eventually.ts';
import { installation } from '../../support/installation.ts';
import { skipWithoutNode, startTestNode, type TestNode } from '../../support/node.ts';

const authority = 'conformance';
const signerName = `mtls-operator.io/${authority}`;
const HOUR_MS = 3_600_000;

describe('pod certificates on a node', { skip: skipWithoutNode() }, () => {
  let node: TestNode;
  const world = installation(
    {
      operator: false,
      watched: false,
      args: ['--pod-certificates'],
      startCluster: async () => {
        node = await startTestNode({ images: [await agnhostImage(), ...exampleImages()] });
        return node;
      },
    },
    async () => {
      await apply(await rightsOfSigner());
      await world.start();
      await world.authorityIs('default', 'True');
    },
  );

  runPage('docs/how-to/pod-certificates.md', world, {
    notRun: {
      'helm upgrade': 'the roles are installed, and the operator runs with the flag',
      'deployment/mtls-operator': 'the operator of a test is no pod',
    },
    instead: {
      // The client needs five seconds to print its first line.
      'logs deployment/checkout': async ({ run }, command) =>
        eventually(async () => assert.match(await run(command), /^hello, holder of the certificate [0-9A-F]+$/m)),
    },
  });

  let namespace: string;
  before(async () => {
    await world.createAuthority(authority, {
      secretName: authority,
      root: {},
      podCertificates: {},
      trustBundle: { clusterTrustBundle: true },
      issuance: { allow: [{ namespaceSelector: {}, dnsNames: ['*.conformance.example'] }] },
    });
    namespace = await world.cluster.namespace('projected-podcertificate');
    await world.cluster.kubectl(['label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce=baseline']);
  });

  const apply = (items: readonly object[]): Promise<string> =>
    world.cluster.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], {
      input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    });
  const logs = (object: string): Promise<string> => world.cluster.kubectl(['-n', namespace, 'logs', object]);

  /** The certificate that a pod prints whose volume has these options. */
  async function certificateOf(pod: string, options: Partial<PodCertificateOptions> = {}): Promise<X509Certificate> {
    await apply([inspectorPod(namespace, pod, { signerName, ...options })]);
    return eventually(async () => new X509Certificate(await logs(pod)), {
      timeoutMs: 180_000,
      message: `the pod ${pod} does not print its certificate`,
    });
  }

  /** Waits until the pod has an event for each pattern: its reason, its object and its message. */
  async function hasEvents(pod: string, patterns: readonly RegExp[]): Promise<void> {
    await eventually(
      async () => {
        const events = await world.cluster.kubectl(['-n', namespace, 'events', `--for=pod/${pod}`]);
        for (const pattern of patterns) assert.match(events, pattern);
      },
      { timeoutMs: 180_000 },
    );
  }

  const containerId = 'jsonpath={.status.containerStatuses[0].containerID}';
  const lifetimeMs = ({ validFromDate, validToDate }: X509Certificate): number =>
    validToDate.getTime() - validFromDate.getTime();

  describe("Kubernetes' conformance scenarios, with this operator as the signer", () => {
    test('a server and a client pod connect by mutual TLS', async () => {
      await apply([...serverObjects(namespace, signerName), ...clientObjects(namespace, signerName)]);
      for (const name of ['server', 'client'])
        await world.cluster.kubectl(['-n', namespace, 'rollout', 'status', `deployment/${name}`, '--timeout=180s']);
      const expected = `Got response body: Client Identity: spiffe://cluster.local/ns/${namespace}/sa/default`;
      await eventually(async () => assert.match(await logs('deployment/client'), new RegExp(RegExp.escape(expected))), {
        timeoutMs: 180_000,
        message: 'the client does not log its own identity, as the server saw it',
      });
    });

    test('the annotations of the volume reach the signer', async () => {
      const name = 'custom-workload.conformance.example';
      const { subjectAltName } = await certificateOf('annotated', {
        userAnnotations: { 'mtls-operator.io/dns-names': name },
      });
      const expected = [`DNS:${name}`, `URI:spiffe://cluster.local/ns/${namespace}/sa/default`];
      assert.deepEqual(new Set(subjectAltName?.split(', ')), new Set(expected));
    });

    test('a certificate is valid for 24 hours by default', async () => {
      assert.equal(lifetimeMs(await certificateOf('default-duration')), 24 * HOUR_MS);
    });

    test('a certificate is valid for as long as the volume asks: 1 hour', async () => {
      assert.equal(lifetimeMs(await certificateOf('one-hour', { maxExpirationSeconds: 3600 })), HOUR_MS);
    });

    for (const [seconds, message] of [
      [91 * 86_400 + 1, 'maxExpirationSeconds must be <= 7862400'],
      [3599, 'maxExpirationSeconds must be >= 3600'],
    ] as const)
      test(`a volume that asks for ${seconds} seconds is refused`, async () => {
        const pod = inspectorPod(namespace, `seconds-${seconds}`, { signerName, maxExpirationSeconds: seconds });
        await assert.rejects(apply([pod]), (error: Error) => error.message.includes(message));
      });

    test('only the group of the pod can read the key', async () => {
      await apply([mountTestPod(namespace, 'mount-test', { signerName })]);
      await eventually(
        async () => {
          const printed = await logs('mount-test');
          assert.match(printed, /mode of file ".*": -rw-r-----/);
          assert.match(printed, /owner GID of ".*": 1000/);
        },
        { timeoutMs: 180_000 },
      );
    });

    test('an annotation that the signer does not know is refused, and the events of the pod say why', async () => {
      const userAnnotations = { 'spiffe/path-overriding': '/workload' };
      await apply([inspectorPod(namespace, 'unknown-annotation', { signerName, userAnnotations })]);
      await hasEvents('unknown-annotation', [
        /FailedMount .*permanently denied: reason="InvalidUnverifiedUserAnnotations" message=".*spiffe\/path-overriding/,
        /PodCertificateDenied .*InvalidUnverifiedUserAnnotations: .*spiffe\/path-overriding/,
        // docs/operations/troubleshooting.md explains the message that kubelet garbles.
        /Denied .*InvalidUnverifiedUserAnnotations%!\(EXTRA/,
      ]);
    });
  });

  test('a pod whose signer does not exist waits, and its events say for what', async () => {
    const options = { signerName: 'mtls-operator.io/no-authority', roots: true };
    await apply([inspectorPod(namespace, 'no-signer', options)]);
    await hasEvents('no-signer', [
      /FailedMount .*credential bundle is not issued yet/,
      /FailedMount .*matched zero ClusterTrustBundles/,
    ]);
  });

  test('a restart of kubelet renews the certificate of a pod that keeps running', async () => {
    const { serialNumber } = await certificateOf('renewed');
    const container = await world.cluster.kubectl(['-n', namespace, 'get', 'pod', 'renewed', '-o', containerId]);
    await node.restartKubelet();
    await eventually(
      async () => {
        const read = ['-n', namespace, 'exec', 'renewed', '--', 'cat', credentialsPath];
        assert.notEqual(new X509Certificate(await world.cluster.kubectl(read)).serialNumber, serialNumber);
      },
      { timeoutMs: 180_000 },
    );
    assert.equal(await world.cluster.kubectl(['-n', namespace, 'get', 'pod', 'renewed', '-o', containerId]), container);
  });

  // POD_REFRESH=1 npm test -- node/conformance
  if (process.env['POD_REFRESH'] !== undefined)
    test('kubelet renews a certificate of an hour by itself when half of its time is over (40 min: half an hour passes)', async () => {
      const first = await certificateOf('refreshed', { maxExpirationSeconds: HOUR_MS / 1000 });
      const read = ['-n', namespace, 'exec', 'refreshed', '--', 'cat', credentialsPath];
      const next = await eventually(
        async () => {
          await delay(10_000);
          const mounted = new X509Certificate(await world.cluster.kubectl(read));
          assert.notEqual(mounted.serialNumber, first.serialNumber);
          return mounted;
        },
        { timeoutMs: HOUR_MS },
      );
      const afterMs = next.validFromDate.getTime() - first.validFromDate.getTime();
      console.log(`    kubelet renewed the certificate after ${(afterMs / 60_000).toFixed(1)} of 60 min`);
      assert.ok(afterMs >= HOUR_MS / 2 && afterMs < HOUR_MS, `renewed after ${afterMs} ms`);
    });
});

/** The roles and policies that the chart adds for the signer. */
async function rightsOfSigner(): Promise<readonly object[]> {
  const rendered = await (await openHelm('helm')).render({ podCertificates: { enabled: true } });
  const isNeeded = ({ kind }: { kind: string }) =>
    /^((Cluster)?Role(Binding)?|ValidatingAdmissionPolicy(Binding)?)$/.test(kind);
  return rendered.filter(isNeeded);
}
