import { type GuardedClient, isKubeError, KubeError, type KubeObject, keyOf, type Log } from '../../kube/index.ts';
import type { TrustBundle } from '../../pki/index.ts';
import {
  type AuthorityRecord,
  type CrlBundle,
  ownerReference,
  planTrust,
  type TrustRecord,
  type TrustWrite,
} from '../../plan/index.ts';
import { type TrustCache, targetOf } from '../cache/trust-cache.ts';
import { readLastWriter } from '../objects/last-writer.ts';
import {
  authorityOf,
  foreignRecord,
  type TrustContent,
  type TrustKind,
  trustLabels,
} from '../objects/trust-objects.ts';

/** The roots of an authority, and its CRLs where it has any. */
export interface PublishedTrust {
  readonly bundle: TrustBundle;
  readonly crl?: CrlBundle;
}

/** What is to be published in one place. */
export interface TrustRequest {
  readonly authority: AuthorityRecord;
  /** Empty for the cluster. */
  readonly namespace: string;
  /** Under which name; absent when nothing is to be there. */
  readonly wanted?: string;
  /** Absent while the authority is not ready. */
  readonly published?: PublishedTrust;
  /** Look at the wanted name past the cache, which does not know the objects of others. */
  readonly askLive: boolean;
  /** Asked before the first write, if there is anything to write: false puts it off. */
  readonly mayWrite: () => boolean;
}

/** How a place is left. `held`: the wanted object was deleted, and a finalizer holds it. */
export type TrustResult = 'settled' | 'foreign' | 'held' | 'postponed';

/** Old and new names, and objects newer than the cache, take more than one round; what takes more than these is a fight. */
const rounds = 5;

/**
 * The one place from which bundles of one kind are published. Every write has a precondition: that there is no object, or
 * that it is as observed. What others have put on an object stays.
 */
export class TrustWriter<T extends KubeObject> {
  readonly #client: GuardedClient;
  readonly #kind: TrustKind<T>;
  readonly #cache: TrustCache;
  readonly #log: Log;

  constructor(client: GuardedClient, kind: TrustKind<T>, cache: TrustCache, log: Log) {
    this.#client = client;
    this.#kind = kind;
    this.#cache = cache;
    this.#log = log;
  }

  /**
   * Plans and carries out until nothing is left to be done.
   * @throws KubeError: NotFound when the namespace is gone, Conflict when somebody else goes on changing what is there
   */
  async settle(request: TrustRequest, signal: AbortSignal): Promise<TrustResult> {
    const { authority, namespace, wanted, published, mayWrite } = request;
    const bundle = published?.bundle;
    const crl = this.#kind.holdsCrls ? published?.crl : undefined;
    const found = await this.#observe(request, signal);
    for (let round = 0; round < rounds; round += 1) {
      const steps = planTrust({
        authority,
        ...(bundle === undefined ? {} : { bundle: bundle.digest }),
        ...(crl === undefined ? {} : { crl: crl.digest }),
        ...(wanted === undefined ? {} : { desiredName: wanted }),
        existing: [...found.values()],
      });
      const writes = steps.filter((step) => step.step !== 'conflict');
      if (writes.length === 0) return resultOf(steps.length > 0, wanted === undefined ? undefined : found.get(wanted));
      if (round === 0 && !mayWrite()) return 'postponed';
      for (const step of writes) {
        const name = step.step === 'create' ? step.name : step.record.name;
        const after = await this.#write(authority, namespace, name, step, contentOf(bundle, crl), signal);
        if (after === undefined) found.delete(name);
        else found.set(name, after);
      }
    }
    throw new KubeError('Conflict', 'another client keeps changing the object');
  }

