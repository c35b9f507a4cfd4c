import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, type Dispatcher, request } from 'undici';

import type { TestCluster } from './cluster.ts';
import { eventually } from './eventually.ts';

/** The namespace of the operator and of the root Secrets. */
export const operatorNamespace = 'mtls-operator';

/** The fields of every object of the API server. */
export interface Stored {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly generation?: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly {
      readonly name: string;
      readonly uid: string;
      readonly controller?: boolean;
    }[];
  };
}

/** core/v1 Secret. `data` is base64. */
export interface Secret extends Stored {
  readonly type: string;
  readonly data?: Readonly<Record<string, string>>;
}

/** core/v1 ConfigMap. */
export interface ConfigMap extends Stored {
  readonly immutable?: boolean;
  readonly data?: Readonly<Record<string, string>>;
  readonly binaryData?: Readonly<Record<string, string>>;
}

/** certificates.k8s.io/v1 ClusterTrustBundle. */
export interface ClusterTrustBundle extends Stored {
  readonly spec: { readonly signerName?: string; readonly trustBundle: string };
}

/** One line of a watch. */
export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'ERROR';
  readonly object: T;
}

/**
 * A client with administrator rights, over plain HTTPS and without the operator's own client. Every call that fails throws
 * an Error with the HTTP status and the server's message.
 */
export interface Api {
  get<T = Stored>(path: string): Promise<T>;
  /** Undefined when the object does not exist. */
  find<T = Stored>(path: string): Promise<T | undefined>;
  list<T = Stored>(path: string): Promise<readonly T[]>;
  /** `object` may be YAML text, which the API server parses. */
  create<T = Stored>(path: string, object: Body): Promise<T>;
  /** JSON merge patch (RFC 7386). */
  patch<T = Stored>(path: string, patch: object): Promise<T>;
  /** Server-side apply. The path names the field manager. */
  apply<T = Stored>(path: string, object: object): Promise<T>;
  delete(path: string): Promise<void>;
  /**
   * Calls `onEvent` for every event of a collection until `close`, starting with an ADDED for every existing object. When the API
   * server ends the watch or restarts, the watch resumes at the last event. If the API server no longer has the resourceVersion
   * of that event, events are lost: the watch calls `onLost` and starts again, or throws if there is no `onLost`.
   */
  watch<T extends Stored>(path: string, onEvent: (event: WatchEvent<T>) => void, onLost?: () => void): Promise<void>;
  /** Ends the watches and closes the connections. */
  close(): Promise<void>;
}

type Body = object | string;

const own = '/apis/mtls-operator.io/v1alpha1';
const under = (collection: string, name: string): string => (name === '' ? collection : `${collection}/${name}`);

/** Paths of the objects that tests use. Without a name, the path of the collection. */
export const paths = {
  rootSecret: (name: string) => under(`/api/v1/namespaces/${operatorNamespace}/secrets`, name),
  secrets: (namespace: string, name = '') => under(`/api/v1/namespaces/${namespace}/secrets`, name),
  configMaps: (namespace: string, name = '') => under(`/api/v1/namespaces/${namespace}/configmaps`, name),
  clusterTrustBundles: (name = '') => under('/apis/certificates.k8s.io/v1/clustertrustbundles', name),
  podCertificateRequests: (namespace: string, name = '') =>
    under(`/apis/certificates.k8s.io/v1/namespaces/${namespace}/podcertificaterequests`, name),
  pods: (namespace: string, name = '') => under(`/api/v1/namespaces/${namespace}/pods`, name),
  services: (namespace: string, name = '') => under(`/api/v1/namespaces/${namespace}/services`, name),
  serviceAccounts: (namespace: string, name = '') => under(`/api/v1/namespaces/${namespace}/serviceaccounts`, name),
  nodes: (name = '') => under('/api/v1/nodes', name),
  namespaces: (name = '') => under('/api/v1/namespaces', name),
  certificates: (namespace: string, name = '') => under(`${own}/namespaces/${namespace}/mtlscertificates`, name),
  authorities: (name = '') => under(`${own}/mtlsauthorities`, name),
  /** The CRD of one of the operator's resources. */
  definition: (plural: string) => `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${plural}.mtls-operator.io`,
  events: '/apis/events.k8s.io/v1/events',
  lease: '/apis/coordination.k8s.io/v1/namespaces/mtls-operator/leases/mtls-operator',
} as const;

/**
 * Waits until the API server serves the resources of `deploy/`. After the CRDs are Established, it may answer 404 for another
 * moment.
 */
export async function kindsAreServed(api: Api): Promise<void> {
  await eventually(() => Promise.all([api.get(paths.authorities()), api.get(`${own}/mtlscertificates`)]), {
    timeoutMs: 120_000,
    message: 'the API server does not serve the custom resources',
  });
}

