import type { AuthorityRecord, ObservedPods, RotationReport } from '../../plan/index.ts';
import { PodIssuances } from './pod-issuances.ts';
import { WorkloadRestarts, type WorkloadRestartsOptions } from './workload-restarts.ts';

/** What the leader does for pods, and what rotations know from it. */
export class PodActions {
  readonly issuances: PodIssuances;
  readonly #restarts: WorkloadRestarts;

  constructor(options: WorkloadRestartsOptions) {
    this.issuances = new PodIssuances(options.monotonicMs);
    this.#restarts = new WorkloadRestarts(options);
  }

  of(authority: string): Pick<ObservedPods, 'issuances' | 'restarts'> {
    return { issuances: this.issuances.of(authority), restarts: this.#restarts.of(authority) };
  }

  /**
   * Called at the end of each reconcile of an authority.
   * @throws KubeError
   */
  async advance(authority: AuthorityRecord, rotation: RotationReport | undefined, signal: AbortSignal): Promise<void> {
    if (rotation === undefined) this.issuances.forget(authority.name);
    await this.#restarts.advance(authority, rotation, signal);
  }

  forget(authority: string): void {
    this.issuances.forget(authority);
    this.#restarts.forget(authority);
  }
}
