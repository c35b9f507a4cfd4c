import { createPrivateKey } from 'node:crypto';
import type { TestContext } from 'node:test';
import { annotations, apiVersion, crlKey, rotationKeys, secretKeys } from '../../../../src/api/constants.ts';
import type { MtlsAuthority, MtlsAuthoritySpec } from '../../../../src/api/types.ts';
import { AuthorityObserver } from '../../../../src/controllers/authority/authority-observer.ts';
import { AuthorityReconciler } from '../../../../src/controllers/authority/authority-reconciler.ts';
import { PodLeafRequests } from '../../../../src/controllers/authority/pod-leaf-requests.ts';
import { RootSecretWriter } from '../../../../src/controllers/authority/root-secret-writer.ts';
import { authorities, certificates } from '../../../../src/controllers/objects/resources.ts';
import { base64 } from '../../../../src/controllers/objects/secret-data.ts';
import { PodActions } from '../../../../src/controllers/pods/pod-actions.ts';
import { Replica } from '../../../../src/controllers/replica.ts';
import { TrustPublications } from '../../../../src/controllers/trust/trust-publications.ts';
import {
  configMaps,
  type EventDetails,
  type Log,
  type LogFields,
  namespaces,
  secrets,
  silentLog,
} from '../../../../src/kube/index.ts';
import { parseCertificates } from '../../../../src/pki/index.ts';
import { type AuthorityStep, planAuthority } from '../../../../src/plan/index.ts';
import { authority, ready } from '../../../support/fixtures/authority.ts';
import { type CertificateFixture, certificate } from '../../../support/fixtures/certificate.ts';
import { encodedRoot } from '../../../support/fixtures/roots.ts';
import { now } from '../../../support/fixtures/times.ts';
import { type TestIssuer, withSigner } from '../../../support/sign.ts';
import { fillCaches } from './fill-caches.ts';
import { MemoryApi } from './memory-api.ts';
import { MemoryClient } from './memory-client.ts';
import { RequestScript } from './request-script.ts';

const never = new AbortController().signal;
const namespace = 'mtls-operator';

/** The Secret with the root of the authority. */
export const rootRef = { namespace, name: 'mtls-root' };
const authorityRef = { name: 'default' };

/** Requests for the root Secret and the authority. */
export const readRoot = 'find secrets mtls-root';
export const createRoot = 'create secrets mtls-root';
export const patchRoot = 'mergePatch secrets mtls-root';
export const writeStatus = 'mergePatch mtlsauthorities default';

/**
 * The controller of MtlsAuthorities in one process, on an API server in memory, with an authority `default` and no root
 * Secret. The watches deliver changes only when the test calls `deliver`.
 */
export class AuthorityProcess {
  readonly api: MemoryApi;
  readonly replica: Replica;
  readonly events: EventDetails[] = [];
  /** The fields of the lines `changed a root Secret`. */
  readonly logged: LogFields[] = [];
  /** The changes that the last reconcile reported to certificates and bundles. */
  readonly changes: string[] = [];
  /** The requests since the last reconcile began. `before` and `refuse` script the next ones. */
  readonly requests: string[];
  readonly before: RequestScript['before'];
  readonly refuse: RequestScript['refuse'];
  nowMs = now.getTime();
  /** How far the clock advances whenever the operator reads it. */
  stepMs = 0;
  readonly podLeafRequests = new PodLeafRequests(() => undefined);
  readonly reconciler: AuthorityReconciler;
  readonly writer: RootSecretWriter;
  readonly #observer: AuthorityObserver;
  readonly #memory: MemoryClient;

