import { anchorId, type Certificate, type Issuer, uniqueAnchors } from '../../pki/index.ts';
import { rememberedActiveRoot, rememberedRoots } from '../records/remembered-roots.ts';
import type { RootSecret } from './observed-root.ts';
import { otherLeavesLive } from './rollout.ts';
import { rootRequest } from './root-request.ts';
import { unhandledToken } from './rotation-start.ts';
import { firstNote, type RotationInput, type RotationStep, rotate, windowMs } from './rotation-step.ts';

type Input = Pick<RotationInput, 'authority' | 'rollout' | 'secret'>;

/**
 * What replaces a root that has expired; undefined when only a person can. Its certificates no longer verify, so the next
 * root does not wait to be known where no other certificate is live. The expired pair is kept as `previous`: the clock may be
 * wrong, and then its key is still needed.
 */
export function replaceExpired(input: Input, anchors: readonly Certificate[], now: Date): RotationStep | undefined {
  const { next, previous, note } = input.secret;
  const coming = usable(next);
  const isComing = note?.phase === 'Distributing' && coming !== undefined && anchorId(coming.anchor) === note.new;
  // Peers know this root already, unlike one that a person has staged for later.
  const known = note === undefined || isComing ? undefined : trustedOnly(usable(previous), anchors);
  if (known !== undefined) return turnRound(input, known, anchors, now);
  if (coming !== undefined) return takeNext(input, coming, anchors, now);
  return makeAnother(input, anchors, now);
}

/** Why nothing replaces the root, and what to type. */
export function expiredMessage({ authority, secret }: Pick<Input, 'authority' | 'secret'>, message: string): string {
  const { spec } = authority;
  if (spec.root !== undefined) return `${message}, or mend spec.root: its duration or key size is not valid`;
  const namespace = secret.namespace === undefined ? '' : ` --namespace=${secret.namespace}`;
  const command =
    `kubectl create secret tls ${spec.secretName}${namespace} --cert=root.crt --key=root.key --dry-run=client -o yaml | ` +
    'kubectl apply --server-side --force-conflicts -f -';
  const inVain =
    secret.note === undefined ? '' : '; until then approve-rotation, skip-gate and abort-rotation do nothing';
  return `${message} in tls.crt and tls.key of its Secret; no annotation is needed: ${command}${inVain}`;
}

/** The rotation goes back to the root that it came from, which is still valid; or on to it, if it was on its way back. */
function turnRound(input: Input, root: Issuer, anchors: readonly Certificate[], now: Date): RotationStep {
  const { note } = input.secret;
  const fresh = firstNote(input, rootsBefore(input, root), anchorId(root.anchor), 'Switching', now);
  const aborting = note !== undefined && !note.aborting;
  const event = {
    reason: aborting ? 'RotationAborting' : 'RotationSwitching',
    message: 'the root that signed has expired; the other root of the rotation signs',
  };
  const kept = note === undefined ? {} : { id: note.id, startedAt: note.startedAt };
  return {
    ...stepOf(input, event, anchors),
    move: { active: 'previous', previous: 'active' },
    note: { ...fresh, ...kept, aborting },
  };
}

/** The next root signs: the one that was being distributed, or one that a person has staged. */
function takeNext(input: Input, root: Issuer, anchors: readonly Certificate[], now: Date): RotationStep {
  const { note } = input.secret;
  const comes = anchorId(root.anchor);
  const isComing = note?.phase === 'Distributing' && note.new === comes;
  const fresh = firstNote(input, rootsBefore(input, root), comes, phaseOf(input, comes, now), now);
  const trusted = uniqueAnchors([...anchors, root.anchor]);
  const event = isComing
    ? { reason: 'RotationSwitching', message: 'the old root has expired, so nothing is waited for; the new root signs' }
    : { reason: 'RotationStarted', message: 'the root has expired; the root in next.crt replaces it' };
  return {
    ...stepOf(input, event, trusted),
    move: { active: 'next', next: null, previous: 'active' },
    note: isComing ? { ...note, phase: fresh.phase, since: fresh.since, windowMs: windowMs(input) } : fresh,
  };
}

/** Another root is made from spec.root. */
function makeAnother(input: Input, anchors: readonly Certificate[], now: Date): RotationStep | undefined {
  const { root } = input.authority.spec;
  const wanted = root === undefined ? undefined : rootRequest(root);
  if (wanted === undefined) return undefined;
  const event = {
    reason: 'RotationStarted',
    message: 'the root has expired; another one is made and waits for no certificate',
  };
  return {
    ...stepOf(input, event, anchors),
    make: { slot: 'active', ...wanted },
    move: { next: null, previous: 'active' },
    note: firstNote(input, rootsBefore(input, undefined), '', phaseOf(input, '', now), now),
  };
}

function stepOf(input: Input, event: RotationStep['event'], trusted: readonly Certificate[]): RotationStep {
  const handled = unhandledToken(input);
  return { ...rotate(input, event), trusted, ...(handled === undefined ? {} : { handled }) };
}

/**
 * A peer that shows a live certificate of another root has to know the next one before that one signs, and so does status,
 * which remembers it should the Secret be written over.
 */
function phaseOf({ authority, rollout }: Input, comes: string, now: Date): 'Distributing' | 'Switching' {
  const isKnown = rememberedRoots(authority.status).some((root) => anchorId(root) === comes);
  return isKnown && !otherLeavesLive(rollout, comes, now) ? 'Switching' : 'Distributing';
}

/** The roots that nobody trusts at the end: the one that has expired, and those of the rotation that it was part of. */
function rootsBefore({ authority, secret }: Input, comes: Issuer | undefined): string[] {
  const { note } = secret;
  const comesId = comes === undefined ? undefined : anchorId(comes.anchor);
  const all = [rememberedActiveRoot(authority.status), ...(note === undefined ? [] : [note.new, ...note.old])];
  return [...new Set(all.flatMap((root) => (root === undefined || root === comesId ? [] : root)))];
}

const usable = (slot: RootSecret['next']): Issuer | undefined =>
  slot !== undefined && 'root' in slot ? slot.root : undefined;

function trustedOnly(root: Issuer | undefined, anchors: readonly Certificate[]): Issuer | undefined {
  return root !== undefined && anchors.some((one) => anchorId(one) === anchorId(root.anchor)) ? root : undefined;
}
