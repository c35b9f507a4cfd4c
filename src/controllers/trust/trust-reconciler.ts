import { type ClusterTrustBundle, type ConfigMap, isKubeError, type Store } from '../../kube/index.ts';
import {
  type AuthorityRecord,
  clusterTrustBundleContent,
  clusterTrustBundleOf,
  configMapContent,
  configMapIn,
  type KnownNamespace,
  type TrustContent,
  type TrustOutcome,
} from '../../plan/index.ts';
import type { AuthorityStates } from '../cache/authority-states.ts';
import { trustKey } from '../objects/trust-key.ts';
import { TrustRepairs } from './trust-repairs.ts';
import type { TrustResult, TrustWriter } from './trust-writer.ts';

/** The dependencies of the reconciler. reconcilers.ts creates them. */
export interface TrustContext {
  readonly authorities: Pick<Store<AuthorityRecord>, 'get'>;
  /** See Caches.namespace. */
  readonly namespace: (name: string) => KnownNamespace | undefined;
  /** Whether a namespace holds a bundle of the authority. */
  readonly holdsBundle: (authority: AuthorityRecord, namespace: string) => boolean;
  readonly authorityStates: AuthorityStates;
  readonly configMaps: TrustWriter<ConfigMap>;
  readonly clusterTrustBundles: TrustWriter<ClusterTrustBundle>;
  /** Whether the API server serves ClusterTrustBundles; undefined until that is known. */
  readonly servesClusterTrustBundles: () => boolean | undefined;
  /** Called when the status of an authority may have to change. */
  readonly onOutcome: (authority: string) => void;
  readonly now: () => Date;
  /** A monotonic clock in milliseconds. */
  readonly monotonicMs: () => number;
}

type Requeue = { readonly requeueAt: Date } | undefined;

/** An observed target: the object to publish there, and the state of the authority. */
interface Target {
  readonly key: string;
  readonly authority: AuthorityRecord;
  /** Empty for the cluster. */
  readonly namespace: string;
  /** The name of the object; undefined if nothing may be published there. */
  readonly desiredName: string | undefined;
  readonly writer: Pick<TrustWriter<ConfigMap>, 'settle' | 'lastWriter'>;
  /** Absent while the authority is not ready. */
  readonly content?: TrustContent;
  /** See versionOf. */
  readonly version: string;
}

/** Foreign objects are not watched. They are polled for deletion every 30 s, or less often (50 ms each) if there are many. */
const foreignPollMs = 30_000;
const foreignReadMs = 50;

/**
 * Publishes the bundles of authorities, one target at a time: observe → plan → carry out → report. TrustWriter plans and carries
 * out; the authority's reconciler writes the outcome to status.
 */
export class TrustReconciler {
  readonly #context: TrustContext;
  readonly #outcomes = new Map<string, TrustOutcome>();
  readonly #foreign = new Set<string>();
  readonly #repairs: TrustRepairs;

  constructor(context: TrustContext) {
    this.#context = context;
    this.#repairs = new TrustRepairs(context.monotonicMs);
  }

  /** The last outcome of publishing to a target; undefined if the operator did not publish under this name. */
  outcome(authority: string, namespace: string, desiredName: string): TrustOutcome | undefined {
    const outcome = this.#outcomes.get(trustKey(authority, namespace));
    return outcome?.desiredName === desiredName ? outcome : undefined;
  }

  async reconcile(key: string, { signal }: { signal: AbortSignal }): Promise<Requeue> {
    const [name = '', namespace = ''] = key.split('/');
    const authority = this.#context.authorities.get(name);
    if (authority === undefined) return this.#forget(key);
    const target = namespace === '' ? this.#inCluster(key, authority) : this.#inNamespace(key, authority, namespace);
    if (target === undefined) return this.#forget(key, name);
    try {
      const result = await this.#publish(target, signal);
      return await this.#report(target, result, signal);
    } catch (error) {
      return this.#fail(target, error);
    }
  }

  /** The cluster as a target; undefined if the API server does not serve ClusterTrustBundles. */
  #inCluster(key: string, authority: AuthorityRecord): Target | undefined {
    const { clusterTrustBundles, servesClusterTrustBundles } = this.#context;
    if (servesClusterTrustBundles() !== true) return undefined;
    const isRequested = authority.spec.trustBundle?.clusterTrustBundle === true;
    const desiredName = isRequested ? clusterTrustBundleOf(authority.name) : undefined;
    const content = clusterTrustBundleContent(authority, this.#context.authorityStates.get(authority.name));
    return targetOf({ key, authority, namespace: '', desiredName, writer: clusterTrustBundles }, content);
  }

