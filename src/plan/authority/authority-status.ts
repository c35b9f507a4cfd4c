import type { CrlStatus, MtlsAuthorityStatus, PodCertificateRoot, Root, RotationStatus } from '../../api/types.ts';
import {
  anchorId,
  type Certificate,
  commonValidity,
  encodeCertificates,
  type Issuer,
  pathOf,
  subjectText,
} from '../../pki/index.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import { type DesiredCondition, falseIfSet, restated } from '../records/condition.ts';
import { rootsInStatus } from '../records/status-roots.ts';
import type { CrlBundle } from '../revocation/crl-bundle.ts';
import { crlCondition } from '../revocation/crl-condition.ts';
import { crlRenewalTime } from '../revocation/crl-schedule.ts';
import type { ObservedRoot } from '../rotation/observed-root.ts';
import type { RolloutObservation } from '../rotation/rollout-observation.ts';
import { rootRenewalTime } from '../rotation/rotation-start.ts';
import { type RotationState, rootNames } from '../rotation/rotation-state.ts';
import type { RotationNotice, RotationReport } from '../rotation/rotation-step.ts';
import { timestamp } from '../timing/timestamp.ts';
import { additionalRootsCondition } from './additional-roots.ts';
import type { AuthorityPlan, AuthorityVerdict } from './authority-plan.ts';

/** The desired status, without the transition times of its conditions. */
export type DesiredAuthorityStatus = Omit<MtlsAuthorityStatus, 'conditions'> & {
  readonly conditions: readonly DesiredCondition[];
};

const notYetValidPollMs = 60_000;
const blockedPollMs = 600_000;
/** How often the operator checks the gate of a rotation. A reconcile for every change that the gate waits for costs too much. */
const rotationPollMs = 1000;
const issuerPollMs = 30_000;
/** Pods may hold certificates of a root for a day and longer. */
const podsPollMs = 30_000;
/** A check of a gate takes about a microsecond for each cached Secret. The pause between checks is fifty times as long. */
const rotationPollMsPerSecret = 0.05;

/** The limit of the schema. `trustBundle` holds all roots. */
const mostRoots = 64;

export function planAuthorityStatus(
  { authority, certificates, secret, rollout }: ObservedRoot,
  {
    verdict,
    rotation,
    problem,
    nextCrlsAt,
    additional,
  }: Pick<AuthorityPlan, 'verdict' | 'rotation' | 'problem' | 'nextCrlsAt' | 'additional'>,
  now: Date,
): { status: DesiredAuthorityStatus; requeueAt?: Date } {
  const { activeRoot, roots, trustBundle, crl, rotation: earlier } = authority.status;
  const common = { observedGeneration: authority.generation, certificates, ...handledToken(authority, secret) };
  if (verdict.state === 'notReady') {
    const status = {
      ...common,
      conditions: [
        readyCondition('False', verdict.reason, verdict.message),
        ...additionalRootsCondition(authority, additional),
        ...(['Rotating', 'IssuerKeyMissing', 'CrlNearlyFull'] as const).flatMap(
          (type) => restated(authority.status, type) ?? [],
        ),
      ],
      // Published roots stay trusted while the root may not sign. Status must remember them in case the root is
      // replaced.
      ...(activeRoot === undefined ? {} : { activeRoot }),
      ...(roots === undefined ? {} : { roots }),
      ...(trustBundle === undefined ? {} : { trustBundle }),
      ...(crl === undefined ? {} : { crl }),
      ...(earlier === undefined ? {} : { rotation: earlier }),
    };
    const recheck = blockedRecheck(verdict.reason, now);
    const { nextAt } = additional ?? {};
    return { status, requeueAt: nextAt !== undefined && nextAt < recheck ? nextAt : recheck };
  }
  const [first] = verdict.bundle.roots;
  const status = {
    ...common,
    conditions: [
      readyConditionOf(verdict),
      ...rotatingCondition(authority, rotation, problem, verdict.issuer.anchor),
      ...issuerKeyCondition(authority, secret, verdict),
      ...crlCondition(authority, verdict.crl?.entries),
      ...additionalRootsCondition(authority, additional),
    ],
    ...(first === undefined ? {} : { activeRoot: rootStatus(first) }),
    roots: verdict.bundle.roots.slice(0, mostRoots).map(rootStatus),
    trustBundle: encodeCertificates(verdict.bundle.roots),
    ...(verdict.crl === undefined ? {} : { crl: crlStatus(verdict.crl) }),
    ...(rotation === undefined
      ? {}
      : { rotation: rotationStatus(rotation, fingerprints(verdict, secret, authority.status)) }),
  };
  const moments = [
    commonValidity(pathOf(verdict.issuer)).notAfter,
    // A root leaves the bundle when it expires.
    ...verdict.bundle.roots.map(({ notAfter }) => notAfter),
    ...issuerRecheck(rotation, verdict, secret, rollout, now),
    ...(rotation === undefined
      ? renewalRecheck(authority, verdict.issuer.anchor)
      : [rotationRecheck(rotation, rollout, now)]),
    ...(verdict.crl === undefined ? [] : [crlRenewalTime(verdict.crl)]),
    ...(nextCrlsAt === undefined ? [] : [nextCrlsAt]),
    ...(additional?.nextAt === undefined ? [] : [additional.nextAt]),
    ...(problem === undefined ? [] : [blockedRecheck(problem.reason, now)]),
  ].filter((moment) => moment > now);
  const [next] = moments.sort((a, b) => a.getTime() - b.getTime());
  return next === undefined ? { status } : { status, requeueAt: next };
}

