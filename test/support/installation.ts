import assert from 'node:assert/strict';
import { after, before } from 'node:test';

import type { Condition, MtlsAuthority, MtlsCertificate } from '../../src/api/types.ts';
import type { Crl } from '../../src/pki/index.ts';
import {
  type Api,
  base64,
  type ConfigMap,
  kindsAreServed,
  openApi,
  operatorNamespace,
  paths,
  type Secret,
  type Stored,
} from './api.ts';
import { startTestCluster, type TestCluster, type TestClusterOptions } from './cluster.ts';
import { crlsIn } from './crl/lists.ts';
import { eventually } from './eventually.ts';
import { type LogLine, type Operator, type OperatorOptions, startOperator } from './operator.ts';
import { type FaultyProxy, startProxy } from './proxy.ts';
import { type WatchedSecrets, watchSecrets } from './watched.ts';

const apiVersion = 'mtls-operator.io/v1alpha1';

export type Certificate = Stored & MtlsCertificate;
export type Authority = Stored & MtlsAuthority;

/** A control plane with `deploy/` installed, and the operators that a test starts in it. */
export interface Installation {
  readonly cluster: TestCluster;
  readonly api: Api;
  readonly watched: WatchedSecrets;
  /** Between the API server and the operators that are started with `server: proxy.server`. */
  readonly proxy: FaultyProxy;
  /** The operator that was started most recently. */
  readonly operator: Operator;
  /** The log lines of all operators. */
  logs(): readonly LogLine[];
  /** The last log lines of the last two operators, for failure messages. */
  logTails(): string;
  start(options?: OperatorOptions): Promise<Operator>;
  /** Stops the operator with SIGTERM, calls `meanwhile`, and starts the operator again. */
  restart(meanwhile?: () => Promise<unknown>): Promise<Operator>;
  /** Kills all operators with SIGKILL. */
  killOperators(): Promise<void>;
  /** Creates a new namespace. */
  tenant(prefix: string): Promise<Tenant>;
  /** Creates a new namespace with a Ready resource `db` with this spec; by default a server. */
  tenantWith(prefix: string, spec?: object): Promise<Tenant>;
  /** A namespace that already exists. */
  tenantOf(namespace: string): Tenant;
  createAuthority(name: string, spec: object): Promise<Authority>;
  /**
   * Creates an authority with a new name and a root Secret of the same name, and returns that name. The operator creates the
   * root, unless `files` holds a user's own root.
   */
  ownAuthority(spec?: object, files?: RootFiles): Promise<string>;
  authority(name: string): Promise<Authority>;
  patchAuthority(name: string, patch: object): Promise<Authority>;
  /** Makes an authority NAME publish a ConfigMap `trust-NAME` in the namespaces that are labelled by `Tenant.trust`. */
  publishTrust(name: string): Promise<Authority>;
  /** Requests a rotation of the root. */
  rotateRoot(name: string, token: string): Promise<Authority>;
  /** Waits until the authority's Ready condition has this status (and reason, if given) for its current spec. */
  authorityIs(name: string, status: 'True' | 'False', reason?: string): Promise<Authority>;
  /** The root Secret of this name. */
  rootSecret(name: string): Promise<Secret>;
  /** Writes a user's own root: creates the root Secret or replaces its files. */
  bringRoot(name: string, files: RootFiles): Promise<Secret>;
  /** The CRLs in this root Secret, in order. */
  crls(name: string): Promise<readonly Crl[]>;
  /** Starts the control plane. Called by `install` and `installation`. */
  begin(): Promise<void>;
  /** Stops everything. */
  end(): Promise<void>;
}

/** The files of a root Secret. Binary files as latin1. */
type RootFiles = Readonly<Record<string, string>>;