/** A user whom the administrator impersonates. The API server adds the group system:authenticated. */
export interface User {
  readonly name: string;
  readonly group?: string;
}

/** Opens the API server of a cluster, as its administrator or as another user. */
export function openApi(cluster: Pick<TestCluster, 'kubeconfig'>, as?: User): Api {
  const { server, ca, token } = readKubeconfig(cluster.kubeconfig);
  const dispatcher = new Agent({ connect: { ca } });
  const closing = new AbortController();
  const impersonation = {
    ...(as === undefined ? {} : { 'impersonate-user': as.name }),
    ...(as?.group === undefined ? {} : { 'impersonate-group': as.group }),
  };

  async function send(
    method: Dispatcher.HttpMethod,
    path: string,
    body?: Body,
    patchType = 'application/merge-patch+json',
  ): Promise<Dispatcher.ResponseData> {
    const written = typeof body === 'string' ? 'application/yaml' : 'application/json';
    const type = method === 'PATCH' ? patchType : written;
    const headers = {
      ...impersonation,
      authorization: `Bearer ${token}`,
      accept: 'application/json',
      'content-type': type,
    };
    const text = typeof body === 'object' ? JSON.stringify(body) : (body ?? null);
    return request(`${server}${path}`, {
      dispatcher,
      method,
      headers,
      body: text,
      bodyTimeout: 0,
      signal: closing.signal,
    });
  }

  async function read<T>(method: Dispatcher.HttpMethod, path: string, body?: Body, patchType?: string): Promise<T> {
    const reply = await send(method, path, body, patchType);
    const answer: unknown = await reply.body.json();
    if (reply.statusCode < 300) return answer as T;
    throw refusal(method, path, reply.statusCode, answer);
  }

  /** The lines of a watch until it ends or fails. */
  async function* linesOf(path: string): AsyncGenerator<string> {
    try {
      const { statusCode, body } = await send('GET', path);
      if (statusCode === 410) yield JSON.stringify({ type: 'ERROR', object: await body.json() });
      else if (statusCode === 200) yield* createInterface({ input: body });
      else throw new Error(await body.text());
    } catch {
      // The API server is not running or not ready yet, or this client was closed.
      if (!closing.signal.aborted) await delay(50);
    }
  }

  return {
    get: (path) => read('GET', path),
    async find<T>(path: string) {
      const reply = await send('GET', path);
      const answer: unknown = await reply.body.json();
      if (reply.statusCode === 404) return undefined;
      if (reply.statusCode !== 200) throw refusal('GET', path, reply.statusCode, answer);
      return answer as T;
    },
    list: async <T>(path: string) => (await read<{ items: T[] }>('GET', path)).items,
    create: (path, object) => read('POST', path, object),
    patch: (path, patch) => read('PATCH', path, patch),
    apply: (path, object) => read('PATCH', path, object, 'application/apply-patch+yaml'),
    async delete(path) {
      await read('DELETE', path);
    },
    async watch<T extends Stored>(path: string, onEvent: (event: WatchEvent<T>) => void, onLost?: () => void) {
      let place = '';
      while (!closing.signal.aborted) {
        for await (const line of linesOf(`${path}?watch=true${place}`)) {
          const event = JSON.parse(line) as WatchEvent<T>;
          if (event.type === 'ERROR') {
            if (onLost === undefined) throw new Error(`the watch of ${path} has lost its place: ${line}`);
            onLost();
            place = '';
            break;
          }
          onEvent(event);
          place = `&resourceVersion=${event.object.metadata.resourceVersion}`;
        }
      }
    },
    async close() {
      closing.abort();
      await dispatcher.destroy();
    },
  };
}

function refusal(method: string, path: string, status: number, answer: unknown): Error {
  return new Error(`${method} ${path}: ${status} ${(answer as { message?: string }).message ?? ''}`);
}

/** The administrator of a control plane. */
export function readKubeconfig(path: string): { server: string; ca: string; token: string } {
  const { clusters, users } = JSON.parse(readFileSync(path, 'utf8')) as {
    clusters: { cluster: { server: string; 'certificate-authority-data': string } }[];
    users: { user: { token: string } }[];
  };
  const { server, 'certificate-authority-data': ca } = clusters[0]!.cluster;
  return { server, ca: Buffer.from(ca, 'base64').toString(), token: users[0]!.user.token };
}

/** The base64 of a text, as in the data of a Secret. */
export const base64 = (text: string, encoding: BufferEncoding = 'utf8'): string =>
  Buffer.from(text, encoding).toString('base64');
