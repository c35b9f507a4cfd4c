import { annotations } from '../../api/constants.ts';
import { longestSkipList, type RotationPhase, type RotationState, rotationPhases, skipOf } from './rotation-state.ts';
import { type RotationInput, type RotationNotice, type RotationStep, rotationStep } from './rotation-step.ts';

/** The requests of the annotations for the rotation in progress. */
export interface AnnotationPlan {
  /** Records a request in the root Secret, before any other step depends on it. */
  readonly step?: RotationStep;
  /** Annotations that do nothing, and why. */
  readonly notices: readonly RotationNotice[];
}

/** Reads approve-rotation and skip-gate. Each value acts once, in the rotation whose id it names. */
export function planRotationAnnotations(input: RotationInput, rotation: RotationState): AnnotationPlan {
  const { abortToken } = input.authority;
  const wrongAbort = abortToken === undefined ? undefined : notTheId('abortRotation', abortToken, rotation);
  const notices = wrongAbort === undefined ? [] : [wrongAbort];
  for (const control of [readApproval(input, rotation), readSkip(input, rotation)]) {
    if (control === undefined) continue;
    if ('reason' in control) notices.push(control);
    else return { step: control, notices: [] };
  }
  return { notices };
}

/** The annotation approve-rotation lets certificates switch to the new root. It does nothing else. */
function readApproval(input: RotationInput, rotation: RotationState): RotationStep | RotationNotice | undefined {
  const { approveToken: token, spec } = input.authority;
  if (token === undefined) return undefined;
  const wrong = notTheId('approveRotation', token, rotation);
  if (wrong !== undefined) return wrong;
  const isAsked =
    rotation.phase === 'Distributing' && spec.rotation.approval === 'Manual' && rotation.approved === undefined;
  if (!isAsked) return undefined;
  const event = { reason: 'RotationApproved', message: 'certificates may switch to the new root' };
  return { ...rotationStep(input, event), trusted: input.trusted, rotation: { ...rotation, approved: token } };
}

/** The annotation skip-gate: the rotation no longer waits for a phase, or for one namespace in it. */
function readSkip(input: RotationInput, rotation: RotationState): RotationStep | RotationNotice | undefined {
  const { skipToken: token } = input.authority;
  if (token === undefined) return undefined;
  const [id, name = '', namespace, ...rest] = token.split('/');
  const refuse = (detail: string) => ignored('skipGate', token, detail);
  if (id !== rotation.id) return otherRotation('skipGate', token, rotation);
  const form = `use ${rotation.id}/<phase> or ${rotation.id}/<phase>/<namespace>, for example ${rotation.id}/${rotation.phase}`;
  if (name === '' || rest.length > 0 || (namespace !== undefined && !isNamespace(namespace))) return refuse(form);
  const phase = rotationPhases.find((one) => one.toLowerCase() === name.toLowerCase());
  if (phase === undefined) return refuse(`the phases are ${rotationPhases.join(', ')}`);
  const skipped = rotation.skipped ?? [];
  const skip = skipOf(phase, namespace);
  if (skipped.includes(skip)) return undefined;
  if (isBefore(phase, rotation.phase)) return refuse(`the phase ${phase} is over`);
  if (token === rotation.spentSkip)
    return refuse('it was set before the rotation was aborted and does not apply to the abort');
  if (skipped.length >= longestSkipList)
    return refuse(`${skipped.length} skips are recorded, which is the limit; skip the whole phase`);
  const event = { reason: 'RotationGateSkipped', message: inWords(phase, namespace, rotation) };
  return {
    ...rotationStep(input, event),
    trusted: input.trusted,
    rotation: { ...rotation, skipped: [...skipped, skip] },
  };
}

function inWords(phase: RotationPhase, namespace: string | undefined, rotation: RotationState): string {
  const what = namespace === undefined ? 'Secrets and bundles' : `Secrets and bundles in namespace ${namespace}`;
  const waits = phase === rotation.phase ? 'no longer waits' : 'will not wait';
  return `the phase ${phase} ${waits} for ${what}, as ${annotations.skipGate} requests`;
}

type RotationAnnotation = 'abortRotation' | 'approveRotation' | 'skipGate';

/** Why a value is not the id of the rotation. Undefined when it is. */
function notTheId(annotation: RotationAnnotation, token: string, rotation: RotationState): RotationNotice | undefined {
  if (token === rotation.id) return undefined;
  if (!token.startsWith(`${rotation.id}/`)) return otherRotation(annotation, token, rotation);
  const detail = `use the id alone, ${rotation.id}; to skip the gate of a phase, use ${annotations.skipGate}`;
  return ignored(annotation, token, detail);
}

/** A value that names another rotation does nothing. It may be left from that rotation, so the notice is expected. */
const otherRotation = (annotation: RotationAnnotation, token: string, { id }: RotationState): RotationNotice => ({
  ...ignored(annotation, token, `it does not name this rotation, ${id}`),
  isExpected: true,
});

const ignored = (annotation: RotationAnnotation, token: string, detail: string): RotationNotice => ({
  reason: 'AnnotationIgnored',
  message: `${annotations[annotation]}=${shortened(token)} does nothing: ${detail}`,
});

/** Longer than any value that acts. */
const longestQuote = 150;
const shortened = (token: string): string =>
  token.length <= longestQuote ? token : `${token.slice(0, longestQuote)}…`;

/** The API server's rule for names of namespaces (RFC 1123). */
const isNamespace = (name: string): boolean => name.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name);

const isBefore = (a: RotationPhase, b: RotationPhase): boolean => rotationPhases.indexOf(a) < rotationPhases.indexOf(b);
