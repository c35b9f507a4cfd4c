import { annotations, apiVersion, rotationKeys, secretKeys } from '../../../../src/api/constants.ts';
import type { MtlsAuthority } from '../../../../src/api/types.ts';
import {
  authorities as authorityResource,
  certificates as certificateResource,
} from '../../../../src/controllers/objects/resources.ts';
import { base64, dataText } from '../../../../src/controllers/objects/secret-data.ts';
import { trustKey } from '../../../../src/controllers/objects/trust-key.ts';
import {
  type ClusterTrustBundle,
  clusterTrustBundles as clusterTrustBundleResource,
  configMaps as configMapResource,
  isKubeError,
  KubeError,
  type KubeObject,
  keyOf,
  type MergePatch,
  namespaces as namespaceResource,
  type PodCertificateRequest,
  pods as podResource,
  type Resource,
  type Secret,
  secrets as secretResource,
} from '../../../../src/kube/index.ts';
import { encoded } from '../../../../src/pki/asn1/der.ts';
import {
  anchorId,
  type Certificate,
  inspectIssuer,
  isSignedBy,
  PkiError,
  parseCertificates,
  parsePrivateKey,
  parseTrustAnchors,
} from '../../../../src/pki/index.ts';
import { parseCertificate } from '../../../../src/pki/x509/certificate.ts';
import { parsePodLeaves } from '../../../../src/plan/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { encodedRoot } from '../../../support/fixtures/roots.ts';
import { now } from '../../../support/fixtures/times.ts';
import { makeCa } from '../../../support/roots/make.ts';
import { type TestIssuer, withSigner } from '../../../support/sign.ts';
import { Crash, MemoryApi } from './memory-api.ts';
import { type TemplateName, WorldNode } from './world-node.ts';
import { type Loaded, WorldPods } from './world-pods.ts';
import { type Interruption, WorldProcess } from './world-process.ts';

const operatorNamespace = 'mtls-operator';
const rootName = 'mtls-root';
/** The source of additional roots. */
const sourceRef = { namespace: operatorNamespace, name: 'partner' } as const;
const noAnswer = new KubeError('Network', 'no answer');
/** Kubelet caches a ClusterTrustBundle: pods get it within seven minutes, everything else within three. */
const clusterTrustBundleLag = 7 / 3;

/** How long a write of a leader that was paused may be under way, as long as the API server lets a request live. */
const fencedMs = 180_000;

/** The namespaces that are created and deleted, apart from those of the certificates and of the operator. */
export const passing = ['edge', 'web'] as const;

/** A Secret, a ConfigMap or a ClusterTrustBundle. */
type Mounted = Secret & Partial<Pick<ClusterTrustBundle, 'spec'>>;

/** The requests that a user can make by annotation. */
type Verb = 'rotateRoot' | 'approveRotation' | 'skipGate' | 'abortRotation';

/**
 * A cluster in which the root is rotated: the operator’s own caches and controllers on an API server in memory, pods that load
 * mounted objects late, a wall clock that can be set, and a process that can end at every write, or be replaced during it.
 * Every pod verifies every pod that has a certificate, with the bundle in its Secret, in a ConfigMap or in the
 * ClusterTrustBundle.
 */
export class RotationWorld {
  readonly api = new MemoryApi();
  readonly seen = new Set<string>();
  rotationsEnded = 0;
  /** Failures that must never happen. */
  readonly failures: string[] = [];
  writes = 0;
  #wallMs = now.getTime();
  /** How far the operator's clock is ahead of all others. */
  #aheadMs = 0;
  /** The latest time that the operator's clock has ever shown. */
  #latestMs = 0;
  #monotonicMs = 0;
  readonly #pods: WorldPods;
  readonly #node: WorldNode;
  readonly #hasEvidence: boolean;
  readonly #roots = new Map<string, Certificate>();
  /** The contents of each Secret and published bundle, oldest first. */
  readonly #history = new Map<string, KubeObject[]>();
  /** The same contents, and since when each is stored. */
  readonly #stages = new Map<
    string,
    { readonly atMs: number; readonly content: Loaded; readonly isPutBack: boolean }[]
  >();
  #isPuttingBack = false;
  readonly #loaded = new Map<string, Loaded>();
  /** How often a certificate was issued for the same request of a user. */
  readonly #answers = new Map<string, number>();
  #lastSecret: KubeObject | undefined;
  #leader: WorldProcess | undefined;
  /** The process that led before. */
  #former: WorldProcess | undefined;
  #formerSinceMs = 0;
  /** A replica that has run for a while, and does not lead. */
  #standby: WorldProcess | undefined;
  #certificates = 0;
  #requests = 0;

