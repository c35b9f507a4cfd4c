import assert from 'node:assert/strict';
import { type KeyObject, X509Certificate } from 'node:crypto';

import { publicKeyDer } from '../../../src/pki/index.ts';
import { type Api, openApi, paths, type Stored, type User } from '../api.ts';
import type { TestCluster } from '../cluster.ts';
import { eventually } from '../eventually.ts';
import { generatePodKey, type PodKeyType, stubRequest } from './stub-request.ts';

/** certificates.k8s.io/v1 PodCertificateRequest. */
export interface PodCertificateRequest extends Stored {
  readonly spec: PodCertificateRequestSpec;
  readonly status?: {
    readonly conditions?: readonly RequestCondition[];
    readonly certificateChain?: string;
    readonly notBefore?: string;
    readonly beginRefreshAt?: string;
    readonly notAfter?: string;
  };
}

export interface PodCertificateRequestSpec {
  readonly signerName: string;
  readonly podName: string;
  readonly podUID: string;
  readonly serviceAccountName: string;
  readonly serviceAccountUID: string;
  readonly nodeName: string;
  readonly nodeUID: string;
  readonly maxExpirationSeconds?: number;
  /** DER in base64. */
  readonly stubPKCS10Request: string;
  readonly unverifiedUserAnnotations?: Readonly<Record<string, string>>;
}