/** A namespace, and the requests that its owner makes. */
export interface Tenant {
  readonly namespace: string;
  /** Creates an MtlsCertificate. */
  create(name: string, spec: object, annotations?: Readonly<Record<string, string>>): Promise<Certificate>;
  get(name: string): Promise<Certificate>;
  /** All resources of the namespace. */
  list(): Promise<readonly Certificate[]>;
  /** Merge patch of an MtlsCertificate. */
  patch(name: string, patch: object): Promise<Certificate>;
  /** Creates an MtlsCertificate and waits until it is Ready. */
  issue(name: string, spec: object, annotations?: Readonly<Record<string, string>>): Promise<Certificate>;
  rotate(name: string, token: string): Promise<Certificate>;
  delete(name: string): Promise<void>;
  /** Waits until the resource is Ready for its current spec and rotate token. */
  ready(name: string): Promise<Certificate>;
  /** Waits until Ready is False with this reason for the current spec. Returns the condition. */
  notReady(name: string, reason: string): Promise<Condition>;
  /**
   * Makes the operator reconcile an unchanged resource again, and waits until it has. Needs an operator with `--workers=1`,
   * which reconciles in the order of the requests.
   */
  reconcileAgain(name: string): Promise<void>;
  /** Requests that the certificates in the Secrets of a resource are revoked. */
  askToRevoke(name: string, token: string): Promise<Certificate>;
  /** Waits until a revocation request is handled. */
  revocationIsHandled(name: string, token: string): Promise<Certificate>;
  /** Revokes the certificates in the Secrets of a resource, and waits until the Secrets hold new ones. */
  revoke(name: string, token: string): Promise<Certificate>;
  /** The serial numbers in the status of a resource, by role. */
  serials(name: string): Promise<Readonly<Record<string, string>>>;
  /** The CRLs in a ConfigMap that an authority publishes, in order. */
  crls(configMap: string): Promise<readonly Crl[]>;
  /** Labels the namespace so that it gets the trust bundle of an authority, see `publishTrust`. */
  trust(authority: string): Promise<Stored>;
  /** Sets labels of the namespace. Null removes one. */
  label(labels: Readonly<Record<string, string | null>>): Promise<Stored>;
  secret(name: string): Promise<Secret>;
  findSecret(name: string): Promise<Secret | undefined>;
  /** The Secrets that the operator wrote. */
  secrets(): Promise<readonly Secret[]>;
  /** Their names, sorted. */
  secretNames(): Promise<readonly string[]>;
  patchSecret(name: string, patch: object): Promise<Secret>;
}

/** The label of a namespace that gets the bundle of an authority. */
const trusting = (authority: string) => ({ 'example.com/trusts': authority });

export interface InstallationOptions extends TestClusterOptions {
  /** Arguments for every operator. */
  readonly args?: readonly string[];
  /** Whether to start an operator before the tests; true by default. */
  readonly operator?: boolean;
  /** Whether `watched` records the Secrets; true by default. */
  readonly watched?: boolean;
  /** Starts the cluster, for instance one with a node, in place of `startTestCluster`. */
  readonly startCluster?: () => Promise<TestCluster>;
}

/**
 * The installation of a test file or suite: starts before its tests and ends after them. `prepare` runs after the start and
 * before the tests.
 */
export function installation(
  { args = [], operator = true, watched = true, startCluster, ...cluster }: InstallationOptions = {},
  prepare?: (world: Installation) => Promise<unknown>,
): Installation {
  const world = newInstallation(args, watched, startCluster ?? (() => startTestCluster(cluster)));
  before(async () => {
    await world.begin();
    if (operator) await world.start();
    await prepare?.(world);
  });
  after(() => world.end());
  return world;
}

/** Starts a control plane with `deploy/` installed and no operator. Every operator gets these arguments. */
export async function install(args: readonly string[] = []): Promise<Installation> {
  const world = newInstallation(args, true, () => startTestCluster());
  await world.begin();
  return world;
}

interface Begun extends Pick<Installation, 'cluster' | 'api' | 'proxy'> {
  readonly watched: WatchedSecrets | undefined;
}

