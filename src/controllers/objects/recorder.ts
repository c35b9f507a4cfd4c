import type { EventNote } from '../../kube/index.ts';

/** Sends events in the background. */
export interface Recorder {
  record(note: EventNote): void;
}
