import type { EventDetails } from '../../kube/index.ts';

/** Sends events in the background. */
export interface Recorder {
  record(note: EventDetails): void;
}
