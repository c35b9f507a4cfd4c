import { apiVersion, defaultAuthorityName, managerName } from '../api/names.ts';
import {
  Controller,
  EventRecorder,
  isKubeError,
  type KubeClient,
  keyOf,
  type Lead,
  type Log,
  type ReconcileRecord,
  Reflector,
  Store,
  secrets as secretResource,
  WorkQueue,
} from '../kube/index.ts';
import {
  type AuthorityRecord,
  type CertificateRecord,
  rolesOf,
  type SecretRecord,
  secretNameOf,
} from '../plan/index.ts';
import { AuthorityReconciler } from './authority.ts';
import { AuthorityViews } from './authority-views.ts';
import { CertificateReconciler } from './certificate.ts';
import { Claims } from './claims.ts';
import { KeyMaker } from './key-maker.ts';
import {
  authorityRecord,
  authorities as authorityResource,
  certificateRecord,
  certificates as certificateResource,
} from './resources.ts';
import { leafSecretSelector, secretRecord } from './secret-record.ts';

/** What the operator is made of that is not its own. */
export interface OperatorOptions {
  readonly client: KubeClient;
  /** Where root Secrets are. */
  readonly namespace: string;
  /** Name of this replica, for events. */
  readonly identity: string;
  readonly workers: number;
  /** Make the MtlsAuthority `default` in a cluster that has no authority at all. */
  readonly createDefaultAuthority: boolean;
  readonly log: Log;
  readonly now: () => Date;
  readonly observer: OperatorObserver;
}

/** What the operator tells of itself as it works. */
export interface OperatorObserver {
  onReconcile(controller: string, record: ReconcileRecord): void;
  onIssued(role: string, reason: string): void;
  onReflectorError(resource: string, code: string): void;
}

/** What another replica's certificates count is allowed to be behind, in milliseconds: status is for people. */
const countDelayMs = 5000;

/**
 * How many RSA keys are made at a time. Half of libuv's threads: name look-ups and files need the others.
 */
const slowKeys = 2;

/** All of the operator in one process: caches that every replica keeps, and controllers that the leader runs. */
export class Operator {
  readonly authorities: Store<AuthorityRecord, 'rootSecret'>;
  readonly certificates: Store<CertificateRecord, 'authority' | 'secret'>;
  readonly secrets: Store<SecretRecord, 'owner'>;
  readonly views = new AuthorityViews();
  readonly #rootSecrets = new Store<{ namespace: string; name: string; resourceVersion: string }>();
  readonly #options: OperatorOptions;
  readonly #queues = { authority: new WorkQueue(), certificate: new WorkQueue() };
  readonly #recorder: EventRecorder;
  readonly #authorityReconciler: AuthorityReconciler;
  readonly #certificateReconciler: CertificateReconciler;
  readonly #synced = Promise.withResolvers<void>();
  #hasSynced = false;