/** The roots in status whose certificates pods may still hold. */
export function podRootsStatus(
  { status }: AuthorityRecord,
  { podLeaves, verdict }: Pick<AuthorityPlan, 'podLeaves' | 'verdict'>,
): readonly PodCertificateRoot[] {
  const trusted = [...(verdict.state === 'ready' ? verdict.bundle.roots : []), ...rootsInStatus(status)];
  return [...(podLeaves?.roots ?? [])].flatMap(([id, until]) => {
    const root = trusted.find((one) => anchorId(one) === id);
    return root === undefined ? [] : { fingerprint: root.fingerprint, notAfter: timestamp(until) };
  });
}

/**
 * A root that is not valid yet becomes valid without an event. Every other problem ends with a write, which is an
 * event; the slower timer covers a missed event.
 */
const blockedRecheck = (reason: string, now: Date): Date =>
  new Date(now.getTime() + (reason.endsWith('RootNotYetValid') ? notYetValidPollMs : blockedPollMs));

const renewalRecheck = (...[authority, anchor]: Parameters<typeof rootRenewalTime>): Date[] => {
  const renewAt = rootRenewalTime(authority, anchor);
  return renewAt === undefined ? [] : [renewAt];
};

function rotationRecheck(
  { opensInMs = Infinity, waitsForPods }: RotationReport,
  { examinedSecrets }: RolloutObservation,
  now: Date,
): Date {
  const leastMs = waitsForPods === true ? podsPollMs : rotationPollMs;
  const pollMs = Math.max(leastMs, examinedSecrets * rotationPollMsPerSecret);
  return new Date(now.getTime() + Math.min(pollMs, opensInMs + 1));
}

/**
 * While certificates of a replaced issuer are in use, the authority is reconciled on a timer: no event reports that the
 * last of them is gone.
 */
function issuerRecheck(
  rotation: RotationReport | undefined,
  { crl }: AuthorityVerdict & { state: 'ready' },
  secret: ObservedRoot['secret'],
  { examinedSecrets }: Pick<RolloutObservation, 'examinedSecrets'>,
  now: Date,
): Date[] {
  const isWatched = rotation === undefined && (secret?.previous !== undefined || (crl?.unrenewable ?? []).length > 0);
  return isWatched ? [new Date(now.getTime() + Math.max(issuerPollMs, examinedSecrets * rotationPollMsPerSecret))] : [];
}

function handledToken({ status }: ObservedRoot['authority'], secret: ObservedRoot['secret']) {
  const token = secret?.handledToken ?? status.lastHandledRotateRoot;
  return token === undefined ? {} : { lastHandledRotateRoot: token };
}

function readyConditionOf({ issuer, issuancePaused }: AuthorityVerdict & { state: 'ready' }): DesiredCondition {
  if (issuancePaused !== undefined) return readyCondition('False', issuancePaused.reason, issuancePaused.message);
  const until = timestamp(commonValidity(pathOf(issuer)).notAfter);
  return readyCondition('True', 'Ready', `signs with ${describeSigner(issuer)}, valid until ${until}`);
}

function describeSigner({ certificate, anchor }: Issuer): string {
  const [issuer, root] = [certificate, anchor].map(({ fingerprint }) => fingerprint.slice(0, 16));
  return issuer === root ? `root ${root}` : `intermediate ${issuer} under root ${root}`;
}

const readyCondition = (status: 'True' | 'False', reason: string, message: string): DesiredCondition => ({
  type: 'Ready',
  status,
  reason,
  message,
});

function rotatingCondition(
  authority: AuthorityRecord,
  rotation: RotationReport | undefined,
  problem: AuthorityPlan['problem'],
  active: Certificate,
): DesiredCondition[] {
  if (problem !== undefined) return [{ type: 'Rotating', status: 'False', ...problem }];
  if (rotation === undefined) {
    const earlier = restated(authority.status, 'Rotating');
    return earlier === undefined ? [] : [endOfRotation(authority.status, earlier, active)];
  }
  const { state, blockers, notices } = rotation;
  const message = [phaseMessage(state), `waiting for ${blockers.join(', and ')}`, ...notices.map(textOf)].join('; ');
  return [{ type: 'Rotating', status: 'True', reason: state.phase, message }];
}

