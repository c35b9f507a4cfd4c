import { type Api, paths, type Stored } from '../api.ts';
import { eventually } from '../eventually.ts';

/** core/v1 Pod, as a Deployment creates it. */
interface RunnablePod extends Stored {
  readonly spec: { readonly containers: ReadonlyArray<{ readonly name: string }> };
  readonly status?: { readonly phase?: string };
}

const node = 'node-of-workloads';
const apps = (namespace: string, plural: string, name = '') =>
  `/apis/apps/v1/namespaces/${namespace}/${plural}${name === '' ? '' : `/${name}`}`;

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

/** Deployments and pods of one namespace on a node without a kubelet: the test says when a container starts. */
export class Workloads {
  readonly #api: Api;
  readonly #namespace: string;
  /** While false, new pods do not start. */
  starts = true;

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
        if (type === 'ADDED' && isControlled && this.starts) void this.#start(object);
      })
      .catch(() => undefined);
  }

  /** Starts the pods that have not started. */
  async startAll(): Promise<void> {
    this.starts = true;
    for (const pod of await this.pods()) if (pod.status?.phase !== 'Running') await this.#start(pod);
  }

  pods = (): Promise<readonly RunnablePod[]> => this.#api.list<RunnablePod>(paths.pods(this.#namespace));

  /** Creates a pod, and waits until it runs. */
  async createPod(name: string, spec: PodSpec): Promise<void> {
    await this.#start(await this.#api.create(paths.pods(this.#namespace), { metadata: { name }, spec: onNode(spec) }));
  }

  deletePod = (name: string): Promise<void> => this.#api.delete(paths.pods(this.#namespace, name));

  async createDeployment(name: string, spec: PodSpec): Promise<void> {
    const labels = { app: name };
    await this.#api.create(apps(this.#namespace, 'deployments'), {
      metadata: { name },
      spec: {
        replicas: 1,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: onNode(spec) },
      },
    });
  }

  /** How often the pod template of a Deployment has been changed: one ReplicaSet for each template. */
  async templates(name: string): Promise<number> {
    const sets = await this.#api.list(apps(this.#namespace, 'replicasets'));
    return sets.filter(({ metadata }) => metadata.labels?.['app'] === name).length;
  }

  /** Waits until a Deployment has one pod, which runs. */
  isAvailable = (name: string): Promise<void> =>
    eventually(async () => {
      const pods = (await this.pods()).filter(({ metadata }) => metadata.labels?.['app'] === name);
      if (pods.length !== 1 || pods[0]?.status?.phase !== 'Running') throw new Error(`${name} has ${pods.length} pods`);
    });

  /** What kubelet reports when the containers of a pod have started. */
  async #start({ metadata, spec }: RunnablePod): Promise<void> {
    const startedAt = new Date().toISOString();
    const containerStatuses = spec.containers.map(({ name }) => ({
      name,
      image: 'localhost/none:1',
      imageID: '',
      ready: true,
      restartCount: 0,
      state: { running: { startedAt } },
    }));
    const conditions = ['Ready', 'ContainersReady'].map((type) => ({
      type,
      status: 'True',
      lastTransitionTime: startedAt,
    }));
    const status = { phase: 'Running', containerStatuses, conditions };
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
  containers: containers.map((container) => ({ ...container, image: 'localhost/none:1' })),
  volumes,
});
