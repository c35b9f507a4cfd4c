import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, describe, test } from 'node:test';

import { oid, sequence, setOf, utf8String } from '../../../src/pki/asn1/der.ts';
import { publicKeyDer } from '../../../src/pki/index.ts';
import { type Api, openApi, paths, type Stored } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { installation, type Tenant } from '../../support/installation.ts';
import { inParallel } from '../../support/parallel.ts';
import { AnswerOrder, mostLead, unevenBurst } from '../../support/pods/burst.ts';
import { grantPodCertificates } from '../../support/pods/grant.ts';
import {
  answerOf,
  issuedTo,
  openPods,
  type PodCertificateRequest,
  type PodOptions,
  type PodWorld,
  signerOf,
} from '../../support/pods/pods.ts';
import { stubRequest } from '../../support/pods/stub-request.ts';

/** This authority refuses RSA keys. */
const withoutRsa = 'without-rsa';
/** This authority is no signer. */
const withoutPods = 'without-pods';

let pods: PodWorld;
let shop: Tenant;
let other: Tenant;
/** May do everything in the namespace of `shop`. */
let admin: Api;

const world = installation({ operator: false, watched: false, args: ['--pod-certificates'] }, async () => {
  await grantPodCertificates(world.cluster, { anyoneRequests: true });
  pods = await openPods(world.cluster);
  await world.start();
  await eventually(() => world.patchAuthority('default', { spec: { podCertificates: {} } }));
  const keyTypes = ['ECDSAP256', 'ED25519'];
  await world.createAuthority(withoutRsa, { secretName: withoutRsa, root: {}, podCertificates: { keyTypes } });
  await world.createAuthority(withoutPods, { secretName: withoutPods, root: {} });
  for (const name of ['default', withoutRsa, withoutPods]) await world.authorityIs(name, 'True');
  [shop, other] = [await world.tenant('shop'), await world.tenant('other')];
  admin = await pods.namespaceAdmin(shop.namespace);
});
after(() => pods?.close());

/** Makes a request for a pod by hand. `change` replaces fields of what kubelet would request. */
async function byHand(options: PodOptions, change: object = {}): Promise<PodCertificateRequest> {
  const pod = await pods.create(shop.namespace, options);
  return pods.requestAs(admin, shop.namespace, { ...(await pods.specFor(pod)), ...change });
}

/** Makes the request of kubelet for a pod with these annotations in its volume. */
async function annotated(userAnnotations: Readonly<Record<string, string>>): Promise<PodCertificateRequest> {
  return pods.request(await pods.create(shop.namespace, { certificates: [{ userAnnotations }] }));
}

/** The request for a pod that has ended. */
async function ended(phase: 'Succeeded' | 'Failed'): Promise<PodCertificateRequest> {
  const pod = await pods.create(shop.namespace);
  await pods.ends(pod, phase);
  return pods.request(pod);
}

const ours = (name: string, value: string) => annotated({ [`mtls-operator.io/${name}`]: value });

interface Refusal {
  readonly request: () => Promise<PodCertificateRequest>;
  readonly reason: string;
  /** What the message says. */
  readonly says: RegExp;
}

