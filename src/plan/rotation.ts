import { type Certificate, type KeySpec, publicKeyDer, type RootProfile, type SigningRoot } from '../pki/index.ts';
import type { AuthorityRecord, RootSecret } from './authority.ts';
import { parseDurationMs } from './duration.ts';
import { type Evidence, otherLeavesLive, type Tally, tallyBundles, tallyLeaves } from './evidence.ts';
import { rootRequest } from './root-request.ts';
import type { RotationNote, RotationPhase } from './rotation-note.ts';

/** A change of the root Secret: one write, with all that belongs together in it. */
export interface RotationStep {
  readonly step: 'rotate';
  readonly resourceVersion: string;
  /** What happens, for people. */
  readonly event: { readonly reason: string; readonly message: string };
  /** A root to be made, and the place for it. */
  readonly make?: { readonly slot: 'active' | 'next'; readonly profile: RootProfile; readonly key: KeySpec };
  /** Which pair goes where; null destroys what is there. */
  readonly move: {
    readonly active?: 'next' | 'previous';
    readonly next?: null;
    readonly previous?: 'active' | null;
  };
  /** The roots that are trusted from then on; the one that is made is added. */
  readonly trusted: readonly Certificate[];
  /** The state of the rotation from then on, absent when it is over. `new` is empty for a root that is yet to be made. */
  readonly note?: RotationNote;
  /** The id of a rotation that the step ends: it is no longer there because it is over, not because somebody wrote over it. */
  readonly ends?: string;
  /** The value of the annotation rotate-root that the step acts on. */
  readonly handled?: string;
  /** It rests on evidence, which has to be read anew from the API server before: caches may lag behind. */
  readonly proof?: true;
}

/** Where a rotation stands, and what it is waiting for. */
export interface RotationReport {
  readonly note: RotationNote;
  /** What is waited for. */
  readonly waits: readonly string[];
  /** What was asked for and cannot be, or has to wait for the end. */
  readonly remarks: readonly string[];
  readonly progress: string;
  /** How many of those that the phase waits for are not there yet. */
  readonly remaining: number;
  /** When a gate opens by time alone. */
  readonly opensInMs?: number;
}

/** The root Secret and what it means for a rotation, once its root is found fit to sign. */
export interface RotationInput {
  readonly authority: AuthorityRecord;
  readonly secret: RootSecret;
  readonly active: SigningRoot;
  /** All roots in ca.crt, and those that status remembers of before an overwrite. */
  readonly trusted: readonly Certificate[];
  /** Bundles, as digests, that hold all that the present phase needs. */
  readonly digests: readonly string[];
  readonly evidence: Evidence;
}

/** What is to be done about a rotation: a step, or the report of what is waited for; neither when there is none. */
export type RotationPlan =
  | { readonly step: RotationStep }
  | { readonly report: RotationReport }
  /** Something was asked for that cannot be done. */
  | { readonly problem: { readonly reason: string; readonly message: string } }
  | { readonly none: true };

/** The decision about an authority of which no rotation is under way: whether one begins. */
export function planStart(input: RotationInput, now: Date): RotationPlan {
  const { authority, secret, active, trusted } = input;
  const { next } = secret;
  const token = unhandledToken(input);
  const handled = token === undefined ? {} : { handled: token };
  if (wasOverwritten(input)) return { step: adopt(input, now) };
  if (next !== undefined && 'reason' in next) {
    const message = `next.crt and next.key of the root Secret cannot be used: ${next.message}`;
    return { problem: { reason: `Next${next.reason}`, message } };
  }
  if (next !== undefined && next.root.anchor.fingerprint === active.anchor.fingerprint) {
    // Every peer trusts that root already: nothing has to be distributed first.
    const event = { reason: 'IssuerReplaced', message: 'next.crt has the same root; it signs from now on' };
    return { step: { ...rotate(input, event), move: { active: 'next', next: null }, trusted, ...handled } };
  }
  if (next !== undefined) return { step: { ...begin(input, next.root.anchor, now), ...handled } };
  const reason = token === undefined ? renewalReason(input, now) : 'it was asked for';
  if (reason === undefined) return { none: true };
  const wanted = authority.spec.root === undefined ? undefined : rootRequest(authority.spec.root);
  if (wanted === undefined) {
    const message = `there is no spec.root to make a root from; put the next root into Secret ${authority.spec.secretName} as next.crt and next.key`;
    return { problem: { reason: 'NextRootMissing', message } };
  }
  const event = { reason: 'RotationStarted', message: `a new root is distributed next to the present one: ${reason}` };
  const step = { ...rotate(input, event), make: { slot: 'next' as const, ...wanted }, trusted, ...handled };
  return { step: { ...step, note: firstNote(input, [active.anchor.fingerprint], '', 'Distributing', now) } };
}

