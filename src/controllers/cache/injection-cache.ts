import { type KubeObject, type Served, Store } from '../../kube/index.ts';
import { type InjectedContent, type InjectionKind, type InjectionRecord, injectionKinds } from '../../plan/index.ts';
import { injectedContent, injectionRecord } from '../objects/injection-objects.ts';

/** Called after an object was added, changed or removed. */
type InjectionListener = (before: InjectionRecord | undefined, after: InjectionRecord | undefined) => void;

type InjectionStore = Store<InjectionRecord, 'authority'>;

const newStore = (): InjectionStore =>
  new Store({ indexes: { authority: ({ request }) => (request === undefined ? [] : [request.authority]) } });

/**
 * The objects into which the operator may inject roots. The watches deliver only metadata. The content of an annotated object is
 * added when the object is reconciled, and is unknown again after each change.
 */
export class InjectionCache {
  /** Whether the operator injects roots at all (--inject-ca). */
  readonly isOn: boolean;
  readonly #stores = new Map<InjectionKind, InjectionStore>(injectionKinds.map((kind) => [kind, newStore()]));
  readonly #forbidden = new Set<InjectionKind>();
  readonly #monotonicMs: () => number;
  readonly #onAccess: () => void;

  /** @param onAccess called when the operator may read a kind, or no longer */
  constructor(isOn: boolean, monotonicMs: () => number, onAccess: () => void) {
    this.isOn = isOn;
    this.#monotonicMs = monotonicMs;
    this.#onAccess = onAccess;
  }

  store(kind: InjectionKind): InjectionStore {
    const store = this.#stores.get(kind);
    if (store === undefined) throw new TypeError(`${kind} is not injected`);
    return store;
  }

  /** The kinds that the operator may not read. */
  get forbidden(): readonly InjectionKind[] {
    return injectionKinds.filter((kind) => this.#forbidden.has(kind));
  }

  notePermission(kind: InjectionKind, isPermitted: boolean): void {
    const before = this.#forbidden.has(kind);
    if (isPermitted) this.#forbidden.delete(kind);
    else this.#forbidden.add(kind);
    if (before === isPermitted) this.#onAccess();
  }

  /** The objects whose annotation names this authority, whether or not it exists. */
  of(authority: string): readonly InjectionRecord[] {
    return injectionKinds.flatMap((kind) => this.store(kind).by('authority', authority));
  }

  /** Subscribes to the changes of all kinds. Returns a function that unsubscribes. */
  subscribe(listener: InjectionListener): () => void {
    const unsubscribe = injectionKinds.map((kind) => this.store(kind).subscribe(listener));
    return () => {
      for (const stop of unsubscribe) stop();
    };
  }

  /** A record from metadata, with what is known of the object since it was last read. */
  withKnown(record: InjectionRecord): InjectionRecord {
    const known = this.store(record.kind).get(record.name)?.request;
    if (record.request === undefined || known === undefined || known.uid !== record.request.uid) return record;
    const { lastBundle, changedAtMs } = known;
    return {
      ...record,
      request: { ...record.request, ...(lastBundle === undefined ? {} : { lastBundle }), changedAtMs },
    };
  }

  /** Stores a whole object that was just read, or written by the operator. Returns its record. */
  observe(kind: InjectionKind, object: Served<KubeObject>, { isOwnWrite = false } = {}): InjectionRecord {
    const store = this.store(kind);
    const record = this.#withContent(injectionRecord(kind, object), injectedContent(kind, object));
    if (isOwnWrite) store.observeOwnWrite(record);
    // The listeners need not hear of content that was merely read.
    else if (!store.refine(record)) store.observe(record);
    return record;
  }

  /** A record with the content that was just read or written, and the time at which the bundle changed. */
  #withContent(record: InjectionRecord, content: InjectedContent): InjectionRecord {
    if (record.request === undefined) return record;
    const { lastBundle: before, changedAtMs, ...request } = this.withKnown(record).request ?? record.request;
    const bundle = 'bundle' in content ? content.bundle : undefined;
    const isSame = before !== undefined && before === bundle;
    return {
      ...record,
      request: {
        ...request,
        content,
        ...(bundle === undefined ? {} : { lastBundle: bundle }),
        changedAtMs: isSame ? changedAtMs : this.#monotonicMs(),
      },
    };
  }
}
