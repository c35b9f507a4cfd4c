import type { CrlStatus, MtlsAuthorityStatus, Root, RotationStatus } from '../api/types.ts';
import { type Certificate, commonValidity, pathOf, type SigningRoot, subjectText } from '../pki/index.ts';
import type { AuthorityPlan, AuthorityVerdict } from './authority.ts';
import { timestamp, type WantedCondition } from './certificate-status.ts';
import type { Evidence } from './evidence.ts';
import type { CrlBundle } from './observed.ts';
import type { ObservedRoot } from './observed-authority.ts';
import { crlRenewalTime } from './revocation.ts';
import { type RotationNote, rootsInWords } from './rotation-note.ts';
import { rootRenewalTime } from './rotation-start.ts';
import type { Remark, RotationReport } from './rotation-step.ts';

/** The status to be, but for the times of transitions. */
export type WantedAuthorityStatus = Omit<MtlsAuthorityStatus, 'conditions'> & {
  readonly conditions: readonly WantedCondition[];
};

const notYetValidPollMs = 60_000;
/** How often a rotation looks how far it is. It waits for many small changes, and none of them is worth a look of its own. */
const rotationPollMs = 1000;
/** A look goes through the Secrets of every authority, for about a microsecond each; the pause is fifty times as long. */
const rotationPollMsPerSecret = 0.05;

/** The status of an authority, and when it has to be looked at again without anything having been written. */
export function planAuthorityStatus(
  { authority, certificates, secret, evidence }: ObservedRoot,
  { verdict, rotation, problem }: Pick<AuthorityPlan, 'verdict' | 'rotation' | 'problem'>,
  now: Date,
): { status: WantedAuthorityStatus; revisitAt?: Date } {
  const { activeRoot, roots, trustBundle, crl, rotation: earlier } = authority.status;
  const common = { observedGeneration: authority.generation, certificates, ...handledToken(authority, secret) };
  if (verdict.state === 'notReady') {
    const status = {
      ...common,
      conditions: [readyCondition('False', verdict.reason, verdict.message)],
      // What is out there goes on being trusted while the root is bad, and has to be remembered should it be replaced.
      ...(activeRoot === undefined ? {} : { activeRoot }),
      ...(roots === undefined ? {} : { roots }),
      ...(trustBundle === undefined ? {} : { trustBundle }),
      ...(crl === undefined ? {} : { crl }),
      ...(earlier === undefined ? {} : { rotation: earlier }),
    };
    // A root that is not valid yet becomes so without anything being written.
    const waits = verdict.reason === 'RootNotYetValid';
    return waits ? { status, revisitAt: new Date(now.getTime() + notYetValidPollMs) } : { status };
  }
  const [first] = verdict.bundle.roots;
  const status = {
    ...common,
    conditions: [readyConditionOf(verdict), ...rotatingCondition(rotation, problem)],
    ...(first === undefined ? {} : { activeRoot: rootStatus(first) }),
    roots: verdict.bundle.roots.map(rootStatus),
    trustBundle: verdict.bundle.pem,
    ...(verdict.crl === undefined ? {} : { crl: crlStatus(verdict.crl) }),
    ...(rotation === undefined ? {} : { rotation: rotationStatus(rotation) }),
  };
  const moments = [
    commonValidity(pathOf(verdict.root)).notAfter,
    ...(rotation === undefined ? renewalLook(authority, verdict.root.anchor) : [nextLook(rotation, evidence, now)]),
    ...(verdict.crl === undefined ? [] : [crlRenewalTime(verdict.crl)]),
  ].filter((moment) => moment > now);
  const [next] = moments.sort((a, b) => a.getTime() - b.getTime());
  return next === undefined ? { status } : { status, revisitAt: next };
}

const renewalLook = (...[authority, anchor]: Parameters<typeof rootRenewalTime>): Date[] => {
  const renewAt = rootRenewalTime(authority, anchor);
  return renewAt === undefined ? [] : [renewAt];
};

function nextLook({ opensInMs = Infinity }: RotationReport, { examined }: Evidence, now: Date): Date {
  const pollMs = Math.max(rotationPollMs, examined * rotationPollMsPerSecret);
  return new Date(now.getTime() + Math.min(pollMs, opensInMs + 1));
}

function handledToken({ status }: ObservedRoot['authority'], secret: ObservedRoot['secret']) {
  const token = secret?.handledToken ?? status.lastHandledRotateRoot;
  return token === undefined ? {} : { lastHandledRotateRoot: token };
}

function readyConditionOf({ root, waits }: AuthorityVerdict & { state: 'ready' }): WantedCondition {
  if (waits !== undefined) return readyCondition('False', waits.reason, waits.message);
  const until = timestamp(commonValidity(pathOf(root)).notAfter);
  return readyCondition('True', 'Ready', `signs with ${describeSigner(root)}, valid until ${until}`);
}

function describeSigner({ certificate, anchor }: SigningRoot): string {
  const [issuer, root] = [certificate, anchor].map(({ fingerprint }) => fingerprint.slice(0, 16));
  return issuer === root ? `root ${root}` : `intermediate ${issuer} under root ${root}`;
}

const readyCondition = (status: 'True' | 'False', reason: string, message: string): WantedCondition => ({
  type: 'Ready',
  status,
  reason,
  message,
});

function rotatingCondition(rotation: RotationReport | undefined, problem: AuthorityPlan['problem']): WantedCondition[] {
  if (problem !== undefined) return [{ type: 'Rotating', status: 'False', ...problem }];
  if (rotation === undefined) return [];
  const { note, waits, remarks } = rotation;
  const message = [whatHappens(note), `waiting for ${waits.join(', and ')}`, ...remarks.map(textOf)].join('; ');
  return [{ type: 'Rotating', status: 'True', reason: note.phase, message }];
}

function whatHappens(note: RotationNote): string {
  const { comes, goes } = rootsInWords(note);
  switch (note.phase) {
    case 'Distributing':
      return 'the new root is distributed, the old one signs';
    case 'Switching':
      return `${comes} signs, certificates are issued anew`;
    case 'Draining':
      return `all certificates are of ${comes}, pods load them`;
    case 'Retiring':
      return `${goes} is taken out of every bundle`;
  }
}

const rotationStatus = ({ note, waits, remarks, progress }: RotationReport): RotationStatus => ({
  id: note.id,
  phase: note.phase,
  startedAt: note.startedAt,
  ...(note.old[0] === undefined ? {} : { oldRoot: note.old[0] }),
  newRoot: note.new,
  ...(note.aborting ? { aborting: true } : {}),
  ...(note.approved === undefined ? {} : { approved: note.approved }),
  ...(note.skipped === undefined ? {} : { skipped: note.skipped }),
  progress,
  blockers: [...waits, ...remarks.map(textOf)],
});

const textOf = ({ message }: Remark): string => message;

const crlStatus = ({ revoked, nextUpdate }: CrlBundle): CrlStatus => ({
  revoked: revoked.size,
  nextUpdate: timestamp(nextUpdate),
});

const rootStatus = (root: Certificate): Root => ({
  fingerprint: root.fingerprint,
  subject: subjectText(root),
  notBefore: timestamp(root.notBefore),
  notAfter: timestamp(root.notAfter),
});
