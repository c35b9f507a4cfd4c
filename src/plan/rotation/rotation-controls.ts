import { annotations } from '../../api/constants.ts';
import { longestSkipList, type RotationPhase, type RotationState, rotationPhases, skipOf } from './rotation-state.ts';
import { type Remark, type RotationInput, type RotationStep, rotate } from './rotation-step.ts';

/** What the annotations of the authority ask of the rotation that is under way. */
export interface Controls {
  /** A request that is recorded in the root Secret before anything rests on it. */
  readonly step?: RotationStep;
  /** Values that do nothing, and why. */
  readonly remarks: readonly Remark[];
}

/** Reads approve-rotation and skip-gate. Each value acts once, in the rotation whose id it has. */
export function planControls(input: RotationInput, note: RotationState): Controls {
  const { abortToken } = input.authority;
  const wrongAbort = abortToken === undefined ? undefined : notTheId('abortRotation', abortToken, note);
  const remarks = wrongAbort === undefined ? [] : [wrongAbort];
  for (const control of [readApproval(input, note), readSkip(input, note)]) {
    if (control === undefined) continue;
    if ('reason' in control) remarks.push(control);
    else return { step: control, remarks: [] };
  }
  return { remarks };
}

/** The annotation approve-rotation: certificates may switch to the new root, and nothing else. */
function readApproval(input: RotationInput, note: RotationState): RotationStep | Remark | undefined {
  const { approveToken: token, spec } = input.authority;
  if (token === undefined) return undefined;
  const wrong = notTheId('approveRotation', token, note);
  if (wrong !== undefined) return wrong;
  const isAsked = note.phase === 'Distributing' && spec.rotation.approval === 'Manual' && note.approved === undefined;
  if (!isAsked) return undefined;
  const event = { reason: 'RotationApproved', message: 'certificates may switch to the new root' };
  return { ...rotate(input, event), trusted: input.trusted, note: { ...note, approved: token } };
}

/** The annotation skip-gate: a phase, or one namespace in it, is no longer waited for. */
function readSkip(input: RotationInput, note: RotationState): RotationStep | Remark | undefined {
  const { skipToken: token } = input.authority;
  if (token === undefined) return undefined;
  const [id, name = '', namespace, ...rest] = token.split('/');
  const refuse = (why: string) => ignored('skipGate', token, why);
  if (id !== note.id) return otherRotation('skipGate', token, note);
  const form = `the value is ${note.id}/<phase> or ${note.id}/<phase>/<namespace>, for example ${note.id}/${note.phase}`;
  if (name === '' || rest.length > 0 || (namespace !== undefined && !isNamespace(namespace))) return refuse(form);
  const phase = rotationPhases.find((one) => one.toLowerCase() === name.toLowerCase());
  if (phase === undefined) return refuse(`the phases are ${rotationPhases.join(', ')}`);
  const skipped = note.skipped ?? [];
  const skip = skipOf(phase, namespace);
  if (skipped.includes(skip)) return undefined;
  if (isBefore(phase, note.phase)) return refuse(`the phase ${phase} is over`);
  if (token === note.spentSkip)
    return refuse('it was set before the rotation was aborted, and is not for the way back');
  if (skipped.length >= longestSkipList) return refuse(`${skipped.length} skips are recorded; skip the whole phase`);
  const event = { reason: 'RotationGateSkipped', message: inWords(phase, namespace, note) };
  return { ...rotate(input, event), trusted: input.trusted, note: { ...note, skipped: [...skipped, skip] } };
}

function inWords(phase: RotationPhase, namespace: string | undefined, note: RotationState): string {
  const what = namespace === undefined ? 'Secrets and bundles' : `Secrets and bundles in namespace ${namespace}`;
  const when = phase === note.phase ? '' : ', from its beginning';
  return `the phase ${phase} does not wait for ${what}${when}: ${annotations.skipGate} says so`;
}

type Control = 'abortRotation' | 'approveRotation' | 'skipGate';

/** Why a value that ought to be the id of the rotation is not; undefined when it is. */
function notTheId(annotation: Control, token: string, note: RotationState): Remark | undefined {
  if (token === note.id) return undefined;
  if (!token.startsWith(`${note.id}/`)) return otherRotation(annotation, token, note);
  const why = `the value is the id alone, ${note.id}; to skip what a phase waits for, use ${annotations.skipGate}`;
  return ignored(annotation, token, why);
}

/** A value that names another rotation does nothing. It may have stayed since that one, so it is no cause for alarm. */
const otherRotation = (annotation: Control, token: string, { id }: RotationState): Remark => ({
  ...ignored(annotation, token, `it does not name this rotation, ${id}`),
  isExpected: true,
});

const ignored = (annotation: Control, token: string, why: string): Remark => ({
  reason: 'AnnotationIgnored',
  message: `${annotations[annotation]}=${shortened(token)} does nothing: ${why}`,
});

/** Longer than any value that acts. */
const longestQuote = 150;
const shortened = (token: string): string =>
  token.length <= longestQuote ? token : `${token.slice(0, longestQuote)}…`;

/** RFC 1123, as the API server has it for the names of namespaces. */
const isNamespace = (name: string): boolean => name.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name);

const isBefore = (a: RotationPhase, b: RotationPhase): boolean => rotationPhases.indexOf(a) < rotationPhases.indexOf(b);
