import { isDeepStrictEqual } from 'node:util';
import {
  type ClusterTrustBundle,
  type DeleteOptions,
  type GuardedClient,
  type JsonPatch,
  type KubeClient,
  KubeError,
  type KubeObject,
  keyOf,
  type MergePatch,
  type ObjectRef,
  type Resource,
  type Secret,
  type Selection,
  type Served,
  type WriteOptions,
} from '../../../../src/kube/index.ts';
import { mergedWith } from '../../../support/merge-patch.ts';

/** The process ends at this moment: its current action has no effect, and it gets no more answers. */
export class Crash extends Error {}

/** Called with an object before and after a change. `before` is undefined for a creation, `after` for a deletion. */
type ChangeListener = (plural: string, before: Stored | undefined, after: Stored | undefined) => void;

type Stored = Served<KubeObject>;

/**
 * The part of an API server that controllers use, in memory. It behaves like the real one: test/support/api-contract.ts runs
 * against both. It validates nothing and adds no defaults of a schema. It is stricter in one point: it throws if the operator
 * changes an object without its resourceVersion, or deletes one without its UID. Other clients may do that (`byHand`).
 *
 * It can stop its client at any write, before or after the write takes effect.
 */
export class MemoryApi {
  readonly #objects = new Map<string, Map<string, Stored>>();
  #resourceVersion = 1000;
  #uids = 0;
  #isByHand = false;
  /** How many more writes succeed. The next one crashes: without effect, or (`lostReply`) with its effect. */
  budget: { writes: number; lostReply: boolean } = { writes: Number.POSITIVE_INFINITY, lostReply: false };
  /** The lists, and the reads of single Secrets. */
  readonly reads: string[] = [];
  /** The clock, which dates creations and the writes of content. Without one, objects are dated alike and have no managedFields. */
  clock: (() => Date) | undefined;
  /** Returns why an object may not be stored. */
  validate: (plural: string, object: KubeObject) => string | undefined = () => undefined;
  readonly #listeners = new Set<ChangeListener>();

  /** Calls `listener` after every later change. */
  subscribe(listener: ChangeListener): void {
    this.#listeners.add(listener);
  }

