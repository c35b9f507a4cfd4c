import { annotations, apiVersion, podAnnotations, secretKeys } from '../../../../src/api/constants.ts';
import type { MtlsAuthority, MtlsCertificate } from '../../../../src/api/types.ts';
import type { Queues } from '../../../../src/controllers/event-handlers.ts';
import { podRequestKey } from '../../../../src/controllers/objects/pod-objects.ts';
import {
  authorities as authorityResource,
  certificates as certificateResource,
} from '../../../../src/controllers/objects/resources.ts';
import { trustKey } from '../../../../src/controllers/objects/trust-key.ts';
import {
  configMaps as configMapResource,
  isKubeError,
  type KubeObject,
  keyOf,
  type MergePatch,
  namespaces as namespaceResource,
  type ObjectRef,
  type PodCertificateRequest,
  podCertificateRequests,
  pods as podResource,
  type Resource,
  type Served,
  secrets as secretResource,
  services as serviceResource,
  WorkQueue,
} from '../../../../src/kube/index.ts';
import { PkiError, publicKeyDer } from '../../../../src/pki/index.ts';
import { signerNameOf } from '../../../../src/plan/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { encodedRoot } from '../../../support/fixtures/roots.ts';
import { now } from '../../../support/fixtures/times.ts';
import { ManualClock } from '../../../support/manual-clock.ts';
import { generatePodKey, stubRequest } from '../../../support/pods/stub-request.ts';
import type { TestIssuer } from '../../../support/sign.ts';
import { MemoryApi } from './memory-api.ts';
import { WorldProcess } from './world-process.ts';

const operatorNamespace = 'mtls-operator';
export const tenants = ['shop', 'web'] as const;
export const names = ['a', 'b', 'c'] as const;
/** A ConfigMap with roots of another CA, which every authority adds to its bundle. */
export const sourceRef = { namespace: operatorNamespace, name: 'partner-roots' };
export const authorityNames = ['default', 'other'] as const;

/** The names that a namespace of the team `edge` may have. */
export const grant = {
  allow: [{ namespaceSelector: { matchLabels: { team: 'edge' } }, dnsNames: ['*.example.com'] }],
};

type Controller = keyof Queues;
const controllers: readonly Controller[] = ['authority', 'certificate', 'trust', 'pods'];

/** The pods of each tenant, with what each asks for in userAnnotations. */
export const podNames = ['plain', 'serving', 'named'] as const;
const userAnnotations = {
  plain: {},
  serving: { [podAnnotations.services]: 'a' },
  named: { [podAnnotations.dnsNames]: 'a.example.com' },
} as const;
/** A pod that runs: a request of it waits for an administrator. */
const running = { containerStatuses: [{ name: 'main', containerID: 'c', state: { running: {} } }] };

/** The key types of requests. The authority `default` allows the first one. */
export const podKeyTypes = ['ECDSAP256', 'ED25519'] as const;
export const forPods = { keyTypes: ['ECDSAP256' as const], maxDuration: '24h' };
export type PodKeyName = (typeof podKeyTypes)[number];
const stubs = Object.fromEntries(
  podKeyTypes.map((type) => {
    const key = generatePodKey(type);
    return [type, stubRequest(key, publicKeyDer(key)).toString('base64')];
  }),
);

/** Decides what happens next if several things could happen: by a list of choices, and after that always the first. */
class Choices {
  readonly #left: number[];

  constructor(choices: readonly number[]) {
    this.#left = [...choices];
  }