/** The decision about a rotation that is under way. */
export function planRotation(input: RotationInput, note: RotationNote, now: Date): RotationPlan {
  const { authority, secret } = input;
  const abort = authority.abortToken === note.id ? planAbort(input, note, now) : undefined;
  if (abort?.step !== undefined) return { step: abort.step };
  const approval = planApproval(input, note);
  if (approval !== undefined) return { step: approval };
  const gate = gates[note.phase](input, note, now);
  const waived = note.approves === note.phase;
  const waits = waived ? [] : gate.waits;
  const refused = abort?.refused === undefined ? [] : [abort.refused];
  if (waits.length === 0) return { step: { ...advance(input, note, now), ...(waived ? {} : { proof: true }) } };
  const isQueued = secret.next !== undefined && isInPlace(input, note);
  const remarks = [...refused, ...(isQueued ? ['next.crt and next.key wait for the end of this rotation'] : [])];
  const { opensInMs } = gate;
  return {
    report: {
      note,
      waits,
      remarks,
      progress: `${gate.tally.total - gate.tally.missing.length} of ${gate.tally.total}`,
      remaining: gate.tally.missing.length,
      ...(opensInMs === undefined ? {} : { opensInMs }),
    },
  };
}

/** What the gate of a phase says. */
interface Gate {
  /** What is waited for, in words; empty when the gate is open. */
  readonly waits: readonly string[];
  readonly tally: Tally;
  readonly opensInMs?: number;
}

// Status is what remembers the roots should somebody write over the Secret: it has to name one before it signs, and before
// another one is forgotten.
const gates: Record<RotationPhase, (input: RotationInput, note: RotationNote, now: Date) => Gate> = {
  // A leaf of the new root must not meet a peer that does not know it.
  Distributing({ authority, evidence, digests }, note, now) {
    const tally = tallyBundles(evidence, digests, now);
    const isKnown = authority.status.roots?.some(({ fingerprint }) => fingerprint === note.new) === true;
    const carried = settled(tally, `${nounFor(evidence)} to carry the new root`, authority, now);
    const gate = isKnown ? carried : { ...carried, waits: [...carried.waits, 'status to name the new root'] };
    const { approval } = authority.spec.rotation;
    if (approval === 'Automatic' || note.approves === 'Switch') return gate;
    const approve = `approval: annotate the authority with mtls-operator.io/approve-rotation=${note.id}`;
    return { ...gate, waits: [...gate.waits, approve] };
  },
  Switching({ evidence }, note, now) {
    const tally = tallyLeaves(evidence, note.new, now);
    return { tally, waits: waitsFor(tally, 'Secrets to have a certificate of the new root') };
  },
  // A peer that still shows a leaf of the old root must be trusted until it has loaded the new one.
  Draining({ authority, evidence }, note, now) {
    const tally = tallyLeaves(evidence, note.new, now);
    const gate = settled(tally, 'Secrets to have a certificate of the new root', authority, now);
    const isKnown = authority.status.activeRoot?.fingerprint === note.new;
    return isKnown ? gate : { ...gate, waits: [...gate.waits, 'status to name the new root'] };
  },
  Retiring({ evidence, digests }, _note, now) {
    const tally = tallyBundles(evidence, digests, now);
    return { tally, waits: waitsFor(tally, `${nounFor(evidence)} to be without the old root`) };
  },
};

