import type { AdditionalRootsReason } from '../../api/reasons.ts';
import { anchorId, type Certificate, encodeCertificates, type OfferedRoot, subjectText } from '../../pki/index.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import { type DesiredCondition, falseIfSet } from '../records/condition.ts';
import { truncate } from '../text/message-text.ts';
import { timestamp } from '../timing/timestamp.ts';

/** A source of `spec.trustBundle.additional`, as the operator read it. */
export interface ObservedSource {
  /** For messages: `ConfigMap partner-roots, key ca.crt`. */
  readonly name: string;
  /** The content; empty when it was never read. */
  readonly roots: readonly OfferedRoot[];
  /** Why the source, or its current content, cannot be used. */
  readonly problem?: {
    readonly reason: Extract<AdditionalRootsReason, 'SourceMissing' | 'SourceUnreadable' | 'SourceInvalid'>;
    readonly message: string;
  };
}

/** The sources of an authority, in the order of spec. */
export interface ObservedSources {
  readonly sources: readonly ObservedSource[];
  /**
   * In how many milliseconds a changed content that has to wait may be used, or a source that the operator may not read is read
   * again; often a fraction. Absent when there is neither. Content that waits for the end of a rotation has no such time.
   *
   * Not a date: a date that passes between the observation and the plan would look like one that no longer matters.
   */
  readonly recheckInMs?: number;
  /** A changed content waits until the rotation of the root ends. */
  readonly waitsForRotation?: true;
}

/** The roots of other CAs for the bundle, and what was left out. */
export interface AdditionalRootsPlan {
  readonly roots: readonly Certificate[];
  /** Certificates and sources that were left out. */
  readonly findings: readonly Finding[];
  /** When the plan may change without an event, after the time of the plan: a root expires or becomes valid, or a source is due. */
  readonly nextAt?: Date;
  readonly waitsForRotation?: true;
}

interface Finding {
  readonly reason: Exclude<AdditionalRootsReason, 'Accepted' | 'NotRequested'>;
  readonly message: string;
}

/** What the sources may add to a bundle. A ConfigMap, a Secret and a ClusterTrustBundle hold at most 1 MiB. */
const limits = { roots: 64, characters: 128 * 1024 };

/** Decides which roots of the sources are in the bundle. A certificate that several sources hold is there once. */
export function planAdditionalRoots(
  { sources, recheckInMs, waitsForRotation }: ObservedSources,
  now: Date,
): AdditionalRootsPlan {
  const roots = new Map<string, Certificate>();
  const findings: Finding[] = [];
  // Rounded up, because a Date drops the fraction: a check that comes too early finds nothing to do.
  const moments = recheckInMs === undefined ? [] : [new Date(now.getTime() + Math.max(1, Math.ceil(recheckInMs)))];
  let characters = 0;
  for (const source of sources) {
    if (source.problem !== undefined) {
      findings.push({ reason: source.problem.reason, message: `${source.name}: ${source.problem.message}` });
    }
    const valid = source.roots.flatMap((root, index) => {
      if (!('certificate' in root)) {
        const message = `${source.name}: certificate ${index + 1} ${truncate(root.message, longestDetail)}`;
        findings.push({ reason: 'RootRefused', message });
        return [];
      }
      const { certificate } = root;
      const { notBefore, notAfter } = certificate;
      for (const moment of [notBefore, notAfter]) if (moment > now) moments.push(moment);
      if (notBefore <= now && now < notAfter) return certificate;
      const [reason, complaint] =
        notBefore > now
          ? (['RootNotYetValid', `is not valid before ${timestamp(notBefore)}`] as const)
          : (['RootExpired', `expired at ${timestamp(notAfter)}`] as const);
      const subject = truncate(subjectText(certificate), longestDetail);
      findings.push({ reason, message: `${source.name}: certificate ${index + 1} (${subject}) ${complaint}` });
      return [];
    });
    const added = new Map(valid.map((root) => [anchorId(root), root] as const));
    for (const id of roots.keys()) added.delete(id);
    const size = encodeCertificates([...added.values()]).length;
    if (roots.size + added.size > limits.roots || characters + size > limits.characters) {
      const most = `${limits.roots} roots and ${limits.characters / 1024} KiB`;
      const message = `${source.name}: its ${added.size} roots do not fit into the bundle, which has room for ${most} of all sources`;
      findings.push({ reason: 'BundleFull', message });
      continue;
    }
    characters += size;
    for (const [id, root] of added) roots.set(id, root);
  }
  const [next] = moments.sort((a, b) => a.getTime() - b.getTime());
  return {
    roots: [...roots.values()],
    findings,
    ...(next === undefined ? {} : { nextAt: next }),
    ...(waitsForRotation === undefined ? {} : { waitsForRotation }),
  };
}

/** How many findings a message names, and how long the foreign text in each may be. */
const findingsInMessage = 8;
const longestDetail = 160;

const order: readonly Finding['reason'][] = [
  'SourceMissing',
  'SourceUnreadable',
  'SourceInvalid',
  'RootRefused',
  'RootExpired',
  'RootNotYetValid',
  'BundleFull',
];

/** The condition AdditionalRootsAccepted. It is absent until spec requests additional roots. */
export function additionalRootsCondition(
  { status, specProblem }: AuthorityRecord,
  plan: AdditionalRootsPlan | undefined,
): DesiredCondition[] {
  const type = 'AdditionalRootsAccepted';
  if (plan === undefined) {
    const message =
      specProblem === undefined
        ? 'spec.trustBundle.additional is not set: bundles hold only the roots of the authority'
        : 'spec is not valid; published bundles stay unchanged';
    return falseIfSet(status, { type, reason: 'NotRequested', message });
  }
  const { roots, findings } = plan;
  const waits = plan.waitsForRotation === true ? '; a source has changed, and is used when the rotation ends' : '';
  const count = `${roots.length === 1 ? '1 additional root is' : `${roots.length} additional roots are`} in the bundle${waits}`;
  const reason = order.find((one) => findings.some((finding) => finding.reason === one));
  if (reason === undefined) return [{ type, status: 'True', reason: 'Accepted', message: count }];
  const messages = findings.map(({ message }) => message);
  const more = messages.length - findingsInMessage;
  const named = messages.slice(0, findingsInMessage).join('; ');
  const message = `left out: ${named}${more > 0 ? `; and ${more} more` : ''}. ${count}`;
  return [{ type, status: 'False', reason, message }];
}
