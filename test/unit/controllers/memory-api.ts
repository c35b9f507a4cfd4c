import { randomUUID } from 'node:crypto';

import {
  type KubeClient,
  KubeError,
  type KubeObject,
  keyOf,
  type MergePatch,
  type ObjectRef,
  type Resource,
} from '../../../src/kube/index.ts';

/** The process ends at this moment: what it was about to do is not done, and it learns nothing more. */
export class Crash extends Error {}

type Stored = KubeObject & { readonly metadata: { readonly uid: string; readonly resourceVersion: string } };

/**
 * What controllers use of an API server, in memory: objects with resourceVersions, preconditions, merge patches. It ends
 * its client at any write, before or after it takes effect.
 */
export class MemoryApi {
  readonly #objects = new Map<string, Map<string, Stored>>();
  #resourceVersion = 1000;
  /** How many more writes succeed. The one after them crashes: without effect, or (`lostReply`) with its effect. */
  budget: { writes: number; lostReply: boolean } = { writes: Number.POSITIVE_INFINITY, lostReply: false };
  /** What was listed, and read on its own. */
  readonly reads: string[] = [];
  /** Called after every change. */
  onChange: (plural: string, before: KubeObject | undefined, after: KubeObject | undefined) => void = () => undefined;

  /** The resourceVersion of the last change. */
  get resourceVersion(): string {
    return String(this.#resourceVersion);
  }

  /** The calls of a client, for those who want a KubeClient. */
  get client(): KubeClient {
    return this as unknown as KubeClient;
  }

  all(plural: string): Stored[] {
    return [...this.#collection(plural).values()];
  }

  find<T extends KubeObject>(resource: Resource<T>, ref: ObjectRef): T | undefined {
    if (resource.plural === 'secrets') this.reads.push(`get ${keyOf(ref)}`);
    return this.#stored(resource, ref);
  }

  #stored<T extends KubeObject>(resource: Resource<T>, ref: ObjectRef): T | undefined {
    return this.#collection(resource.plural).get(keyOf(ref)) as T | undefined;
  }

  async get<T extends KubeObject>(resource: Resource<T>, ref: ObjectRef): Promise<T> {
    const found = this.find(resource, ref);
    if (found === undefined) throw new KubeError('NotFound', `${resource.plural} ${ref.name}`);
    return found;
  }

  async *listPages<T extends KubeObject>(
    resource: Resource<T>,
    { labelSelector = '', metadataOnly = false }: { labelSelector?: string; metadataOnly?: boolean },
  ) {
    this.reads.push(`list ${resource.plural}${metadataOnly ? ', metadata only' : ''}`);
    const wanted = labelSelector.split(',').map((text) => text.split('='));
    const items = this.all(resource.plural).filter(({ metadata }) =>
      wanted.every(([key = '', value]) => {
        const actual = metadata.labels?.[key];
        return value === undefined ? actual !== undefined : actual === value;
      }),
    );
    const answers = metadataOnly ? items.map(({ metadata }) => ({ metadata })) : items;
    yield { items: answers as unknown as T[], resourceVersion: String(this.#resourceVersion) };
  }

  async create<T extends KubeObject>(resource: Resource<T>, object: T, options: Answer = {}): Promise<T> {
    if (this.#stored(resource, object.metadata) !== undefined)
      throw new KubeError('AlreadyExists', object.metadata.name);
    const metadata = { ...object.metadata, uid: randomUUID(), creationTimestamp: '2026-01-01T00:00:00Z' };
    return answer(this.#write(resource, undefined, { ...object, metadata }), options);
  }

  async mergePatch<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    patch: MergePatch<T>,
    { subresource, metadataOnly }: { subresource?: string } & Answer = {},
  ): Promise<T> {
    const before = await this.get(resource, ref);
    const { metadata, ...rest } = patch as { metadata?: Partial<KubeObject['metadata']> };
    for (const key of ['uid', 'resourceVersion'] as const) {
      if (metadata?.[key] !== undefined && metadata[key] !== before.metadata[key]) {
        throw new KubeError('Conflict', `${resource.plural} ${ref.name}: ${key}`);
      }
    }
    const change = subresource === 'status' ? { status: (rest as { status?: object }).status } : patch;
    return answer(this.#write(resource, before, merged(before, change) as T), { metadataOnly });
  }

  async delete<T extends KubeObject>(resource: Resource<T>, ref: ObjectRef): Promise<void> {
    const before = await this.get(resource, ref);
    this.#spend();
    this.#resourceVersion += 1;
    this.#collection(resource.plural).delete(keyOf(ref));
    this.onChange(resource.plural, before, undefined);
  }

  /** What a person does, which never crashes. */
  async byHand<T>(act: () => Promise<T>): Promise<T> {
    const { budget } = this;
    this.budget = { writes: Number.POSITIVE_INFINITY, lostReply: false };
    try {
      return await act();
    } finally {
      this.budget = budget;
    }
  }

  #write<T extends KubeObject>(resource: Resource<T>, before: T | undefined, after: T): T {
    const isLast = this.budget.writes <= 0;
    if (isLast && !this.budget.lostReply) throw new Crash();
    this.budget.writes -= 1;
    const stored = { ...after, metadata: { ...after.metadata, resourceVersion: String(++this.#resourceVersion) } };
    this.#collection(resource.plural).set(keyOf(stored.metadata), stored as unknown as Stored);
    this.onChange(resource.plural, before, stored);
    if (isLast) throw new Crash();
    return stored;
  }

  #spend(): void {
    if (this.budget.writes <= 0) throw new Crash();
    this.budget.writes -= 1;
  }

  #collection(plural: string): Map<string, Stored> {
    const known = this.#objects.get(plural) ?? new Map<string, Stored>();
    this.#objects.set(plural, known);
    return known;
  }
}

/** RFC 7386. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = typeof target === 'object' && target !== null ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else if (value !== undefined) result[key] = merged(result[key], value);
  }
  return result;
}

interface Answer {
  readonly metadataOnly?: boolean | undefined;
}

/** What the API server sends back of a write. */
const answer = <T extends KubeObject>(written: T, { metadataOnly }: Answer): T =>
  metadataOnly === true ? ({ metadata: written.metadata } as T) : written;