export interface RequestCondition {
  readonly type: 'Issued' | 'Denied' | 'Failed';
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

/** core/v1 Pod. */
export interface Pod extends Stored {
  readonly spec: {
    readonly nodeName: string;
    readonly serviceAccountName: string;
    readonly volumes: ReadonlyArray<{
      readonly name: string;
      readonly projected?: { readonly sources: ReadonlyArray<{ readonly podCertificate?: PodCertificateSource }> };
    }>;
  };
}

/** The source of a projected volume that asks for a certificate. */
export interface PodCertificateSource {
  readonly signerName: string;
  readonly keyType: PodKeyType;
  readonly maxExpirationSeconds?: number;
  readonly userAnnotations?: Readonly<Record<string, string>>;
}

export interface PodOptions {
  readonly name?: string;
  /** The name of the Node, see `PodWorld.node`; by default a node that all tests share. */
  readonly node?: string;
  readonly serviceAccount?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** The certificates that its projected volumes ask for; by default one of the authority `default`. */
  readonly certificates?: readonly Partial<PodCertificateSource>[];
  /** Replaces its container. */
  readonly containers?: readonly object[];
  /** Volumes in addition to those of its certificates. */
  readonly volumes?: readonly object[];
}

/** Pods without a kubelet, and the requests that kubelet would make for them. */
export interface PodWorld {
  /** A Node and a client with the rights of its kubelet. Creates the Node if necessary. */
  node(name: string): Promise<{ readonly uid: string; readonly api: Api }>;
  /** Creates a pod that is bound to a node. */
  create(namespace: string, options?: PodOptions): Promise<Pod>;
  /** Says that the containers of a pod run since this time; by default now. */
  runs(pod: Pod, startedAt?: Date): Promise<Pod>;
  /** Says that all containers of a pod have ended. */
  ends(pod: Pod, phase?: 'Succeeded' | 'Failed'): Promise<Pod>;
  /** The spec that kubelet would write for the first certificate of a pod, with a new key. */
  specFor(pod: Pod, key?: KeyObject): Promise<PodCertificateRequestSpec>;
  /** Makes the request of kubelet, with the rights of the pod's node. `change` replaces fields of the spec. */
  request(pod: Pod, change?: Partial<PodCertificateRequestSpec>): Promise<PodCertificateRequest>;
  /** Creates a request as another user. */
  requestAs(api: Api, namespace: string, spec: PodCertificateRequestSpec): Promise<PodCertificateRequest>;
  /** A client of a user who may do everything in one namespace, and nothing elsewhere. */
  namespaceAdmin(namespace: string): Promise<Api>;
  find(request: Stored): Promise<PodCertificateRequest>;
  /** Waits until a request has an answer that cannot change any more. Returns the request with it. */
  answered(request: Stored): Promise<PodCertificateRequest>;
  close(): Promise<void>;
}

/** The signer of an authority. */
export const signerOf = (authority: string): string => `mtls-operator.io/${authority}`;

/** The terminal condition of a request. */
export const answerOf = ({ status }: PodCertificateRequest): RequestCondition | undefined => status?.conditions?.[0];

/** The leaf of an issued request. Fails if the request was not issued. */
export function issuedTo(request: PodCertificateRequest): X509Certificate {
  const { certificateChain } = request.status ?? {};
  assert.ok(certificateChain, `${request.metadata.name} was not issued: ${JSON.stringify(request.status)}`);
  return new X509Certificate(certificateChain);
}

/** The name of a role that the control plane has, but gives to no one: a node with the Node authorizer does not need it. */
const nodeRole = 'system:node';
const sharedNode = 'node-0';

/** Prepares a cluster without nodes for pods: nodes get their usual rights. */
export async function openPods(cluster: TestCluster): Promise<PodWorld> {
  const admin = openApi(cluster);
  const clients: Api[] = [admin];
  const nodes = new Map<string, ReturnType<PodWorld['node']>>();
  const accounts = new Map<string, Promise<Stored>>();
  const keys = new Map<PodKeyType, KeyObject>();
  let made = 0;

  const binding = 'nodes-without-kubelet';
  await admin.apply(`/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/${binding}?fieldManager=test&force=true`, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: binding },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: nodeRole },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'system:nodes' }],
  });

  function open(user: User): Api {
    const api = openApi(cluster, user);
    clients.push(api);
    return api;
  }

  async function findOrCreate(collection: string, name: string): Promise<Stored> {
    const existing = await admin.find(`${collection}/${name}`);
    return existing ?? admin.create(collection, { metadata: { name } });
  }

  /** The API server reads new roles a moment later. */
  async function mayRequest(api: Api, namespace: string): Promise<void> {
    const resourceAttributes = {
      namespace,
      verb: 'create',
      group: 'certificates.k8s.io',
      resource: 'podcertificaterequests',
    };
    await eventually(async () => {
      const review = {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes },
      };
      const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
      const { status } = await api.create<{ readonly status: { readonly allowed: boolean } }>(path, review);
      assert.ok(status.allowed, 'the user may not create requests');
    });
  }

  async function startNode(name: string) {
    const { metadata } = await findOrCreate(paths.nodes(), name);
    const api = open({ name: `system:node:${name}`, group: 'system:nodes' });
    await mayRequest(api, 'default');
    return { uid: metadata.uid, api };
  }

  const node: PodWorld['node'] = (name) => {
    const started = nodes.get(name) ?? startNode(name);
    nodes.set(name, started);
    return started;
  };

  /** The controller manager creates `default`. */
  const serviceAccount = (namespace: string, name: string): Promise<Stored> => {
    const key = `${namespace}/${name}`;
    const find = (): Promise<Stored> =>
      name === 'default'
        ? eventually(() => admin.get(paths.serviceAccounts(namespace, name)))
        : findOrCreate(paths.serviceAccounts(namespace), name);
    const found = accounts.get(key) ?? find();
    accounts.set(key, found);
    return found;
  };

  /** Requests may share a key. A new RSA key takes seconds. */
  function keyOf(type: PodKeyType): KeyObject {
    const key = keys.get(type) ?? generatePodKey(type);
    keys.set(type, key);
    return key;
  }

  const patchStatus = ({ metadata }: Pod, status: object): Promise<Pod> =>
    admin.patch(`${paths.pods(metadata.namespace ?? '', metadata.name)}/status`, { status });

  const self: PodWorld = {
    node,
    async create(namespace, options = {}) {
      const { name = `pod-${++made}`, node: nodeName = sharedNode, serviceAccount: account = 'default' } = options;
      await node(nodeName);
      await serviceAccount(namespace, account);
      const pod = podObject(name, nodeName, account, options);
      return admin.create<Pod>(paths.pods(namespace), pod);
    },
    runs: (pod, startedAt = new Date()) =>
      patchStatus(pod, {
        phase: 'Running',
        containerStatuses: [containerStatus({ running: { startedAt: startedAt.toISOString() } }, true)],
      }),
    ends: (pod, phase = 'Succeeded') =>
      patchStatus(pod, {
        phase,
        containerStatuses: [containerStatus({ terminated: { exitCode: phase === 'Failed' ? 1 : 0 } }, false)],
      }),
    async specFor({ metadata, spec }, key) {
      const { namespace = '', name, uid } = metadata;
      const source = spec.volumes.flatMap(({ projected }) => projected?.sources ?? []).find(isPodCertificate);
      assert.ok(source !== undefined, `pod ${name} asks for no certificate`);
      const { signerName, keyType, maxExpirationSeconds, userAnnotations } = source.podCertificate;
      const [account, owner] = await Promise.all([
        serviceAccount(namespace, spec.serviceAccountName),
        node(spec.nodeName),
      ]);
      const podKey = key ?? keyOf(keyType);
      return {
        signerName,
        podName: name,
        podUID: uid,
        serviceAccountName: spec.serviceAccountName,
        serviceAccountUID: account.metadata.uid,
        nodeName: spec.nodeName,
        nodeUID: owner.uid,
        ...(maxExpirationSeconds === undefined ? {} : { maxExpirationSeconds }),
        stubPKCS10Request: stubRequest(podKey, publicKeyDer(podKey)).toString('base64'),
        ...(userAnnotations === undefined ? {} : { unverifiedUserAnnotations: userAnnotations }),
      };
    },
    async request(pod, change = {}) {
      const { api } = await node(pod.spec.nodeName);
      return self.requestAs(api, pod.metadata.namespace ?? '', { ...(await self.specFor(pod)), ...change });
    },
    requestAs: (api, namespace, spec) =>
      api.create<PodCertificateRequest>(paths.podCertificateRequests(namespace), {
        metadata: { name: `request-${++made}` },
        spec,
      }),
    async namespaceAdmin(namespace) {
      const name = `admin-of-${namespace}`;
      const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
      const rules = [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }];
      await admin.create(`${rbac}/roles`, { metadata: { name: 'everything' }, rules });
      await admin.create(`${rbac}/rolebindings`, {
        metadata: { name: 'everything' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'everything' },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name }],
      });
      const api = open({ name });
      await mayRequest(api, namespace);
      return api;
    },
    find: ({ metadata }) => admin.get(paths.podCertificateRequests(metadata.namespace ?? '', metadata.name)),
    answered: (request) =>
      eventually(
        async () => {
          const found = await self.find(request);
          assert.ok(answerOf(found) !== undefined, 'it is pending');
          return found;
        },
        { timeoutMs: 60_000, message: `${request.metadata.namespace}/${request.metadata.name} has no answer` },
      ),
    async close() {
      await Promise.all(clients.map((client) => client.close()));
    },
  };
  return self;
}