/** A gate that opens once nothing has been missing for as long as pods may take to notice. */
function settled(tally: Tally, what: string, { spec }: AuthorityRecord, now: Date): Gate {
  const waits = waitsFor(tally, what);
  const delayMs = parseDurationMs(spec.rotation.propagationDelay);
  // In a resource that is older than its schema.
  if (delayMs === undefined) return { waits: [...waits, 'spec.rotation.propagationDelay to be a duration'], tally };
  const opensInMs = delayMs - tally.settledMs;
  if (waits.length > 0 || opensInMs <= 0) return { waits, tally };
  const until = new Date(now.getTime() + opensInMs);
  const wait = `pods to load what was written last: until ${until.toISOString().slice(0, 19)}Z (propagationDelay ${spec.rotation.propagationDelay})`;
  return { waits: [wait], tally, opensInMs };
}

function waitsFor({ total, missing }: Tally, what: string): string[] {
  if (missing.length === 0) return [];
  const named = missing.slice(0, 3).join(', ');
  const more = missing.length > 3 ? ', …' : '';
  return [`${missing.length} of ${total} ${what}: ${named}${more}`];
}

const nounFor = ({ publications }: Evidence): string => (publications.length === 0 ? 'Secrets' : 'Secrets and bundles');

/** The step that ends a phase. */
function advance(input: RotationInput, note: RotationNote, now: Date): RotationStep {
  const { trusted } = input;
  const at = { since: now.toISOString() };
  switch (note.phase) {
    case 'Distributing': {
      const event = { reason: 'RotationSwitching', message: 'the new root signs; certificates are issued anew' };
      // A root that was written over the old one is in its place already.
      const move = isInPlace(input, note) ? {} : ({ active: 'next', next: null, previous: 'active' } as const);
      const switching = { ...note, ...at, phase: 'Switching', windowMs: windowMs(input) } as const;
      return { ...rotate(input, event), move, trusted, note: switching };
    }
    case 'Switching': {
      const event = { reason: 'RotationDraining', message: 'every certificate is of the new root; pods load them' };
      return { ...rotate(input, event), trusted, note: { ...note, ...at, phase: 'Draining' } };
    }
    case 'Draining': {
      const event = { reason: 'RotationRetiring', message: 'the old root is taken out of every bundle' };
      return {
        ...rotate(input, event),
        trusted: without(trusted, note.old),
        note: { ...note, ...at, phase: 'Retiring' },
      };
    }
    case 'Retiring': {
      const event = note.aborting
        ? { reason: 'RotationAborted', message: 'the rotation was taken back; the key of the other root is destroyed' }
        : { reason: 'RotationCompleted', message: 'only the new root is trusted; the key of the old one is destroyed' };
      return { ...rotate(input, event), move: { previous: null }, trusted: without(trusted, note.old), ends: note.id };
    }
  }
}

/** Goes back: at once before certificates have switched, by the same stages in the other direction after that. */
function planAbort(
  input: RotationInput,
  note: RotationNote,
  now: Date,
): { step: RotationStep; refused?: undefined } | { refused: string; step?: undefined } | undefined {
  const { secret, active, trusted } = input;
  if (note.aborting) return undefined;
  const tooLate = 'it cannot be aborted any more: bundles without the old root are out';
  if (note.phase === 'Retiring') return { refused: tooLate };
  if (!isInPlace(input, note)) {
    const event = { reason: 'RotationAborted', message: 'the new root is dropped; no certificate was of it' };
    const left = without(trusted, [note.new]);
    return { step: { ...rotate(input, event), move: { next: null }, trusted: left, ends: note.id } };
  }
  const { previous } = secret;
  if (previous === undefined || 'reason' in previous) {
    return {
      refused:
        'it cannot be aborted: the key of the old root is not there; put that root back into tls.crt and tls.key',
    };
  }
  // Or nobody trusts that root any more: a person has taken it out of ca.crt, or put another one in its place.
  const { fingerprint } = previous.root.anchor;
  if (!trusted.some((root) => root.fingerprint === fingerprint)) return { refused: tooLate };
  // A gate that was waived on the way there is not by that on the way back.
  const { approves: _, ...kept } = note;
  const event = { reason: 'RotationAborting', message: 'the old root signs again; certificates are issued anew' };
  return {
    step: {
      ...rotate(input, event),
      move: { active: 'previous', previous: 'active' },
      trusted,
      note: {
        ...kept,
        phase: 'Switching',
        since: now.toISOString(),
        old: [active.anchor.fingerprint],
        new: fingerprint,
        windowMs: windowMs(input),
        aborting: true,
      },
    },
  };
}

