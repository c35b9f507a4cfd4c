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
import { authority } from '../../../support/fixtures/authority.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { encodedRoot } from '../../../support/fixtures/roots.ts';
import { now } from '../../../support/fixtures/times.ts';
import { makeCa } from '../../../support/roots/make.ts';
import { type TestIssuer, withSigner } from '../../../support/sign.ts';
import { Crash, MemoryApi } from './memory-api.ts';
import { type Loaded, WorldPods } from './world-pods.ts';
import { type Interruption, WorldProcess } from './world-process.ts';

const operatorNamespace = 'mtls-operator';
const rootName = 'mtls-root';
const noAnswer = new KubeError('Network', 'no answer');
/** A ClusterTrustBundle takes pods up to seven minutes, all else three: kubelet caches it. */
const clusterTrustBundleLag = 7 / 3;

/** The namespaces that come and go, besides the one with the certificates and the operator's own. */
export const passing = ['edge', 'web'] as const;

/** A Secret, a ConfigMap or a ClusterTrustBundle. */
type Mounted = Secret & Partial<Pick<ClusterTrustBundle, 'spec'>>;

/** What a person asks for in one word. */
type Verb = 'rotateRoot' | 'approveRotation' | 'skipGate' | 'abortRotation';

/**
 * A cluster in which the root is rotated: the operator's own caches and controllers on an API server in memory, pods that load what
 * is mounted late, a calendar that can be set, a process that can end at every write, or be replaced in the middle of it.
 * Every pod with a certificate is verified by every pod: with the bundle of its Secret, of a ConfigMap, or of the
 * ClusterTrustBundle.
 */
export class RotationWorld {
  readonly api = new MemoryApi();
  readonly seen = new Set<string>();
  rotationsEnded = 0;
  /** What must never happen, and has. */
  readonly failures: string[] = [];
  writes = 0;
  #wallMs = now.getTime();
  #latestMs = 0;
  #monotonicMs = 0;
  readonly #pods: WorldPods;
  readonly #roots = new Map<string, Certificate>();
  /** What each Secret and published bundle has held, the oldest first. */
  readonly #history = new Map<string, KubeObject[]>();
  readonly #loaded = new Map<string, Loaded>();
  /** How often a certificate was issued for the same request of a person. */
  readonly #answers = new Map<string, number>();
  #lastSecret: KubeObject | undefined;
  #leader: WorldProcess | undefined;
  /** A replica that has been there for a while, and does not lead. */
  #standby: WorldProcess | undefined;
  #certificates = 0;
  #requests = 0;

  /** @param lags how long the pods take to load a change, in milliseconds, one after the other */
  private constructor(lags: readonly number[]) {
    const lagOf = (mount: string, count: number): number => {
      const lagMs = lags[count % lags.length] ?? 0;
      return mount.startsWith('clustertrustbundles') ? lagMs * clusterTrustBundleLag : lagMs;
    };
    this.#pods = new WorldPods(lagOf, () => this.assertConnected());
    this.api.subscribe((plural, before, after) => this.#changed(plural, before, after));
  }

  static async create(rotation: MtlsAuthority['spec']['rotation'], lags: readonly number[]): Promise<RotationWorld> {
    const world = new RotationWorld(lags);
    const trustBundle = { configMap: { name: 'mtls-trust', namespaceSelector: {} }, clusterTrustBundle: true };
    const spec = { ...authority().spec, rotation, trustBundle };
    const kinds = { apiVersion, kind: 'MtlsAuthority' } as const;
    for (const name of [operatorNamespace, 'shop']) await world.api.create(namespaceResource, { metadata: { name } });
    await world.api.create(authorityResource, { ...kinds, metadata: { name: 'default' }, spec } as never);
    await world.addCertificate();
    await world.addCertificate();
    await world.start();
    await world.settle();
    return world;
  }

  // What happens to the world.

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
  }

  setClock(byMs: number): void {
    this.#wallMs += byMs;
  }

  /** Sets the clock to the latest moment that it has ever shown: before it, a root made then is not valid yet. */
  mendClock(): void {
    this.#wallMs = this.#latestMs;
  }

  async annotate(verb: Verb, value: string): Promise<void> {
    const metadata = { annotations: { [annotations[verb]]: value } };
    await this.api.byHand(() => this.api.mergePatch(authorityResource, { name: 'default' }, { metadata }));
  }

  /** Asks for a new certificate of one resource, with a value that was never there before. */
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

  /** Puts another root over the one that signs; `whole`: as kubectl replace does, with all else gone. */
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

