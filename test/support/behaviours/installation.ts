import assert from 'node:assert/strict';

import type { Condition, MtlsAuthority, MtlsCertificate } from '../../../src/api/types.ts';
import { startTestCluster, type TestCluster } from '../cluster.ts';
import { eventually } from '../eventually.ts';
import { type LogLine, type Operator, type OperatorOptions, startOperator } from '../operator.ts';
import { type Api, openApi, paths, type Secret, type Stored } from './api.ts';
import { type WatchedSecrets, watchSecrets } from './watched.ts';

const apiVersion = 'mtls-operator.io/v1alpha1';

export type Certificate = Stored & MtlsCertificate;
export type Authority = Stored & MtlsAuthority;

/** The namespace of root Secrets. */
export const operatorNamespace = 'mtls-operator';

/** A control plane with `deploy/` installed, and the operator that a test starts on it. */
export interface Installation {
  readonly cluster: TestCluster;
  readonly api: Api;
  readonly watched: WatchedSecrets;
  /** The operator that was started last. */
  readonly operator: Operator;
  /** The log lines of all operators so far. */
  logs(): readonly LogLine[];
  start(options?: OperatorOptions): Promise<Operator>;
  /** Stops the operator in an orderly way, does something, and starts it again. */
  restart(meanwhile?: () => Promise<unknown>): Promise<Operator>;
  /** A namespace of the caller's own. */
  tenant(prefix: string): Promise<Tenant>;
  /** A namespace that is there already. */
  tenantOf(namespace: string): Tenant;
  createAuthority(name: string, spec: object): Promise<Authority>;
  authority(name: string): Promise<Authority>;
  /** Waits until the authority's Ready has this status, and this reason if one is given, for its present spec. */
  authorityIs(name: string, status: 'True' | 'False', reason?: string): Promise<Authority>;
  /** Writes a root Secret as a person does who brings a root: creates it, or replaces its files; octets as latin1. */
  bringRoot(name: string, files: Readonly<Record<string, string>>): Promise<Secret>;
  /** Stops all of it. */
  end(): Promise<void>;
}

/** A namespace and what its owner does in it. */
export interface Tenant {
  readonly namespace: string;
  /** Creates an MtlsCertificate. */
  create(name: string, spec: object, annotations?: Readonly<Record<string, string>>): Promise<Certificate>;
  get(name: string): Promise<Certificate>;
  /** Merge patch of an MtlsCertificate. */
  patch(name: string, patch: object): Promise<Certificate>;
  rotate(name: string, token: string): Promise<Certificate>;
  delete(name: string): Promise<void>;
  /** Waits until the resource is Ready for its present spec and rotate token. */
  ready(name: string): Promise<Certificate>;
  /** Waits until it is not, for this reason and its present spec; returns the condition. */
  notReady(name: string, reason: string): Promise<Condition>;
  /**
   * Has the operator look at the resource again with nothing changed, and waits until it has. It has to run with
   * `--workers=1`: then what is asked for later is done later.
   */
  lookAgain(name: string): Promise<void>;
  secret(name: string): Promise<Secret>;
  findSecret(name: string): Promise<Secret | undefined>;
  /** Those that the operator wrote. */
  secrets(): Promise<readonly Secret[]>;
  /** Their names, sorted. */
  secretNames(): Promise<readonly string[]>;
  patchSecret(name: string, patch: object): Promise<Secret>;
}