  /** The resourceVersion of the last change. */
  get resourceVersion(): string {
    return String(this.#resourceVersion);
  }

  /** This object, with the type of a controller’s client. */
  get client(): GuardedClient & KubeClient {
    return this as unknown as GuardedClient & KubeClient;
  }

  all(plural: string): Stored[] {
    return [...this.#collection(plural).values()];
  }

  find<T extends KubeObject>(resource: Resource<T>, ref: ObjectRef, options: Answer = {}): Served<T> | undefined {
    if (resource.plural === 'secrets') this.reads.push(`get ${keyOf(ref)}`);
    const found = this.#stored(resource, ref);
    return found && answer(found, options);
  }

  async get<T extends KubeObject>(resource: Resource<T>, ref: ObjectRef, options: Answer = {}): Promise<Served<T>> {
    const found = this.find(resource, ref, options);
    if (found === undefined) throw new KubeError('NotFound', `${resource.plural} ${ref.name}`);
    return found;
  }

  async *listPages<T extends KubeObject>(resource: Resource<T>, selection: Selection & { limit?: number } = {}) {
    const { metadataOnly = false, limit = Number.POSITIVE_INFINITY } = selection;
    this.reads.push(`list ${resource.plural}${metadataOnly ? ', metadata only' : ''}`);
    const resourceVersion = String(this.#resourceVersion);
    const isSelected = selectorOf(selection);
    const items = this.all(resource.plural)
      .filter(isSelected)
      .toSorted((a, b) => (keyOf(a.metadata) < keyOf(b.metadata) ? -1 : 1))
      .map((object) => answer(object, selection)) as unknown as Array<Served<T>>;
    do yield { items: items.splice(0, limit), resourceVersion };
    while (items.length > 0);
  }

  async create<T extends KubeObject>(resource: Resource<T>, object: T, options: Answer = {}): Promise<Served<T>> {
    const { namespace, name } = object.metadata;
    if (resource.namespaced !== (namespace !== undefined)) throw new TypeError(`${name} has the wrong scope`);
    if (this.#stored(resource, object.metadata) !== undefined) throw new KubeError('AlreadyExists', name);
    const { status: _, ...withoutStatus } = object as T & { status?: object };
    const metadata = {
      ...object.metadata,
      uid: this.#nextUid(),
      creationTimestamp: this.clock === undefined ? '2026-01-01T00:00:00Z' : timeOf(this.clock()),
      ...(hasGeneration(resource) ? { generation: 1 } : {}),
    };
    const created = { ...(hasStatus(resource) ? withoutStatus : object), metadata } as unknown as T;
    return answer(this.#write(resource, undefined, created), options);
  }

  async mergePatch<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    patch: MergePatch<T>,
    { subresource, metadataOnly }: Pick<WriteOptions, 'subresource'> & Answer = {},
  ): Promise<Served<T>> {
    const { metadata, ...content } = patch as { metadata?: Precondition; status?: object };
    this.#expectPrecondition('patch', resource, ref, metadata?.resourceVersion);
    const before = await this.get(resource, ref);
    expectSame(before, metadata);
    if ((metadata?.uid ?? before.metadata.uid) !== before.metadata.uid)
      throw new KubeError('Invalid', `${ref.name}: uid`);
    const merged = mergedWith(before, patch) as Served<T>;
    // The main resource and its status are written at different endpoints. Each leaves the other part unchanged.
    const after: Served<T> = !hasStatus(resource)
      ? merged
      : subresource === 'status'
        ? { ...before, ...pick(mergedWith(before, content) as Served<T>, 'status') }
        : { ...(mergedWith(merged, { status: null }) as Served<T>), ...pick(before, 'status') };
    if (wasImmutable(before) && !isDeepStrictEqual(contentOf(before), contentOf(after))) {
      throw new KubeError('Invalid', `${ref.name} is immutable`);
    }
    return answer(this.#write(resource, before, after), { metadataOnly });
  }

  /** Only of the status. Everything else stays as it is. */
  async replace<T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    { subresource, metadataOnly }: Pick<WriteOptions, 'subresource'> & Answer = {},
  ): Promise<Served<T>> {
    if (subresource !== 'status') throw new TypeError('only the status can be replaced here');
    const { resourceVersion, uid } = object.metadata;
    this.#expectPrecondition('replace', resource, object.metadata, resourceVersion);
    const before = await this.get(resource, object.metadata);
    expectSame(before, { resourceVersion });
    if ((uid ?? before.metadata.uid) !== before.metadata.uid)
      throw new KubeError('Conflict', `${before.metadata.name}: uid`);
    const { status: _, ...kept } = before as Served<T> & { status?: unknown };
    return answer(this.#write(resource, before, { ...kept, ...pick(object, 'status') } as T), { metadataOnly });
  }

  /** Only operations that set a field. */
  async jsonPatch<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    { resourceVersion, operations }: JsonPatch,
  ): Promise<Served<T>> {
    const before = await this.get(resource, ref);
    expectSame(before, { resourceVersion });
    const after = structuredClone(before);
    for (const { op, path, value } of operations) {
      if (op !== 'add') throw new TypeError(`${op} is not supported here`);
      const [last = '', ...parents] = path.split('/').slice(1).toReversed();
      const parent = parents.toReversed().reduce((at, key) => at[key] as Fields, after as unknown as Fields);
      parent[last] = value;
    }
    return this.#write(resource, before, after);
  }

  async delete<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    options: DeleteOptions = {},
  ): Promise<void> {
    this.#expectPrecondition('delete', resource, ref, options.uid);
    const before = await this.get(resource, ref);
    expectSame(before, options);
    if ((options.uid ?? before.metadata.uid) !== before.metadata.uid)
      throw new KubeError('Conflict', `${ref.name}: uid`);
    const { finalizers = [], deletionTimestamp } = before.metadata;
    if (finalizers.length === 0) this.#effect(resource, before, undefined);
    else if (deletionTimestamp === undefined) {
      const metadata = { ...before.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' };
      this.#effect(resource, before, { ...before, metadata });
    }
  }

  /** A merge patch by a user or another client. */
  patchByHand(resource: Resource<KubeObject>, ref: ObjectRef, patch: object): Promise<Served<KubeObject>> {
    return this.byHand(() => this.mergePatch(resource, ref, patch as MergePatch<KubeObject>));
  }

  /** A patch of the status by another replica. */
  patchStatus(resource: Resource<KubeObject>, ref: ObjectRef, status: object): Promise<Served<KubeObject>> {
    const patch = { status } as MergePatch<KubeObject>;
    return this.byHand(() => this.mergePatch(resource, ref, patch, { subresource: 'status' }));
  }

  /** An action of a user or another client. It never crashes, and needs no precondition. */
  async byHand<T>(act: () => Promise<T>): Promise<T> {
    const { budget } = this;
    this.budget = { writes: Number.POSITIVE_INFINITY, lostReply: false };
    this.#isByHand = true;
    try {
      return await act();
    } finally {
      this.budget = budget;
      this.#isByHand = false;
    }
  }

  /** The same UIDs in every run: the order of re-issues depends on them. */
  #nextUid(): string {
    this.#uids += 1;
    return `00000000-0000-4000-8000-${String(this.#uids).padStart(12, '0')}`;
  }

  #stored<T extends KubeObject>(resource: Resource<T>, ref: ObjectRef): Served<T> | undefined {
    return this.#collection(resource.plural).get(keyOf(ref)) as Served<T> | undefined;
  }

  /** Stores an object, unless it is unchanged. */
  #write<T extends KubeObject>(resource: Resource<T>, before: Served<T> | undefined, changed: T): Served<T> {
    // As JSON, because undefined fields are not sent.
    const after = JSON.parse(JSON.stringify(changed)) as Served<T>;
    if (before !== undefined && isDeepStrictEqual(before, after)) return before;
    const problem = this.validate(resource.plural, after);
    if (problem !== undefined) throw new KubeError('Invalid', `${after.metadata.name}: ${problem}`);
    const { deletionTimestamp, finalizers = [] } = after.metadata;
    const isGone = deletionTimestamp !== undefined && finalizers.length === 0;
    const isNext = before !== undefined && hasGeneration(resource) && !isDeepStrictEqual(specOf(before), specOf(after));
    const generation = isNext ? { generation: (before.metadata.generation ?? 0) + 1 } : {};
    const metadata = { ...after.metadata, ...generation, ...this.#managedFields(before, after) };
    const stored = { ...after, metadata };
    return this.#effect(resource, before, isGone ? undefined : stored) ?? stored;
  }

  #effect<T extends KubeObject>(
    { plural }: Resource<T>,
    before: Served<T> | undefined,
    after: Served<T> | undefined,
  ): Served<T> | undefined {
    const isLast = this.budget.writes <= 0;
    if (isLast && !this.budget.lostReply) throw new Crash();
    this.budget.writes -= 1;
    const resourceVersion = String(++this.#resourceVersion);
    const stored = after && { ...after, metadata: { ...after.metadata, resourceVersion } };
    if (stored !== undefined) this.#collection(plural).set(keyOf(stored.metadata), stored);
    else if (before !== undefined) this.#collection(plural).delete(keyOf(before.metadata));
    for (const listener of this.#listeners) listener(plural, before, stored);
    if (isLast) throw new Crash();
    return stored;
  }

  /** When any client last wrote the content of an object with data or a trust bundle. Needs a clock. */
  #managedFields(before: Secret | undefined, after: Secret): object {
    if (this.clock === undefined || !hasContent(after)) return {};
    if (before !== undefined && isDeepStrictEqual(writtenOf(before), writtenOf(after))) return {};
    const fields = Object.fromEntries(Object.keys(writtenOf(after)).map((field) => [`f:${field}`, {}]));
    return { managedFields: [{ manager: 'any', operation: 'Update', time: timeOf(this.clock()), fieldsV1: fields }] };
  }

  #expectPrecondition(verb: string, { plural }: Resource<KubeObject>, ref: ObjectRef, given: string | undefined): void {
    if (this.#isByHand || given !== undefined) return;
    throw new TypeError(`${verb} of ${plural} ${keyOf(ref)} without a precondition`);
  }

  #collection(plural: string): Map<string, Stored> {
    const known = this.#objects.get(plural) ?? new Map<string, Stored>();
    this.#objects.set(plural, known);
    return known;
  }
}

type Fields = Record<string, unknown>;

interface Precondition {
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

function expectSame({ metadata }: Stored, { resourceVersion }: Precondition = {}): void {
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
    throw new KubeError('Conflict', `${metadata.name}: resourceVersion`);
  }
}

/** The kinds of this operator have a status subresource and a generation. */
const hasStatus = ({ group }: Resource<KubeObject>): boolean => group === 'mtls-operator.io';

/** Workloads have a generation, too. Here they have no separate endpoint for their status. */
const hasGeneration = (resource: Resource<KubeObject>): boolean => hasStatus(resource) || resource.group === 'apps';

const specOf = (object: KubeObject): unknown => (object as { spec?: unknown }).spec;

const wasImmutable = (object: Secret): boolean => object.immutable === true;

const contentOf = ({ type, data, immutable }: Secret): object => ({ type, data, immutable });

/** The API server knows times to the second. */
const timeOf = (date: Date): string => `${date.toISOString().slice(0, 19)}Z`;

/** The fields that managedFields record here. */
const writtenOf = (object: KubeObject): object => ({ ...pick(object, 'data'), ...pick(object, 'spec') });

/** True for a Secret, a ConfigMap or a ClusterTrustBundle. */
const hasContent = (object: Secret & Partial<ClusterTrustBundle>): boolean =>
  object.data !== undefined || object.spec?.trustBundle !== undefined;

const pick = (object: object, key: string): object =>
  Object.fromEntries(Object.entries(object).filter(([name]) => name === key));

/** Selects objects by namespace, by labels (present, or equal to a value) and by fields (equal or not equal to a value). */
export function selectorOf({
  namespace,
  labelSelector = '',
  fieldSelector = '',
}: Selection): (object: KubeObject) => boolean {
  const labels = termsOf(labelSelector);
  const fields = termsOf(fieldSelector);
  return (object) =>
    (namespace === undefined || object.metadata.namespace === namespace) &&
    labels.every((term) => holds(term, object.metadata.labels?.[term.key])) &&
    fields.every((term) => holds(term, fieldOf(object, term.key)));
}

/** As in Kubernetes, an absent field is empty. */
const fieldOf = (object: KubeObject, path: string): unknown =>
  path.split('.').reduce<unknown>((at, key) => (at as Fields | undefined)?.[key], object) ?? '';

interface Term {
  readonly key: string;
  readonly operator: string | undefined;
  readonly value: string | undefined;
}

const termsOf = (selector: string): Term[] =>
  selector
    .split(',')
    .filter((text) => text !== '')
    .map((text) => {
      const found = /^(?<key>[\w./-]+)(?:(?<operator>!=|==?)(?<value>[\w./-]*))?$/.exec(text);
      if (found?.groups === undefined) throw new TypeError(`the selector ${text} is not supported here`);
      const { key = '', operator, value } = found.groups;
      return { key, operator, value };
    });

function holds({ operator, value }: Term, actual: unknown): boolean {
  if (operator === undefined) return actual !== undefined;
  return operator === '!=' ? actual !== value : actual === value;
}

interface Answer {
  readonly metadataOnly?: boolean | undefined;
}

/** The API server’s answer with an object. */
export const answer = <T extends KubeObject>(object: T, { metadataOnly }: Answer): T =>
  metadataOnly === true ? ({ metadata: object.metadata } as T) : object;
