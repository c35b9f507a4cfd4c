import { annotations } from '../../api/constants.ts';
import type { InjectionEvent } from '../../api/reasons.ts';
import { type GuardedClient, isKubeError, KubeError, type Log, type Store } from '../../kube/index.ts';
import {
  type AuthorityRecord,
  holdsBundle,
  type InjectionKind,
  type InjectionRecord,
  type InjectionRequest,
  injectedRoots,
  obstacleOf,
  type TrustOutcome,
} from '../../plan/index.ts';
import type { AuthorityStates } from '../cache/authority-states.ts';
import type { InjectionCache } from '../cache/injection-cache.ts';
import type { Recorder } from '../objects/event-sink.ts';
import { injectedKinds, injectionKey, injectionOf } from '../objects/injection-objects.ts';
import { readLastWriter } from '../objects/last-writer.ts';
import { TrustRepairs } from './trust-repairs.ts';

/** The dependencies of the reconciler. reconcilers.ts creates them. */
export interface InjectionContext {
  readonly client: GuardedClient;
  readonly authorities: Pick<Store<AuthorityRecord>, 'get'>;
  readonly authorityStates: AuthorityStates;
  readonly injections: InjectionCache;
  readonly recorder: Recorder;
  /** Called when the status of an authority may have to change. */
  readonly onOutcome: (authority: string) => void;
  readonly log: Log;
  readonly now: () => Date;
  /** A monotonic clock in milliseconds. */
  readonly monotonicMs: () => number;
}

type Requeue = { readonly requeueAt: Date } | undefined;

/** An annotated object. */
interface Injected extends InjectionRecord {
  readonly request: InjectionRequest;
}

/** An annotated object, the roots that it should hold, and its key in the queue. */
interface Target {
  readonly key: string;
  readonly object: Injected;
  readonly bundle: ReturnType<typeof injectedRoots>;
}

/** More conflicts in a row mean that another client keeps changing the object. */
const rounds = 5;

/**
 * Injects the own roots of authorities into the caBundles of annotated objects, one object at a time: observe → plan → carry out →
 * report. The authority's reconciler writes the outcome to status. A problem that no status can report becomes an Event of the
 * object. When the annotation or the authority is removed, the caBundle stays: without it every call of the webhook would fail.
 */
export class InjectionReconciler {
  readonly #context: InjectionContext;
  readonly #outcomes = new Map<string, TrustOutcome>();
  /** The last problem that was reported in an Event, by key. */
  readonly #reported = new Map<string, string>();
  readonly #repairs: TrustRepairs;

  constructor(context: InjectionContext) {
    this.#context = context;
    this.#repairs = new TrustRepairs(context.monotonicMs);
  }

  /** The outcome of the last injection into an object; undefined if there was none. */
  injected(kind: InjectionKind, name: string): TrustOutcome | undefined {
    return this.#outcomes.get(injectionKey(kind, name));
  }

  async reconcile(key: string, { signal }: { signal: AbortSignal }): Promise<Requeue> {
    const object = this.#annotated(key);
    if (object === undefined) return this.#forget(key);
    const { authority: name } = object.request;
    const authority = this.#context.authorities.get(name);
    if (authority === undefined) {
      const problem = name === '' ? 'the annotation holds no valid name' : `MtlsAuthority ${name} does not exist`;
      this.#warn(object, 'AuthorityNotFound', `${problem}; the caBundle stays as it is`);
      return this.#forget(key, { keepsReport: true });
    }
    if (object.request.otherInjector !== undefined) return this.#leave(key, object);
    const state = this.#context.authorityStates.get(name);
    if (state.state === 'notReady')
      this.#warn(object, 'AuthorityNotReady', `MtlsAuthority ${name} is not ready; the caBundle stays as it is`);
    try {
      const read = object.request.content === undefined ? await this.#read(object, signal) : object;
      if (read === undefined) return this.#forget(key);
      if (state.state !== 'ready' || authority.deleting) return undefined;
      if (obstacleOf(read.request) !== undefined) return this.#leave(key, read);
      this.#reported.delete(key);
      return await this.#inject({ key, object: read, bundle: injectedRoots(state.bundle) }, signal);
    } catch (error) {
      return this.#fail(key, name, error);
    }
  }