/** Starts a control plane with `deploy/`; no operator yet. Every operator gets these arguments. */
export async function install(args: readonly string[] = []): Promise<Installation> {
  const cluster = await startTestCluster();
  const api = openApi(cluster);
  const watched = watchSecrets(api);
  const operators: Operator[] = [];

  const current = (): Operator => {
    const operator = operators.at(-1);
    assert.ok(operator !== undefined, 'no operator was started');
    return operator;
  };
  const start = async (options?: OperatorOptions): Promise<Operator> => {
    const operator = await startOperator(cluster, { ...options, args: [...args, ...(options?.args ?? [])] });
    operators.push(operator);
    return operator;
  };

  return {
    cluster,
    api,
    watched,
    get operator() {
      return current();
    },
    logs: () => operators.flatMap(({ logs }) => logs),
    start,
    async restart(meanwhile) {
      await current().stop();
      await meanwhile?.();
      return start();
    },
    tenant: async (prefix) => tenant(api, await cluster.namespace(prefix)),
    tenantOf: (namespace) => tenant(api, namespace),
    createAuthority: (name, spec) =>
      api.create(paths.authorities(), { apiVersion, kind: 'MtlsAuthority', metadata: { name }, spec }),
    authority: (name) => api.get(paths.authorities(name)),
    authorityIs: (name, status, reason) =>
      eventually(
        async () => {
          const authority = await api.get<Authority>(paths.authorities(name));
          assertReadyIs(authority, status, reason);
          return authority;
        },
        { timeoutMs: 60_000, message: `MtlsAuthority ${name} is not Ready=${status} ${reason ?? ''}` },
      ),
    async bringRoot(name, files) {
      const data = Object.fromEntries(
        Object.entries(files).map(([file, text]) => [file, Buffer.from(text, 'latin1').toString('base64')]),
      );
      const exists = await api.find(paths.secrets(operatorNamespace, name));
      if (exists !== undefined) return api.patch<Secret>(paths.secrets(operatorNamespace, name), { data });
      const metadata = { namespace: operatorNamespace, name };
      return api.create<Secret>(paths.secrets(operatorNamespace), { metadata, type: 'kubernetes.io/tls', data });
    },
    async end() {
      try {
        for (const operator of operators) await operator.stop();
      } finally {
        await api.close();
        await cluster.stop();
        await watched.ended();
      }
    },
  };
}

function tenant(api: Api, namespace: string): Tenant {
  const get = (name: string): Promise<Certificate> => api.get(paths.certificates(namespace, name));
  const patch = (name: string, change: object): Promise<Certificate> =>
    api.patch(paths.certificates(namespace, name), change);
  const create: Tenant['create'] = (name, spec, annotations = {}) =>
    api.create(paths.certificates(namespace), {
      apiVersion,
      kind: 'MtlsCertificate',
      metadata: { namespace, name, annotations },
      spec,
    });
  const ready = (name: string): Promise<Certificate> =>
    eventually(
      async () => {
        const certificate = await get(name);
        assertReadyIs(certificate, 'True');
        const token = certificate.metadata.annotations?.['mtls-operator.io/rotate'];
        if (token !== undefined) assert.equal(certificate.status?.lastHandledRotate, token, 'not rotated yet');
        return certificate;
      },
      { timeoutMs: 60_000, message: `MtlsCertificate ${name} is not Ready` },
    );
  const secrets = async (): Promise<Secret[]> =>
    (await api.list<Secret>(paths.secrets(namespace))).filter(
      ({ metadata }) => metadata.labels?.['app.kubernetes.io/managed-by'] === 'mtls-operator',
    );
  let looks = 0;
  return {
    namespace,
    create,
    get,
    patch,
    ready,
    rotate: (name, token) => patch(name, { metadata: { annotations: { 'mtls-operator.io/rotate': token } } }),
    delete: (name) => api.delete(paths.certificates(namespace, name)),
    notReady: (name, reason) =>
      eventually(async () => assertReadyIs(await get(name), 'False', reason), {
        timeoutMs: 60_000,
        message: `MtlsCertificate ${name} does not say ${reason}`,
      }),
    async lookAgain(name) {
      const witness = `witness-${++looks}`;
      await patch(name, { metadata: { annotations: { 'example.com/look': `${looks}` } } });
      await create(witness, { server: { service: 'witness' } });
      await ready(witness);
    },
    secret: (name) => api.get<Secret>(paths.secrets(namespace, name)),
    findSecret: (name) => api.find<Secret>(paths.secrets(namespace, name)),
    secrets,
    secretNames: async () => (await secrets()).map(({ metadata }) => metadata.name).sort(),
    patchSecret: (name, change) => api.patch<Secret>(paths.secrets(namespace, name), change),
  };
}

function assertReadyIs(object: MtlsAuthority | MtlsCertificate, status: string, reason?: string): Condition {
  const ready = object.status?.conditions?.find(({ type }) => type === 'Ready');
  assert.ok(ready !== undefined, 'there is no condition Ready yet');
  assert.equal(ready.status, status, `${ready.reason}: ${ready.message}`);
  if (reason !== undefined) assert.equal(ready.reason, reason, ready.message);
  assert.equal(ready.observedGeneration, object.metadata.generation, 'the condition is of an older spec');
  return ready;
}
