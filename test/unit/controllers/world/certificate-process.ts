import assert from 'node:assert/strict';
import type { KeyObject } from 'node:crypto';
import type { TestContext } from 'node:test';
import { crlKey } from '../../../../src/api/constants.ts';
import type { MtlsCertificate, MtlsCertificateSpec } from '../../../../src/api/types.ts';
import { AuthorityStates } from '../../../../src/controllers/cache/authority-states.ts';
import { Caches } from '../../../../src/controllers/cache/caches.ts';
import type { CertificateReconciler } from '../../../../src/controllers/certificate/certificate-reconciler.ts';
import { RsaKeyPool } from '../../../../src/controllers/certificate/rsa-key-pool.ts';
import { authorities, certificates } from '../../../../src/controllers/objects/resources.ts';
import { certificateReconciler } from '../../../../src/controllers/reconcilers.ts';
import {
  type EventDetails,
  type KubeClient,
  type KubeObject,
  namespaces,
  type Resource,
  secrets,
  silentLog,
} from '../../../../src/kube/index.ts';
import { type Issuer, parseCrls } from '../../../../src/pki/index.ts';
import { type AuthorityVerdict, planCrls, type Revocation } from '../../../../src/plan/index.ts';
import { crlBundle } from '../../../../src/plan/revocation/crl-bundle.ts';
import { ready, authority as resourceOf } from '../../../support/fixtures/authority.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { privateKey, root } from '../../../support/fixtures/roots.ts';
import { now } from '../../../support/fixtures/times.ts';
import { crlDataNow } from '../../../support/sign.ts';
import { fillCaches } from './fill-caches.ts';
import { MemoryApi } from './memory-api.ts';
import { MemoryClient } from './memory-client.ts';
import { RequestScript } from './request-script.ts';

const never = new AbortController().signal;
const apiVersion = 'mtls-operator.io/v1alpha1';
/** The Secret of the resource `payments`. */
export const secretName = 'payments-server-tls';

/** Requests for the resource `payments` and its Secret. */
export const create = `create secrets ${secretName}`;
export const patch = `mergePatch secrets ${secretName}`;
export const writeStatus = 'mergePatch mtlscertificates payments';

export const signer = root({ name: 'Signer' });

/**
 * The controller of MtlsCertificates in one process, on an API server in memory, with an authority `default` and a namespace
 * `shop`. The watches deliver changes only when the test calls `deliver`.
 */
export class CertificateProcess {
  readonly api: MemoryApi;
  readonly caches: Caches;
  readonly authorityStates = new AuthorityStates();
  readonly events: EventDetails[] = [];
  /** Keys of resources that are retried because another one succeeded. */
  readonly retried: string[] = [];
  readonly crlAwaited: string[] = [];
  nowMs = now.getTime();
  /** Resolves with the RSA key that is being generated. Keys of other algorithms are generated at once. */
  readonly rsaKey = Promise.withResolvers<KeyObject>();
  #reconciler: CertificateReconciler | undefined;
  readonly #roots = () => this.authorityStates.roots();
  readonly #memory: MemoryClient;
  /** The requests since the last reconcile began. `before` and `refuse` script the next ones. */
  readonly requests: string[];
  readonly before: RequestScript['before'];
  readonly refuse: RequestScript['refuse'];

