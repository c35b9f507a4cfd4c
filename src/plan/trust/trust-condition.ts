import type { TrustReason } from '../../api/reasons.ts';
import type { RootState } from '../certificate/authority-state.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import { conditionOf, type DesiredCondition, restated } from '../records/condition.ts';
import type { KnownNamespace } from '../records/namespace-record.ts';
import { heldByFinalizer } from '../rotation/rollout-observation.ts';
import { joinShortened } from '../text/message-text.ts';
import { labelsRightHint, namespacedRightHint } from '../text/missing-right.ts';
import {
  byKindAndName,
  holdsBundle,
  type Injections,
  type InjectionTarget,
  injectedRoots,
  nameOfTarget,
  obstacleOf,
  requestsTrust,
} from './injection.ts';
import { clusterTrustBundleContent, configMapContent, mostContentKiB, type TrustContent } from './trust-content.ts';
import { clusterTrustBundleOf } from './trust-plan.ts';
import { outcomeMessage, type TrustSources, type TrustTarget } from './trust-targets.ts';

const type = 'TrustPublished';

/** The result for some of the targets. */
interface Finding {
  readonly reason: TrustReason;
  readonly message: string;
}

const whileNotReady = 'the authority is not ready; published bundles stay unchanged';

/** What the operator can publish at all. */
export interface TrustScope extends Pick<TrustSources, 'servesClusterTrustBundles'> {
  /** The namespaces that the operator watches. Absent when it watches all, and ClusterTrustBundles too. */
  readonly watched?: readonly string[];
  /** See unreadableNamespaces. */
  readonly unreadable?: readonly KnownNamespace[];
  /** Default: none. */
  readonly injections?: Injections;
}

/**
 * The condition TrustPublished. It is True when every target of spec holds the current bundle. Undefined when spec has
 * never requested a bundle. It depends on the observed objects, not on the last write.
 */
export function trustCondition(
  authority: AuthorityRecord,
  state: RootState,
  targets: readonly TrustTarget[],
  { servesClusterTrustBundles, watched, unreadable = [], injections = noInjections }: TrustScope,
): DesiredCondition | undefined {
  const { trustBundle } = authority.spec;
  const said = conditionOf(authority.status, type);
  if (trustBundle === undefined && !requestsTrust(authority, injections)) {
    if (said === undefined) return undefined;
    // A spec that is not valid may request bundles.
    return authority.specProblem === undefined
      ? isNot('NotRequested', 'spec.trustBundle is not set: the operator publishes no bundle')
      : isNot('AuthorityNotReady', whileNotReady);
  }
  if (state.state === 'notReady') {
    return isNot('AuthorityNotReady', whileNotReady);
  }
  const judged = targets.filter(({ isSurplus }) => !isSurplus);
  const inConfigMaps = configMapContent(authority, state);
  const inCluster = clusterTrustBundleContent(authority, state);
  const contentOf = ({ kind }: TrustTarget) => (kind === 'ConfigMap' ? inConfigMaps : inCluster);
  // After a restart, status is more accurate than the operator until every target was read once.
  const isUnseen = (target: TrustTarget) => target.outcome === undefined && !isPublished(target, contentOf(target));
  const isUnseenObject = (target: InjectionTarget) =>
    target.content === undefined && target.otherInjector === undefined && target.outcome === undefined;
  if (state.state !== 'ready' || judged.some(isUnseen) || injections.targets.some(isUnseenObject)) {
    if (said !== undefined && said.observedGeneration === authority.generation) return restated(authority.status, type);
  }
  const { configMap, clusterTrustBundle: isClusterWide = false } = trustBundle ?? {};
  const configMaps = judged.filter(({ kind }) => kind === 'ConfigMap');
  const clusterTrustBundle = judged.find(({ kind }) => kind === 'ClusterTrustBundle');
  const findings = [
    ...(configMap === undefined ? [] : judgeConfigMaps(configMap.name, configMaps, inConfigMaps)),
    ...(configMap === undefined ? [] : judgeOmitted(configMap.name, inConfigMaps)),
    ...(configMap === undefined ? [] : judgeUnreadable(configMap.name, unreadable)),
    ...(isClusterWide && watched !== undefined ? [clusterTrustBundleIsNotWatched] : []),
    ...(isClusterWide && watched === undefined
      ? [judgeClusterTrustBundle(authority.name, clusterTrustBundle, inCluster, servesClusterTrustBundles)]
      : []),
    ...judgeInjections(injections, state.state === 'ready' ? injectedRoots(state.bundle).digest : undefined),
  ];
  const problems = findings.filter(({ reason }) => reason !== 'Published');
  const problem = problems.find(({ reason }) => reason !== 'Pending') ?? problems[0];
  // Leave pending targets out of a problem's message: their count changes, and each count would be another event.
  const isTold = ({ reason }: Finding) => reason !== 'Pending' || problem?.reason === 'Pending';
  const message = findings
    .filter(isTold)
    .map((finding) => finding.message)
    .join('; ');
  if (problem !== undefined) return isNot(problem.reason, message);
  if (watched !== undefined && configMap !== undefined) {
    const where = `${message}; the operator watches only ${joinShortened(watched)} (--watch-namespaces) and publishes nowhere else`;
    return { type, status: 'True', reason: 'PublishedInWatchedNamespaces', message: where };
  }
  return { type, status: 'True', reason: 'Published', message: message || 'spec.trustBundle requests no bundle' };
}