const refused: Record<string, Refusal> = {
  'for a pod that does not exist': {
    request: () => byHand({}, { podName: 'absent' }),
    reason: 'PodMismatch',
    says: /absent/,
  },
  'with the UID of another pod': {
    request: async () => byHand({}, { podUID: (await pods.create(shop.namespace)).metadata.uid }),
    reason: 'PodMismatch',
    says: /UID/,
  },
  'for a pod of another namespace': {
    request: async () => {
      const pod = await pods.create(other.namespace, { name: 'of-another-namespace' });
      return pods.requestAs(admin, shop.namespace, await pods.specFor(pod));
    },
    reason: 'PodMismatch',
    says: /of-another-namespace/,
  },
  'for a pod of another node': {
    request: async () => byHand({}, { nodeName: 'node-1', nodeUID: (await pods.node('node-1')).uid }),
    reason: 'PodMismatch',
    says: /node/,
  },
  'for a pod that is on no node': {
    request: async () => {
      const spec = { containers: [{ name: 'main', image: 'localhost/none:1' }], schedulerName: 'none' };
      const pod = await world.api.create(paths.pods(shop.namespace), { metadata: { name: 'unbound' }, spec });
      return byHand({}, { podName: 'unbound', podUID: pod.metadata.uid });
    },
    reason: 'PodMismatch',
    says: /node/,
  },
  'for another ServiceAccount than that of the pod': {
    request: () => byHand({}, { serviceAccountName: 'checkout' }),
    reason: 'PodMismatch',
    says: /ServiceAccount/,
  },
  'for a pod that has succeeded': { request: () => ended('Succeeded'), reason: 'PodFinished', says: /has ended/ },
  'for a pod that has failed': { request: () => ended('Failed'), reason: 'PodFinished', says: /has ended/ },
  'for a pod without the volume': {
    request: async () => {
      const without = await pods.create(shop.namespace, { certificates: [] });
      return byHand({}, { podName: without.metadata.name, podUID: without.metadata.uid });
    },
    reason: 'VolumeMismatch',
    says: /volume/,
  },
  'for a pod whose volume names another signer': {
    request: () =>
      byHand({ certificates: [{ signerName: signerOf(withoutRsa) }] }, { signerName: signerOf('default') }),
    reason: 'VolumeMismatch',
    says: /volume/,
  },
  'with annotations that the volume does not have': {
    request: () => byHand({}, { unverifiedUserAnnotations: { 'mtls-operator.io/services': 'payments' } }),
    reason: 'VolumeMismatch',
    says: /userAnnotations/,
  },
  'without annotations that the volume has': {
    request: () =>
      byHand(
        { certificates: [{ userAnnotations: { 'mtls-operator.io/services': 'payments' } }] },
        { unverifiedUserAnnotations: {} },
      ),
    reason: 'VolumeMismatch',
    says: /userAnnotations/,
  },
  'with an unknown annotation': {
    request: () => ours('service', 'payments'),
    reason: 'InvalidUnverifiedUserAnnotations',
    says: /mtls-operator\.io\/service\b/,
  },
  'with an annotation of another project': {
    request: () => annotated({ 'example.com/names': 'payments' }),
    reason: 'InvalidUnverifiedUserAnnotations',
    says: /example\.com\/names/,
  },
  'with 250 KiB of an unknown annotation': {
    request: () => annotated({ 'example.com/names': 'x'.repeat(250 * 1024) }),
    reason: 'InvalidUnverifiedUserAnnotations',
    says: /example\.com\/names/,
  },
  'with 2,000 unknown annotations': {
    request: () => annotated(Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`example.com/key-${i}`, 'x']))),
    reason: 'InvalidUnverifiedUserAnnotations',
    says: /example\.com\/key-/,
  },
  'with a Service name that is no name': {
    request: () => ours('services', 'payments, -x-'),
    reason: 'InvalidUnverifiedUserAnnotations',
    says: /-x-/,
  },
  'with the Service of another namespace': {
    request: () => ours('services', `payments.${other.namespace}`),
    reason: 'InvalidUnverifiedUserAnnotations',
    says: /payments\./,
  },
  'with an IP address that is none': {
    request: () => ours('ip-addresses', '10.0.0.256'),
    reason: 'InvalidUnverifiedUserAnnotations',
    says: /10\.0\.0\.256/,
  },
  'with a DNS name of another namespace': {
    request: () => ours('dns-names', `payments.${other.namespace}.svc`),
    reason: 'NamesDenied',
    says: /payments\./,
  },
  'with a public DNS name': { request: () => ours('dns-names', 'example.com'), reason: 'NamesDenied', says: /example/ },
  'with an IP address without a grant': {
    request: () => ours('ip-addresses', '10.0.0.1'),
    reason: 'NamesDenied',
    says: /10\.0\.0\.1/,
  },
  'with an RSA key, which the authority forbids': {
    request: () => byHand({ certificates: [{ signerName: signerOf(withoutRsa), keyType: 'RSA3072' }] }),
    reason: 'UnsupportedKeyType',
    says: /ECDSAP256, ED25519/,
  },
  'with a P-384 key, which the authority forbids': {
    request: () => byHand({ certificates: [{ signerName: signerOf(withoutRsa), keyType: 'ECDSAP384' }] }),
    reason: 'UnsupportedKeyType',
    says: /ECDSAP256, ED25519/,
  },
  'with an RSA key whose exponent is 3, which no authority signs': {
    request: () => {
      const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 3072, publicExponent: 3 });
      return byHand({}, { stubPKCS10Request: stubRequest(privateKey, publicKeyDer(privateKey)).toString('base64') });
    },
    reason: 'UnsupportedKeyType',
    says: /exponent/,
  },
};