  /** A namespace as a target; undefined if the namespace is gone, is being deleted, or its ConfigMaps may not be read. */
  #inNamespace(key: string, authority: AuthorityRecord, name: string): Target | undefined {
    const { configMaps, holdsBundle } = this.#context;
    const namespace = this.#context.namespace(name);
    if (namespace === undefined || namespace.terminating || namespace.configMapsForbidden === true) return undefined;
    const desiredName = configMapIn(authority, namespace, holdsBundle(authority, name));
    const content = configMapContent(authority, this.#context.authorityStates.get(authority.name));
    return targetOf({ key, authority, namespace: name, desiredName, writer: configMaps }, content);
  }

  /** Plans and carries out the writes for a target. */
  async #publish(target: Target, signal: AbortSignal): Promise<TrustResult> {
    const { key, authority, namespace, desiredName, writer, content, version } = target;
    let isWriting = false;
    const noteWrite = () => {
      if (isWriting) this.#repairs.noteWrite(key, version);
    };
    const request = {
      authority,
      namespace,
      ...(desiredName === undefined ? {} : { desiredName }),
      ...(content === undefined ? {} : { content }),
      askLive: this.#foreign.has(key),
      mayWrite: () => {
        isWriting = this.#repairs.waitMs(key, version) === 0;
        return isWriting;
      },
    };
    try {
      const result = await writer.settle(request, signal);
      noteWrite();
      return result;
    } catch (error) {
      if (isKubeError(error, 'Conflict')) noteWrite();
      throw error;
    }
  }

  /** Records the outcome for the status of the authority. Returns when to reconcile the target again. */
  async #report(target: Target, result: TrustResult, signal: AbortSignal): Promise<Requeue> {
    const { key, authority, namespace, desiredName, writer, content, version } = target;
    const wait = { requeueAt: this.#in(this.#repairs.waitMs(key, version)) };
    if (desiredName !== undefined && this.#repairs.isContested(key, version)) {
      // Only before the repair: after it, managedFields name the operator as the last writer.
      const isUnnamed = result === 'postponed' && this.#repairs.isUnnamed(key);
      if (isUnnamed) this.#repairs.name(key, await writer.lastWriter(namespace, desiredName, signal));
      this.#note(key, authority.name, { desiredName, state: 'contested', message: this.#repairs.message(key) });
      return wait;
    }
    if (result === 'postponed') return wait;
    if (desiredName === undefined) return this.#forget(key, authority.name);
    // Without a bundle there was nothing to compare, so there is no outcome.
    if (content === undefined) return undefined;
    this.#note(key, authority.name, { desiredName, state: result === 'foreign' ? 'foreign' : 'settled' });
    if (result === 'settled') return undefined;
    return { requeueAt: this.#in(Math.max(foreignPollMs, this.#foreign.size * foreignReadMs)) };
  }

  /** Records a failure for status and throws it again. If the namespace or the kind is gone, forgets the target instead. */
  #fail({ key, authority, desiredName }: Target, error: unknown): undefined {
    if (!isKubeError(error) || error.code === 'Aborted') throw error;
    if (error.code === 'NotFound' || error.namespaceTerminating) return this.#forget(key, authority.name);
    if (desiredName !== undefined)
      this.#note(key, authority.name, { desiredName, state: 'failed', message: error.message });
    throw error;
  }

  #note(key: string, authority: string, outcome: TrustOutcome): void {
    const isNews = outcome.state !== 'foreign' || !this.#foreign.has(key);
    this.#outcomes.set(key, outcome);
    if (outcome.state === 'foreign') this.#foreign.add(key);
    else this.#foreign.delete(key);
    if (isNews) this.#context.onOutcome(authority);
  }

  #forget(key: string, authority?: string): undefined {
    this.#outcomes.delete(key);
    this.#foreign.delete(key);
    this.#repairs.forget(key);
    if (authority !== undefined) this.#context.onOutcome(authority);
  }

  #in(ms: number): Date {
    return new Date(this.#context.now().getTime() + ms);
  }
}

function targetOf(where: Omit<Target, 'content' | 'version'>, content: TrustContent | undefined): Target {
  return { ...where, ...(content === undefined ? {} : { content }), version: versionOf(where.desiredName, content) };
}

/** Identifies the content for a target; empty if nothing may be published there or the authority is not ready. */
const versionOf = (desiredName: string | undefined, content: TrustContent | undefined): string =>
  desiredName === undefined || content === undefined
    ? ''
    : [desiredName, content.bundle.digest, content.crl?.digest ?? '', content.metadata].join(' ');