const isPodCertificate = <T extends { readonly podCertificate?: PodCertificateSource }>(
  source: T,
): source is T & { readonly podCertificate: PodCertificateSource } => source.podCertificate !== undefined;

function podObject(name: string, nodeName: string, serviceAccountName: string, options: PodOptions): object {
  const { labels = {}, certificates = [{}] } = options;
  const sources = certificates.map((source) => ({
    podCertificate: {
      signerName: signerOf('default'),
      keyType: 'ECDSAP256',
      credentialBundlePath: 'credentials.pem',
      ...source,
    },
  }));
  const volumes = sources.map((source, index) => ({ name: `tls-${index}`, projected: { sources: [source] } }));
  const volumeMounts = volumes.map((volume) => ({ name: volume.name, mountPath: `/${volume.name}` }));
  return {
    metadata: { name, labels },
    spec: {
      nodeName,
      serviceAccountName,
      automountServiceAccountToken: false,
      // The Nodes have no kubelet. The controller manager would evict the pods from them.
      tolerations: [{ operator: 'Exists' }],
      // The Pod Security Standard `restricted`, which the operator's namespace demands.
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      containers: options.containers ?? [
        { name: 'main', image: 'localhost/none:1', volumeMounts, securityContext: restricted },
      ],
      volumes: [...volumes, ...(options.volumes ?? [])],
    },
  };
}

const restricted = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };

/** The status of a container that the runtime has created. */
const containerStatus = (state: object, ready: boolean) => ({
  name: 'main',
  containerID: `containerd://${'0'.repeat(64)}`,
  image: 'localhost/none:1',
  imageID: '',
  ready,
  restartCount: 0,
  state,
});