describe('Requests that are wrong for ever are denied, with a message that says what is wrong:', {
  concurrency: 4,
}, () => {
  for (const [what, { request, reason, says }] of Object.entries(refused)) {
    test(`a request ${what}`, async () => {
      const { status, ...answered } = await pods.answered(await request());
      const condition = answerOf({ ...answered, ...(status === undefined ? {} : { status }) });
      assert.deepEqual({ type: condition?.type, reason: condition?.reason }, { type: 'Denied', reason });
      assert.match(condition?.message ?? '', says);
      assert.ok((condition?.message.length ?? 0) < 1000, `the message has ${condition?.message.length} characters`);
      assert.equal(status?.certificateChain, undefined);
    });
  }
});

test('the API server refuses keys that no signer signs', async () => {
  const pod = await pods.create(shop.namespace);
  const spec = await pods.specFor(pod);
  const weak = [
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
    generateKeyPairSync('ec', { namedCurve: 'secp224r1' }),
  ];
  for (const { privateKey, publicKey } of weak) {
    const stub = stubRequest(privateKey, publicKey.export({ type: 'spki', format: 'der' }));
    const stubPKCS10Request = stub.toString('base64');
    await assert.rejects(pods.requestAs(admin, shop.namespace, { ...spec, stubPKCS10Request }), /422 /);
  }
});

test('names in the PKCS#10 request are ignored: only its key counts', async () => {
  const pod = await pods.create(shop.namespace);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const subject = [setOf(sequence(oid('2.5.4.3'), utf8String('system:masters')))];
  const stubPKCS10Request = stubRequest(privateKey, publicKeyDer(privateKey), subject).toString('base64');
  const leaf = issuedTo(await pods.answered(await pods.request(pod, { stubPKCS10Request })));
  assert.equal(leaf.subjectAltName, `URI:spiffe://cluster.local/ns/${shop.namespace}/sa/default`);
  assert.doesNotMatch(leaf.toString(), /system:masters/);
  assert.ok(leaf.checkPrivateKey(privateKey));
});

test('a request to a signer that does not exist, or is no signer of pods, has no answer until an authority has that name', async () => {
  const absent = 'not-there-yet';
  const requestTo = async (signerName: string): Promise<PodCertificateRequest> =>
    pods.request(await pods.create(shop.namespace, { certificates: [{ signerName }] }));
  const waiting = [
    await requestTo(signerOf(absent)),
    await requestTo(signerOf(withoutPods)),
    await requestTo('example.com/signer'),
    await requestTo(`${signerOf('default')}.example`),
  ];
  // One worker takes the requests of a namespace and node in order, so a later answer shows that these were skipped.
  issuedTo(await pods.answered(await requestTo(signerOf('default'))));
  for (const request of waiting) assert.equal(answerOf(await pods.find(request)), undefined, request.spec.signerName);
  const events = await world.api.list<Stored & { readonly regarding?: { readonly name?: string } }>(paths.events);
  const about = new Set(waiting.map(({ spec }) => spec.podName));
  assert.deepEqual(
    events.filter(({ regarding }) => about.has(regarding?.name ?? '')),
    [],
  );
  await world.createAuthority(absent, { secretName: absent, root: {}, podCertificates: {} });
  await world.patchAuthority(withoutPods, { spec: { podCertificates: {} } });
  for (const request of waiting.slice(0, 2)) issuedTo(await pods.answered(request));
});

test('a namespace admin gets a certificate for a pod of theirs by hand, until the admission policy lets only nodes ask', async () => {
  const request = await byHand({});
  assert.match(
    issuedTo(await pods.answered(request)).subjectAltName ?? '',
    new RegExp(`/ns/${shop.namespace}/sa/default`),
  );
  await grantPodCertificates(world.cluster);
  await eventually(() => assert.rejects(byHand({}), /only the node of a pod requests a certificate for it/));
  const pod = await pods.create(shop.namespace);
  const { api: neighbour } = await pods.node('node-1');
  const spec = await pods.specFor(pod);
  await assert.rejects(pods.requestAs(neighbour, shop.namespace, spec), /only the node of a pod/);
  issuedTo(await pods.answered(await pods.requestAs((await pods.node(spec.nodeName)).api, shop.namespace, spec)));
  // Requests to other signers are not the business of this policy.
  await pods.requestAs(admin, shop.namespace, { ...spec, signerName: 'example.com/signer' });
});