const clusterTrustBundleIsNotWatched: Finding = {
  reason: 'ClusterTrustBundleNotWatched',
  message:
    'the operator runs with --watch-namespaces and publishes no ClusterTrustBundle; set trustBundle.clusterTrustBundle to false',
};

function judgeUnreadable(name: string, unreadable: readonly KnownNamespace[]): Finding[] {
  const closed = unreadable.filter((namespace) => namespace.configMapsForbidden === true).map((one) => one.name);
  const unlabelled = unreadable.filter((namespace) => namespace.configMapsForbidden !== true).map((one) => one.name);
  const finding = (names: readonly string[], why: string): Finding => ({
    reason: 'NamespaceUnreadable',
    message: `ConfigMap ${name} is not published in ${joinShortened(names)}: ${why}`,
  });
  return [
    ...(closed.length === 0
      ? []
      : [finding(closed, `the operator may not read ConfigMaps there; ${namespacedRightHint(...closed)}`)]),
    ...(unlabelled.length === 0
      ? []
      : [
          finding(
            unlabelled,
            `configMap.namespaceSelector needs labels that the operator may not read; ${labelsRightHint(...unlabelled)}`,
          ),
        ]),
  ];
}

/** Sorted, because the order of the cache changes with a restart and would change the message. */
const byNamespace = (a: TrustTarget, b: TrustTarget): number => (a.namespace < b.namespace ? -1 : 1);

/** True when the target holds the current bundle, belongs to the authority and is not contested. */
const isPublished = (
  { isForeign, bundle, metadata, outcome }: TrustTarget,
  content: TrustContent | undefined,
): boolean =>
  !isForeign &&
  content !== undefined &&
  bundle === content.bundle.digest &&
  metadata === content.metadata &&
  outcome?.state !== 'contested';

function judgeOmitted(name: string, content: TrustContent | undefined): Finding[] {
  if (content === undefined || content.omitted.length === 0) return [];
  const limit = `with ${content.omitted.length === 1 ? 'it' : 'them'} the data would have more than ${mostContentKiB} KiB`;
  const message = `ConfigMap ${name} is published without ${content.omitted.join(' and ')}: ${limit}; publish fewer roots`;
  return [{ reason: 'BundleTooLarge', message }];
}

function judgeConfigMaps(name: string, targets: readonly TrustTarget[], content: TrustContent | undefined): Finding[] {
  const of = targets.length === 1 ? '1 namespace' : `${targets.length} namespaces`;
  const missing = targets.filter((target) => !isPublished(target, content)).toSorted(byNamespace);
  if (missing.length === 0) return [{ reason: 'Published', message: `ConfigMap ${name} is published in ${of}` }];
  const foreign = missing.filter(({ isForeign }) => isForeign);
  const contested = missing.filter(({ isForeign, outcome }) => !isForeign && outcome?.state === 'contested');
  const failed = missing.filter((target) => !contested.includes(target) && failureOf(target) !== undefined);
  const pending = missing.length - foreign.length - contested.length - failed.length;
  const findings: Finding[] = [];
  if (foreign.length > 0) {
    const where = `in ${foreign.length} of ${of}: ${namesOf(foreign)}`;
    const advice = 'delete it there, or set trustBundle.configMap.name to another name';
    const message = `ConfigMap ${name} belongs to another owner ${where}; ${advice}`;
    findings.push({ reason: 'TrustConflict', message });
  }
  if (contested.length > 0) {
    const what = `another client keeps changing ConfigMap ${name} in ${contested.length} of ${of}: ${namesOf(contested)}`;
    findings.push({ reason: 'TrustContested', message: `${what} (${messageOf(contested[0])})` });
  }
  if (failed.length > 0) {
    const what = `ConfigMap ${name} cannot be written in ${failed.length} of ${of}: ${namesOf(failed)}`;
    findings.push({ reason: 'PublishingFailed', message: `${what} (${failureOf(failed[0])})` });
  }
  if (pending > 0) {
    const upToDate = targets.length - missing.length;
    findings.push({ reason: 'Pending', message: `ConfigMap ${name} is up to date in ${upToDate} of ${of}` });
  }
  return findings;
}

