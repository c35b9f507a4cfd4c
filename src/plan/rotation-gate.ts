import { parseDurationMs } from './duration.ts';
import { type Evidence, type Tally, tallyBundles, tallyLeaves } from './evidence.ts';
import type { AuthorityRecord } from './observed-authority.ts';
import { type RotationNote, type RotationPhase, rootsInWords } from './rotation-note.ts';
import type { RotationInput } from './rotation-step.ts';

/** What the gate of a phase says. */
interface Gate {
  /** What is waited for, in words; empty when the gate is open. */
  readonly waits: readonly string[];
  readonly tally: Tally;
  readonly opensInMs?: number;
}

// Status is what remembers the roots should somebody write over the Secret: it has to name one before it signs, and before
// another one is forgotten.
export const gates: Record<RotationPhase, (input: RotationInput, note: RotationNote, now: Date) => Gate> = {
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
    return { tally, waits: waitsFor(tally, `Secrets to have a certificate of ${rootsInWords(note).comes}`) };
  },
  // A peer that still shows a leaf of the old root must be trusted until it has loaded the new one.
  Draining({ authority, evidence }, note, now) {
    const tally = tallyLeaves(evidence, note.new, now);
    const gate = settled(tally, `Secrets to have a certificate of ${rootsInWords(note).comes}`, authority, now);
    const isKnown = authority.status.activeRoot?.fingerprint === note.new;
    return isKnown ? gate : { ...gate, waits: [...gate.waits, `status to name ${rootsInWords(note).comes}`] };
  },
  Retiring({ evidence, digests }, note, now) {
    const tally = tallyBundles(evidence, digests, now);
    return { tally, waits: waitsFor(tally, `${nounFor(evidence)} to be without ${rootsInWords(note).goes}`) };
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
