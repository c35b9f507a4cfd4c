import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, describe, test } from 'node:test';

import { paths, type Stored } from '../../support/api.ts';
import { openHelm } from '../../support/chart/helm.ts';
import { eventually } from '../../support/eventually.ts';
import { conditionOf, installation } from '../../support/installation.ts';
import {
  answerOf,
  issuedTo,
  openPods,
  type PodCertificateRequest,
  type PodWorld,
  signerOf,
} from '../../support/pods/pods.ts';
import type { PodKeyType } from '../../support/pods/stub-request.ts';

const world = installation({ operator: false, watched: false, args: ['--pod-certificates'] }, async () => {
  const rendered = await (await openHelm('helm')).render({ podCertificates: { enabled: true } });
  const isNeeded = ({ kind }: { kind: string }) =>
    /^((Cluster)?Role(Binding)?|ValidatingAdmissionPolicy(Binding)?)$/.test(kind);
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: rendered.filter(isNeeded) });
  await world.cluster.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], { input });
  await world.start();
  pods = await openPods(world.cluster);
});

let pods: PodWorld;
after(async () => pods?.close());

const services = 'mtls-operator.io/services';
const dnsNames = 'mtls-operator.io/dns-names';

const authorityFor = (spec: object = {}): Promise<string> => world.ownAuthority({ podCertificates: {}, ...spec });

interface Ask {
  readonly authority: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly keyType?: PodKeyType;
  readonly maxExpirationSeconds?: number;
}

/** A pod whose volume requests a certificate of an authority. */
const podFor = (namespace: string, { authority, annotations, ...rest }: Ask, labels = {}) =>
  pods.create(namespace, {
    labels,
    certificates: [
      {
        signerName: signerOf(authority),
        ...rest,
        ...(annotations === undefined ? {} : { userAnnotations: annotations }),
      },
    ],
  });

const isPending = async (request: Stored): Promise<void> => {
  assert.equal(answerOf(await pods.find(request)), undefined);
};

/** Waits until status of an authority has one group of requests that wait. */
const waitsFor = (authority: string, reason: string, pod: string) =>
  eventually(
    async () => {
      const { status } = await world.authority(authority);
      assert.deepEqual(status?.podCertificates?.pending, [{ reason, count: 1, example: pod }]);
    },
    { timeoutMs: 30_000 },
  );

interface PodEvent extends Stored {
  readonly reason: string;
  readonly note: string;
  readonly type: string;
  readonly regarding: { readonly kind: string; readonly name: string; readonly namespace: string };
}

const eventOn = (pod: Stored, reason: string): Promise<PodEvent> =>
  eventually(
    async () => {
      const { namespace = '', name } = pod.metadata;
      const found = (await world.api.list<PodEvent>(paths.events)).find(
        (event) => event.reason === reason && event.regarding.name === name && event.regarding.namespace === namespace,
      );
      assert.ok(found, `pod ${name} has no event ${reason}`);
      return found;
    },
    { timeoutMs: 30_000 },
  );

const createService = (namespace: string, name: string, selector: object) =>
  world.api.create(paths.services(namespace), { metadata: { name }, spec: { selector, ports: [{ port: 443 }] } });

/** The milliseconds between two times of the status. */
const span = (from: string | undefined, to: string | undefined): number =>
  Date.parse(to ?? '') - Date.parse(from ?? '');

const auditLine = (request: PodCertificateRequest) =>
  eventually(async () => {
    const found = world
      .logs()
      .find((line) => line['message'] === 'issued a certificate to a pod' && line['request'] === request.metadata.name);
    assert.ok(found, 'the operator has logged no line about the certificate');
    return found;
  });

describe('a pod gets a certificate without a Secret', () => {
  test('for its ServiceAccount and its Service, from the root of the authority, for exactly as long as it asks', async () => {
    const authority = await authorityFor();
    const { namespace } = await world.tenant('shop');
    await createService(namespace, 'payments', { app: 'payments' });
    const annotations = { [services]: 'payments' };
    const pod = await podFor(namespace, { authority, annotations, maxExpirationSeconds: 7200 }, { app: 'payments' });
    const request = await pods.answered(await pods.request(pod));
    const leaf = issuedTo(request);
    const names = [
      `URI:spiffe://cluster.local/ns/${namespace}/sa/default`,
      ...['', '.svc', '.svc.cluster.local'].map((rest) => `DNS:payments.${namespace}${rest}`),
    ];
    assert.deepEqual((leaf.subjectAltName ?? '').split(', ').sort(), names.sort());
    const root = await eventually(async () => {
      const { status } = await world.authority(authority);
      return new X509Certificate(status?.trustBundle ?? '');
    });
    assert.ok(leaf.verify(root.publicKey));
    const { notBefore, notAfter, beginRefreshAt } = request.status ?? {};
    assert.equal(span(notBefore, notAfter), 7_200_000);
    assert.equal(span(notBefore, beginRefreshAt), 3_600_000);
    const line = await auditLine(request);
    assert.equal(line['authority'], authority);
    assert.equal(line['podUID'], pod.metadata.uid);
    assert.equal(line['node'], pod.spec.nodeName);
    assert.equal(String(line['serial']).toLowerCase(), leaf.serialNumber.toLowerCase());
  });

  for (const keyType of ['ECDSAP384', 'ECDSAP521', 'ED25519', 'RSA3072'] as const) {
    test(`for a key of type ${keyType}`, async () => {
      const authority = await authorityFor();
      const { namespace } = await world.tenant('keys');
      const request = await pods.request(await podFor(namespace, { authority, keyType }));
      issuedTo(await pods.answered(request));
    });
  }

  test('that it asked for while no operator ran', async () => {
    const authority = await authorityFor();
    const { namespace } = await world.tenant('restart');
    const pod = await podFor(namespace, { authority });
    let request: PodCertificateRequest | undefined;
    await world.restart(async () => {
      request = await pods.request(pod);
    });
    assert.ok(request);
    issuedTo(await pods.answered(request));
  });

  test('when its authority becomes a signer after the request', async () => {
    const authority = await world.ownAuthority();
    const { namespace } = await world.tenant('later');
    const request = await pods.request(await podFor(namespace, { authority }));
    await isPending(request);
    await world.patchAuthority(authority, { spec: { podCertificates: {} } });
    issuedTo(await pods.answered(request));
    await world.patchAuthority(authority, { spec: { podCertificates: null } });
    await eventually(async () => {
      const found = conditionOf(await world.authority(authority), 'PodCertificatesServed');
      assert.equal(found?.reason, 'NotRequested');
    });
  });
});