  /** @param lags how long each pod takes to load a change, in milliseconds; used in turn */
  private constructor(lags: readonly number[], hasEvidence: boolean) {
    this.#hasEvidence = hasEvidence;
    const lagOf = (mount: string, count: number): number => {
      const lagMs = lags[count % lags.length] ?? 0;
      return mount.startsWith('clustertrustbundles') ? lagMs * clusterTrustBundleLag : lagMs;
    };
    this.#pods = new WorldPods(lagOf, () => this.assertConnected());
    this.api.clock = () => new Date(this.#wallMs);
    this.api.validate = (plural, object) => (plural === 'podcertificaterequests' ? this.#problemOf(object) : undefined);
    let starts = 0;
    this.#node = new WorldNode({
      api: this.api,
      pods: this.#pods,
      nowMs: () => this.#wallMs,
      monotonicMs: () => this.#monotonicMs,
      contentAt: (mount, isRestarted) =>
        this.#contentAt(mount, this.#monotonicMs - lagOf(mount, (starts += 1)), isRestarted),
      certificateIn: (chain) => ({ ...issuedFrom(chain, this.#roots), trusted: new Map(), isPodCertificate: true }),
    });
    this.api.subscribe((plural, before, after) => this.#changed(plural, before, after));
  }

  static async create(rotation: MtlsAuthority['spec']['rotation'], lags: readonly number[]): Promise<RotationWorld> {
    const world = new RotationWorld(lags, rotation.podEvidence === true);
    const additional = [{ configMap: { name: sourceRef.name, key: 'ca.crt' } }];
    const trustBundle = {
      configMap: { name: 'mtls-trust', namespaceSelector: {} },
      clusterTrustBundle: true,
      additional,
    };
    const podCertificates = { keyTypes: ['ECDSAP256'], maxDuration: '24h' };
    const spec = { ...authority().spec, rotation, trustBundle, podCertificates };
    const kinds = { apiVersion, kind: 'MtlsAuthority' } as const;
    for (const name of [operatorNamespace, 'shop']) await world.api.create(namespaceResource, { metadata: { name } });
    await world.api.create(authorityResource, { ...kinds, metadata: { name: 'default' }, spec } as never);
    await world.addCertificate();
    await world.addCertificate();
    await world.start();
    await world.settle();
    return world;
  }

  // Events in the cluster.

  async addCertificate(): Promise<void> {
    const name = `c${++this.#certificates}`;
    const kinds = { apiVersion, kind: 'MtlsCertificate' } as const;
    const metadata = { namespace: 'shop', name, generation: 1 };
    const { spec } = certificate().record;
    await this.api.byHand(() => this.api.create(certificateResource, { ...kinds, metadata, spec } as never));
  }

  tick(ms: number): void {
    this.#monotonicMs += ms;
    this.#wallMs += ms;
    this.#pods.tick(this.#monotonicMs);
    this.#pods.dropExpired(this.#wallMs);
  }

  /**
   * Sets all clocks. With podEvidence, only forward: the starts of containers and the writes of objects are dated by the clocks of
   * the node and of the API server, which may differ by less than the propagationDelay.
   */
  setClock(byMs: number): void {
    if (this.#hasEvidence && byMs < 0) return;
    this.#wallMs += byMs;
    this.#pods.dropExpired(this.#wallMs);
  }

  /** Sets the operator's clock ahead of all others, or (a negative number) behind them. */
  setOperatorClock(aheadMs: number): void {
    this.#aheadMs = aheadMs;
  }

  /** Sets all clocks to the latest time that the operator has seen, so that every root is valid that was created at that time. */
  restoreClock(): void {
    this.#aheadMs = 0;
    // See setClock.
    this.#wallMs = this.#hasEvidence ? Math.max(this.#wallMs, this.#latestMs) : this.#latestMs;
    this.#pods.dropExpired(this.#wallMs);
  }

  /** Creates an application whose pod loads nothing while it runs, or gets certificates without a Secret. */
  async deploy(template: TemplateName, hasDeployment: boolean): Promise<void> {
    await this.#node.deploy(`${template.replaceAll(' ', '-').toLowerCase()}-${hasDeployment}`, template, hasDeployment);
    this.assertConnected();
  }

  /** As `deploy`, in a history with podEvidence. Without it, a rotation does not wait for such a pod. */
  async deployFrozen(template: TemplateName, hasDeployment: boolean): Promise<void> {
    if (this.#hasEvidence) await this.deploy(template, hasDeployment);
  }

  /** The pod of an application is replaced. Nothing happens if there is none. */
  async restartPod(choice: number): Promise<void> {
    const { apps } = this.#node;
    await this.#node.restart(apps[choice % Math.max(1, apps.length)] ?? '');
    this.assertConnected();
  }

  /** Users mark all pods as restarted by the operator in the present phase, which is not true. */
  async releasePods(): Promise<void> {
    const { id, phase } = this.status.rotation ?? {};
    const metadata = { annotations: { [annotations.restartedFor]: `default/${id}/${phase}` } };
    for (const pod of this.api.all('pods')) await this.api.patchByHand(podResource, pod.metadata, { metadata });
  }

  /** A person restarts the pods that the operator cannot restart, or all pods. */
  async restartByHand(isAll: boolean): Promise<void> {
    for (const name of this.#node.apps) if (isAll || this.#node.needsPerson(name)) await this.#node.restart(name);
    this.assertConnected();
  }

  /** Kubelet requests the certificates of a pod again, as after its restart. */
  async refreshPod(choice: number): Promise<void> {
    const { apps } = this.#node;
    await this.#node.refresh(apps[choice % Math.max(1, apps.length)] ?? '');
  }

  /** Kubelet and the controller of Deployments work. */
  async nodeWorks(): Promise<void> {
    await this.#node.work();
    this.assertConnected();
  }

  /**
   * The process that led before was paused. Now it continues, and answers the requests of pods with what it knew. With podEvidence, its
   * writes arrive within the propagationDelay: a pod that gets a certificate of an earlier root later than that is not covered.
   */
  async formerSigns(): Promise<void> {
    const former = this.#former;
    const isLate = this.#monotonicMs - this.#formerSinceMs >= fencedMs;
    if (former === undefined || former.hasEnded || former.isReconciling || (this.#hasEvidence && isLate)) return;
    await former.deliver('podcertificaterequests');
    for (const key of this.#node.waiting()) {
      await this.#attempt(() => former.reconcile(({ pods }, signal) => pods.reconcile(key, { signal })));
    }
    this.assertConnected();
  }

  /** How many certificates pods have got without a Secret. */
  get podCertificates(): number {
    return this.#node.issued;
  }

  /** How often the operator has restarted a Deployment. */
  get restarts(): number {
    return this.#node.restarts;
  }

  async annotate(verb: Verb, value: string): Promise<void> {
    const metadata = { annotations: { [annotations[verb]]: value } };
    await this.api.byHand(() => this.api.mergePatch(authorityResource, { name: 'default' }, { metadata }));
  }

  /** Requests a new certificate for one resource, with a token that was never used before. */
  async rotateCertificate(): Promise<void> {
    const token = `request-${++this.#requests}`;
    const ref = { namespace: 'shop', name: 'c1' };
    const metadata = { annotations: { [annotations.rotate]: token } };
    await this.api.byHand(() => this.api.mergePatch(certificateResource, ref, { metadata }));
  }

  async stage(root: TestIssuer): Promise<void> {
    const { crt, key } = encodedRoot(root);
    const data = { [rotationKeys.next.certificate]: base64(crt), [rotationKeys.next.privateKey]: base64(key) };
    await this.#patchRootSecret({ data });
  }

  /** Overwrites the signing root. `whole`: everything else in the Secret is removed, as by kubectl replace. */
  async overwrite(root: TestIssuer, whole: boolean): Promise<void> {
    const { crt, key } = encodedRoot(root);
    const data = { [secretKeys.certificate]: base64(crt), [secretKeys.privateKey]: base64(key) };
    if (!whole) {
      await this.#patchRootSecret({ data });
      return;
    }
    const live = this.rootSecret();
    const gone = (record: Readonly<Record<string, string>> | undefined) =>
      Object.fromEntries(Object.keys(record ?? {}).map((key) => [key, null]));
    const { metadata } = live ?? { metadata: {} as KubeObject['metadata'] };
    await this.#patchRootSecret({
      metadata: { annotations: gone(metadata.annotations) },
      data: { ...gone(live?.data), ...data },
    });
  }

  /** Writes another certificate of the signing CA to the root Secret, as a user who renews a root. */
  async renewRoot(how: 'over' | 'next'): Promise<void> {
    const live = this.rootSecret();
    if (live === undefined) return;
    const text = (key: string) => dataText(live, key);
    const inspection = inspectIssuer(text(secretKeys.certificate), text(secretKeys.privateKey), new Date(this.#wallMs));
    if ('reason' in inspection || inspection.issuer.intermediates.length > 0) return;
    const { certificate } = inspection.issuer;
    const { key } = parsePrivateKey(text(secretKeys.privateKey));
    // The certificate is not valid before this time, see restoreClock.
    this.#latestMs = Math.max(this.#latestMs, this.#wallMs);
    const { der } = makeCa({
      key,
      subject: encoded(certificate.subject),
      ...(certificate.subjectKeyId === undefined ? {} : { keyId: Buffer.from(certificate.subjectKeyId, 'hex') }),
      notBefore: new Date(this.#wallMs - 60_000),
      notAfter: new Date(this.#wallMs + 4000 * 24 * 3_600_000),
    });
    const renewed = parseCertificate(der);
    const root = withSigner({ certificate: renewed, key, intermediates: [], anchor: renewed });
    await (how === 'next' ? this.stage(root) : this.overwrite(root, false));
  }

  /** Writes the source of additional roots. Undefined: deletes it. */
  async changeSource(text: string | undefined): Promise<void> {
    const isThere = this.api.find(configMapResource, sourceRef) !== undefined;
    const data = { 'ca.crt': text ?? '' };
    await this.api.byHand(async () => {
      if (text === undefined) await (isThere ? this.api.delete(configMapResource, sourceRef) : undefined);
      else if (isThere) await this.api.mergePatch(configMapResource, sourceRef, { data });
      else await this.api.create(configMapResource, { metadata: sourceRef, data });
    });
  }

  async deleteSecret(namespace: string, name: string): Promise<void> {
    if (this.api.find(secretResource, { namespace, name }) === undefined) return;
    await this.api.byHand(() => this.api.delete(secretResource, { namespace, name }));
  }

  deleteRootSecret = (): Promise<void> => this.deleteSecret(operatorNamespace, rootName);

  /** A mounted object, by kind and name. */
  mount = (choice: number): string => [...this.#history.keys()][choice % this.#history.size] ?? '';

  /**
   * Puts a Secret or published bundle back to earlier content. Does nothing if that would break connections at once: the old
   * content must trust every root that a pod can show, and every pod must trust the root of its certificate.
   * @param back how many contents ago, counted from the last one
   */
  async putBack(mount: string, back: number): Promise<void> {
    const contents = this.#history.get(mount) ?? [];
    const old = contents.at(-1 - (back % Math.max(1, contents.length)));
    const resource = resourceOf(mount);
    if (old === undefined || resource === undefined || !this.#isHarmless(this.contentOf(old))) return;
    const live = this.api.all(resource.plural).find(({ metadata }) => keyOf(metadata) === keyOf(old.metadata));
    if (live === undefined) return;
    const { data, spec } = old as { data?: object; spec?: object };
    const patch = { ...(data === undefined ? {} : { data }), ...(spec === undefined ? {} : { spec }) };
    this.#isPuttingBack = true;
    await this.api.byHand(() => this.api.mergePatch(resource, old.metadata, patch as MergePatch<KubeObject>));
    this.#isPuttingBack = false;
  }

  /** Deletes a Secret or published bundle, and creates it again at once, as the restore of a backup does. */
  async createAgain(mount: string): Promise<void> {
    const resource = resourceOf(mount);
    const last = this.#history.get(mount)?.at(-1);
    if (resource === undefined || last === undefined) return;
    const live = this.api.all(resource.plural).find(({ metadata }) => keyOf(metadata) === keyOf(last.metadata));
    if (live === undefined) return;
    await this.api.byHand(async () => {
      await this.api.delete(resource, live.metadata);
      await this.api.create(resource, live);
    });
  }

  /** True for content that breaks no connection now, and none with certificates of the signing root. */
  #isHarmless({ root, trusted, notAfterMs }: Loaded): boolean {
    const others = [...this.#pods.contents(), ...this.#stored()];
    const rootPem = this.rootSecret();
    const signing = this.certificatesIn(rootPem, secretKeys.certificate).at(-1);
    const bundle = this.certificatesIn(rootPem, secretKeys.bundle).map(anchorId);
    const shown = [...others.flatMap((one) => one.root ?? []), ...(signing === undefined ? [] : [anchorId(signing)])];
    const isVerified =
      notAfterMs === undefined ||
      (root !== undefined &&
        bundle.includes(root) &&
        [...others.filter((one) => one.isPodCertificate !== true), { trusted }].every((one) => one.trusted.has(root)));
    return isVerified && shown.every((one) => trusted.has(one));
  }

  #stored(): Loaded[] {
    return [...this.#history.values()].flatMap((contents) => {
      const last = contents.at(-1);
      return last === undefined ? [] : [this.contentOf(last)];
    });
  }

  /** Creates a namespace, or starts to delete it, or finishes the deletion together with its objects. */
  async passNamespace(name: (typeof passing)[number]): Promise<void> {
    const found = this.api.find(namespaceResource, { name });
    await this.api.byHand(async () => {
      if (found === undefined) {
        await this.api.create(namespaceResource, { metadata: { name, finalizers: ['kubernetes'] } });
      } else if (found.metadata.deletionTimestamp === undefined) {
        this.#pods.forget(name);
        await this.api.delete(namespaceResource, { name });
      } else {
        for (const { metadata } of this.api.all('configmaps')) {
          if (metadata.namespace === name) await this.api.delete(configMapResource, metadata);
        }
        await this.api.mergePatch(namespaceResource, { name }, { metadata: { finalizers: [] } });
      }
    });
  }

  // Actions of the operator.

  /** Starts another process that leads. The previous one has ended, or has not noticed yet. */
  async start(): Promise<void> {
    await this.#leads(await this.#startProcess());
  }

  /** Starts a standby. */
  async standBy(): Promise<void> {
    await this.#standby?.end();
    this.#standby = await this.#startProcess();
  }

  /** The standby takes over. @param isCutOff it cannot read the root when it starts to lead */
  async takeOver(isCutOff = false): Promise<void> {
    const heir = this.#standby ?? (await this.#startProcess());
    this.#standby = undefined;
    if (isCutOff) heir.refusal = (request) => (request.startsWith('find secrets') ? noAnswer : undefined);
    await this.#leads(heir);
    heir.refusal = () => undefined;
  }

  async #leads(heir: WorldProcess): Promise<void> {
    await this.#former?.end();
    const before = this.#leader;
    this.#leader = heir;
    this.#former = before;
    this.#formerSinceMs = this.#monotonicMs;
    if (before !== undefined) before.isSuperseded = true;
    await heir.lead();
  }

  #startProcess(): Promise<WorldProcess> {
    return WorldProcess.start({
      api: this.api,
      namespace: operatorNamespace,
      now: () => {
        const ms = this.#wallMs + this.#aheadMs;
        this.#latestMs = Math.max(this.#latestMs, ms);
        return new Date(ms);
      },
      serverTime: () => new Date(this.#wallMs),
      monotonicMs: () => this.#monotonicMs,
      onIssued: (reason) => this.#noteAnswer(reason),
    });
  }

  /** Ends all processes. */
  async end(): Promise<void> {
    for (const process of [this.#leader, this.#former, this.#standby]) await process?.end();
  }

  /** Delivers all changes to the watches of every process, of all kinds or of one. */
  async deliver(plural?: string): Promise<void> {
    for (const process of [this.#leader, this.#standby]) await process?.deliver(plural);
  }

  /** Ends the watches of a kind in every process. */
  async cut(plural: string, isForgotten: boolean): Promise<void> {
    for (const process of [this.#leader, this.#standby]) await process?.cut(plural, isForgotten);
  }

  /** Ends the leading process now. */
  async crash(): Promise<void> {
    await this.#leader?.end();
  }

  /** Reconciles the authority once. */
  reconcileAuthority = (interruption?: Interruption): Promise<void> =>
    this.#run(({ authority: reconciler }, signal) => reconciler.reconcile('default', { signal }), interruption);

  /** Reconciles every certificate once. The interruption happens in the first reconcile that has enough requests. */
  async reconcileCertificates(interruption?: Interruption): Promise<void> {
    const interrupted = onceOnly(interruption);
    for (const { metadata } of this.api.all('mtlscertificates')) {
      const key = `shop/${metadata.name}`;
      await this.#run(({ certificate: reconciler }, signal) => reconciler.reconcile(key, { signal }), interrupted());
    }
  }

  /** Reconciles every trust target once. */
  async reconcileTrust(interruption?: Interruption): Promise<void> {
    const interrupted = onceOnly(interruption);
    for (const namespace of ['', ...this.api.all('namespaces').map(({ metadata }) => metadata.name)]) {
      const key = trustKey('default', namespace);
      await this.#run(({ trust }, signal) => trust.reconcile(key, { signal }), interrupted());
    }
  }

  /** Reconciles every request of a pod once. */
  async reconcilePods(interruption?: Interruption): Promise<void> {
    const interrupted = onceOnly(interruption);
    await this.deliver('podcertificaterequests');
    for (const key of this.#node.waiting()) {
      await this.#run(({ pods }, signal) => pods.reconcile(key, { signal }), interrupted());
    }
  }

  /**
   * The operator works until it has nothing left to do.
   * @param publishes false: it does not reconcile published bundles
   * @param nodeWorks false: no container starts, and kubelet requests nothing
   */
  async settle(publishes = true, nodeWorks = true): Promise<void> {
    for (let round = 0, before = -1; round < 4 && this.writes !== before; round += 1) {
      before = this.writes;
      await this.deliver();
      await this.reconcileAuthority();
      if (publishes) await this.reconcileTrust();
      await this.deliver();
      await this.reconcileCertificates();
      if (nodeWorks) await this.nodeWorks();
      await this.reconcilePods();
    }
  }

  // Stored objects.

  get status(): NonNullable<MtlsAuthority['status']> {
    return (this.api.find(authorityResource, { name: 'default' }) as unknown as MtlsAuthority).status ?? {};
  }

  rootSecret(): Secret | undefined {
    return this.api.find(secretResource, { namespace: operatorNamespace, name: rootName });
  }

  /** True when a pod may hold a certificate of some CA. */
  mayBeInPods(): boolean {
    const { issuers } = parsePodLeaves(this.rootSecret()?.metadata.annotations?.[annotations.podCertificates]);
    return [...issuers.values()].some((until) => until.getTime() > this.#wallMs);
  }

  /** True when this slot of the root Secret holds an expired root. */
  hasExpired(slot: keyof typeof rotationKeys): boolean {
    const live = this.rootSecret();
    const pem = live === undefined ? '' : dataText(live, rotationKeys[slot].certificate);
    const [root] = parseCertificates(pem);
    return root !== undefined && root.notAfter.getTime() <= this.#wallMs;
  }

  leafSecrets(): Secret[] {
    return (this.api.all('secrets') as unknown as Secret[]).filter(({ metadata }) => metadata.namespace === 'shop');
  }

  contentOf(object: Mounted): Loaded {
    const text = JSON.stringify([object.data, object.spec]);
    const loaded = this.#loaded.get(text) ?? loadedFrom(object, this.#roots);
    this.#loaded.set(text, loaded);
    return loaded;
  }

  /** The published bundles, except those in a namespace that is being deleted, which are not updated any more. */
  published(): KubeObject[] {
    const configMaps = this.api
      .all('configmaps')
      .filter(({ metadata }) => !this.#isTerminating(metadata.namespace) && metadata.name !== sourceRef.name);
    return [...configMaps, ...this.api.all('clustertrustbundles')];
  }

  #isTerminating(name = ''): boolean {
    const found = this.api.all('namespaces').find(({ metadata }) => metadata.name === name);
    return found?.metadata.deletionTimestamp !== undefined;
  }

  /** The certificates under a key of a Secret. */
  certificatesIn = (secret: Secret | undefined, key: string): Certificate[] =>
    secret === undefined ? [] : parseCertificates(dataText(secret, key));

  /** Throws when a pod shows a certificate to another pod that does not trust its root. */
  assertConnected(): void {
    const failure = this.failures[0] ?? this.#pods.failure(this.#wallMs);
    if (failure === undefined) return;
    // Kept as well, because code in the middle of a reconcile may swallow the error.
    this.failures.push(`${failure}, in phase ${this.status.rotation?.phase}`);
    throw new Error(this.failures[0]);
  }

  async #patchRootSecret(patch: object): Promise<void> {
    const ref = { namespace: operatorNamespace, name: rootName };
    if (this.rootSecret() === undefined) return;
    await this.api.byHand(() => this.api.mergePatch(secretResource, ref, patch));
  }

  async #run(work: Parameters<WorldProcess['reconcile']>[0], interruption?: Interruption): Promise<void> {
    try {
      await this.#attempt(async () => this.#leader?.reconcile(work, interruption));
    } finally {
      if (this.#leader?.hasEnded !== false) await this.start();
      this.assertConnected();
    }
  }

  async #attempt(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      // The controller retries after a conflict, and after the clock was set to a time at which the root is not valid.
      const isExpected = isKubeError(error) || (error instanceof PkiError && error.code === 'IssuerRefuses');
      if (!isExpected && !(error instanceof Crash)) throw error;
    }
  }

  /**
   * What a node had of an object at a time, or the first content of a newer object. Undefined if the object is gone. A pod that the
   * operator has restarted does not read content that was put back: the operator does not restart its workload again in this phase.
   */
  #contentAt(mount: string, atMs: number, isRestarted: boolean): Loaded | undefined {
    const resource = resourceOf(mount);
    const all = this.#stages.get(mount) ?? [];
    const live = this.api.all(resource?.plural ?? '').some(({ metadata }) => mount.endsWith(` ${keyOf(metadata)}`));
    if (!live || (isRestarted && all.at(-1)?.isPutBack === true)) return undefined;
    const stages = all.filter(({ isPutBack }) => !isRestarted || !isPutBack);
    return (stages.findLast((stage) => stage.atMs <= atMs) ?? stages[0])?.content;
  }

  /** As the API server, for an issued certificate: it is valid since less than five minutes, and for an hour. */
  #problemOf({ status }: PodCertificateRequest): string | undefined {
    if (status?.notBefore === undefined || status.notAfter === undefined) return undefined;
    const [notBeforeMs, notAfterMs] = [Date.parse(status.notBefore), Date.parse(status.notAfter)];
    if (Math.abs(notBeforeMs - this.#wallMs) > 300_000) return 'notBefore';
    return notAfterMs - notBeforeMs < 3_600_000 ? 'notAfter' : undefined;
  }

  /** A request of a user is answered once. Records a failure if it is answered a second time. */
  #noteAnswer(reason: string): void {
    const { name, uid, annotations: notes = {} } = this.#lastSecret?.metadata ?? { name: '' };
    if (reason !== 'RotationRequested') return;
    const request = `${name} ${uid} ${notes[annotations.rotate]}`;
    const count = (this.#answers.get(request) ?? 0) + 1;
    this.#answers.set(request, count);
    if (count > 1) this.failures.push(`${request} was issued ${count} times`);
  }

  #changed(plural: string, before: KubeObject | undefined, after: KubeObject | undefined): void {
    this.writes += 1;
    if (plural === 'mtlsauthorities') this.#noteRotation(before, after);
    if (after === undefined || resourceOf(plural) === undefined) return;
    const { namespace = '' } = after.metadata;
    if (plural === 'configmaps' && after.metadata.name === sourceRef.name) return;
    if (plural === 'secrets' && namespace === operatorNamespace) return this.#noteRoots(after);
    if (plural === 'secrets') this.#lastSecret = after;
    const mount = `${plural} ${keyOf(after.metadata)}`;
    const contents = this.#history.get(mount) ?? [];
    const [last] = contents.slice(-1);
    if (last !== undefined && this.contentOf(last) === this.contentOf(after)) return;
    this.#history.set(mount, [...contents, after]);
    const stage = { atMs: this.#monotonicMs, content: this.contentOf(after), isPutBack: this.#isPuttingBack };
    this.#stages.set(mount, [...(this.#stages.get(mount) ?? []), stage]);
    if (this.#isTerminating(namespace)) return;
    this.#pods.changed(mount, namespace, this.contentOf(after), this.#monotonicMs);
  }

  #noteRoots(secret: Secret): void {
    for (const key of [secretKeys.certificate, rotationKeys.next.certificate]) {
      for (const root of parseTrustAnchors(dataText(secret, key))) this.#roots.set(root.fingerprint, root);
    }
  }

  #noteRotation(before: KubeObject | undefined, after: KubeObject | undefined): void {
    const rotationOf = (object: KubeObject | undefined) =>
      (object as Partial<MtlsAuthority> | undefined)?.status?.rotation;
    const [was, is] = [rotationOf(before), rotationOf(after)];
    if (is !== undefined) this.seen.add(`${is.phase}${is.aborting === true ? ' aborting' : ''}`);
    if (was !== undefined && is === undefined) this.rotationsEnded += 1;
  }
}

/** Lets only the first reconcile that reaches the interruption run it. */
function onceOnly(interruption: Interruption | undefined): () => Interruption | undefined {
  let hasHappened = false;
  if (interruption === undefined) return () => undefined;
  const act = (): Promise<unknown> => {
    hasHappened = true;
    return interruption.act();
  };
  return () => (hasHappened ? undefined : { ...interruption, act });
}

/** The resource of a mounted object, by the first word of its name. */
const resourceOf = (mount = ''): Resource<KubeObject> | undefined =>
  [secretResource, configMapResource, clusterTrustBundleResource].find(({ plural }) => plural === mount.split(' ')[0]);

/** The content that a pod loads from a Secret, a ConfigMap or a ClusterTrustBundle. */
function loadedFrom(object: Mounted, roots: ReadonlyMap<string, Certificate>): Loaded {
  const { data = {}, spec } = object;
  const isSecret = secretKeys.certificate in data;
  const pem = isSecret ? dataText(object, secretKeys.bundle) : (data[secretKeys.bundle] ?? spec?.trustBundle ?? '');
  const trusted = new Map(parseCertificates(pem).map((one) => [anchorId(one), one.notAfter.getTime()]));
  if (!isSecret) return { trusted };
  return { ...issuedFrom(dataText(object, secretKeys.certificate), roots), trusted };
}

/** The root of a certificate, and when the certificate expires. */
function issuedFrom(
  pem: string,
  roots: ReadonlyMap<string, Certificate>,
): Pick<Loaded, 'root'> & { notAfterMs: number } {
  const chain = parseCertificates(pem);
  const [leaf, top] = [chain[0], chain.at(-1)];
  const signer = [...roots.values()].find((root) => top !== undefined && isSignedBy(top, root));
  return { root: signer && anchorId(signer), notAfterMs: leaf?.notAfter.getTime() ?? 0 };
}
