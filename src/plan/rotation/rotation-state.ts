import { anchorId, type Certificate } from '../../pki/index.ts';

/** The phases of a rotation, in order; see docs/design/0008-root-rotation.md. */
export const rotationPhases = ['Distributing', 'Switching', 'Draining', 'Retiring'] as const;
export type RotationPhase = (typeof rotationPhases)[number];

/**
 * The state of a rotation. It is an annotation of the root Secret, so that it changes in the same write as the keys.
 * Roots are named by their anchor identity, see anchorId.
 */
export interface RotationState {
  /** Unique among the rotations of the authority. Annotations name it to approve, skip and abort. */
  readonly id: string;
  readonly phase: RotationPhase;
  /** RFC 3339. */
  readonly startedAt: string;
  /** When the phase started. RFC 3339 with milliseconds. */
  readonly since: string;
  /** The roots that are not trusted after the rotation. The first one signed before it. */
  readonly old: readonly string[];
  /** The root that will sign after the rotation. */
  readonly new: string;
  /** The length of the window over which the phase Switching spreads the re-issues, in milliseconds. */
  readonly windowMs: number;
  /** The rotation was aborted after certificates had switched, and goes back. */
  readonly aborting: boolean;
  /** The value of approve-rotation that let certificates switch. */
  readonly approved?: string;
  /** The gates that skip-gate skipped, see skipOf. */
  readonly skipped?: readonly string[];
  /** The value of skip-gate when the rotation was aborted. It does not apply to the phases of the abort. */
  readonly spentSkip?: string;
}

/** The limit for `skipped` in the schema of status. */
export const longestSkipList = 64;

/** How a skip is recorded: the phase, or the phase and a namespace. */
export const skipOf = (phase: RotationPhase, namespace?: string): string =>
  namespace === undefined ? phase : `${phase}/${namespace}`;

/** True when this phase does not wait for any Secret or bundle. */
export const skipsPhase = ({ skipped = [], phase }: RotationState): boolean => skipped.includes(skipOf(phase));

/** True when this phase does not wait for objects in that namespace. */
export const skipsNamespace = ({ skipped = [], phase }: RotationState, namespace: string): boolean =>
  skipped.includes(skipOf(phase, namespace));

/** The roots of a rotation, as messages name them. After an abort, the old root is the incoming one. */
export const rootNames = ({ aborting }: Pick<RotationState, 'aborting'>): { incoming: string; outgoing: string } =>
  aborting
    ? { incoming: 'the old root', outgoing: 'the new root' }
    : { incoming: 'the new root', outgoing: 'the old root' };

const version = 2;

export const encodeRotationState = (rotation: RotationState): string => JSON.stringify({ version, ...rotation });

/**
 * Parses the annotation. Undefined when it is absent or not valid.
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
 * Before skip-gate existed, the field `approves` recorded the effect of approve-rotation: it let certificates switch
 * (`Switch`), or skipped a phase.
 */
function withoutApprovesField(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('approves' in value)) return value;
  const { approves, ...rotation } = value;
  if (approves === 'Switch') return rotation;
  return rotationPhases.some((phase) => phase === approves) ? { ...rotation, skipped: [approves] } : undefined;
}

/** The limit in the schema of status. */
const longestId = 64;
/** Ten million certificates, one a second. */
const longestWindowMs = 1e10;

// Stricter than the types. The values go into status, and the API server rejects the whole status for one value that is
// not valid.
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
