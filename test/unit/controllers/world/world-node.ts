import { annotations, secretKeys } from '../../../../src/api/constants.ts';
import { podRequestKey } from '../../../../src/controllers/objects/pod-objects.ts';
import {
  deployments,
  type KubeObject,
  type PodCertificateRequest,
  podCertificateRequests,
  pods as podResource,
  type Resource,
  replicaSets,
  type Served,
  type Workload,
} from '../../../../src/kube/index.ts';
import { publicKeyDer } from '../../../../src/pki/index.ts';
import { signerNameOf } from '../../../../src/plan/index.ts';
import { generatePodKey, stubRequest } from '../../../support/pods/stub-request.ts';
import type { MemoryApi } from './memory-api.ts';
import type { Loaded, WorldPods } from './world-pods.ts';

const namespace = 'shop';
const signerName = signerNameOf('default');
/** Longer than kubelet waits for an answer. The API server deletes older requests. */
const requestLifeMs = 900_000;

const key = generatePodKey('ECDSAP256');
const stub = stubRequest(key, publicKeyDer(key)).toString('base64');

/** What a pod template holds: its volumes, and how its container reads them. */
interface Template {
  /** The object that the container reads when it starts, as WorldPods names it. It does not read it again. */
  readonly mount?: string;
  /** How many certificates the pod requests. */
  readonly certificates?: number;
  /** The container reads its certificate when it starts, and not again. */
  readonly isFrozen?: true;
  readonly volumes: readonly object[];
  readonly container: object;
  readonly initContainers?: readonly object[];
}

const tls = [secretKeys.certificate, secretKeys.privateKey, secretKeys.bundle];
const secretVolume = { name: 'tls', secret: { secretName: 'c1-server-tls' } };
const podCertificate = { podCertificate: { signerName, keyType: 'ECDSAP256', credentialBundlePath: 'tls.pem' } };
const ofSecret = 'secrets shop/c1-server-tls';

/** The pods that load nothing while they run, and those with certificates that are in no Secret. */
export const templates = {
  subPath: {
    mount: ofSecret,
    volumes: [secretVolume],
    container: { volumeMounts: tls.map((subPath) => ({ name: 'tls', subPath })) },
  },
  variables: {
    mount: ofSecret,
    volumes: [],
    container: { env: tls.map((name) => ({ valueFrom: { secretKeyRef: { name: 'c1-server-tls', key: name } } })) },
  },
  copy: {
    mount: ofSecret,
    volumes: [secretVolume, { name: 'copies', emptyDir: {} }],
    initContainers: [{ name: 'init', volumeMounts: [{ name: 'tls' }, { name: 'copies' }] }],
    container: { volumeMounts: [{ name: 'copies' }] },
  },
  configMap: {
    mount: 'configmaps shop/mtls-trust',
    volumes: [{ name: 'roots', configMap: { name: 'mtls-trust' } }],
    container: { volumeMounts: [{ name: 'roots', subPath: secretKeys.bundle }] },
  },
  bundle: {
    mount: 'clustertrustbundles mtls-operator.io:default:roots',
    volumes: [
      { name: 'roots', projected: { sources: [{ clusterTrustBundle: { signerName, path: secretKeys.bundle } }] } },
    ],
    container: { volumeMounts: [{ name: 'roots', subPath: secretKeys.bundle }] },
  },
  certificate: {
    certificates: 1,
    volumes: [{ name: 'tls', projected: { sources: [podCertificate] } }],
    container: { volumeMounts: [{ name: 'tls' }] },
  },
  certificates: {
    certificates: 2,
    volumes: [{ name: 'tls', projected: { sources: [podCertificate, podCertificate] } }],
    container: { volumeMounts: [{ name: 'tls' }] },
  },
  'certificate by subPath': {
    certificates: 1,
    isFrozen: true,
    volumes: [{ name: 'tls', projected: { sources: [podCertificate] } }],
    container: { volumeMounts: [{ name: 'tls', subPath: 'tls.pem' }] },
  },
} as const satisfies Readonly<Record<string, Template>>;
export type TemplateName = keyof typeof templates;

/** A pod, and the node’s part of it. */
interface NodePod {
  readonly name: string;
  readonly uid: string;
  readonly app: string;
  hasStarted: boolean;
  /** The last request for each certificate: kubelet reads the answer to no other one. */
  readonly requests: Map<number, string>;
}

/** An application of one pod. Without a Deployment, only a person creates its pod again. */
interface App {
  readonly name: string;
  readonly template: Template;
  readonly hasDeployment: boolean;
}

