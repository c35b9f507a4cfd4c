import { ownRoots, type TrustBundle } from '../../pki/index.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import type { Publication } from '../rotation/rollout-observation.ts';
import { longestDetail, outcomeMessage, type TrustOutcome } from './trust-targets.ts';

/** The kinds of objects into which the operator injects roots. */
export const injectionKinds = [
  'ValidatingWebhookConfiguration',
  'MutatingWebhookConfiguration',
  'APIService',
  'CustomResourceDefinition',
] as const;

export type InjectionKind = (typeof injectionKinds)[number];

/** The caBundles of an object. An object that has no place for roots has an obstacle instead. */
export type InjectedContent =
  | { readonly obstacle: string }
  | {
      /** SHA-256 of the PEM, if all caBundles of the object are equal. Absent when they differ, and when they are empty. */
      readonly bundle?: string;
      /** True when no webhook of the object has a caBundle. */
      readonly isEmpty: boolean;
    };

/** An object of one of these kinds. Without the annotation `inject-ca-from`, it has only a name. */
export interface InjectionRecord {
  readonly kind: InjectionKind;
  readonly name: string;
  readonly resourceVersion: string;
  /** Set if the object has the annotation. */
  readonly request?: InjectionRequest;
}

/** An object whose annotation requests roots. */
export interface InjectionRequest {
  readonly uid: string;
  /** The name in the annotation. Empty if its value is no valid name. */
  readonly authority: string;
  /** The annotation that gives the caBundle to another program. */
  readonly otherInjector?: string;
  /** Absent until the whole object was read: the watch delivers only its metadata. */
  readonly content?: InjectedContent;
  /** The bundle that was last read. It survives changes of the metadata. */
  readonly lastBundle?: string;
  /** When the bundle last changed, in milliseconds of the clock of RolloutObservation. */
  readonly changedAtMs: number;
}

/** An annotated object and the outcome of its last reconcile. */
export interface InjectionTarget extends InjectionRequest {
  readonly kind: InjectionKind;
  readonly name: string;
  readonly outcome?: TrustOutcome;
}

/** The objects with the annotation of one authority, and the kinds that the operator may not read. */
export interface Injections {
  readonly targets: readonly InjectionTarget[];
  /** Resources in the form `plural.group`. */
  readonly forbidden: readonly string[];
}

/**
 * The roots that the operator injects: the authority's own, never those of others that its bundle holds too. A partner whose root
 * peers trust must not be able to impersonate a webhook of the API server.
 */
export const injectedRoots = (bundle: Pick<TrustBundle, 'roots'>): Pick<TrustBundle, 'pem' | 'digest'> =>
  ownRoots(bundle);

/** Why the operator leaves an object as it is; undefined when it injects the roots. */
export function obstacleOf({ otherInjector, content }: InjectionRequest): string | undefined {
  if (otherInjector !== undefined) return `its annotation ${otherInjector} gives the caBundle to another program`;
  return content !== undefined && 'obstacle' in content ? content.obstacle : undefined;
}

/** True when the object holds this bundle in every place. */
export const holdsBundle = ({ content }: InjectionRequest, digest: string): boolean =>
  content !== undefined && 'bundle' in content && content.bundle === digest;

/** True for an object without a root: no caller depends on it. */
const isEmpty = ({ content }: InjectionRequest): boolean =>
  content !== undefined && 'isEmpty' in content && content.isEmpty;

/**
 * The objects that a rotation waits for. It leaves out objects that the operator does not inject, and objects that never had a
 * root because the API server refuses the write: no working connection of theirs could break. Objects of a kind that the operator
 * may not read may hold any roots, so the kind itself closes every gate.
 */
export const injectedPublications = ({ targets, forbidden }: Injections): Publication[] => [
  ...targets
    .filter((target) => obstacleOf(target) === undefined)
    .filter((target) => !(target.outcome?.state === 'failed' && isEmpty(target)))
    .map(({ kind, name, content, changedAtMs, outcome }) => ({
      namespace: '',
      displayName: `${kind} ${name}`,
      ...(content !== undefined && 'bundle' in content ? { bundle: content.bundle } : {}),
      changedAtMs,
      ...detailOf(content, outcome),
    })),
  ...forbidden.map((resource) => ({
    namespace: '',
    displayName: resource,
    changedAtMs: Number.POSITIVE_INFINITY,
    detail: 'the operator runs with --inject-ca and may not get, list and watch them',
  })),
];

function detailOf(content: InjectedContent | undefined, outcome: TrustOutcome | undefined): { detail?: string } {
  const message = outcomeMessage(outcome);
  if (message !== undefined) return { detail: message.slice(0, longestDetail) };
  return content === undefined ? { detail: 'the operator has not read it yet' } : {};
}

/** Sorted, because the order of the cache changes with a restart and would change a message. */
export const byKindAndName = (a: InjectionTarget, b: InjectionTarget): number =>
  nameOfTarget(a) < nameOfTarget(b) ? -1 : 1;

export const nameOfTarget = ({ kind, name }: Pick<InjectionTarget, 'kind' | 'name'>): string => `${kind} ${name}`;

/** The authority of an injected object may have no field `spec.trustBundle`: the annotation alone requests the roots. */
export const requestsTrust = ({ spec }: AuthorityRecord, { targets, forbidden }: Injections): boolean =>
  spec.trustBundle !== undefined || targets.length > 0 || forbidden.length > 0;