function judgeClusterTrustBundle(
  authority: string,
  target: TrustTarget | undefined,
  content: TrustContent | undefined,
  isServed: boolean | undefined,
): Finding {
  const what = `ClusterTrustBundle ${clusterTrustBundleOf(authority)}`;
  if (isServed === false) {
    const message =
      'the API server does not serve ClusterTrustBundle of certificates.k8s.io/v1; set trustBundle.clusterTrustBundle to false';
    return { reason: 'ClusterTrustBundleNotServed', message };
  }
  if (target !== undefined && isPublished(target, content))
    return { reason: 'Published', message: `${what} is published` };
  if (target?.isForeign === true)
    return { reason: 'TrustConflict', message: `${what} belongs to another owner; delete it` };
  if (target?.outcome?.state === 'contested') {
    return { reason: 'TrustContested', message: `another client keeps changing ${what} (${messageOf(target)})` };
  }
  const failure = failureOf(target);
  if (failure !== undefined) {
    return { reason: 'PublishingFailed', message: `${what} cannot be written (${failure})` };
  }
  return { reason: 'Pending', message: `${what} is not up to date yet` };
}

const noInjections: Injections = { targets: [], forbidden: [] };

function judgeInjections({ targets, forbidden }: Injections, bundle: string | undefined): Finding[] {
  const findings: Finding[] = [];
  const add = (reason: TrustReason, message: string): number => findings.push({ reason, message });
  if (forbidden.length > 0)
    add(
      'InjectionForbidden',
      `the operator runs with --inject-ca and may not get, list and watch ${forbidden.join(', ')}`,
    );
  const sorted = targets.toSorted(byKindAndName);
  const others = sorted.filter(({ otherInjector }) => otherInjector !== undefined);
  const impossible = sorted.filter((target) => !others.includes(target) && obstacleOf(target) !== undefined);
  const injectable = sorted.filter((target) => obstacleOf(target) === undefined);
  const isRight = (target: InjectionTarget): boolean =>
    bundle !== undefined && holdsBundle(target, bundle) && target.outcome?.state !== 'contested';
  const missing = injectable.filter((target) => !isRight(target));
  const contested = missing.filter(({ outcome }) => outcome?.state === 'contested');
  const failed = missing.filter(({ outcome }) => outcome?.state === 'failed');
  const pending = missing.length - contested.length - failed.length;
  if (others.length > 0)
    add(
      'TrustConflict',
      `the roots are not injected into ${namesOfObjects(others)} (${obstacleOf(others[0] as InjectionTarget)})`,
    );
  if (contested.length > 0)
    add('TrustContested', `another client keeps changing ${namesOfObjects(contested)} (${messageOf(contested[0])})`);
  if (failed.length > 0)
    add('PublishingFailed', `the roots cannot be injected into ${namesOfObjects(failed)} (${messageOf(failed[0])})`);
  if (impossible.length > 0)
    add(
      'InjectionImpossible',
      `the roots cannot be injected into ${namesOfObjects(impossible)} (${obstacleOf(impossible[0] as InjectionTarget)})`,
    );
  if (pending > 0)
    add('Pending', `the roots are injected into ${injectable.length - missing.length} of ${injectable.length} objects`);
  if (missing.length === 0 && injectable.length > 0) {
    const of = injectable.length === 1 ? '1 object' : `${injectable.length} objects`;
    add('Published', `the roots are injected into ${of}`);
  }
  return findings;
}

const namesOfObjects = (targets: readonly InjectionTarget[]): string => joinShortened(targets.map(nameOfTarget));

const namesOf = (targets: readonly TrustTarget[]): string => joinShortened(targets.map(({ namespace }) => namespace));

/** Why an object of the authority cannot be written. Undefined when it can. */
function failureOf(target: TrustTarget | undefined): string | undefined {
  if (target === undefined || target.isForeign) return undefined;
  if (target.outcome?.state === 'failed') return target.outcome.message;
  return target.isDeleting ? heldByFinalizer : undefined;
}

const messageOf = (target: Pick<TrustTarget, 'outcome'> | undefined): string => outcomeMessage(target?.outcome) ?? '';

const isNot = (reason: TrustReason, message: string): DesiredCondition => ({ type, status: 'False', reason, message });