/** The condition after a rotation. It says how the last rotation ended, until another one starts. */
function endOfRotation(
  { rotation }: MtlsAuthorityStatus,
  earlier: DesiredCondition,
  active: Certificate,
): DesiredCondition {
  const type = 'Rotating';
  if (earlier.status === 'False' && rotationEnds.has(earlier.reason)) return earlier;
  if (earlier.status === 'False' || rotation === undefined)
    return { type, status: 'False', reason: 'NoRotation', message: 'no rotation is in progress' };
  const isBack = rotation.aborting === true || rotation.oldRoot === active.fingerprint;
  const [reason, how] = isBack
    ? ['RotationAborted', 'was aborted: the old root signs']
    : ['RotationCompleted', 'is complete: the new root signs'];
  return { type, status: 'False', reason, message: `rotation ${rotation.id} ${how}` };
}

const rotationEnds: ReadonlySet<string> = new Set(['RotationCompleted', 'RotationAborted']);

function phaseMessage(state: RotationState): string {
  const { incoming, outgoing } = rootNames(state);
  switch (state.phase) {
    case 'Distributing':
      return 'the operator adds the new root to every bundle; the old root signs';
    case 'Switching':
      return `${incoming} signs; the operator issues every certificate again`;
    case 'Draining':
      return `every certificate is issued by ${incoming}; pods load the new certificates`;
    case 'Retiring':
      return `the operator removes ${outgoing} from every bundle`;
  }
}

/** The condition IssuerKeyMissing. It is absent until it was True once. */
function issuerKeyCondition(
  { status, spec }: ObservedRoot['authority'],
  secret: ObservedRoot['secret'],
  { crl }: AuthorityVerdict & { state: 'ready' },
): DesiredCondition[] {
  const type = 'IssuerKeyMissing';
  const unrenewable = crl?.unrenewable ?? [];
  if (unrenewable.length > 0) {
    // previous.crt and previous.key hold one CA, and that CA is in use.
    const advice =
      secret?.previous === undefined
        ? 'To renew the CRL instead, put the certificate and the key of that CA into the Secret as previous.crt and previous.key'
        : 'The Secret has room for the key of one replaced CA, and previous.key holds the key of another CA';
    const lists = unrenewable.map(
      ({ subject, nextUpdate }) => `${subject.slice(0, 100)} (until ${timestamp(nextUpdate)})`,
    );
    const message =
      `Secret ${spec.secretName} lacks the key of a CA whose certificates are in use, so its CRL cannot be renewed: ` +
      `${lists.join(', ')}. The operator issues those certificates again before the CRL expires. ` +
      advice;
    return [{ type, status: 'True', reason: 'CrlCannotBeRenewed', message }];
  }
  const message = 'the operator has the key of every CA whose certificates are in use';
  return falseIfSet(status, { type, reason: 'KeysPresent', message });
}

/** Finds the fingerprint of a root of the rotation by its anchor identity, if its certificate is known. */
function fingerprints(
  { bundle }: AuthorityVerdict & { state: 'ready' },
  secret: ObservedRoot['secret'],
  status: MtlsAuthorityStatus,
): (id: string) => string | undefined {
  const inSecret = [secret?.inspection, secret?.next, secret?.previous].flatMap((one) =>
    one !== undefined && 'issuer' in one ? one.issuer.anchor : [],
  );
  const known = [...bundle.roots, ...inSecret, ...rootsInStatus(status)];
  return (id) => known.find((root) => anchorId(root) === id)?.fingerprint;
}

const rotationStatus = (
  { state, blockers, notices, done, total }: RotationReport,
  fingerprintOf: (id: string) => string | undefined,
): RotationStatus => ({
  id: state.id,
  phase: state.phase,
  startedAt: state.startedAt,
  ...oldRootOf(state, fingerprintOf),
  newRoot: fingerprintOf(state.new) ?? state.new,
  ...(state.aborting ? { aborting: true } : {}),
  ...(state.approved === undefined ? {} : { approved: state.approved }),
  ...(state.skipped === undefined ? {} : { skipped: state.skipped }),
  progress: `${done} of ${total}`,
  done,
  total,
  blockers: [...blockers, ...notices.map(textOf)],
});

const textOf = ({ message }: RotationNotice): string => message;

/** In the phase Retiring, the certificate of the old root may be gone. Then status shows the root's anchor identity. */
function oldRootOf({ old: [id] }: RotationState, fingerprintOf: (id: string) => string | undefined) {
  return id === undefined ? {} : { oldRoot: fingerprintOf(id) ?? id };
}

const crlStatus = ({ revoked, nextUpdate, unrenewable }: CrlBundle): CrlStatus => ({
  revoked: revoked.size,
  nextUpdate: timestamp(
    unrenewable.reduce((least, one) => (one.nextUpdate < least ? one.nextUpdate : least), nextUpdate),
  ),
});

const rootStatus = (root: Certificate): Root => ({
  fingerprint: root.fingerprint,
  subject: subjectText(root),
  notBefore: timestamp(root.notBefore),
  notAfter: timestamp(root.notAfter),
});