  of<T>(options: readonly T[]): T | undefined {
    return options[(this.#left.shift() ?? 0) % Math.max(1, options.length)];
  }
}

/**
 * One process of the operator on an API server in memory, in simulated time. A key is reconciled only when an event handler or a
 * timer of the operator has queued it. So an object that the operator forgets to queue stays unchanged.
 */
export class EventWorld {
  readonly api = new MemoryApi();
  readonly clock = new ManualClock(now.getTime());
  /** Errors of reconciles that are retried, for the report of a failure. */
  readonly errors: string[] = [];
  reconciles = 0;
  #process: WorldProcess | undefined;
  #queues: Queues = this.#newQueues();
  readonly #choices: Choices;
  /** UIDs of deleted resources and authorities. The garbage collector has yet to delete what they own. */
  readonly #orphans: string[] = [];
  /** The resourceVersion up to which the watches have delivered all changes. */
  #delivered = '';
  #requests = 0;

  private constructor(choices: readonly number[]) {
    this.#choices = new Choices(choices);
    this.api.clock = () => new Date(this.clock.now());
    this.api.subscribe((plural, before, after) => {
      if (after !== undefined || before === undefined) return;
      if (plural === 'mtlscertificates' || plural === 'mtlsauthorities') this.#orphans.push(before.metadata.uid ?? '');
    });
  }

  /** @param choices the order in which watches deliver and queues hand out keys */
  static async create(choices: readonly number[]): Promise<EventWorld> {
    const world = new EventWorld(choices);
    for (const name of [operatorNamespace, 'shop']) await world.#create(namespaceResource, { metadata: { name } });
    await world.#create(namespaceResource, { metadata: { name: 'web', labels: { team: 'edge' } } });
    await world.createAuthority('default', { issuance: grant, podCertificates: forPods });
    for (const namespace of tenants) for (const name of podNames) await world.#createPod(namespace, name);
    await world.createCertificate({ namespace: 'shop', name: 'a' }, { outputs: { crl: true } });
    // Two resources that claim one Secret, and one that needs a grant.
    const shared = { service: 'a', secretName: 'shared' };
    for (const name of ['b', 'c']) await world.createCertificate({ namespace: 'shop', name }, { server: shared });
    const granted = { service: 'a', dnsNames: ['a.example.com'] };
    await world.createCertificate({ namespace: 'web', name: 'a' }, { server: granted });
    await world.restart();
    await world.pass(0);
    return world;
  }

  // Actions of users.

  createAuthority(name: string, changes: Partial<MtlsAuthority['spec']> = {}): Promise<void> {
    const rotation = { ...authority().spec.rotation, propagationDelay: '3s', clusterTrustBundleDelay: '3s' };
    const trustBundle = {
      configMap: { name: `trust-${name}`, namespaceSelector: {} },
      clusterTrustBundle: true,
      additional: [{ configMap: { name: sourceRef.name, key: 'ca.crt' } }],
    };
    const spec = { ...authority().spec, secretName: `root-${name}`, rotation, trustBundle, ...changes };
    return this.#create(authorityResource, { apiVersion, kind: 'MtlsAuthority', metadata: { name }, spec } as never);
  }

  createCertificate(ref: ObjectRef, changes: Partial<MtlsCertificate['spec']>): Promise<void> {
    const spec = { ...certificate().record.spec, ...changes };
    return this.#create(certificateResource, { apiVersion, kind: 'MtlsCertificate', metadata: ref, spec } as never);
  }

  patch<T extends KubeObject>(resource: Resource<T>, ref: ObjectRef, patch: object): Promise<void> {
    return this.#byHand(() => this.api.mergePatch(resource, ref, patch as MergePatch<T>));
  }

  annotate(
    resource: Resource<KubeObject>,
    ref: ObjectRef,
    verb: keyof typeof annotations,
    value: string,
  ): Promise<void> {
    return this.patch(resource, ref, { metadata: { annotations: { [annotations[verb]]: value } } });
  }

  /** Requests to abort the current rotation. */
  async abort(name: string): Promise<void> {
    const found = this.api.find(authorityResource, { name });
    await this.annotate(authorityResource, { name }, 'abortRotation', found?.status?.rotation?.id ?? 'none');
  }

  /** Writes the source of additional roots. */
  async changeSource(root: TestIssuer): Promise<void> {
    const data = { 'ca.crt': encodedRoot(root).crt };
    const isThere = this.api.find(configMapResource, sourceRef) !== undefined;
    if (isThere) await this.patch(configMapResource, sourceRef, { data });
    else await this.#create(configMapResource, { metadata: sourceRef, data });
  }

  delete(resource: Resource<KubeObject>, ref: ObjectRef): Promise<void> {
    return this.#byHand(() => this.api.delete(resource, ref));
  }

  /** Kubelet requests a certificate of an authority for a pod. */
  async requestPodCertificate(ref: ObjectRef, authority: string, keyType: PodKeyName): Promise<void> {
    const found = this.api.find(podResource, ref);
    const annotated = userAnnotations[ref.name as (typeof podNames)[number]];
    await this.#create(podCertificateRequests, {
      metadata: { namespace: ref.namespace, name: `${ref.name}-${(this.#requests += 1)}` },
      spec: {
        signerName: signerNameOf(authority),
        podName: ref.name,
        podUID: found?.metadata.uid ?? '',
        serviceAccountName: 'default',
        nodeName: 'n1',
        stubPKCS10Request: stubs[keyType],
        unverifiedUserAnnotations: annotated,
      },
    });
  }