interface WorldNodeOptions {
  readonly api: MemoryApi;
  readonly pods: WorldPods;
  /** The clock of the API server and of the node. */
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  /**
   * What a container reads that starts now. Undefined if the object does not exist.
   * @param isRestarted the operator has restarted the workload of the pod
   */
  readonly contentAt: (mount: string, isRestarted: boolean) => Loaded | undefined;
  readonly certificateIn: (chain: string) => Loaded;
}

/** A node with its kubelet, and the controller of Deployments. It works only when the test lets it. */
export class WorldNode {
  readonly #options: WorldNodeOptions;
  readonly #apps = new Map<string, App>();
  readonly #pods = new Map<string, NodePod>();
  #made = 0;
  /** How many certificates pods have got. */
  issued = 0;
  /** How often the operator has restarted a Deployment. */
  restarts = 0;

  constructor(options: WorldNodeOptions) {
    this.#options = options;
    options.api.subscribe((plural, before, after) => {
      if (plural === 'podcertificaterequests' && after !== undefined) this.#answered(after);
      if (plural === 'deployments' && before !== undefined && restartedFor(before) !== restartedFor(after))
        this.restarts += 1;
    });
  }

  /** The names of the applications. */
  get apps(): readonly string[] {
    return [...this.#apps.keys()];
  }

  /** Creates an application and its pod. */
  async deploy(name: string, template: TemplateName, hasDeployment: boolean): Promise<void> {
    if (this.#apps.has(name)) return;
    const app: App = { name, template: templates[template], hasDeployment };
    this.#apps.set(name, app);
    if (hasDeployment) {
      const { metadata } = await this.#create(deployments, { metadata: { namespace, name }, spec: { replicas: 1 } });
      const owner = { apiVersion: 'apps/v1', kind: 'Deployment', name, uid: metadata.uid, controller: true };
      await this.#create(replicaSets, { metadata: { namespace, name, ownerReferences: [owner] } });
    }
    await this.#createPod(app);
    await this.work();
  }

  /** Deletes the pod of an application, and creates another one: its node is drained, or a person restarts it. */
  async restart(name: string): Promise<void> {
    const app = this.#apps.get(name);
    if (app === undefined) return;
    for (const pod of this.#podsOf(name)) await this.#delete(pod);
    await this.#createPod(app);
    await this.work();
  }

  /** True for an application that the operator cannot restart. */
  needsPerson = (name: string): boolean => this.#apps.get(name)?.hasDeployment === false;

  /** Replaces the pods of restarted Deployments, starts containers, and requests the certificates of new pods. */
  async work(): Promise<void> {
    for (const app of this.#apps.values()) {
      await this.#rollOut(app);
      for (const pod of this.#podsOf(app.name)) if (!pod.hasStarted) await this.#start(app, pod);
    }
    await this.#deleteOldRequests();
  }

  /** Kubelet requests all certificates of a pod again, as after its restart. */
  async refresh(name: string): Promise<void> {
    for (const pod of this.#podsOf(name)) await this.#requestAll(pod);
  }

  /** The keys of the requests that have no answer, as the queue of the operator has them. */
  waiting(): string[] {
    return this.#requests()
      .filter(({ status }) => status?.conditions === undefined)
      .map(({ metadata, spec }) => podRequestKey({ namespace, name: metadata.name, nodeName: spec?.nodeName ?? '' }));
  }

  #requests = (): Served<PodCertificateRequest>[] => this.#options.api.all('podcertificaterequests');

  #podsOf = (app: string): NodePod[] => [...this.#pods.values()].filter((pod) => pod.app === app);

  /** The new pod of a changed template starts before the old one ends. */
  async #rollOut({ name, hasDeployment, template }: App): Promise<void> {
    const live = hasDeployment ? this.#options.api.find(deployments, { namespace, name }) : undefined;
    const { generation = 0 } = live?.metadata ?? {};
    if (live === undefined) return;
    const pods = this.#podsOf(name);
    if ((live.status?.observedGeneration ?? 0) < generation) {
      if (generation > 1) await this.#createPod({ name, hasDeployment, template });
      await this.#patch(deployments, name, { status: { observedGeneration: generation, updatedReplicas: 1 } });
      return;
    }
    const newest = pods.at(-1);
    if (newest?.hasStarted !== true) return;
    for (const pod of pods) if (pod !== newest) await this.#delete(pod);
    await this.#patch(deployments, name, { status: { replicas: 1, updatedReplicas: 1, availableReplicas: 1 } });
  }

  async #createPod({ name: app, template, hasDeployment }: App): Promise<void> {
    const { api } = this.#options;
    const name = `${app}-${(this.#made += 1)}`;
    const live = hasDeployment ? api.find(deployments, { namespace, name: app }) : undefined;
    const uid = api.find(replicaSets, { namespace, name: app })?.metadata.uid;
    const { volumes, container, initContainers = [] } = template;
    const object = {
      metadata: {
        namespace,
        name,
        annotations: live?.spec?.template?.metadata?.annotations ?? {},
        ...(uid === undefined
          ? {}
          : { ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: app, uid, controller: true }] }),
      },
      spec: {
        serviceAccountName: 'default',
        nodeName: 'n1',
        volumes,
        initContainers,
        containers: [{ name: 'main', ...container }],
      },
    };
    const { metadata } = await this.#create(podResource, object);
    const pod: NodePod = { name, uid: metadata.uid, app, hasStarted: false, requests: new Map() };
    this.#pods.set(pod.uid, pod);
    await this.#requestAll(pod);
  }

  async #start({ template }: App, pod: NodePod): Promise<void> {
    const { pods, contentAt, nowMs } = this.#options;
    if (template.mount !== undefined) {
      const { metadata } = this.#options.api.find(podResource, { namespace, name: pod.name }) ?? {};
      const content = contentAt(template.mount, metadata?.annotations?.[annotations.restartedFor] !== undefined);
      // The container waits until the object exists.
      if (content === undefined) return;
      pods.freeze(`${pod.name}, which reads ${template.mount} once,`, namespace, content);
    }
    const loads = Array.from({ length: template.certificates ?? 0 }, (_, index) => pods.has(mountOf(pod, index)));
    if (loads.includes(false)) return;
    pod.hasStarted = true;
    const startedAt = `${new Date(nowMs()).toISOString().slice(0, 19)}Z`;
    const init = (template.initContainers ?? []).map(() => ({ name: 'init', state: { terminated: { startedAt } } }));
    await this.#patch(podResource, pod.name, {
      status: {
        phase: 'Running',
        initContainerStatuses: init,
        containerStatuses: [{ name: 'main', containerID: 'c', state: { running: { startedAt } } }],
      },
    });
  }

  async #delete(pod: NodePod): Promise<void> {
    const { api, pods } = this.#options;
    this.#pods.delete(pod.uid);
    pods.end((mount) => mount.startsWith(`${pod.name}, `) || mount.startsWith(`podCertificate ${pod.name} `));
    await api.byHand(() => api.delete(podResource, { namespace, name: pod.name }));
  }

  async #requestAll(pod: NodePod): Promise<void> {
    const app = this.#apps.get(pod.app);
    for (let index = 0; index < (app?.template.certificates ?? 0); index += 1) {
      const name = `${pod.name}-${index}-${(this.#made += 1)}`;
      pod.requests.set(index, name);
      await this.#create(podCertificateRequests, {
        metadata: { namespace, name },
        spec: {
          signerName,
          podName: pod.name,
          podUID: pod.uid,
          serviceAccountName: 'default',
          nodeName: 'n1',
          stubPKCS10Request: stub,
        },
      });
    }
  }

  #answered({ metadata, spec, status }: PodCertificateRequest): void {
    const pod = this.#pods.get(spec?.podUID ?? '');
    const chain = status?.certificateChain;
    if (pod === undefined || chain === undefined) return;
    const [index] = [...pod.requests].find(([, request]) => request === metadata.name) ?? [];
    if (index === undefined) return;
    pod.requests.delete(index);
    this.issued += 1;
    const { pods, certificateIn, monotonicMs } = this.#options;
    const mount = mountOf(pod, index);
    if (this.#apps.get(pod.app)?.template.isFrozen === true && pods.has(mount)) return;
    pods.changed(mount, namespace, certificateIn(chain), monotonicMs());
  }

  async #deleteOldRequests(): Promise<void> {
    const { api, nowMs } = this.#options;
    for (const { metadata } of this.#requests()) {
      const isOld = nowMs() - Date.parse(metadata.creationTimestamp) >= requestLifeMs;
      if (isOld) await api.byHand(() => api.delete(podCertificateRequests, metadata));
    }
  }

  #create<T extends KubeObject>(resource: Resource<T>, object: T): Promise<Served<T>> {
    const { api } = this.#options;
    return api.byHand(() => api.create(resource, object));
  }

  async #patch(resource: Resource<KubeObject>, name: string, patch: object): Promise<void> {
    await this.#options.api.patchByHand(resource, { namespace, name }, patch);
  }
}

const mountOf = ({ name }: NodePod, index: number): string => `podCertificate ${name} ${index}`;

const restartedFor = (object: Workload | undefined): string | undefined =>
  object?.spec?.template?.metadata?.annotations?.[annotations.restartedFor];