  private constructor(api: MemoryApi) {
    this.api = api;
    this.#memory = new MemoryClient(api);
    ({ requests: this.requests, before: this.before, refuse: this.refuse } = new RequestScript(this.#memory));
    const { client } = this.#memory;
    const clock = () => new Date((this.nowMs += this.stepMs));
    const info: Log['info'] = (message, fields = {}) => {
      if (message === 'changed a root Secret') this.logged.push(fields);
    };
    const common = { client, namespace, log: { ...silentLog, info }, now: clock };
    const recorder = { record: (note: EventDetails) => this.events.push(note) };
    this.replica = new Replica({ ...common, monotonicMs: () => this.nowMs });
    const { caches, authorityStates } = this.replica;
    const publications = new TrustPublications(client, caches, authorityStates);
    const { podLeafRequests } = this;
    const sources = { ...common, caches, authorityStates, publications, podLeafRequests };
    this.#observer = new AuthorityObserver({ ...sources, leadingSince: now });
    this.writer = new RootSecretWriter({ ...common, recorder });
    this.reconciler = new AuthorityReconciler({
      client,
      authorities: caches.authorities,
      authorityStates,
      observer: this.#observer,
      writer: this.writer,
      podLeafRequests,
      onChange: (_, change) => this.changes.push(change),
      trustConditions: (record) => publications.conditions(record),
      podReport: () => undefined,
      podRequestsAccess: () => caches.podRequests.access,
      podActions: new PodActions({ ...common, recorder, isOn: false, monotonicMs: () => this.nowMs }),
      recorder,
      now: clock,
    });
  }

  /** A process that has filled its caches from this API server, and leads. It ends with the test. */
  static async begin(t: Pick<TestContext, 'after'>, api?: MemoryApi): Promise<AuthorityProcess> {
    const process = new AuthorityProcess(api ?? (await newApi()));
    const stop = new AbortController();
    const ended = await fillCaches(process.replica.caches, process.#memory, stop.signal, async () => undefined);
    t.after(() => {
      stop.abort();
      return ended();
    });
    return process;
  }

  /** As `begin`, with a root that the operator has created, and a status. */
  static async created(t: Pick<TestContext, 'after'>): Promise<AuthorityProcess> {
    const process = await AuthorityProcess.begin(t);
    await process.settle();
    return process;
  }

  /** Delivers all changes to the watches. */
  deliver = (): Promise<void> => this.#memory.deliver();

  reconcile(): Promise<{ requeueAt: Date } | undefined> {
    this.requests.length = 0;
    this.changes.length = 0;
    this.events.length = 0;
    return this.reconciler.reconcile('default', { signal: never });
  }

  /** Reconciles the authority, and delivers all changes before and after. */
  async settle(): Promise<{ requeueAt: Date } | undefined> {
    await this.deliver();
    const result = await this.reconcile();
    await this.deliver();
    return result;
  }

  /** The current observation, and the step that the operator plans. */
  async plan() {
    await this.deliver();
    const record = this.replica.caches.authorities.get('default');
    if (record === undefined) throw new Error('there is no authority');
    const observation = await this.#observer.observe(record, never);
    const { step } = planAuthority(observation.observed, new Date(this.nowMs));
    return { observation, step };
  }

  /** Carries out only the next planned step, without writing status. */
  async carryOut(): Promise<AuthorityStep['step']> {
    const { observation, step } = await this.plan();
    await this.writer.carryOut(observation, step, never);
    return step.step;
  }

  annotate(verb: 'rotateRoot' | 'abortRotation', value: string): Promise<unknown> {
    return this.change({ metadata: { annotations: { [annotations[verb]]: value } } });
  }

  /** Changes the authority. */
  change(patch: object): Promise<unknown> {
    return this.api.patchByHand(authorities, authorityRef, patch);
  }

  changeSpec(spec: Partial<Record<keyof MtlsAuthoritySpec, unknown>>): Promise<unknown> {
    return this.change({ spec });
  }

  remove(): Promise<void> {
    return this.api.byHand(() => this.api.delete(authorities, authorityRef));
  }

  /** Changes the root Secret. */
  changeRoot(patch: object): Promise<unknown> {
    return this.api.patchByHand(secrets, rootRef, patch);
  }

  /** Writes a root to the root Secret, and creates the Secret if necessary. Null removes the root. */
  async putRoot(
    slot: 'active' | keyof typeof rotationKeys,
    root: TestIssuer | null,
    others: object = {},
  ): Promise<void> {
    const { certificate: crt, privateKey: key } = slot === 'active' ? secretKeys : rotationKeys[slot];
    const pair = root === null ? undefined : encodedRoot(root);
    const data = { [crt]: pair ? base64(pair.crt) : null, [key]: pair ? base64(pair.key) : null, ...others };
    if (this.secret() !== undefined) await this.changeRoot({ data });
    else await this.api.byHand(() => this.api.create(secrets, { metadata: rootRef, data } as never));
  }

  removeRoot(): Promise<void> {
    return this.api.byHand(() => this.api.delete(secrets, rootRef));
  }

  /** Publishes these CRLs in the operator’s namespace, as the trust controller does. */
  async publish(name: string, crls: string): Promise<void> {
    const ref = { namespace, name };
    const data = { [crlKey]: crls };
    await this.api.byHand(async () => {
      const { metadata } = await this.api.get(authorities, authorityRef);
      const owner = { apiVersion, kind: 'MtlsAuthority', name: metadata.name, uid: metadata.uid, controller: true };
      const exists = this.api.find(configMaps, ref) !== undefined;
      if (exists) await this.api.mergePatch(configMaps, ref, { data });
      else await this.api.create(configMaps, { metadata: { ...ref, ownerReferences: [owner] }, data });
    });
  }

  /** Creates a resource. Returns it with a Secret of the signing root. That Secret is not stored. */
  async addResource(name: string): Promise<CertificateFixture> {
    const { spec } = certificate().record;
    const object = { metadata: { namespace: 'shop', name }, spec };
    const { metadata } = await this.api.byHand(() => this.api.create(certificates, object as never));
    return certificate().with({ name, uid: metadata.uid }).issuedBy(this.root());
  }

  /** Creates a resource whose status has a certificate of the signing root, but whose Secret is missing. */
  async addCertificate(name: string): Promise<void> {
    const issued = await this.addResource(name);
    const { status } = issued.reported(ready(this.root())).record;
    await this.api.patchStatus(certificates, { namespace: 'shop', name }, status);
  }

  /** As `addCertificate`, with a request to revoke the certificate. */
  async addRevoked(name: string): Promise<void> {
    await this.addCertificate(name);
    const metadata = { annotations: { [annotations.revoke]: 'now' } };
    await this.api.patchByHand(certificates, { namespace: 'shop', name }, { metadata });
  }

  removeCertificate(name: string): Promise<void> {
    return this.api.byHand(() => this.api.delete(certificates, { namespace: 'shop', name }));
  }

  /** The root in tls.crt and tls.key. */
  root(): TestIssuer {
    const { data = {} } = this.secret() ?? {};
    const pem = (key: string) => Buffer.from(data[key] ?? '', 'base64').toString();
    const [certificate, ...intermediates] = parseCertificates(pem(secretKeys.certificate));
    if (certificate === undefined) throw new Error('there is no root');
    const anchor = intermediates.at(-1) ?? certificate;
    return withSigner({ certificate, key: createPrivateKey(pem(secretKeys.privateKey)), intermediates, anchor });
  }

  /** The fingerprint of the signing certificate; undefined while the operator does not sign. */
  signsWith(): string | undefined {
    return this.replica.authorityStates.material('default')?.issuer?.root.certificate.fingerprint;
  }

  secret() {
    return this.api.find(secrets, rootRef);
  }

  status(): NonNullable<MtlsAuthority['status']> {
    return this.api.find(authorities, authorityRef)?.status ?? {};
  }

  /** The reason of a condition. */
  reason(type = 'Ready'): string | undefined {
    return this.status().conditions?.find((condition) => condition.type === type)?.reason;
  }
}

/** An API server with an authority, the operator’s namespace and one other namespace. */
async function newApi(): Promise<MemoryApi> {
  const api = new MemoryApi();
  for (const name of [namespace, 'shop']) await api.create(namespaces, { metadata: { name } });
  const { spec } = authority();
  await api.create(authorities, { apiVersion, kind: 'MtlsAuthority', metadata: authorityRef, spec } as never);
  return api;
}

/**
 * How the entries of an object differ: `key new`, `key changed`, `key gone`, or `key from other` if another key had the value
 * before. Sorted by key.
 */
export function differences(
  before: Readonly<Record<string, string>> = {},
  after: Readonly<Record<string, string>> = {},
): string[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return keys.flatMap((key) => {
    if (before[key] === after[key]) return [];
    if (after[key] === undefined) return `${key} gone`;
    const [source] = Object.entries(before).find(([, value]) => value === after[key]) ?? [];
    if (source !== undefined) return `${key} from ${source}`;
    return before[key] === undefined ? `${key} new` : `${key} changed`;
  });
}