  private constructor(api: MemoryApi) {
    this.api = api;
    this.#memory = new MemoryClient(api);
    ({ requests: this.requests, before: this.before, refuse: this.refuse } = new RequestScript(this.#memory));
    this.caches = new Caches(this.#roots, () => this.nowMs);
  }

  /** Begins a term: the reconciler forgets everything of earlier terms. */
  beginTerm(): void {
    this.#reconciler = certificateReconciler({
      client: this.client,
      namespace: 'mtls-operator',
      replica: { caches: this.caches, authorityStates: this.authorityStates, roots: this.#roots },
      keys: this.newKeys(),
      onCrlAwaited: (name) => this.crlAwaited.push(name),
      onRetry: (key) => this.retried.push(key),
      recorder: { record: (note) => this.events.push(note) },
      observer: { onIssued: () => undefined },
      log: silentLog,
      now: () => new Date(this.nowMs),
    });
  }

  newKeys(): RsaKeyPool {
    return new RsaKeyPool({
      concurrency: 1,
      onReady: () => undefined,
      generate: async (spec) => (spec.algorithm === 'RSA' ? this.rsaKey.promise : privateKey(spec)),
    });
  }

  /** A process that has filled its caches from this API server, and leads. It ends with the test. */
  static async begin(t: TestContext, api?: MemoryApi): Promise<CertificateProcess> {
    const process = new CertificateProcess(api ?? (await newApi()));
    const stop = new AbortController();
    const ended = await fillCaches(process.caches, process.#memory, stop.signal, async () => process.sign(signer));
    t.after(() => {
      stop.abort();
      return ended();
    });
    process.beginTerm();
    return process;
  }

  /** As `begin`, with a resource `payments` whose first certificate could not be issued. */
  static async failed(t: TestContext): Promise<CertificateProcess> {
    const process = await CertificateProcess.begin(t);
    await process.create();
    process.refuse(create);
    await process.settle();
    return process;
  }

  /** As `begin`, with a resource `payments` that is Ready. */
  static async issued(
    t: TestContext,
    ...[spec]: Parameters<CertificateProcess['create']>
  ): Promise<CertificateProcess> {
    const process = await CertificateProcess.begin(t);
    await process.create(spec);
    await process.settle();
    assert.equal(process.ready(), 'Issued');
    return process;
  }

  /** Lets the authority sign with this root, and trust the others too. */
  sign(active: Issuer, ...others: readonly Issuer[]): void {
    this.judge({ state: 'ready', issuer: active, bundle: ready(active, ...others).bundle, acceptedBundleDigests: [] });
  }

  /** Gives the authority a CRL with these certificates. It signs with `signer`, and trusts the others too. */
  signCrl(revoked: readonly Revocation[], ...others: readonly Issuer[]): void {
    const plan = planCrls({ crls: [], revocations: [] }, [signer], revoked, now);
    if (plan === undefined) throw new Error('there is no CRL to sign');
    const crls = parseCrls(Buffer.from(crlDataNow(plan, [signer])[crlKey] ?? '', 'base64').toString());
    const crl = crlBundle({ crls, revocations: plan.revocations }, [signer]);
    const { bundle } = ready(signer, ...others);
    this.judge({ state: 'ready', issuer: signer, bundle, acceptedBundleDigests: [], ...(crl && { crl }) });
  }

  /** Sets the verdict on the root of the authority. */
  judge(verdict: AuthorityVerdict): void {
    const record = this.caches.authorities.get('default');
    if (record === undefined) throw new Error('the authority has not been listed');
    this.authorityStates.set(record, verdict);
  }

  get client(): KubeClient {
    return this.#memory.client;
  }

  /** Delivers all changes to the watches, of all kinds or of one. */
  deliver = (plural?: string): Promise<void> => this.#memory.deliver(plural);

  reconcile(name = 'payments'): Promise<{ requeueAt: Date } | undefined> {
    this.requests.length = 0;
    if (this.#reconciler === undefined) throw new Error('no term has begun');
    return this.#reconciler.reconcile(`shop/${name}`, { signal: never });
  }

  /** Reconciles a resource, and delivers all changes before and after. */
  async settle(name = 'payments'): Promise<{ requeueAt: Date } | undefined> {
    await this.deliver();
    const result = await this.reconcile(name);
    await this.deliver();
    return result;
  }

  // Actions of users and other clients, and the stored objects.

  async create(spec: Partial<MtlsCertificateSpec> = {}, name = 'payments'): Promise<void> {
    const object = { apiVersion, kind: 'MtlsCertificate', metadata: { namespace: 'shop', name } };
    const { spec: plain } = certificate().record;
    await this.api.create(certificates, { ...object, spec: { ...plain, ...spec } } as never);
  }

  patch(change: object, name = 'payments'): Promise<unknown> {
    return this.byHand(certificates, name, change);
  }

  /** Writes status, as another replica. */
  patchStatus(status: object): Promise<unknown> {
    return this.api.patchStatus(certificates, { namespace: 'shop', name: 'payments' }, status);
  }

  annotate(verb: 'rotate' | 'revoke' | 'retry', value: string, name = 'payments'): Promise<unknown> {
    return this.patch({ metadata: { annotations: { [`mtls-operator.io/${verb}`]: value } } }, name);
  }

  /** Changes an object, as another client. */
  byHand(resource: Resource<KubeObject>, name: string, change: object): Promise<unknown> {
    return this.api.patchByHand(resource, { namespace: 'shop', name }, change);
  }

  changeSecret(change: object, name = 'payments-server-tls'): Promise<unknown> {
    return this.byHand(secrets, name, change);
  }

  remove(resource: Resource<KubeObject>, name: string): Promise<void> {
    return this.api.byHand(() => this.api.delete(resource, { namespace: 'shop', name }));
  }

  /** A Secret as it is stored. */
  secret(name = 'payments-server-tls') {
    return this.api.find(secrets, { namespace: 'shop', name });
  }

  status(name = 'payments'): NonNullable<MtlsCertificate['status']> {
    const found = this.api.find(certificates, { namespace: 'shop', name });
    return found?.status ?? {};
  }

  /** The reason of the condition Ready. */
  ready(name = 'payments'): string | undefined {
    return this.status(name).conditions?.find(({ type }) => type === 'Ready')?.reason;
  }
}

/** An API server with an authority, whose status lists its root, and a namespace. */
async function newApi(): Promise<MemoryApi> {
  const api = new MemoryApi();
  const { spec } = resourceOf();
  await api.create(authorities, { apiVersion, kind: 'MtlsAuthority', metadata: { name: 'default' }, spec } as never);
  const status = { trustBundle: ready(signer).bundle.pem, activeRoot: { fingerprint: signer.certificate.fingerprint } };
  await api.patchStatus(authorities, { name: 'default' }, status);
  await api.create(namespaces, { metadata: { name: 'shop', labels: {} } });
  return api;
}
