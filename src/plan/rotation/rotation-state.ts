import { anchorId, type Certificate } from '../../pki/index.ts';

/** The stages of a rotation, in their order; see docs/design/0008-root-rotation.md. */
export const rotationPhases = ['Distributing', 'Switching', 'Draining', 'Retiring'] as const;
export type RotationPhase = (typeof rotationPhases)[number];

/**
 * What is known of a rotation beside the roots themselves. It is an annotation of the root Secret, so that it changes in
 * the same write as the keys that it is about. Roots are named by their anchor identity, see anchorId.
 */
export interface RotationState {
  /** Unlike that of any other rotation of the authority: it is what people approve and abort. */
  readonly id: string;
  readonly phase: RotationPhase;
  /** RFC 3339. */
  readonly startedAt: string;
  /** When the phase began. RFC 3339 with milliseconds. */
  readonly since: string;
  /** The roots that are not trusted after the rotation; the first is the one that signed. */
  readonly old: readonly string[];
  /** The root that will sign after the rotation. */
  readonly new: string;
  /** Over how long re-issues are spread in the phase Switching, in milliseconds. */
  readonly windowMs: number;
  /** It was aborted after certificates had switched, and goes back. */
  readonly aborting: boolean;
  /** The value of the annotation approve-rotation that let certificates switch. */
  readonly approved?: string;
  /** What is not waited for, as the annotation skip-gate requested: see skipOf. */
  readonly skipped?: readonly string[];
  /** The value of skip-gate when the rotation was aborted: it is not for the way back. */
  readonly spentSkip?: string;
}

/** Entries of `skipped` that a rotation has at most: status has a limit. */
export const longestSkipList = 64;

/** How a skip is recorded: the phase, or the phase and a namespace. */
export const skipOf = (phase: RotationPhase, namespace?: string): string =>
  namespace === undefined ? phase : `${phase}/${namespace}`;

/** True when this phase does not wait for any Secret or bundle. */
export const skipsPhase = ({ skipped = [], phase }: RotationState): boolean => skipped.includes(skipOf(phase));

/** True when this phase does not wait for what is in that namespace. */
export const skipsNamespace = ({ skipped = [], phase }: RotationState, namespace: string): boolean =>
  skipped.includes(skipOf(phase, namespace));

/** What people call the roots of a rotation: which comes, and which goes. On the way back it is the old one that comes. */
export const rootNames = ({ aborting }: Pick<RotationState, 'aborting'>): { incoming: string; outgoing: string } =>
  aborting
    ? { incoming: 'the old root', outgoing: 'the new root' }
    : { incoming: 'the new root', outgoing: 'the old root' };

/** Version 1 had no field `version`, and named roots by the fingerprints of their certificates. */
const version = 2;

/** The text of the annotation. */
export const encodeRotationState = (rotation: RotationState): string => JSON.stringify({ version, ...rotation });

/**
 * The state in an annotation; undefined without one, or when its text is not valid.
 * @param roots the roots that a state of version 1 may name
 */
export function parseRotationState(
  text: string | undefined,
  roots: readonly Certificate[] = [],
): RotationState | undefined {
  try {
    const value = withoutApprovesField(JSON.parse(text ?? 'null'));
    if (!isRotationState(value)) return undefined;
    const { version: written, ...rotation } = value;
    return written === undefined ? fromVersion1(rotation, roots) : rotation;
  } catch {
    return undefined;
  }
}

function fromVersion1(rotation: RotationState, roots: readonly Certificate[]): RotationState {
  const ids = new Map(roots.map((root) => [root.fingerprint, anchorId(root)]));
  const idOf = (fingerprint: string) => ids.get(fingerprint) ?? fingerprint;
  return { ...rotation, old: rotation.old.map(idOf), new: idOf(rotation.new) };
}

/**
 * Before there was the annotation skip-gate, one field said what approve-rotation had done: it let certificates switch
 * (`Switch`), or skipped a phase.
 */
function withoutApprovesField(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('approves' in value)) return value;
  const { approves, ...rotation } = value;
  if (approves === 'Switch') return rotation;
  return rotationPhases.some((phase) => phase === approves) ? { ...rotation, skipped: [approves] } : undefined;
}

/** As long as status takes it. */
const longestId = 64;
/** Ten million certificates, one a second. */
const longestWindowMs = 1e10;

// Stricter than the types: what is in it goes into status, which the API server refuses as a whole for a part of it.
function isRotationState(value: unknown): value is RotationState & { readonly version?: number } {
  if (typeof value !== 'object' || value === null) return false;
  const rotation = value as Partial<Record<keyof RotationState | 'version', unknown>>;
  return (
    (rotation.version === undefined || rotation.version === version) &&
    isText(rotation.id) &&
    rotation.id.length <= longestId &&
    rotationPhases.some((phase) => phase === rotation.phase) &&
    isMoment(rotation.startedAt) &&
    isMoment(rotation.since) &&
    Array.isArray(rotation.old) &&
    rotation.old.every(isDigest) &&
    isDigest(rotation.new) &&
    typeof rotation.windowMs === 'number' &&
    rotation.windowMs >= 0 &&
    rotation.windowMs <= longestWindowMs &&
    typeof rotation.aborting === 'boolean' &&
    (rotation.approved === undefined || (isText(rotation.approved) && rotation.approved.length <= longestId)) &&
    (rotation.skipped === undefined || isSkipList(rotation.skipped)) &&
    (rotation.spentSkip === undefined || isText(rotation.spentSkip))
  );
}

const isSkipList = (value: unknown): boolean =>
  Array.isArray(value) && value.length <= longestSkipList && value.every((one) => isText(one) && skipForm.test(one));
const skipForm = new RegExp(`^(${rotationPhases.join('|')})(/[-a-z0-9]{1,63})?$`);

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '' && value.length <= 1024;
const isDigest = (value: unknown): boolean => isText(value) && /^[0-9a-f]{64}$/.test(value);
const isMoment = (value: unknown): boolean =>
  isText(value) && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(value) && !Number.isNaN(Date.parse(value));
