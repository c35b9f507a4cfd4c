import { readFileSync } from 'node:fs';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { createInterface } from 'node:readline';

import { request } from '../../../tools/controlplane/request.ts';
import type { TestCluster } from '../cluster.ts';

/** An object as the API server gives it, as far as tests look at it. */
export interface ApiObject {
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

export interface ApiList<T extends ApiObject> {
  readonly metadata: { readonly resourceVersion: string };
  readonly items: readonly T[];
}

/** One line of a watch. An ERROR carries a metav1.Status instead of an object. */
export interface ApiEvent<T extends ApiObject> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: T;
}

/**
 * The API server as an administrator sees it, by plain HTTP: for tests that make many objects, or that must not share
 * the operator's own client. Paths are those of the API, query included. What is no success throws an Error with the
 * HTTP status and the server's message.
 */
export interface AdminApi {
  get<T>(path: string): Promise<T>;
  create<T extends ApiObject>(path: string, object: object): Promise<T>;
  mergePatch<T extends ApiObject>(path: string, patch: object): Promise<T>;
  delete(path: string): Promise<void>;
  /** Calls back for each event until the watch ends, for whatever reason; then the promise resolves. */
  watch<T extends ApiObject>(path: string, onEvent: (event: ApiEvent<T>) => void, signal: AbortSignal): Promise<void>;
}

export function adminApi(cluster: TestCluster): AdminApi {
  const kubeconfig = JSON.parse(readFileSync(cluster.kubeconfig, 'utf8')) as {
    clusters: { cluster: { 'certificate-authority-data': string } }[];
    users: { user: { token: string } }[];
  };
  const { hostname, port } = new URL(cluster.server);
  const ca = Buffer.from(kubeconfig.clusters[0]!.cluster['certificate-authority-data'], 'base64');
  const authorization = `Bearer ${kubeconfig.users[0]!.user.token}`;
  const options = (method: string, path: string, contentType = 'application/json'): RequestOptions => ({
    host: hostname,
    port,
    ca,
    method,
    path,
    // A collection of hundreds of objects takes its time to delete on a busy machine.
    timeout: 120_000,
    headers: { authorization, accept: 'application/json', 'content-type': contentType },
  });

  async function call(requestOptions: RequestOptions, body?: object): Promise<unknown> {
    const reply = await request(requestOptions, body === undefined ? undefined : JSON.stringify(body));
    const answer: unknown = JSON.parse(reply.body);
    if (reply.status < 300) return answer;
    const { message } = answer as { message?: string };
    throw new Error(`${requestOptions.method} ${requestOptions.path}: ${reply.status} ${message ?? ''}`);
  }

  return {
    get: async <T>(path: string) => (await call(options('GET', path))) as T,
    create: async <T>(path: string, object: object) => (await call(options('POST', path), object)) as T,
    mergePatch: async <T>(path: string, patch: object) =>
      (await call(options('PATCH', path, 'application/merge-patch+json'), patch)) as T,
    async delete(path) {
      await call(options('DELETE', path));
    },
    watch: (path, onEvent, signal) =>
      new Promise((resolve) => {
        const outgoing = httpsRequest({ ...options('GET', path), agent: false, signal }, (incoming) => {
          const lines = createInterface({ input: incoming });
          lines.on('line', (line) => onEvent(JSON.parse(line)));
          lines.on('close', resolve);
          // Both say that the connection broke.
          incoming.on('error', () => resolve());
          lines.on('error', () => resolve());
        });
        outgoing.on('error', () => resolve());
        outgoing.end();
      }),
  };
}
