import { anchorId } from '../pki/index.ts';
import { parseDurationMs } from './duration.ts';
import { type Evidence, type Tally, tallyBundles, tallyLeaves } from './evidence.ts';
import type { AuthorityRecord } from './observed-authority.ts';
import { rememberedActiveRoot, rememberedRoots } from './remembered-roots.ts';
import { approveCommand, skipCommand } from './rotation-command.ts';
import { type RotationNote, type RotationPhase, rootsInWords, skipsNamespace, skipsPhase } from './rotation-note.ts';
import type { RotationInput } from './rotation-step.ts';

/** What the gate of a phase says. */
interface Gate {
  /** What is waited for, in words; empty when the gate is open. */
  readonly waits: readonly string[];
  readonly tally: Tally;
  readonly opensInMs?: number;
}

/** The same, with what nobody can skip: approval has an annotation of its own, and status is the operator's memory. */
interface PhaseGate extends Gate {
  readonly holds?: readonly string[];
}

/** What the present phase waits for, without what a person has skipped. */
export function gateOf(input: RotationInput, note: RotationNote, now: Date): Gate {
  const evidence = withoutSkipped(input.evidence, note);
  const { holds = [], ...gate } = gates[note.phase]({ ...input, evidence }, note, now);
  if (skipsPhase(note)) return { waits: holds, tally: gate.tally };
  return { ...gate, waits: [...gate.waits, ...holds] };
}

function withoutSkipped(evidence: Evidence, note: RotationNote): Evidence {
  if (note.skipped === undefined) return evidence;
  const isCounted = ({ namespace }: { readonly namespace: string }) => !skipsNamespace(note, namespace);
  const { secrets, publications } = evidence;
  return { ...evidence, secrets: secrets.filter(isCounted), publications: publications.filter(isCounted) };
}

// Status is what remembers the roots should somebody write over the Secret: it has to name one before it signs, and before
// another one is forgotten.
const gates: Record<RotationPhase, (input: RotationInput, note: RotationNote, now: Date) => PhaseGate> = {
  // A leaf of the new root must not meet a peer that does not know it.
  Distributing({ authority, evidence, digests }, note, now) {
    const tally = tallyBundles(evidence, digests, now);
    const isKnown = rememberedRoots(authority.status).some((root) => anchorId(root) === note.new);
    const gate = settled(tally, `${nounFor(evidence)} to carry the new root`, authority, note, now);
    const isApproved = authority.spec.rotation.approval === 'Automatic' || note.approved !== undefined;
    const holds = [
      ...(isKnown ? [] : ['status to name the new root']),
      ...(isApproved ? [] : [`approval: ${approveCommand(authority, note)}`]),
    ];
    return { ...gate, holds };
  },
  Switching({ authority, evidence }, note, now) {
    const tally = tallyLeaves(evidence, note.new, now);
    const what = `Secrets to have a certificate of ${rootsInWords(note).comes}`;
    return { tally, waits: waitsFor(tally, what, authority, note) };
  },
  // A peer that still shows a leaf of the old root must be trusted until it has loaded the new one.
  Draining({ authority, evidence }, note, now) {
    const tally = tallyLeaves(evidence, note.new, now);
    const what = `Secrets to have a certificate of ${rootsInWords(note).comes}`;
    const isKnown = rememberedActiveRoot(authority.status) === note.new;
    const holds = isKnown ? [] : [`status to name ${rootsInWords(note).comes}`];
    return { ...settled(tally, what, authority, note, now), holds };
  },
  Retiring({ authority, evidence, digests }, note, now) {
    const tally = tallyBundles(evidence, digests, now);
    const what = `${nounFor(evidence)} to be without ${rootsInWords(note).goes}`;
    return { tally, waits: waitsFor(tally, what, authority, note) };
  },
};

/** A gate that opens once nothing has been missing for as long as pods may take to notice. */
function settled(tally: Tally, what: string, authority: AuthorityRecord, note: RotationNote, now: Date): Gate {
  const { spec } = authority;
  const waits = waitsFor(tally, what, authority, note);
  const delayMs = parseDurationMs(spec.rotation.propagationDelay);
  // In a resource that is older than its schema.
  if (delayMs === undefined) return { waits: [...waits, 'spec.rotation.propagationDelay to be a duration'], tally };
  const opensInMs = delayMs - tally.settledMs;
  if (waits.length > 0 || opensInMs <= 0) return { waits, tally };
  const until = new Date(now.getTime() + opensInMs);
  const wait = `pods to load what was written last: until ${until.toISOString().slice(0, 19)}Z (propagationDelay ${spec.rotation.propagationDelay})`;
  return { waits: [wait], tally, opensInMs };
}

function waitsFor({ total, missing }: Tally, what: string, authority: AuthorityRecord, note: RotationNote): string[] {
  const [first] = missing;
  if (first === undefined) return [];
  const named = missing
    .slice(0, 3)
    .map((one) => one.what)
    .join(', ');
  const more = missing.length > 3 ? ', …' : '';
  // The narrowest skip: what else is missing has a namespace of its own.
  const scope = first.namespace === '' ? `the phase ${note.phase}` : `namespace ${first.namespace}`;
  const skip = `to skip ${scope}: ${skipCommand(authority, note, first.namespace)}`;
  return [`${missing.length} of ${total} ${what}: ${named}${more} (${skip})`];
}

const nounFor = ({ publications }: Evidence): string => (publications.length === 0 ? 'Secrets' : 'Secrets and bundles');