/**
 * A value of approve-rotation that was not acted on yet: the id, or the id with anything behind a slash. It lets
 * certificates switch where that needs approval, and is otherwise word that the present gate need not be waited for.
 */
function planApproval(input: RotationInput, note: RotationNote): RotationStep | undefined {
  const { approveToken } = input.authority;
  const isMeant = approveToken === note.id || approveToken?.startsWith(`${note.id}/`) === true;
  if (!isMeant || approveToken === undefined || approveToken === note.approved) return undefined;
  const isApproval =
    note.phase === 'Distributing' && input.authority.spec.rotation.approval === 'Manual' && note.approves !== 'Switch';
  const approves = isApproval ? 'Switch' : note.phase;
  const event = isApproval
    ? { reason: 'RotationApproved', message: 'certificates may switch to the new root' }
    : { reason: 'RotationGateWaived', message: `what the phase ${note.phase} waits for is not waited for` };
  return { ...rotate(input, event), trusted: input.trusted, note: { ...note, approved: approveToken, approves } };
}

/** True when the new root is where the one that signs is: from the switch on, or since somebody put it there. */
const isInPlace = ({ active }: RotationInput, note: RotationNote): boolean => active.anchor.fingerprint === note.new;

/** A root that was put into the Secret to follow the present one, or has taken the place of one that was to. */
function begin(input: RotationInput, next: Certificate, now: Date): RotationStep {
  const { active, trusted } = input;
  const event = { reason: 'RotationStarted', message: 'the root in next.crt is distributed next to the present one' };
  const note = firstNote(input, [active.anchor.fingerprint], next.fingerprint, 'Distributing', now);
  return { ...rotate(input, event), trusted: [...trusted, next], note };
}

/**
 * Somebody wrote another root over the one that signed. Those that were trusted go on being so; nothing is signed by the
 * new one until it is known everywhere, unless no certificate of another root works any more.
 */
function adopt(input: RotationInput, now: Date): RotationStep {
  const { authority, active, trusted, evidence } = input;
  const event = {
    reason: 'RootReplaced',
    message: 'another root was written over the one that signed; both are trusted',
  };
  const { fingerprint } = active.anchor;
  const old = [...new Set([authority.status.activeRoot?.fingerprint ?? '', ...interrupted(input)])].filter(
    (root) => root !== fingerprint && trusted.some((one) => one.fingerprint === root),
  );
  const phase = otherLeavesLive(evidence, fingerprint, now) ? 'Distributing' : 'Switching';
  // Keys of a rotation that was under way are of no more use; what a person has put there since is.
  const { next, note } = input.secret;
  const isForgotten = next !== undefined && 'root' in next && next.root.anchor.fingerprint === note?.new;
  const move = { previous: null, ...(isForgotten ? { next: null } : {}) };
  return { ...rotate(input, event), move, trusted, note: firstNote(input, old, fingerprint, phase, now) };
}

/**
 * A root that has expired is replaced at once when that is asked for: nothing of it works any more, so there is nothing to
 * wait for. It is kept beside the new one until the end, should the clock be wrong.
 */
export function replaceExpired(
  { authority, evidence }: Pick<RotationInput, 'authority' | 'evidence'>,
  secret: RootSecret,
  anchors: readonly Certificate[],
  now: Date,
): RotationStep | undefined {
  const handled = unhandledToken({ authority, secret });
  const wanted = authority.spec.root === undefined ? undefined : rootRequest(authority.spec.root);
  if (handled === undefined || wanted === undefined) return undefined;
  const input = { authority, evidence, secret };
  const event = { reason: 'RotationStarted', message: 'the root that has expired is replaced: it was asked for' };
  const old = authority.status.activeRoot?.fingerprint;
  return {
    ...rotate(input, event),
    make: { slot: 'active', ...wanted },
    move: { next: null, previous: 'active' },
    trusted: anchors,
    note: firstNote(input, old === undefined ? [] : [old], '', 'Switching', now),
    handled,
  };
}

/** The roots of a rotation that an overwrite has interrupted. */
const interrupted = ({ secret, authority }: RotationInput): string[] => {
  const { note } = secret;
  const known = note === undefined ? authority.status.rotation : { oldRoot: note.old[0], newRoot: note.new };
  return [...(note?.old ?? []), known?.oldRoot, known?.newRoot].filter((root) => root !== undefined);
};