  /** Puts another certificate of the CA that signs into the root Secret, as a person renews a root. */
  async renewRoot(how: 'over' | 'next'): Promise<void> {
    const live = this.rootSecret();
    if (live === undefined) return;
    const text = (key: string) => dataText(live, key);
    const inspection = inspectIssuer(text(secretKeys.certificate), text(secretKeys.privateKey), new Date(this.#wallMs));
    if ('reason' in inspection || inspection.issuer.intermediates.length > 0) return;
    const { certificate } = inspection.issuer;
    const { key } = parsePrivateKey(text(secretKeys.privateKey));
    // The certificate is not valid before this moment of the calendar, see mendClock.
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

  async deleteSecret(namespace: string, name: string): Promise<void> {
    if (this.api.find(secretResource, { namespace, name }) === undefined) return;
    await this.api.byHand(() => this.api.delete(secretResource, { namespace, name }));
  }

  deleteRootSecret = (): Promise<void> => this.deleteSecret(operatorNamespace, rootName);

  /** What pods mount, by kind and name. */
  mount = (choice: number): string => [...this.#history.keys()][choice % this.#history.size] ?? '';

  /**
   * Puts a Secret or published bundle back to what it held before, which a person does not do where it would fail connections at once:
   * every root that can be shown is trusted by it, and all trust its own.
   * @param back how many contents ago, from the last one on
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
    await this.api.byHand(() => this.api.mergePatch(resource, old.metadata, patch as MergePatch<KubeObject>));
  }

  /** Deletes a Secret or published bundle, and creates it again at once, as a restored backup does. */
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

  /** True for content that fails no connection now, and none that the root which signs now can bring about. */
  #isHarmless({ root, trusted, notAfterMs }: Loaded): boolean {
    const others = [...this.#pods.contents(), ...this.#stored()];
    const rootPem = this.rootSecret();
    const signing = this.certificatesIn(rootPem, secretKeys.certificate).at(-1);
    const bundle = this.certificatesIn(rootPem, secretKeys.bundle).map(anchorId);
    const shown = [...others.flatMap((one) => one.root ?? []), ...(signing === undefined ? [] : [anchorId(signing)])];
    const isVerified =
      notAfterMs === undefined ||
      (root !== undefined && bundle.includes(root) && [...others, { trusted }].every((one) => one.trusted.has(root)));
    return isVerified && shown.every((one) => trusted.has(one));
  }

  #stored(): Loaded[] {
    return [...this.#history.values()].flatMap((contents) => {
      const last = contents.at(-1);
      return last === undefined ? [] : [this.contentOf(last)];
    });
  }

  /** A namespace comes, or begins to be deleted, or is gone at last, with what is in it. */
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

  // What the operator does.

  /** Another process leads, which begins now. The one before has ended, or has not noticed yet. */
  async start(): Promise<void> {
    await this.#leads(await this.#startProcess());
  }

  /** Starts a replica that stands by from now on. */
  async standBy(): Promise<void> {
    await this.#standby?.end();
    this.#standby = await this.#startProcess();
  }

  /** The replica that has stood by leads. @param isCutOff it cannot read the root when it begins */
  async takeOver(isCutOff = false): Promise<void> {
    const heir = this.#standby ?? (await this.#startProcess());
    this.#standby = undefined;
    if (isCutOff) heir.refusal = (request) => (request.startsWith('find secrets') ? noAnswer : undefined);
    await this.#leads(heir);
    heir.refusal = () => undefined;
  }

  async #leads(heir: WorldProcess): Promise<void> {
    const before = this.#leader;
    this.#leader = heir;
    if (before !== undefined) before.isSuperseded = true;
    if (before?.isReconciling === false) await before.end();
    await heir.lead();
  }

  #startProcess(): Promise<WorldProcess> {
    return WorldProcess.start({
      api: this.api,
      namespace: operatorNamespace,
      now: () => {
        this.#latestMs = Math.max(this.#latestMs, this.#wallMs);
        return new Date(this.#wallMs);
      },
      monotonicMs: () => this.#monotonicMs,
      onIssued: (reason) => this.#noteAnswer(reason),
    });
  }

  /** Nothing goes on any more. */
  async end(): Promise<void> {
    await this.#leader?.end();
    await this.#standby?.end();
  }

  /** The watches, or those of one kind, bring what has happened to every process. */
  async deliver(plural?: string): Promise<void> {
    for (const process of [this.#leader, this.#standby]) await process?.deliver(plural);
  }

  /** The watches of a kind end in every process. */
  async cut(plural: string, isForgotten: boolean): Promise<void> {
    for (const process of [this.#leader, this.#standby]) await process?.cut(plural, isForgotten);
  }

  /** The process ends at this moment. */
  async crash(): Promise<void> {
    await this.#leader?.end();
  }

  /** One reconcile of the authority. */
  reconcileAuthority = (interruption?: Interruption): Promise<void> =>
    this.#run(({ authority: reconciler }, signal) => reconciler.reconcile('default', { signal }), interruption);

  /** One reconcile of every certificate. The interruption comes in the first that has so many requests. */
  async reconcileCertificates(interruption?: Interruption): Promise<void> {
    const interrupted = onceOnly(interruption);
    for (const { metadata } of this.api.all('mtlscertificates')) {
      const key = `shop/${metadata.name}`;
      await this.#run(({ certificate: reconciler }, signal) => reconciler.reconcile(key, { signal }), interrupted());
    }
  }

  /** One reconcile of every place where the bundle is published. */
  async reconcileTrust(interruption?: Interruption): Promise<void> {
    const interrupted = onceOnly(interruption);
    for (const namespace of ['', ...this.api.all('namespaces').map(({ metadata }) => metadata.name)]) {
      const key = trustKey('default', namespace);
      await this.#run(({ trust }, signal) => trust.reconcile(key, { signal }), interrupted());
    }
  }

  /**
   * The operator does what it can do now, until it has nothing left to do.
   * @param publishes false: it does not come to the published bundles
   */
  async settle(publishes = true): Promise<void> {
    for (let round = 0, before = -1; round < 4 && this.writes !== before; round += 1) {
      before = this.writes;
      await this.deliver();
      await this.reconcileAuthority();
      if (publishes) await this.reconcileTrust();
      await this.deliver();
      await this.reconcileCertificates();
    }
  }

  // What there is to be seen.

  get status(): NonNullable<MtlsAuthority['status']> {
    return (this.api.find(authorityResource, { name: 'default' }) as unknown as MtlsAuthority).status ?? {};
  }

  rootSecret(): Secret | undefined {
    return this.api.find(secretResource, { namespace: operatorNamespace, name: rootName });
  }

  /** True when the root Secret has a root in this slot that has expired. */
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

  /** What is published; a namespace that is being deleted gets no more changes. */
  published(): KubeObject[] {
    const configMaps = this.api.all('configmaps').filter(({ metadata }) => !this.#isTerminating(metadata.namespace));
    return [...configMaps, ...this.api.all('clustertrustbundles')];
  }

  #isTerminating(name = ''): boolean {
    const found = this.api.all('namespaces').find(({ metadata }) => metadata.name === name);
    return found?.metadata.deletionTimestamp !== undefined;
  }

  /** The certificates in a file of a Secret. */
  certificatesIn = (secret: Secret | undefined, key: string): Certificate[] =>
    secret === undefined ? [] : parseCertificates(dataText(secret, key));

  /** Throws when a pod shows a certificate to another one that does not trust its root. */
  assertConnected(): void {
    const failure = this.failures[0] ?? this.#pods.failure(this.#wallMs);
    if (failure === undefined) return;
    // Whoever is in the middle of something may not pass it on.
    this.failures.push(`${failure}, in phase ${this.status.rotation?.phase}`);
    throw new Error(this.failures[0]);
  }

  async #patchRootSecret(patch: object): Promise<void> {
    const ref = { namespace: operatorNamespace, name: rootName };
    if (this.rootSecret() === undefined) return;
    await this.api.byHand(() => this.api.mergePatch(secretResource, ref, patch));
  }

  async #run(work: Parameters<WorldProcess['reconcile']>[0], interruption?: Interruption): Promise<void> {
    const process = this.#leader;
    try {
      await process?.reconcile(work, interruption);
    } catch (error) {
      // The controller tries again after a conflict, and when the clock was set to where the root is not valid.
      const isExpected = isKubeError(error) || (error instanceof PkiError && error.code === 'IssuerRefuses');
      if (!isExpected && !(error instanceof Crash)) throw error;
    } finally {
      if (process !== this.#leader) await process?.end();
      if (this.#leader?.hasEnded !== false) await this.start();
      this.assertConnected();
    }
  }

  /** A request of a person is answered once. Throws when it is answered a second time. */
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
    if (plural === 'secrets' && namespace === operatorNamespace) return this.#noteRoots(after);
    if (plural === 'secrets') this.#lastSecret = after;
    const mount = `${plural} ${keyOf(after.metadata)}`;
    const contents = this.#history.get(mount) ?? [];
    const [last] = contents.slice(-1);
    if (last !== undefined && this.contentOf(last) === this.contentOf(after)) return;
    this.#history.set(mount, [...contents, after]);
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

/** The first of many that gets it is the only one. */
function onceOnly(interruption: Interruption | undefined): () => Interruption | undefined {
  let hasHappened = false;
  if (interruption === undefined) return () => undefined;
  const act = (): Promise<unknown> => {
    hasHappened = true;
    return interruption.act();
  };
  return () => (hasHappened ? undefined : { ...interruption, act });
}

/** The kind of what pods mount, by the beginning of its name here. */
const resourceOf = (mount = ''): Resource<KubeObject> | undefined =>
  [secretResource, configMapResource, clusterTrustBundleResource].find(({ plural }) => plural === mount.split(' ')[0]);

/** What a pod reads in a Secret, a ConfigMap or a ClusterTrustBundle. */
function loadedFrom(object: Mounted, roots: ReadonlyMap<string, Certificate>): Loaded {
  const { data = {}, spec } = object;
  const isSecret = secretKeys.certificate in data;
  const pem = isSecret ? dataText(object, secretKeys.bundle) : (data[secretKeys.bundle] ?? spec?.trustBundle ?? '');
  const trusted = new Map(parseCertificates(pem).map((one) => [anchorId(one), one.notAfter.getTime()]));
  if (!isSecret) return { trusted };
  const chain = parseCertificates(dataText(object, secretKeys.certificate));
  const [leaf, top] = [chain[0], chain.at(-1)];
  const signer = [...roots.values()].find((root) => top !== undefined && isSignedBy(top, root));
  return { root: signer && anchorId(signer), notAfterMs: leaf?.notAfter.getTime() ?? 0, trusted };
}
