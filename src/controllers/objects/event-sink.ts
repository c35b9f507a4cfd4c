import type { EventDetails } from '../../kube/index.ts';

/** Sends Kubernetes Events in the background. */
export interface Recorder {
  record(note: EventDetails): void;
}