/** True when status tells of a rotation of which the Secret knows nothing, and that did not come to its end. */
export const isInterrupted = ({
  authority: { status },
  secret,
}: Pick<RotationInput, 'authority' | 'secret'>): boolean =>
  status.rotation !== undefined && secret.note === undefined && secret.endedRotation !== status.rotation.id;

/** True when a person has ended a rotation by putting a root back, and others than that one were on their way out. */
const isUnfinished = ({ secret: { note }, active, trusted }: RotationInput): boolean =>
  trusted.some(
    ({ fingerprint }) => fingerprint !== active.anchor.fingerprint && note?.old.includes(fingerprint) === true,
  );

/** True when the Secret has another root than the one that status says signs, or has lost its part of a rotation. */
export function wasOverwritten(input: RotationInput): boolean {
  const { authority, active, trusted } = input;
  if (isInterrupted(input) || isUnfinished(input)) return true;
  const known = authority.status.activeRoot?.fingerprint;
  if (known === undefined || known === active.anchor.fingerprint) return false;
  const before = trusted.find(({ fingerprint }) => fingerprint === known);
  // A renewed certificate of the same key and name verifies the same leaves: whoever trusts one of them accepts all.
  return before !== undefined && !isRenewalOf(active.anchor, before);
}

const isRenewalOf = (a: Certificate, b: Certificate): boolean =>
  a.subject.equals(b.subject) && publicKeyDer(a.publicKey).equals(publicKeyDer(b.publicKey));

/** The value of rotate-root that asks for a rotation still. */
export function unhandledToken({ authority, secret }: Pick<RotationInput, 'authority' | 'secret'>): string | undefined {
  const { rotateRootToken, status } = authority;
  const isHandled = rotateRootToken === secret.handledToken || rotateRootToken === status.lastHandledRotateRoot;
  return isHandled ? undefined : rotateRootToken;
}

/** Why a root that the operator has made is due to be replaced; undefined when it is not. */
function renewalReason({ authority, active }: RotationInput, now: Date): string | undefined {
  const renewAt = rootRenewalTime(authority, active.anchor);
  return renewAt === undefined || renewAt > now ? undefined : `it expires at ${active.anchor.notAfter.toISOString()}`;
}

/** When a rotation begins by itself; never for a root that only a person can replace. */
export function rootRenewalTime({ spec }: AuthorityRecord, { notBefore, notAfter }: Certificate): Date | undefined {
  if (spec.root === undefined) return undefined;
  const lifetimeMs = notAfter.getTime() - notBefore.getTime();
  const { renewBefore } = spec.root;
  const asked = renewBefore === undefined ? undefined : parseDurationMs(renewBefore);
  // A root that were due from its beginning would be replaced without end.
  const beforeMs = Math.min(asked ?? lifetimeMs * defaultRenewalShare, lifetimeMs * longestRenewalShare);
  return new Date(notAfter.getTime() - beforeMs);
}
const defaultRenewalShare = 0.1;
const longestRenewalShare = 0.9;

const firstNote = (
  input: Pick<RotationInput, 'authority' | 'evidence'>,
  old: readonly string[],
  comes: string,
  phase: RotationPhase,
  now: Date,
): RotationNote => ({
  // Unique because a rotation takes longer than a millisecond.
  id: now.getTime().toString(36),
  phase,
  startedAt: `${now.toISOString().slice(0, 19)}Z`,
  since: now.toISOString(),
  old,
  new: comes,
  windowMs: windowMs(input),
  aborting: false,
});

/** How long re-issues take at the pace that is set. */
const windowMs = ({ authority, evidence }: Pick<RotationInput, 'authority' | 'evidence'>): number =>
  Math.round((evidence.secrets.length / Math.max(1, authority.spec.rotation.reissuesPerSecond)) * 1000);

const rotate = ({ secret }: Pick<RotationInput, 'secret'>, event: RotationStep['event']) =>
  ({ step: 'rotate', resourceVersion: secret.resourceVersion, event, move: {} }) as const;

const without = (roots: readonly Certificate[], gone: readonly string[]): Certificate[] =>
  roots.filter(({ fingerprint }) => !gone.includes(fingerprint));