test('500 requests of ten nodes in one burst are answered in order of fairness: namespaces take turns, and in each its nodes (20 s: to write and answer them)', async (t) => {
  const burst = 'burst';
  await world.createAuthority(burst, { secretName: burst, root: {} });
  await world.authorityIs(burst, 'True');
  const tenants = await Promise.all(Array.from({ length: 10 }, () => world.tenant(burst)));
  const namespaces = tenants.map(({ namespace }) => namespace);
  const nodes = Array.from({ length: 10 }, (_, index) => `node-${index}`);
  const flows = unevenBurst(500, namespaces, nodes);
  const prepared = new Map<string, Promise<() => Promise<PodCertificateRequest>>>();
  const prepare = async (namespace: string, node: string) => {
    const pod = await pods.create(namespace, { node, certificates: [{ signerName: signerOf(burst) }] });
    const [spec, { api }] = [await pods.specFor(pod), await pods.node(node)];
    return () => pods.requestAs(api, namespace, spec);
  };
  await inParallel(flows, async ({ namespace, node }) => {
    const key = `${namespace}/${node}`;
    const request = prepared.get(key) ?? prepare(namespace, node);
    prepared.set(key, request);
    await (await request)();
  });

  const order = new AnswerOrder();
  const refused: string[] = [];
  const api = openApi(world.cluster);
  try {
    const collection = '/apis/certificates.k8s.io/v1/podcertificaterequests';
    void api.watch<PodCertificateRequest>(collection, ({ object }) => {
      const { metadata, spec } = object;
      if (spec.signerName !== signerOf(burst)) return;
      const answer = answerOf(object);
      if (answer !== undefined && answer.type !== 'Issued') refused.push(answer.message);
      order.see(metadata.uid, { namespace: metadata.namespace ?? '', node: spec.nodeName }, answer !== undefined);
    });
    await eventually(() => assert.equal(order.created, flows.length));
    assert.equal(order.answered, 0);
    // Now the operator queues all of them at once, however long it took to create them.
    await world.patchAuthority(burst, { spec: { podCertificates: {} } });
    await eventually(() => assert.equal(order.answered, flows.length), { timeoutMs: 120_000 });
  } finally {
    await api.close();
  }
  assert.deepEqual(refused, []);
  const { leadOfNamespace, leadOfNode } = order;
  t.diagnostic(`largest lead of a namespace: ${leadOfNamespace}; of a node: ${leadOfNode}`);
  assert.ok(leadOfNamespace <= mostLead, `a namespace got ${leadOfNamespace} answers more than another that waited`);
  assert.ok(leadOfNode <= mostLead, `a node got ${leadOfNode} answers more than another that waited`);
});

describe('10,000 requests of one node in one namespace (30 s: to write them)', () => {
  const crowd = 10_000;
  /** The workers of the operator take turns. More answers than this in between would mean that requests wait in one line. */
  const most = 200;
  /** The requests in the order of their answers. */
  const answers: string[] = [];
  const created = new Map<string, number>();

  /** Starts to record the order in which requests are created and answered. Requests that exist count as new. */
  function record(): void {
    const collection = '/apis/certificates.k8s.io/v1/podcertificaterequests';
    const seen = new Set<string>();
    void world.api.watch<PodCertificateRequest>(collection, ({ type, object }) => {
      const { uid } = object.metadata;
      if (type === 'ADDED') created.set(uid, answers.length);
      if (answerOf(object) === undefined || seen.has(uid)) return;
      seen.add(uid);
      answers.push(uid);
    });
  }

  /** How many other requests were answered since this one was created. Waits for its answer. */
  async function overtakenBy(request: Stored): Promise<number> {
    const { uid } = request.metadata;
    const place = await eventually(
      () => {
        assert.ok(answers.includes(uid), `no answer; ${answers.length} requests have one`);
        return answers.indexOf(uid);
      },
      { timeoutMs: 120_000 },
    );
    return place - (created.get(uid) ?? Number.NaN);
  }

  const quietRequest = async ({ namespace }: Tenant): Promise<PodCertificateRequest> =>
    pods.request(await pods.create(namespace, { node: 'node-quiet' }));

  test('delay requests of other namespaces, and of other nodes in the same namespace, by a turn of the workers', async () => {
    await world.operator.stop();
    const pod = await pods.create(shop.namespace, { node: 'node-loud' });
    const [spec, { api }] = [await pods.specFor(pod), await pods.node('node-loud')];
    await inParallel(Array(crowd).keys(), () => pods.requestAs(api, shop.namespace, spec), 32);
    const early = [await quietRequest(other), await quietRequest(shop)];
    record();
    await world.start();
    for (const request of early) assert.ok((await overtakenBy(request)) < most, 'after a start');
    const late = [await quietRequest(other), await quietRequest(shop)];
    for (const request of late) assert.ok((await overtakenBy(request)) < most, 'while the operator works on them');
  });
});