/** An installation that has not been started. */
function newInstallation(
  args: readonly string[],
  isWatched: boolean,
  startCluster: () => Promise<TestCluster>,
): Installation {
  let begun: Begun | undefined;
  const operators: Operator[] = [];
  let authorities = 0;

  const present = (): Begun => {
    assert.ok(begun !== undefined, 'the installation has not been started');
    return begun;
  };
  const current = (): Operator => {
    const operator = operators.at(-1);
    assert.ok(operator !== undefined, 'no operator was started');
    return operator;
  };

  const world: Installation = {
    get cluster() {
      return present().cluster;
    },
    get api() {
      return present().api;
    },
    get watched() {
      const { watched } = present();
      assert.ok(watched !== undefined, 'the Secrets of this installation are not watched');
      return watched;
    },
    get proxy() {
      return present().proxy;
    },
    get operator() {
      return current();
    },
    logs: () => operators.flatMap(({ logs }) => logs),
    logTails: () =>
      operators
        .slice(-2)
        .map((operator) => `the end of a log:\n${operator.logTail()}`)
        .join('\n'),
    async start(options) {
      const operator = await startOperator(world.cluster, { ...options, args: [...args, ...(options?.args ?? [])] });
      operators.push(operator);
      return operator;
    },
    async restart(meanwhile) {
      await current().stop();
      await meanwhile?.();
      return world.start();
    },
    async killOperators() {
      await Promise.all(operators.map((operator) => operator.kill()));
    },
    tenant: async (prefix) => tenantOf(world.api, await world.cluster.namespace(prefix)),
    async tenantWith(prefix, spec = { server: { service: 'db' } }) {
      const own = await world.tenant(prefix);
      await own.issue('db', spec);
      return own;
    },
    tenantOf: (namespace) => tenantOf(world.api, namespace),
    createAuthority: (name, spec) =>
      world.api.create(paths.authorities(), { apiVersion, kind: 'MtlsAuthority', metadata: { name }, spec }),
    async ownAuthority(spec = {}, files) {
      const name = `authority-${++authorities}`;
      if (files !== undefined) await world.bringRoot(name, files);
      const root = files === undefined ? { root: {} } : {};
      await world.createAuthority(name, { secretName: name, ...root, ...spec });
      return name;
    },
    authority: (name) => world.api.get(paths.authorities(name)),
    patchAuthority: (name, patch) => world.api.patch(paths.authorities(name), patch),
    publishTrust(name) {
      const namespaceSelector = { matchLabels: trusting(name) };
      const trustBundle = { configMap: { name: `trust-${name}`, namespaceSelector } };
      return world.patchAuthority(name, { spec: { trustBundle } });
    },
    rotateRoot: (name, token) =>
      world.patchAuthority(name, { metadata: { annotations: { 'mtls-operator.io/rotate-root': token } } }),
    authorityIs: (name, status, reason) =>
      eventually(
        async () => {
          const authority = await world.authority(name);
          assertReadyIs(authority, status, reason);
          return authority;
        },
        { timeoutMs: 60_000, message: `MtlsAuthority ${name} is not Ready=${status} ${reason ?? ''}` },
      ),
    rootSecret: (name) => world.api.get(paths.rootSecret(name)),
    async bringRoot(name, files) {
      const entries = Object.entries(files).map(([file, text]) => [file, base64(text, 'latin1')]);
      const data = Object.fromEntries(entries) as Secret['data'];
      const exists = await world.api.find(paths.rootSecret(name));
      if (exists !== undefined) return world.api.patch<Secret>(paths.rootSecret(name), { data });
      const metadata = { namespace: operatorNamespace, name };
      return world.api.create<Secret>(paths.secrets(operatorNamespace), { metadata, type: 'kubernetes.io/tls', data });
    },
    crls: async (name) => crlsIn(await world.rootSecret(name)),
    async begin() {
      const cluster = await startCluster();
      const api = openApi(cluster);
      if ((await api.find(paths.definition('mtlsauthorities'))) !== undefined) await kindsAreServed(api);
      const watched = isWatched ? watchSecrets(api) : undefined;
      begun = { cluster, api, watched, proxy: await startProxy(cluster) };
    },
    async end() {
      if (begun === undefined) return;
      const { api, cluster, watched, proxy } = begun;
      try {
        for (const operator of operators) await operator.stop();
      } finally {
        await api.close();
        await proxy.stop();
        await cluster.stop();
        await watched?.ended();
      }
    },
  };
  return world;
}

