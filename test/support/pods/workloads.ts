import { type Api, paths, type Stored } from '../api.ts';
import { eventually } from '../eventually.ts';

/** core/v1 Pod, as a controller creates it. */
interface RunnablePod extends Stored {
  readonly metadata: Stored['metadata'] & { readonly creationTimestamp: string };
  readonly spec: { readonly containers: ReadonlyArray<{ readonly name: string }> };
  readonly status?: {
    readonly phase?: string;
    readonly containerStatuses?: ReadonlyArray<{ readonly state?: { readonly waiting?: object } }>;
  };
}

const node = 'node-of-workloads';
const apps = (namespace: string, plural: string) => `/apis/apps/v1/namespaces/${namespace}/${plural}`;

const plurals = { Deployment: 'deployments', StatefulSet: 'statefulsets', DaemonSet: 'daemonsets' } as const;
export type WorkloadKind = keyof typeof plurals;

/** The containers of a pod that reads a Secret. */
export const reading = {
  bySubPath: (secretName: string, subPath: string) => ({
    containers: [{ name: 'main', volumeMounts: [{ name: 'tls', mountPath: `/tls/${subPath}`, subPath }] }],
    volumes: [{ name: 'tls', secret: { secretName } }],
  }),
  asVariable: (secretName: string, key: string) => ({
    containers: [{ name: 'main', env: [{ name: 'TLS', valueFrom: { secretKeyRef: { name: secretName, key } } }] }],
    volumes: [],
  }),
} as const;

type PodSpec = ReturnType<(typeof reading)[keyof typeof reading]>;

/** Workloads and pods of one namespace on a node without a kubelet: the test says when a container starts. */
export class Workloads {
  readonly #api: Api;
  readonly #namespace: string;
  /** While false, new pods do not start. */
  starts = true;
  /** The workloads whose containers wait. */
  readonly #waiting = new Set<string>();

  constructor(api: Api, namespace: string) {
    this.#api = api;
    this.#namespace = namespace;
  }

  /** Creates the node, and starts the pods of the namespace as they come. Ends with the API client. */
  async begin(): Promise<void> {
    if ((await this.#api.find(paths.nodes(node))) === undefined)
      await this.#api.create(paths.nodes(), { metadata: { name: node } });
    await eventually(() => this.#api.get(paths.serviceAccounts(this.#namespace, 'default')));
    void this.#api
      .watch<RunnablePod>(paths.pods(this.#namespace), ({ type, object }) => {
        const isControlled = object.metadata.ownerReferences !== undefined;
        if (type === 'ADDED' && isControlled && this.starts) void this.#report(object);
      })
      .catch(() => undefined);
  }

  /** Starts the pods that have not started. */
  async startAll(): Promise<void> {
    this.starts = true;
    for (const pod of await this.pods()) if (pod.status?.phase !== 'Running') await this.#report(pod);
  }

  pods = (): Promise<readonly RunnablePod[]> => this.#api.list<RunnablePod>(paths.pods(this.#namespace));

  /** Creates a pod, and waits until it runs. */
  async createPod(name: string, spec: PodSpec): Promise<void> {
    await this.#report(await this.#api.create(paths.pods(this.#namespace), { metadata: { name }, spec: onNode(spec) }));
  }

  deletePod = (name: string): Promise<void> => this.#api.delete(paths.pods(this.#namespace, name));

  createDeployment = (name: string, spec: PodSpec): Promise<void> => this.create('Deployment', name, spec);

  /** Creates a workload with one pod. */
  async create(kind: WorkloadKind, name: string, spec: PodSpec): Promise<void> {
    const labels = { app: name };
    await this.#api.create(apps(this.#namespace, plurals[kind]), {
      metadata: { name },
      spec: {
        ...(kind === 'DaemonSet' ? {} : { replicas: 1 }),
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: onNode(spec) },
      },
    });
  }

  /** Creates a workload, and waits until kubelet reports that the containers of its pod wait. */
  async createWaiting(kind: WorkloadKind, name: string, spec: PodSpec): Promise<void> {
    this.#waiting.add(name);
    await this.create(kind, name, spec);
    await eventually(async () => {
      const [pod] = await this.#podsOf(name);
      if (pod?.status?.containerStatuses?.[0]?.state?.waiting === undefined) throw new Error(`${name} does not wait`);
    });
  }

  /** kubelet reports that the containers of a waiting workload have run since its pod was created. Its next pods start at once. */
  async reportStart(name: string): Promise<void> {
    this.#waiting.delete(name);
    for (const pod of await this.#podsOf(name)) await this.#report(pod, pod.metadata.creationTimestamp);
  }

  async #podsOf(name: string): Promise<readonly RunnablePod[]> {
    return (await this.pods()).filter(({ metadata }) => metadata.labels?.['app'] === name);
  }

  /** How often the pod template of a Deployment has been changed: one ReplicaSet for each template. */
  async templates(name: string): Promise<number> {
    const sets = await this.#api.list(apps(this.#namespace, 'replicasets'));
    return sets.filter(({ metadata }) => metadata.labels?.['app'] === name).length;
  }

  /** Waits until a Deployment has one pod, which runs. */
  isAvailable = (name: string): Promise<void> =>
    eventually(async () => {
      const pods = await this.#podsOf(name);
      if (pods.length !== 1 || pods[0]?.status?.phase !== 'Running') throw new Error(`${name} has ${pods.length} pods`);
    });

  /** What kubelet reports about the containers of a pod: they have started, or wait. */
  async #report({ metadata, spec }: RunnablePod, startedAt = new Date().toISOString()): Promise<void> {
    const isWaiting = this.#waiting.has(metadata.labels?.['app'] ?? '');
    const containerStatuses = spec.containers.map(({ name }) => ({
      name,
      image: 'localhost/none:1',
      imageID: '',
      ready: !isWaiting,
      restartCount: 0,
      state: isWaiting ? { waiting: { reason: 'ContainerCreating' } } : { running: { startedAt } },
    }));
    const conditions = ['Ready', 'ContainersReady'].map((type) => ({
      type,
      status: isWaiting ? 'False' : 'True',
      lastTransitionTime: startedAt,
    }));
    const status = { phase: isWaiting ? 'Pending' : 'Running', containerStatuses, conditions };
    // The controller may have deleted the pod meanwhile.
    await this.#api.patch(`${paths.pods(this.#namespace, metadata.name)}/status`, { status }).catch(() => undefined);
  }
}

const onNode = ({ containers, volumes }: PodSpec): object => ({
  nodeName: node,
  automountServiceAccountToken: false,
  terminationGracePeriodSeconds: 0,
  // The node has no kubelet. The controller manager would evict the pods.
  tolerations: [{ operator: 'Exists' }],
  // The Pod Security Standard `restricted`, which the operator's namespace demands.
  securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
  containers: containers.map((container) => ({
    ...container,
    image: 'localhost/none:1',
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
  })),
  volumes,
});