  /** Which other client has changed an object last. */
  lastWriter(namespace: string, name: string, signal: AbortSignal): Promise<string | undefined> {
    return readLastWriter(this.#client, this.#kind.resource, { namespace, name }, signal);
  }

  /** What is in a place, by name. */
  async #observe(request: TrustRequest, signal: AbortSignal): Promise<Map<string, TrustRecord>> {
    const { authority, namespace, wanted, askLive } = request;
    const own = this.#cache.store.by('place', targetOf(authority.uid, namespace));
    const found = new Map(own.map((record) => [record.name, record]));
    if (wanted === undefined || found.has(wanted)) return found;
    const cached = this.#cache.store.get(keyOf({ namespace, name: wanted }));
    const named = cached ?? (askLive ? await this.#readOfOthers(namespace, wanted, signal) : undefined);
    return named === undefined ? found : found.set(wanted, named);
  }

  /** Carries out a step, or finds out why it cannot be: what is there then, undefined when nothing is. */
  async #write(
    authority: AuthorityRecord,
    namespace: string,
    name: string,
    step: TrustWrite,
    content: TrustContent | undefined,
    signal: AbortSignal,
  ): Promise<TrustRecord | undefined> {
    const { kind } = this.#kind.resource;
    this.#log.info('publishing a bundle', {
      authority: authority.name,
      kind,
      namespace,
      object: name,
      step: step.step,
    });
    try {
      if (step.step === 'update') return await this.#update(authority, step.record, content, signal);
      if (step.step !== 'create') await this.#delete(step.record, signal);
    } catch (error) {
      if (!isKubeError(error, 'Conflict', 'NotFound')) throw error;
      return this.#read(namespace, name, signal);
    }
    if (step.step === 'delete') return undefined;
    try {
      return await this.#create(authority, namespace, name, content, signal);
    } catch (error) {
      if (!isKubeError(error, 'AlreadyExists')) throw error;
      return this.#read(namespace, name, signal);
    }
  }

  async #create(
    authority: AuthorityRecord,
    namespace: string,
    name: string,
    content: TrustContent | undefined,
    signal: AbortSignal,
  ): Promise<TrustRecord> {
    const { resource, create } = this.#kind;
    const metadata = {
      ...(namespace === '' ? {} : { namespace }),
      name,
      labels: trustLabels(authority),
      ownerReferences: [ownerReference('MtlsAuthority', authority)],
    };
    const object = create(metadata, authority.name, needed(content));
    return this.#observeOwnWrite(await this.#client.create(resource, object, { signal }));
  }

  async #update(
    authority: AuthorityRecord,
    { namespace, name, uid, resourceVersion }: TrustRecord,
    content: TrustContent | undefined,
    signal: AbortSignal,
  ): Promise<TrustRecord> {
    const { resource, change } = this.#kind;
    const patch = change({ uid, resourceVersion, labels: trustLabels(authority) }, needed(content));
    return this.#observeOwnWrite(await this.#client.mergePatch(resource, { namespace, name }, patch, { signal }));
  }

  async #delete({ namespace, name, uid, resourceVersion }: TrustRecord, signal: AbortSignal): Promise<void> {
    await this.#client.delete(this.#kind.resource, { namespace, name }, { uid, resourceVersion, signal });
  }

  async #read(namespace: string, name: string, signal: AbortSignal): Promise<TrustRecord | undefined> {
    const { resource, toRecord } = this.#kind;
    const live = await this.#client.find(resource, { namespace, name }, { signal });
    return live && toRecord(live);
  }

  /** The same for what somebody else had before: it may be large, and is read often, so whose it is comes first. */
  async #readOfOthers(namespace: string, name: string, signal: AbortSignal): Promise<TrustRecord | undefined> {
    const found = await this.#client.find(this.#kind.resource, { namespace, name }, { metadataOnly: true, signal });
    const isOfOthers = found !== undefined && authorityOf(found.metadata) === undefined;
    return isOfOthers ? foreignRecord(found) : found && this.#read(namespace, name, signal);
  }

  #observeOwnWrite(written: T): TrustRecord {
    const record = this.#cache.withChangeTime(this.#kind.toRecord(written));
    this.#cache.store.observeOwnWrite(record);
    return record;
  }
}

function resultOf(isConflict: boolean, wanted: TrustRecord | undefined): TrustResult {
  if (isConflict) return 'foreign';
  return wanted?.deleting === true ? 'held' : 'settled';
}

/** What is to be written; nothing without a bundle. */
const contentOf = (bundle: TrustBundle | undefined, crl: CrlBundle | undefined): TrustContent | undefined =>
  bundle === undefined ? undefined : { bundle: bundle.pem, ...(crl === undefined ? {} : { crl: crl.pem }) };

/** Without a bundle nothing is planned but deletions. */
function needed(content: TrustContent | undefined): TrustContent {
  if (content === undefined) throw new TypeError('there is no bundle to publish');
  return content;
}
