import { annotations, apiVersion, rotationKeys, secretKeys } from '../../../src/api/names.ts';
import type { MtlsAuthority, MtlsCertificate } from '../../../src/api/types.ts';
import { AuthorityReconciler } from '../../../src/controllers/authority.ts';
import { AuthorityViews } from '../../../src/controllers/authority-views.ts';
import { Caches } from '../../../src/controllers/caches.ts';
import { CertificateReconciler } from '../../../src/controllers/certificate.ts';
import { Claims } from '../../../src/controllers/claims.ts';
import { EvidenceGatherer } from '../../../src/controllers/evidence.ts';
import { KeyMaker } from '../../../src/controllers/key-maker.ts';
import {
  authorityRecord,
  authorities as authorityResource,
  certificateRecord,
  certificates as certificateResource,
} from '../../../src/controllers/resources.ts';
import { base64, dataText } from '../../../src/controllers/secret-data.ts';
import { SecretFinder } from '../../../src/controllers/secret-finder.ts';
import { SecretWriter } from '../../../src/controllers/secret-writer.ts';
import {
  isKubeError,
  type KubeObject,
  type Secret,
  type Served,
  secrets as secretResource,
  silentLog,
} from '../../../src/kube/index.ts';
import { parseCertificate } from '../../../src/pki/certificate.ts';
import { encoded } from '../../../src/pki/der.ts';
import {
  anchorId,
  type Certificate,
  inspectRoot,
  isSignedBy,
  PkiError,
  parseCertificates,
  parseTrustAnchors,
  type SigningRoot,
} from '../../../src/pki/index.ts';
import { authority, certificate, encodedRoot, now } from '../../support/fixtures.ts';
import { makeCa } from '../../support/roots/make.ts';
import { Crash, MemoryApi } from './memory-api.ts';

const operatorNamespace = 'mtls-operator';
const rootName = 'mtls-root';
const never = new AbortController().signal;

/** What a pod has loaded from a mounted Secret. */
interface Loaded {
  /** Identity of the root of its leaf: any certificate of that CA verifies it. */
  readonly root: string | undefined;
  readonly notAfterMs: number;
  /** Identities of the roots that it trusts. */
  readonly trusted: readonly string[];
}

/** A pod: what it has loaded, and what is on its way to it. */
interface Pod {
  readonly lagMs: number;
  loaded: Loaded;
  coming: { readonly atMs: number; readonly content: Loaded }[];
}

/** One process of the operator: caches that lag behind until they are told, and the controllers. */
interface Process {
  readonly caches: Caches;
  readonly authority: AuthorityReconciler;
  readonly certificate: CertificateReconciler;
  readonly views: AuthorityViews;
  readonly behind: (() => void)[];
}

/**
 * A cluster in which the root is rotated: the operator's own controllers on an API server in memory, pods that load what
 * is mounted late, a calendar that can be set, a process that can end at every write. Every pod talks to every other.
 */
export class RotationWorld {
  readonly api = new MemoryApi();
  readonly seen = new Set<string>();
  rotationsEnded = 0;
  writes = 0;
  #wallMs = now.getTime();
  #latestMs = 0;
  #monotonicMs = 0;
  readonly #pods = new Map<string, Pod>();
  readonly #roots = new Map<string, Certificate>();
  readonly #lags: readonly number[];
  #process: Process | undefined;
  /** A replica that has been there for a while, and does not lead. */
  #standby: Process | undefined;
  #certificates = 0;