/** A namespace that already exists. */
export function tenantOf(api: Api, namespace: string): Tenant {
  const get = (name: string): Promise<Certificate> => api.get(paths.certificates(namespace, name));
  const patch = (name: string, change: object): Promise<Certificate> =>
    api.patch(paths.certificates(namespace, name), change);
  const annotate = (name: string, annotations: Readonly<Record<string, string>>): Promise<Certificate> =>
    patch(name, { metadata: { annotations } });
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
      { timeoutMs: 120_000, message: `MtlsCertificate ${name} is not Ready` },
    );
  const secrets = async (): Promise<Secret[]> =>
    (await api.list<Secret>(paths.secrets(namespace))).filter(
      ({ metadata }) => metadata.labels?.['app.kubernetes.io/managed-by'] === 'mtls-operator',
    );
  let witnesses = 0;
  const self: Tenant = {
    namespace,
    create,
    get,
    list: () => api.list<Certificate>(paths.certificates(namespace)),
    patch,
    ready,
    rotate: (name, token) => annotate(name, { 'mtls-operator.io/rotate': token }),
    delete: (name) => api.delete(paths.certificates(namespace, name)),
    notReady: (name, reason) =>
      eventually(async () => assertReadyIs(await get(name), 'False', reason), {
        timeoutMs: 120_000,
        message: `MtlsCertificate ${name} is not Ready=False with reason ${reason}`,
      }),
    async issue(name, spec, annotations) {
      await create(name, spec, annotations);
      return ready(name);
    },
    async reconcileAgain(name) {
      const witness = `witness-${++witnesses}`;
      await annotate(name, { 'example.com/touched': witness });
      await self.issue(witness, { server: { service: 'witness' } });
    },
    askToRevoke: (name, token) => annotate(name, { 'mtls-operator.io/revoke': token }),
    revocationIsHandled: (name, token) =>
      eventually(
        async () => {
          const certificate = await get(name);
          assert.equal(certificate.status?.lastHandledRevoke, token);
          return certificate;
        },
        { timeoutMs: 60_000, message: `the revocation of ${name} is not handled` },
      ),
    async revoke(name, token) {
      await self.askToRevoke(name, token);
      await self.revocationIsHandled(name, token);
      return ready(name);
    },
    async serials(name) {
      const { status } = await get(name);
      return Object.fromEntries((status?.secrets ?? []).map(({ role, serialNumber }) => [role, serialNumber]));
    },
    crls: async (name) => crlsIn(await api.get<ConfigMap>(paths.configMaps(namespace, name))),
    trust: (authority) => self.label(trusting(authority)),
    label: (labels) => api.patch(paths.namespaces(namespace), { metadata: { labels } }),
    secret: (name) => api.get<Secret>(paths.secrets(namespace, name)),
    findSecret: (name) => api.find<Secret>(paths.secrets(namespace, name)),
    secrets,
    secretNames: async () => (await secrets()).map(({ metadata }) => metadata.name).sort(),
    patchSecret: (name, change) => api.patch<Secret>(paths.secrets(namespace, name), change),
  };
  return self;
}

/** The condition of this type, if present. */
export const conditionOf = ({ status }: MtlsAuthority | MtlsCertificate, type: string): Condition | undefined =>
  status?.conditions?.find((condition) => condition.type === type);

/** Asserts the status (and reason) of the condition Ready for the current spec. Returns the condition. */
export function assertReadyIs(object: MtlsAuthority | MtlsCertificate, status: string, reason?: string): Condition {
  const ready = conditionOf(object, 'Ready');
  assert.ok(ready !== undefined, 'there is no condition Ready yet');
  assert.equal(ready.status, status, `${ready.reason}: ${ready.message}`);
  if (reason !== undefined) assert.equal(ready.reason, reason, ready.message);
  assert.equal(ready.observedGeneration, object.metadata.generation, 'the condition is for an older spec');
  return ready;
}
