import { type GuardedClient, isKubeError, KubeError, type KubeObject, keyOf, type Log } from '../../kube/index.ts';
import {
  type AuthorityRecord,
  ownerReference,
  planTrust,
  type TrustContent,
  type TrustRecord,
  type TrustWrite,
} from '../../plan/index.ts';
import { type TrustCache, targetOf } from '../cache/trust-cache.ts';
import { readLastWriter } from '../objects/last-writer.ts';
import { authorityOf, foreignRecord, type TrustKind } from '../objects/trust-objects.ts';

/** The content to publish to one target. */
export interface TrustRequest {
  readonly authority: AuthorityRecord;
  /** Empty for the cluster. */
  readonly namespace: string;
  /** The name of the object; absent if nothing may be published there. */
  readonly desiredName?: string;
  /** What the object should hold. Absent while the authority is not ready. */
  readonly content?: TrustContent;
  /** Read the object with this name from the API server: the cache does not hold objects of other owners. */
  readonly askLive: boolean;
  /** Called before the first write. If it returns false, nothing is written and the result is `postponed`. */
  readonly mayWrite: () => boolean;
}

/** The state of a target after settle. `held`: the object is being deleted, and a finalizer keeps it. */
export type TrustResult = 'settled' | 'foreign' | 'held' | 'postponed';

/** A rename or a stale cache takes more than one round. More than five rounds mean that another client fights the operator. */
const rounds = 5;

/**
 * The only code that publishes bundles of one kind. Every write has a precondition: the object does not exist, or has not
 * changed since it was observed. Fields of other owners on an object stay.
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
   * Plans and carries out writes until the target is as planned.
   * @throws KubeError NotFound when the namespace is gone, Conflict when another client keeps changing the object
   */
  async settle(request: TrustRequest, signal: AbortSignal): Promise<TrustResult> {
    const { authority, namespace, desiredName, content, mayWrite } = request;
    const found = await this.#observe(request, signal);
    for (let round = 0; round < rounds; round += 1) {
      const steps = planTrust({
        authority,
        ...(content === undefined ? {} : { content }),
        ...(desiredName === undefined ? {} : { desiredName }),
        existing: [...found.values()],
      });
      const writes = steps.filter((step) => step.step !== 'conflict');
      if (writes.length === 0)
        return resultOf(steps.length > 0, desiredName === undefined ? undefined : found.get(desiredName));
      if (round === 0 && !mayWrite()) return 'postponed';
      for (const step of writes) {
        const name = step.step === 'create' ? step.name : step.record.name;
        const after = await this.#write(authority, namespace, name, step, content, signal);
        if (after === undefined) found.delete(name);
        else found.set(name, after);
      }
    }
    throw new KubeError('Conflict', 'another client keeps changing the object');
  }

  /** The client other than the operator that changed an object last. */
  lastWriter(namespace: string, name: string, signal: AbortSignal): Promise<string | undefined> {
    return readLastWriter(this.#client, this.#kind.resource, { namespace, name }, signal);
  }

  /** The objects of a target, by name. */
  async #observe(request: TrustRequest, signal: AbortSignal): Promise<Map<string, TrustRecord>> {
    const { authority, namespace, desiredName, askLive } = request;
    const own = this.#cache.store.by('target', targetOf(authority.uid, namespace));
    const found = new Map(own.map((record) => [record.name, record]));
    if (desiredName === undefined || found.has(desiredName)) return found;
    const cached = this.#cache.store.get(keyOf({ namespace, name: desiredName }));
    const named = cached ?? (askLive ? await this.#readOfOthers(namespace, desiredName, signal) : undefined);
    return named === undefined ? found : found.set(desiredName, named);
  }

  /** Carries out a step. Returns the object after the step, which another client may have written; undefined if there is none. */
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
      if (step.step === 'update') return await this.#update(step.record, content, signal);
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
      ownerReferences: [ownerReference('MtlsAuthority', authority)],
    };
    const object = create(metadata, needed(content));
    return this.#observeOwnWrite(await this.#client.create(resource, object, { signal }));
  }

  async #update(record: TrustRecord, content: TrustContent | undefined, signal: AbortSignal): Promise<TrustRecord> {
    const { resource, change } = this.#kind;
    const patch = change(record, needed(content));
    return this.#observeOwnWrite(await this.#client.mergePatch(resource, record, patch, { signal }));
  }

  async #delete({ namespace, name, uid, resourceVersion }: TrustRecord, signal: AbortSignal): Promise<void> {
    await this.#client.delete(this.#kind.resource, { namespace, name }, { uid, resourceVersion, signal });
  }

  async #read(namespace: string, name: string, signal: AbortSignal): Promise<TrustRecord | undefined> {
    const { resource, toRecord } = this.#kind;
    const live = await this.#client.find(resource, { namespace, name }, { signal });
    return live && toRecord(live);
  }

  /** As `#read`, for an object that was foreign before: it may be large and is read often, so its metadata is read first. */
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

function resultOf(isConflict: boolean, desired: TrustRecord | undefined): TrustResult {
  if (isConflict) return 'foreign';
  return desired?.deleting === true ? 'held' : 'settled';
}

/** Never throws for a real plan: without a bundle, planTrust only plans deletions. */
function needed(content: TrustContent | undefined): TrustContent {
  if (content === undefined) throw new TypeError('there is no bundle to publish');
  return content;
}