  /** @param lags how long the pods take to load a change, in milliseconds, one after the other */
  private constructor(lags: readonly number[]) {
    this.#lags = lags;
    this.api.subscribe((plural, before, after) => this.#changed(plural, before, after));
  }

  static async create(rotation: MtlsAuthority['spec']['rotation'], lags: readonly number[]): Promise<RotationWorld> {
    const world = new RotationWorld(lags);
    const spec = { ...authority().spec, rotation };
    const kinds = { apiVersion, kind: 'MtlsAuthority' } as const;
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
    for (const pod of this.#pods.values()) {
      const due = pod.coming.filter(({ atMs }) => atMs <= this.#monotonicMs);
      pod.coming = pod.coming.filter(({ atMs }) => atMs > this.#monotonicMs);
      // In the order of time, with a look at the mesh after each: that is when a connection would fail.
      for (const { content } of due.toSorted((a, b) => a.atMs - b.atMs)) {
        pod.loaded = content;
        this.assertConnected();
      }
    }
  }

  setClock(byMs: number): void {
    this.#wallMs += byMs;
  }

  /** Sets the clock to the latest moment that it has ever shown: before it, a root made then is not valid yet. */
  mendClock(): void {
    this.#wallMs = this.#latestMs;
  }

  async annotate(verb: 'rotateRoot' | 'approveRotation' | 'skipGate' | 'abortRotation', value: string): Promise<void> {
    const metadata = { annotations: { [annotations[verb]]: value } };
    await this.api.byHand(() => this.api.mergePatch(authorityResource, { name: 'default' }, { metadata }));
  }

  async stage(root: SigningRoot): Promise<void> {
    const { crt, key } = encodedRoot(root);
    const data = { [rotationKeys.next.certificate]: base64(crt), [rotationKeys.next.privateKey]: base64(key) };
    await this.#patchRootSecret({ data });
  }

  /** Puts another root over the one that signs; `whole`: as kubectl replace does, with all else gone. */
  async overwrite(root: SigningRoot, whole: boolean): Promise<void> {
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
    const inspection = inspectRoot(text(secretKeys.certificate), text(secretKeys.privateKey), new Date(this.#wallMs));
    if ('reason' in inspection || inspection.root.intermediates.length > 0) return;
    const { key, certificate } = inspection.root;
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
    const root = { certificate: renewed, key, intermediates: [], anchor: renewed };
    await (how === 'next' ? this.stage(root) : this.overwrite(root, false));
  }

  async deleteSecret(namespace: string, name: string): Promise<void> {
    if (this.api.find(secretResource, { namespace, name }) === undefined) return;
    await this.api.byHand(() => this.api.delete(secretResource, { namespace, name }));
  }

  deleteRootSecret = (): Promise<void> => this.deleteSecret(operatorNamespace, rootName);

  // What the operator does.

  /** Starts the operator, after the end of the one before. */
  async start(): Promise<void> {
    this.#process = await this.#startProcess();
    this.#process.authority.beginToLead();
  }

  /** Starts a replica that stands by from now on. */
  async standBy(): Promise<void> {
    this.#standby = await this.#startProcess();
  }

  /** The leader ends, and the replica that has stood by leads. */
  async takeOver(): Promise<void> {
    const heir = this.#standby;
    if (heir === undefined) return this.start();
    this.#standby = undefined;
    this.#process = heir;
    // As Operator.lead does.
    heir.views.clear();
    heir.authority.beginToLead();
    await heir.authority.look('default', never);
  }

  async #startProcess(): Promise<Process> {
    const views = new AuthorityViews();
    const caches = new Caches(
      () => views.roots(),
      () => this.#monotonicMs,
    );
    const clock = () => {
      this.#latestMs = Math.max(this.#latestMs, this.#wallMs);
      return new Date(this.#wallMs);
    };
    const { client } = this.api;
    const roots = () => views.roots();
    const recorder = { record: () => undefined };
    const queue = { onReady: () => undefined };
    const keys = new KeyMaker({ concurrency: 1, ...queue });
    const reconciler = new AuthorityReconciler({
      client,
      namespace: operatorNamespace,
      authorities: caches.authorities,
      views,
      evidence: new EvidenceGatherer({
        client,
        caches,
        publications: () => [],
        renewPublications: () => Promise.resolve(),
      }),
      publishedCrls: () => Promise.resolve([]),
      asked: (authority, at) => caches.leavesToRevoke(authority, at),
      certificateCount: () => caches.certificates.size,
      onChange: () => undefined,
      trustConditions: () => [],
      recorder,
      log: silentLog,
      now: clock,
    });
    const observer = { onIssued: () => undefined };
    const process: Process = {
      caches,
      authority: reconciler,
      certificate: new CertificateReconciler({
        client,
        certificates: caches.certificates,
        finder: new SecretFinder(client, caches),
        writer: new SecretWriter({
          client,
          caches,
          roots,
          keys,
          now: clock,
          log: silentLog,
          observer,
          onDeleted: () => undefined,
        }),
        views,
        namespaces: caches.namespaces,
        authorities: caches.authorities,
        claims: new Claims(caches, operatorNamespace),
        onCrlAwaited: () => undefined,
        onRetry: () => undefined,
        storePassword: (certificate) => caches.storePassword(certificate),
        keys,
        recorder,
        now: clock,
      }),
      views,
      behind: [],
    };
    const served = <T>(plural: string) => this.api.all(plural) as unknown as Served<T & KubeObject>[];
    for (const object of served<MtlsAuthority>('mtlsauthorities')) caches.authorities.observe(authorityRecord(object));
    await reconciler.look('default', never);
    for (const object of served<MtlsCertificate>('mtlscertificates'))
      caches.certificates.observe(certificateRecord(object));
    for (const secret of served<Secret>('secrets')) this.#takeIn(process, secret);
    return process;
  }

  /** The watches bring what has happened. */
  deliver(): void {
    for (const process of [this.#process, this.#standby]) for (const event of process?.behind.splice(0) ?? []) event();
  }

  /** One reconcile of the authority; false when the process ended in it. */
  reconcileAuthority = (writes = Number.POSITIVE_INFINITY, lostReply = false): Promise<boolean> =>
    this.#run((process) => process.authority.reconcile('default', { signal: never }), writes, lostReply);

  /** One reconcile of every certificate. */
  async reconcileCertificates(writes = Number.POSITIVE_INFINITY, lostReply = false): Promise<boolean> {
    for (const { metadata } of this.api.all('mtlscertificates')) {
      const key = `shop/${metadata.name}`;
      const goesOn = await this.#run(
        (process) => process.certificate.reconcile(key, { signal: never }),
        writes,
        lostReply,
      );
      if (!goesOn) return false;
    }
    return true;
  }

  /** The operator does what it can do now. */
  async settle(): Promise<void> {
    for (let round = 0; round < 3; round += 1) {
      this.deliver();
      await this.reconcileAuthority();
      this.deliver();
      await this.reconcileCertificates();
    }
    this.deliver();
    await this.reconcileAuthority();
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

  contentOf(secret: Secret): Loaded {
    const chain = parseCertificates(dataText(secret, secretKeys.certificate));
    const [leaf, top] = [chain[0], chain.at(-1)];
    const signer = [...this.#roots.values()].find((root) => top !== undefined && isSignedBy(top, root));
    const trusted = parseCertificates(dataText(secret, secretKeys.bundle)).map(anchorId);
    return { root: signer && anchorId(signer), notAfterMs: leaf?.notAfter.getTime() ?? 0, trusted };
  }

  /** The certificates in a file of a Secret. */
  certificatesIn = (secret: Secret | undefined, key: string): Certificate[] =>
    secret === undefined ? [] : parseCertificates(dataText(secret, key));

  /** Throws when a pod shows a certificate to another one that does not trust its root. */
  assertConnected(): void {
    // A pod whose own certificate has expired takes no part any more.
    const live = [...this.#pods].filter(([, { loaded }]) => loaded.notAfterMs > this.#wallMs);
    for (const [shows, { loaded }] of live) {
      for (const [verifies, other] of live) {
        if (loaded.root === undefined || !other.loaded.trusted.includes(loaded.root)) {
          throw new Error(`${verifies} does not trust what ${shows} shows, in phase ${this.status.rotation?.phase}`);
        }
      }
    }
  }

  async #patchRootSecret(patch: object): Promise<void> {
    const ref = { namespace: operatorNamespace, name: rootName };
    if (this.rootSecret() === undefined) return;
    await this.api.byHand(() => this.api.mergePatch(secretResource, ref, patch));
  }

  async #run(work: (process: Process) => Promise<unknown>, writes: number, lostReply: boolean): Promise<boolean> {
    this.api.budget = { writes, lostReply };
    try {
      if (this.#process === undefined) throw new Crash();
      await work(this.#process);
      return true;
    } catch (error) {
      // The controller tries again after a conflict, and when the clock was set to where the root is not valid; a process
      // that has ended is started again.
      if (isKubeError(error) || (error instanceof PkiError && error.code === 'IssuerRefuses')) return true;
      if (!(error instanceof Crash)) throw error;
      this.api.budget = { writes: Number.POSITIVE_INFINITY, lostReply: false };
      await this.start();
      return false;
    } finally {
      this.assertConnected();
    }
  }

  #takeIn({ caches }: Process, secret: Secret): void {
    if (secret.metadata.namespace === operatorNamespace) return;
    caches.secrets.observe(caches.examiner.read(secret));
  }

  #changed(plural: string, before: KubeObject | undefined, after: KubeObject | undefined): void {
    this.writes += 1;
    if (plural === 'secrets') this.#secretChanged(before, after);
    if (plural === 'mtlsauthorities') this.#noteRotation(before, after);
    for (const process of [this.#process, this.#standby])
      if (process !== undefined) this.#announce(process, plural, before, after);
  }

  /** Puts a change behind what a process has not seen yet. */
  #announce(process: Process, plural: string, before: KubeObject | undefined, after: KubeObject | undefined): void {
    const { caches } = process;
    const { resourceVersion } = this.api;
    process.behind.push(() => {
      if (after === undefined) {
        const { namespace, name } = before?.metadata ?? { name: '' };
        if (namespace === 'shop') caches.secrets.observeDeleted({ namespace, name }, resourceVersion);
      } else if (plural === 'mtlsauthorities') {
        caches.authorities.observe(authorityRecord(after as never));
      } else if (plural === 'mtlscertificates') {
        caches.certificates.observe(certificateRecord(after as never));
      } else {
        this.#takeIn(process, after);
      }
    });
  }

  #noteRotation(before: KubeObject | undefined, after: KubeObject | undefined): void {
    const rotationOf = (object: KubeObject | undefined) =>
      (object as Partial<MtlsAuthority> | undefined)?.status?.rotation;
    const [was, is] = [rotationOf(before), rotationOf(after)];
    if (is !== undefined) this.seen.add(`${is.phase}${is.aborting === true ? ' aborting' : ''}`);
    if (was !== undefined && is === undefined) this.rotationsEnded += 1;
  }

  #secretChanged(_before: Secret | undefined, after: Secret | undefined): void {
    if (after === undefined) return;
    if (after.metadata.namespace === operatorNamespace) {
      for (const key of [secretKeys.certificate, rotationKeys.next.certificate]) {
        for (const root of parseTrustAnchors(dataText(after, key))) this.#roots.set(root.fingerprint, root);
      }
      return;
    }
    const { name } = after.metadata;
    const content = this.contentOf(after);
    const pod = this.#pods.get(name);
    if (pod === undefined) {
      const lagMs = this.#lags[this.#pods.size % this.#lags.length] ?? 0;
      this.#pods.set(name, { lagMs, loaded: content, coming: [] });
    } else {
      pod.coming.push({ atMs: this.#monotonicMs + pod.lagMs, content });
    }
  }
}
