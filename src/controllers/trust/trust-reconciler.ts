import { type ClusterTrustBundle, type ConfigMap, isKubeError, type KubeObject, type Store } from '../../kube/index.ts';
import {
  type AuthorityRecord,
  clusterTrustBundleOf,
  configMapIn,
  type NamespaceRecord,
  type RootState,
  type TrustOutcome,
} from '../../plan/index.ts';
import type { AuthorityStates } from '../cache/authority-states.ts';
import { trustKey } from '../objects/trust-key.ts';
import { TrustRepairs } from './trust-repairs.ts';
import type { TrustWriter } from './trust-writer.ts';

/** What the reconciler works with. reconcilers.ts puts it together. */
export interface TrustContext {
  readonly authorities: Pick<Store<AuthorityRecord>, 'get'>;
  readonly namespaces: Pick<Store<NamespaceRecord>, 'get'>;
  readonly authorityStates: AuthorityStates;
  readonly configMaps: TrustWriter<ConfigMap>;
  readonly clusterTrustBundles: TrustWriter<ClusterTrustBundle>;
  /** Whether the API server has ClusterTrustBundles; undefined until that is known. */
  readonly servesClusterTrustBundles: () => boolean | undefined;
  /** Called when status of an authority may have something else to say. */
  readonly onOutcome: (authority: string) => void;
  readonly now: () => Date;
}

/** An object of others is not watched: how often to look whether it is gone. Very many of them take longer. */
const foreignPollMs = 30_000;
const foreignReadMs = 50;

/** Publishes the bundles of authorities, one place at a time. What status says of it is the authority's controller's. */
export class TrustReconciler {
  readonly #context: TrustContext;
  readonly #outcomes = new Map<string, TrustOutcome>();
  readonly #foreign = new Set<string>();
  readonly #repairs = new TrustRepairs();

  constructor(context: TrustContext) {
    this.#context = context;
  }

  /** What came of the last look at a place, if that was under this name. */
  outcome(authority: string, namespace: string, wanted: string): TrustOutcome | undefined {
    const outcome = this.#outcomes.get(trustKey(authority, namespace));
    return outcome?.wanted === wanted ? outcome : undefined;
  }

  async reconcile(key: string, { signal }: { signal: AbortSignal }): Promise<{ requeueAt: Date } | undefined> {
    const { authorities, namespaces, configMaps, clusterTrustBundles, servesClusterTrustBundles } = this.#context;
    const [name = '', namespace = ''] = key.split('/');
    const authority = authorities.get(name);
    if (authority === undefined) return this.#forget(key);
    if (namespace === '') {
      if (servesClusterTrustBundles() !== true) return this.#forget(key, name);
      const isWanted = authority.spec.trustBundle?.clusterTrustBundle === true;
      const wanted = isWanted ? clusterTrustBundleOf(name) : undefined;
      return this.#settle(key, clusterTrustBundles, { authority, namespace, wanted }, signal);
    }
    const place = namespaces.get(namespace);
    // What is in a namespace that is being deleted goes with it.
    if (place === undefined || place.terminating) return this.#forget(key, name);
    return this.#settle(key, configMaps, { authority, namespace, wanted: configMapIn(authority, place) }, signal);
  }

  async #settle<T extends KubeObject>(
    key: string,
    writer: TrustWriter<T>,
    { authority, namespace, wanted }: { authority: AuthorityRecord; namespace: string; wanted: string | undefined },
    signal: AbortSignal,
  ): Promise<{ requeueAt: Date } | undefined> {
    const { authorityStates, now } = this.#context;
    const view = authorityStates.get(authority.name);
    const content = contentIn(wanted, view);
    let isWriting = false;
    const noteWrite = () => {
      if (isWriting) this.#repairs.noteWrite(key, content, now());
    };
    const request = {
      authority,
      namespace,
      ...(wanted === undefined ? {} : { wanted }),
      ...(view.state === 'ready' ? { published: view } : {}),
      askLive: this.#foreign.has(key),
      mayWrite: () => {
        isWriting = this.#repairs.nextWriteTime(key, content) <= now();
        return isWriting;
      },
    };
    try {
      const result = await writer.settle(request, signal);
      noteWrite();
      const wait = { requeueAt: this.#repairs.nextWriteTime(key, content) };
      if (wanted !== undefined && this.#repairs.isContested(key, content, now())) {
        // Before the repair: what the operator writes is the operator's in managedFields.
        const isUnnamed = result === 'putOff' && this.#repairs.isUnnamed(key);
        if (isUnnamed) this.#repairs.name(key, await writer.lastWriter(namespace, wanted, signal));
        this.#note(key, authority.name, { wanted, state: 'contested', message: this.#repairs.message(key) });
        return wait;
      }
      if (result === 'putOff') return wait;
      if (wanted === undefined) return this.#forget(key, authority.name);
      // Nothing was looked at but spec.
      if (view.state !== 'ready') return undefined;
      this.#note(key, authority.name, { wanted, state: result === 'foreign' ? 'foreign' : 'settled' });
      return result === 'settled' ? undefined : { requeueAt: this.#nextPoll() };
    } catch (error) {
      if (!isKubeError(error) || error.code === 'Aborted') throw error;
      if (error.code === 'Conflict') noteWrite();
      // The namespace is going or gone, or the API server no longer has the kind: that is no failure.
      if (error.code === 'NotFound' || error.namespaceTerminating) return this.#forget(key, authority.name);
      if (wanted !== undefined) this.#note(key, authority.name, { wanted, state: 'failed', message: error.message });
      throw error;
    }
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

  #nextPoll(): Date {
    return new Date(this.#context.now().getTime() + Math.max(foreignPollMs, this.#foreign.size * foreignReadMs));
  }
}

/** What is to be in a place, in short; empty where nothing is to be, or nothing is known. */
const contentIn = (wanted: string | undefined, view: RootState): string =>
  wanted === undefined || view.state !== 'ready' ? '' : `${wanted} ${view.bundle.digest} ${view.crl?.digest ?? ''}`;