  /** Writes the roots, unless they are there, or another client has just removed them. */
  async #inject({ key, object, bundle }: Target, signal: AbortSignal): Promise<Requeue> {
    const { kind, name, request } = object;
    const isRight = holdsBundle(request, bundle.digest);
    const waitMs = () => this.#repairs.waitMs(key, bundle.digest);
    const nextWrite = () => new Date(this.#context.now().getTime() + waitMs());
    const postponed = !isRight && waitMs() > 0;
    if (!isRight && !postponed) await this.#write({ key, object, bundle }, signal);
    if (this.#repairs.isContested(key, bundle.digest)) {
      // Only before the repair: after it, managedFields name the operator as the last writer.
      if (postponed && this.#repairs.isUnnamed(key)) {
        const { resource } = injectedKinds[kind];
        this.#repairs.name(key, await readLastWriter(this.#context.client, resource, { name }, signal, 'caBundle'));
      }
      this.#note(key, request.authority, { state: 'contested', message: this.#repairs.message(key) });
      return { requeueAt: nextWrite() };
    }
    if (postponed) return { requeueAt: nextWrite() };
    this.#note(key, request.authority, { state: 'settled' });
    return undefined;
  }

  /** Patches the caBundles that differ, and nothing else. @throws KubeError Conflict if another client keeps changing the object */
  async #write({ key, object, bundle }: Target, signal: AbortSignal): Promise<void> {
    const { client, log } = this.#context;
    const { kind, name } = object;
    const { resource, fieldsOf } = injectedKinds[kind];
    const value = Buffer.from(bundle.pem).toString('base64');
    for (let round = 0; round < rounds; round += 1) {
      const live = await client.find(resource, { name }, { signal });
      const read = live && this.#context.injections.observe(kind, live).request;
      // The next event of the object queues it again.
      if (live === undefined || read?.authority !== object.request.authority || obstacleOf(read) !== undefined) return;
      const fields = fieldsOf(live);
      const operations = ('obstacle' in fields ? [] : fields)
        .filter((field) => field.value !== value)
        .map(({ path }) => ({ op: 'add', path, value }) as const);
      if (operations.length === 0) return;
      log.info('injecting roots', { authority: object.request.authority, kind, object: name });
      try {
        const patch = { resourceVersion: live.metadata.resourceVersion, operations };
        const written = await client.jsonPatch(resource, { name }, patch, { signal });
        this.#context.injections.observe(kind, written, { isOwnWrite: true });
        this.#repairs.noteWrite(key, bundle.digest);
        return;
      } catch (error) {
        if (!isKubeError(error, 'Conflict')) throw error;
      }
    }
    this.#repairs.noteWrite(key, bundle.digest);
    throw new KubeError('Conflict', 'another client keeps changing the object');
  }

  async #read({ kind, name }: Injected, signal: AbortSignal): Promise<Injected | undefined> {
    const live = await this.#context.client.find(injectedKinds[kind].resource, { name }, { signal });
    if (live === undefined) return undefined;
    const { request } = this.#context.injections.observe(kind, live);
    return request && { kind, name, resourceVersion: live.metadata.resourceVersion, request };
  }

  #annotated(key: string): Injected | undefined {
    const { kind, name } = injectionOf(key) ?? {};
    const record =
      kind === undefined || name === undefined ? undefined : this.#context.injections.store(kind).get(name);
    return record?.request === undefined ? undefined : { ...record, request: record.request };
  }

  /** The operator may not change the object, or there is nothing to change. */
  #leave(key: string, object: Injected): undefined {
    const { otherInjector } = object.request;
    const why = obstacleOf(object.request) ?? '';
    const reason = otherInjector === undefined ? 'InjectionImpossible' : 'InjectionConflict';
    this.#warn(object, reason, `${annotations.injectCaFrom} has no effect: ${why}`);
    this.#note(key, object.request.authority, { state: 'foreign' });
  }

  #warn({ kind, name, request }: Injected, reason: InjectionEvent, note: string): void {
    const key = injectionKey(kind, name);
    if (this.#reported.get(key) === note) return;
    this.#reported.set(key, note);
    const { resource } = injectedKinds[kind];
    this.#context.log.warn('the roots are not injected', { kind, object: name, reason: note });
    this.#context.recorder.record({
      regarding: { apiVersion: `${resource.group}/${resource.version}`, kind, name, uid: request.uid },
      type: 'Warning',
      reason,
      action: 'Reconcile',
      note,
    });
  }

  /** Records a failure for status and throws it again. */
  #fail(key: string, authority: string, error: unknown): undefined {
    if (!isKubeError(error) || error.code === 'Aborted') throw error;
    if (error.code === 'NotFound') return this.#forget(key);
    this.#note(key, authority, { state: 'failed', message: error.message });
    throw error;
  }

  #note(key: string, authority: string, outcome: TrustOutcome): void {
    this.#outcomes.set(key, outcome);
    this.#context.onOutcome(authority);
  }

  #forget(key: string, { keepsReport = false } = {}): undefined {
    this.#outcomes.delete(key);
    if (!keepsReport) this.#reported.delete(key);
    this.#repairs.forget(key);
  }
}