  /** Overwrites the root of the authority `default` with text. */
  damageRoot(): Promise<void> {
    const ref = { namespace: operatorNamespace, name: 'root-default' };
    return this.patch(secretResource, ref, { data: { [secretKeys.certificate]: 'eA==' } });
  }

  /** Creates the Service `a`, or changes whether it selects the pods. */
  async changeService(namespace: string, isSelecting: boolean): Promise<void> {
    const ref = { namespace, name: 'a' };
    const spec = { selector: { app: isSelecting ? 'pod' : 'other' } };
    if (this.api.find(serviceResource, ref) === undefined) await this.#create(serviceResource, { metadata: ref, spec });
    else await this.patch(serviceResource, ref, { spec });
  }

  async #createPod(namespace: string, name: (typeof podNames)[number]): Promise<void> {
    const sources = authorityNames.map((one) => ({
      podCertificate: { signerName: signerNameOf(one), userAnnotations: userAnnotations[name] },
    }));
    await this.#create(podResource, {
      metadata: { namespace, name, labels: { app: 'pod' } },
      spec: { serviceAccountName: 'default', nodeName: 'n1', volumes: [{ projected: { sources } }] },
      status: running,
    });
  }

  /** Creates a Secret of another owner. */
  createForeignSecret = (ref: ObjectRef): Promise<void> =>
    this.#create(secretResource, { metadata: ref, type: 'Opaque', data: { theirs: 'eA==' } });

  // The passage of time, and the operator.

  /** Ends the process, and starts another one that leads. */
  async restart(): Promise<void> {
    await this.end();
    this.#queues = this.#newQueues();
    this.#process = await WorldProcess.start({
      api: this.api,
      namespace: operatorNamespace,
      now: () => new Date(this.clock.now()),
      monotonicMs: () => fractional(this.clock.monotonicMs()),
      onIssued: () => undefined,
      queues: this.#queues,
    });
    await this.#process.lead();
  }

  /** Sets the wall clock of the operator. Zero is the right time. */
  setClockWrongBy(ms: number): void {
    this.clock.setWrongBy(ms);
  }

  async cut(plural: string, isForgotten: boolean): Promise<void> {
    await this.#process?.cut(plural, isForgotten);
  }

  /** Advances the clock. The operator handles every key that is queued meanwhile. */
  async pass(ms: number): Promise<void> {
    const end = this.clock.now() + ms;
    for (;;) {
      await this.#work();
      const next = this.clock.nextAt ?? Number.POSITIVE_INFINITY;
      if (next > end) break;
      this.clock.advanceTo(next);
    }
    this.clock.advanceTo(end);
    await this.#work();
  }

  /** Does one pending thing: delivers changes, or reconciles a key. Returns false if nothing is pending. */
  async step(): Promise<boolean> {
    const waiting = controllers.filter((one) => this.#queues[one].length > 0);
    const options: Array<Controller | 'news'> = this.#hasNews ? ['news', ...waiting] : waiting;
    const choice = this.#choices.of(options);
    if (choice === undefined) return false;
    if (choice === 'news') await this.#deliver();
    else await this.#reconcileNext(choice);
    return true;
  }

  /** Reconciles the requests of pods. Returns what was written: no event or timer had queued it. */
  async reconcilePods(): Promise<string[]> {
    return this.#writtenBy(async () => {
      for (const { metadata, spec } of this.api.all('podcertificaterequests') as Served<PodCertificateRequest>[]) {
        const { namespace = '', name } = metadata;
        await this.#reconcile('pods', podRequestKey({ namespace, name, nodeName: spec?.nodeName ?? '' }));
      }
    });
  }

  /** Reconciles every other object. Returns what was written: no event or timer had queued it. */
  async reconcileAll(): Promise<string[]> {
    return this.#writtenBy(() => this.#reconcileAll());
  }

  async #writtenBy(act: () => Promise<void>): Promise<string[]> {
    const written: string[] = [];
    let isOver = false;
    this.api.subscribe((plural, before, after) => {
      if (!isOver) written.push(`${plural} ${keyOf((after ?? before)?.metadata ?? { name: '' })}`);
    });
    await act();
    isOver = true;
    return written;
  }

  async #reconcileAll(): Promise<void> {
    const refs = (plural: string) => this.api.all(plural).map(({ metadata }) => keyOf(metadata));
    for (const name of refs('mtlsauthorities')) {
      await this.#reconcile('authority', name);
      for (const namespace of ['', ...refs('namespaces')]) await this.#reconcile('trust', trustKey(name, namespace));
    }
    for (const key of refs('mtlscertificates')) await this.#reconcile('certificate', key);
  }

  /** How many requests of pods have an answer. */
  get answers(): number {
    const requests = this.api.all('podcertificaterequests') as PodCertificateRequest[];
    return requests.filter(({ status }) => status?.conditions !== undefined).length;
  }

  /** True while an authority rotates its root. */
  get isRotating(): boolean {
    return this.api
      .all('mtlsauthorities')
      .some((one) => (one as unknown as MtlsAuthority).status?.rotation !== undefined);
  }

  async end(): Promise<void> {
    await this.#process?.end();
    for (const queue of Object.values(this.#queues)) queue.shutDown();
  }

  async #work(): Promise<void> {
    let steps = 0;
    while (await this.step()) {
      steps += 1;
      if (steps > mostSteps) throw new Error(`the operator never stops working: ${this.errors.slice(-3).join('; ')}`);
    }
  }

  get #hasNews(): boolean {
    return this.#orphans.length > 0 || this.#delivered !== this.api.resourceVersion;
  }

  async #deliver(): Promise<void> {
    for (const uid of this.#orphans.splice(0)) await this.#collectGarbage(uid);
    this.#delivered = this.api.resourceVersion;
    await this.#process?.deliver();
  }

  /** Deletes what a deleted object owned, as kube-controller-manager does. */
  async #collectGarbage(uid: string): Promise<void> {
    for (const resource of [secretResource, configMapResource]) {
      for (const { metadata } of this.api.all(resource.plural)) {
        const isOwned = metadata.ownerReferences?.some((owner) => owner.uid === uid) === true;
        if (isOwned) await this.delete(resource, metadata);
      }
    }
  }

  async #reconcileNext(controller: Controller): Promise<void> {
    const queue = this.#queues[controller];
    const key = await queue.get();
    if (key === undefined) return;
    // As Controller does.
    const result = await this.#reconcile(controller, key);
    if (result === 'failed') queue.addRateLimited(key);
    else {
      queue.forget(key);
      if (result !== undefined) queue.addAt(key, result.requeueAt);
    }
    queue.done(key);
  }

  async #reconcile(controller: Controller, key: string): Promise<{ requeueAt: Date } | undefined | 'failed'> {
    this.reconciles += 1;
    let result: { requeueAt: Date } | undefined;
    try {
      await this.#process?.reconcile(async (reconcilers, signal) => {
        result = await reconcilers[controller].reconcile(key, { signal });
      });
      return result;
    } catch (error) {
      if (!isKubeError(error) && !(error instanceof PkiError)) throw error;
      this.errors.push(`${controller} ${key}: ${error.message}`);
      return 'failed';
    }
  }

  #newQueues(): Queues {
    const queue = () => new WorkQueue({ clock: this.clock, random: () => 0.5 });
    return { authority: queue(), certificate: queue(), trust: queue(), pods: queue() };
  }

  async #create<T extends KubeObject>(resource: Resource<T>, object: T): Promise<void> {
    await this.#byHand(() => this.api.create(resource, object));
  }

  /** The action of a user may be impossible: the object may already exist, or be gone. */
  async #byHand(act: () => Promise<unknown>): Promise<void> {
    try {
      await this.api.byHand(act);
    } catch (error) {
      if (!isKubeError(error, 'NotFound', 'AlreadyExists')) throw error;
    }
  }
}

/** A monotonic clock has fractions of a millisecond, which the wall clock does not show. */
const fractional = (ms: number): number => ms + ((ms * 0.618) % 1);

const mostSteps = 2000;