  constructor(options: OperatorOptions) {
    const { client, namespace, identity, log, now, observer } = options;
    this.#options = options;
    this.authorities = new Store({ indexes: { rootSecret: ({ spec }) => [spec.secretName] } });
    this.certificates = new Store({
      indexes: {
        authority: ({ spec }) => [spec.authorityRef.name],
        secret: (certificate) => secretKeysOf(certificate),
      },
    });
    this.secrets = new Store({ indexes: { owner: ({ owner }) => (owner === undefined ? [] : [owner]) } });
    this.#recorder = new EventRecorder({ client, reportingController: managerName, reportingInstance: identity, log });
    this.#authorityReconciler = new AuthorityReconciler({
      client,
      namespace,
      authorities: this.authorities,
      views: this.views,
      certificateCount: (authority) => this.certificates.by('authority', authority).length,
      onChange: (authority) => this.#enqueueUsers(authority),
      recorder: this.#recorder,
      now,
    });
    this.#certificateReconciler = new CertificateReconciler({
      client,
      certificates: this.certificates,
      secrets: this.secrets,
      views: this.views,
      authorityExists: (authority) => this.authorities.get(authority) !== undefined,
      claims: new Claims({
        claimants: (secretKey) => this.certificates.by('secret', secretKey),
        authorityOf: (secretKey) => this.#authorityOf(secretKey),
      }),
      recorder: this.#recorder,
      now,
      keys: new KeyMaker({
        concurrency: slowKeys,
        onReady: (owner) => this.#queues.certificate.add(owner),
      }),
      log,
      onIssued: (role, reason) => observer.onIssued(role, reason),
    });
    this.#subscribe();
  }

  /** True once every cache holds what the API server holds. */
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** Resolves at that moment. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** How many keys wait, by controller. */
  readonly queueLengths = (): Record<string, number> => ({
    authority: this.#queues.authority.length,
    certificate: this.#queues.certificate.length,
  });

  /**
   * Fills the caches and keeps them until the signal aborts; that ends the operator. Roots come first: a leaf is judged when its Secret is
   * read, and is not kept to be judged again.
   */
  async cache(signal: AbortSignal): Promise<void> {
    const { client, namespace, log, observer } = this.#options;
    const following = <R>(
      resource: string,
      reflector: { run(signal: AbortSignal): Promise<void>; synced: Promise<R> },
    ) => ({
      resource,
      run: reflector.run(signal),
      synced: reflector.synced,
    });
    const onError = (resource: string) => (code: string) => observer.onReflectorError(resource, code);
    const roots = [
      following(
        'mtlsauthorities',
        new Reflector({
          client,
          resource: authorityResource,
          transform: authorityRecord,
          store: this.authorities,
          log,
          onError: onError('mtlsauthorities'),
        }),
      ),
      following(
        'root secrets',
        new Reflector({
          client,
          resource: secretResource,
          namespace,
          metadataOnly: true,
          transform: ({ metadata }) => ({ namespace, name: metadata.name, resourceVersion: metadata.resourceVersion }),
          store: this.#rootSecrets,
          log,
          onError: onError('secrets'),
        }),
      ),
    ];
    await Promise.all(roots.map(({ synced }) => synced));
    if (!signal.aborted) await this.#lookAtRoots(signal);
    const leaves = [
      following(
        'mtlscertificates',
        new Reflector({
          client,
          resource: certificateResource,
          transform: certificateRecord,
          store: this.certificates,
          log,
          onError: onError('mtlscertificates'),
        }),
      ),
      following(
        'secrets',
        new Reflector({
          client,
          resource: secretResource,
          labelSelector: leafSecretSelector,
          transform: (secret) => secretRecord(secret, this.views.roots()),
          store: this.secrets,
          log,
          onError: onError('secrets'),
        }),
      ),
    ];
    const synced = await Promise.all(leaves.map((leaf) => leaf.synced));
    this.#hasSynced = synced.every(Boolean);
    if (this.#hasSynced) {
      this.#synced.resolve();
      log.info('caches are filled', { certificates: this.certificates.size, secrets: this.secrets.size });
    }
    await Promise.all([...roots, ...leaves].map(({ run }) => run));
    // A renewal that is due in months would otherwise keep the process alive.
    for (const queue of Object.values(this.#queues)) queue.shutDown();
    await this.#recorder.flush(2000);
  }

  /** Runs the controllers for as long as this replica leads; resolves when what was under way has ended. */
  readonly lead: Lead = async (leadership, lost) => {
    const { workers, log, observer } = this.#options;
    const controller = (
      name: 'authority' | 'certificate',
      count: number,
      reconcile: AuthorityReconciler['reconcile'],
    ) =>
      new Controller({
        name,
        queue: this.#queues[name],
        workers: count,
        reconcile,
        log,
        onResult: (record) => observer.onReconcile(name, record),
      });
    await this.#createDefaultAuthority(leadership);
    const authority = controller('authority', 2, (key, context) => this.#authorityReconciler.reconcile(key, context));
    const certificate = controller('certificate', workers, (key, context) =>
      this.#certificateReconciler.reconcile(key, context),
    );
    for (const name of this.authorities.keys()) this.#queues.authority.add(name);
    for (const key of this.certificates.keys()) this.#queues.certificate.add(key);
    await Promise.all([authority.run(leadership, lost), certificate.run(leadership, lost)]);
  };

  /** What happened to an object decides only whose key is added: reconciles look at the state, never at the event. */
  #subscribe(): void {
    this.authorities.subscribe((before, after) => {
      const name = (after ?? before)?.name ?? '';
      this.#queues.authority.add(name);
      if (before === undefined || after === undefined) this.#enqueueUsers(name);
    });
    this.#rootSecrets.subscribe((before, after) => {
      for (const { name } of this.authorities.by('rootSecret', (after ?? before)?.name ?? ''))
        this.#queues.authority.add(name);
    });
    this.certificates.subscribe((before, after) => {
      this.#queues.certificate.add(keyOf(after ?? before ?? { name: '' }));
      const names = [before, after].map((record) => (record === undefined ? '' : claimOf(record)));
      if (names[0] === names[1]) return;
      for (const record of [before, after]) if (record !== undefined) this.#enqueueClaims(record);
    });
    this.secrets.subscribe((before, after) => {
      for (const record of [before, after]) {
        if (record === undefined) continue;
        if (record.ownerName !== undefined) {
          this.#queues.certificate.add(keyOf({ namespace: record.namespace, name: record.ownerName }));
        }
        if (before === undefined || after === undefined) this.#enqueueClaimants(keyOf(record));
      }
    });
  }

  /** A claim came or went: others that want the same Secrets may have to move, and the authority counts its users. */
  #enqueueClaims(record: CertificateRecord): void {
    for (const secretKey of secretKeysOf(record)) this.#enqueueClaimants(secretKey);
    this.#queues.authority.addAfter(record.spec.authorityRef.name, countDelayMs);
  }

  #enqueueClaimants(secretKey: string): void {
    for (const claimant of this.certificates.by('secret', secretKey)) this.#queues.certificate.add(keyOf(claimant));
  }

  #enqueueUsers(authority: string): void {
    for (const record of this.certificates.by('authority', authority)) this.#queues.certificate.add(keyOf(record));
  }

  #authorityOf(secretKey: string): string | undefined {
    const { namespace } = this.#options;
    const [secretNamespace, name = ''] = secretKey.split('/');
    return secretNamespace === namespace ? this.authorities.by('rootSecret', name)[0]?.name : undefined;
  }

  async #lookAtRoots(signal: AbortSignal): Promise<void> {
    for (const name of this.authorities.keys()) {
      try {
        await this.#authorityReconciler.look(name, signal);
      } catch (error) {
        // The leader's reconcile looks again; until then its certificates wait.
        this.#options.log.warn('a root could not be read', { authority: name, error });
      }
    }
  }

  async #createDefaultAuthority(signal: AbortSignal): Promise<void> {
    const { client, createDefaultAuthority, log } = this.#options;
    if (!createDefaultAuthority || this.authorities.size > 0) return;
    try {
      const spec = { secretName: 'mtls-root', root: {} };
      const object = { apiVersion, kind: 'MtlsAuthority', metadata: { name: defaultAuthorityName }, spec };
      // The API server fills in the defaults that the type of a served object has.
      const created = await client.create(authorityResource, object as Parameters<typeof authorityRecord>[0], {
        signal,
      });
      this.authorities.observe(authorityRecord(created));
      log.info('created the default authority', { authority: defaultAuthorityName });
    } catch (error) {
      if (!isKubeError(error, 'AlreadyExists')) throw error;
    }
  }
}

/** The Secrets that a resource names, as `namespace/name`. */
const secretKeysOf = ({ namespace, name, spec }: CertificateRecord): string[] =>
  rolesOf(spec).map((role) => keyOf({ namespace, name: secretNameOf(name, spec, role) }));

/** What others are affected by when it changes. */
const claimOf = (record: CertificateRecord): string =>
  [record.uid, record.spec.authorityRef.name, ...secretKeysOf(record)].join(' ');
