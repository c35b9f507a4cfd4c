import {
  type Condition,
  isKubeError,
  type KubeClient,
  type KubeObject,
  type MergePatch,
  mergeConditions,
  type Resource,
  type Store,
} from '../kube/index.ts';
import type { WantedCondition } from '../plan/index.ts';
import { isSameJson } from './same-json.ts';

interface Status {
  readonly conditions?: readonly Condition[];
  readonly observedGeneration?: number;
}

/** A merge patch of a status, with null for what is to go. */
export type StatusPatch = Record<string, unknown>;

/**
 * The patch that brings a status to what is wanted; undefined when it is there already, which is the case in steady
 * state: nothing is written then.
 */
export function statusPatch(
  actual: Status,
  wanted: Omit<Status, 'conditions'> & { readonly conditions: readonly WantedCondition[] },
  now: Date,
): StatusPatch | undefined {
  const { observedGeneration } = wanted;
  const conditions = mergeConditions(
    actual.conditions,
    wanted.conditions.map((condition) => ({
      ...condition,
      ...(observedGeneration === undefined ? {} : { observedGeneration }),
    })),
    now,
  );
  const next: Record<string, unknown> = { ...wanted, conditions };
  if (isSameJson(actual, next)) return undefined;
  const before = new Map<string, unknown>(Object.entries(actual));
  const changes = Object.entries(next).filter(([key, value]) => !isSameJson(before.get(key), value));
  const gone = [...before.keys()].filter((key) => !(key in next)).map((key) => [key, null]);
  return changes.length + gone.length === 0 ? undefined : Object.fromEntries([...changes, ...gone]);
}

/** What a status is written with, for either kind. */
export interface StatusWriter<T extends KubeObject, R extends StatusRecord> {
  readonly client: KubeClient;
  readonly resource: Resource<T>;
  readonly store: Pick<Store<R>, 'observe' | 'remember'>;
  readonly toRecord: (object: T) => R;
  /** True when nothing has changed that a person asks for. */
  readonly isSameRequest: (a: R, b: R) => boolean;
}

interface StatusRecord {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly status: Status;
}

/**
 * Writes a status where it differs from what is wanted. False when the resource is gone, or another one has its name.
 * @throws KubeError
 */
export async function writeStatus<T extends KubeObject, R extends StatusRecord>(
  { client, resource, store, toRecord, isSameRequest }: StatusWriter<T, R>,
  record: R,
  wanted: Parameters<typeof statusPatch>[1],
  now: Date,
  signal: AbortSignal,
): Promise<boolean> {
  const status = statusPatch(record.status, wanted, now);
  if (status === undefined) return true;
  // The UID keeps the status of a resource that was deleted from its successor of the same name.
  const body = { metadata: { uid: record.uid }, status } as unknown as MergePatch<T>;
  try {
    const written = toRecord(await client.mergePatch(resource, record, body, { subresource: 'status', signal }));
    // The answer may carry a change that the watch has not brought yet, and after this never will as news.
    if (isSameRequest(written, record)) store.remember(written);
    else store.observe(written);
    return true;
  } catch (error) {
    if (isKubeError(error, 'NotFound', 'Conflict')) return false;
    throw error;
  }
}