// Together, because status changes at most once in 10 seconds.
describe('status and events report the certificates of pods', { concurrency: true }, () => {
  test('the root Secret and status say until when a certificate is valid', async () => {
    const authority = await authorityFor();
    const { namespace } = await world.tenant('record');
    const request = await pods.answered(await pods.request(await podFor(namespace, { authority })));
    const { notAfter = '' } = request.status ?? {};
    const { metadata } = await world.rootSecret(authority);
    const recorded = JSON.parse(metadata.annotations?.['mtls-operator.io/pod-certificates'] ?? '{}') as {
      readonly roots: Readonly<Record<string, string>>;
    };
    const [until = ''] = Object.values(recorded.roots);
    assert.ok(Date.parse(until) >= Date.parse(notAfter), `${until} is before ${notAfter}`);
    await eventually(
      async () => {
        const { status } = await world.authority(authority);
        const { fingerprint = '' } = status?.activeRoot ?? {};
        assert.deepEqual(status?.podCertificates, {
          issued: 1,
          roots: [{ fingerprint, notAfter: new Date(until).toISOString().replace('.000', '') }],
        });
      },
      { timeoutMs: 30_000 },
    );
    assert.equal(conditionOf(await world.authority(authority), 'PodCertificatesServed')?.reason, 'Serving');
  });

  test('a request waits for a Service that is created later, and the pod has an event that names it', async () => {
    const authority = await authorityFor();
    const { namespace } = await world.tenant('waiting');
    const pod = await podFor(namespace, { authority, annotations: { [services]: 'payments' } }, { app: 'payments' });
    const request = await pods.request(pod);
    await waitsFor(authority, 'ServiceNotFound', `${namespace}/${pod.metadata.name}`);
    const { note, type } = await eventOn(pod, 'PodCertificatePending');
    assert.match(note, /^ServiceNotFound: Service payments does not exist; create it/);
    assert.equal(type, 'Warning');
    await isPending(request);
    await createService(namespace, 'payments', { app: 'payments' });
    issuedTo(await pods.answered(request));
  });

  test('a request of a pod that runs waits for a grant that was withdrawn', async () => {
    const grant = { allow: [{ namespaceSelector: {}, dnsNames: ['www.example.com'] }] };
    const authority = await authorityFor();
    const { namespace } = await world.tenant('running');
    const pod = await podFor(namespace, { authority, annotations: { [dnsNames]: 'www.example.com' } });
    await pods.runs(pod);
    const request = await pods.request(pod);
    await waitsFor(authority, 'NamesDenied', `${namespace}/${pod.metadata.name}`);
    await isPending(request);
    await world.patchAuthority(authority, { spec: { issuance: grant } });
    issuedTo(await pods.answered(request));
  });
});

describe('a request is denied', () => {
  test('for a name without a grant, with an event on the pod', async () => {
    const authority = await authorityFor();
    const { namespace } = await world.tenant('denied');
    const pod = await podFor(namespace, { authority, annotations: { [dnsNames]: 'www.example.com' } });
    const request = await pods.answered(await pods.request(pod));
    const { type, reason, message } = answerOf(request) ?? {};
    assert.deepEqual([type, reason], ['Denied', 'NamesDenied']);
    assert.match(message ?? '', /www\.example\.com/);
    assert.match((await eventOn(pod, 'PodCertificateDenied')).note, /^NamesDenied: .*www\.example\.com/);
  });

  test('never because of an old version of the authority or the namespace', async () => {
    const tenant = await world.tenant('fresh');
    const { namespace } = tenant;
    for (let round = 0; round < 5; round += 1) {
      const name = `w${round}.example.com`;
      const selector = { matchLabels: { round: String(round) } };
      const authority = await authorityFor({ podCertificates: { namespaceSelector: selector } });
      const pod = await podFor(namespace, { authority, annotations: { [dnsNames]: name } });
      await Promise.all([
        tenant.label({ round: String(round) }),
        world.patchAuthority(authority, {
          spec: { issuance: { allow: [{ namespaceSelector: {}, dnsNames: [name] }] } },
        }),
      ]);
      issuedTo(await pods.answered(await pods.request(pod)));
    }
  });
});
