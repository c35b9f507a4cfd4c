import type { Condition } from '../../api/types.ts';
import {
  type GuardedClient,
  type GuardedPatch,
  isKubeError,
  type KubeObject,
  type Resource,
  type Store,
} from '../../kube/index.ts';
import { type DesiredCondition, mergeConditions } from '../../plan/index.ts';
import { internPool } from './intern-pool.ts';
import { isSameJson } from './same-json.ts';

interface Status {
  readonly conditions?: readonly Condition[];
  readonly observedGeneration?: number;
}

export interface StatusChange {
  /** A JSON merge patch, with null for fields that are removed. */
  readonly patch: Record<string, unknown>;
  /** The status after the patch. */
  readonly status: Record<string, unknown>;
}

/** The change that makes a status equal to `desired`; undefined when they are equal, so that steady state writes nothing. */
export function statusChange(
  actual: Status,
  desired: Omit<Status, 'conditions'> & { readonly conditions: readonly DesiredCondition[] },
  now: Date,
): StatusChange | undefined {
  const { observedGeneration } = desired;
  const conditions = mergeConditions(
    actual.conditions,
    desired.conditions.map((condition) => ({
      ...condition,
      ...(observedGeneration === undefined ? {} : { observedGeneration }),
    })),
    now,
  );
  const next: Record<string, unknown> = { ...desired, conditions };
  const before = new Map<string, unknown>(Object.entries(actual));
  const changes = Object.entries(next).filter(([key, value]) => !isSameJson(before.get(key), value));
  const gone = [...before.keys()].filter((key) => !(key in next)).map((key) => [key, null]);
  if (changes.length + gone.length === 0) return undefined;
  const patches = changes.map(([key, value]) => [key, withRemovals(before.get(key), value)]);
  return { patch: Object.fromEntries([...patches, ...gone]), status: next };
}

/** The merge patch that replaces a value: an object in a patch keeps the fields that it does not name. */
function withRemovals(before: unknown, after: unknown): unknown {
  if (!isObject(before) || !isObject(after)) return after;
  const gone = Object.keys(before).filter((key) => after[key] === undefined);
  const kept = Object.entries(after).map(([key, value]) => [key, withRemovals(before[key], value)]);
  return Object.fromEntries([...kept, ...gone.map((key) => [key, null])]);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export interface StatusWriter<T extends KubeObject, R extends StatusRecord> {
  readonly client: GuardedClient;
  readonly resource: Resource<T>;
  readonly store: Pick<Store<R>, 'observeOwnWrite' | 'trackWrite'>;
}

interface StatusRecord {
  readonly namespace: string;
  readonly name: string;
  readonly resourceVersion: string;
  readonly status: Status;
  readonly hasOldNames?: true;
}

/**
 * Writes the desired status if the status in `record` differs. Returns false when the resource has been deleted or changed since
 * the operator read `record`: the event of that change queues the key again.
 * @throws KubeError
 */
export async function writeStatus<T extends KubeObject, R extends StatusRecord>(
  { client, resource, store }: StatusWriter<T, R>,
  record: R,
  desired: Parameters<typeof statusChange>[1],
  now: Date,
  signal: AbortSignal,
): Promise<boolean> {
  const { hasOldNames = false, ...current } = record;
  const stored = hasOldNames ? { ...record.status, secrets: undefined } : record.status;
  const change = statusChange(stored, desired, now);
  if (change === undefined) return true;
  const { resourceVersion } = record;
  const body = { metadata: { resourceVersion }, status: change.patch } as unknown as GuardedPatch<T>;
  try {
    const options = { subresource: 'status', metadataOnly: true, signal } as const;
    await store.trackWrite(record, async () => {
      const { metadata } = await client.mergePatch(resource, record, body, options);
      // The precondition guarantees that the rest of the resource is as observed.
      const status = asRead(change.status);
      store.observeOwnWrite({ ...current, resourceVersion: metadata.resourceVersion, status } as unknown as R);
    });
    return true;
  } catch (error) {
    if (isKubeError(error, 'NotFound', 'Conflict')) return false;
    throw error;
  }
}

/** A copy with interned strings: V8 keeps all parts of a concatenated string in memory as long as the string lives. */
function asRead<T>(value: T): T {
  if (typeof value === 'string') return internPool.text(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(asRead) as T;
  const entries = Object.entries(value).filter(([, part]) => part !== undefined);
  return Object.fromEntries(entries.map(([key, part]) => [key, asRead(part)])) as T;
}
