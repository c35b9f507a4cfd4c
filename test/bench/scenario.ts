import type { Contestant } from './contestant.ts';
import type { Outcome } from './measure.ts';
import type { Plane } from './plane.ts';

/** The settings of the user, and the ceiling measured so far. */
export interface Settings {
  /** The number of client+server pairs. */
  readonly count: number;
  /** Whether to wait until memory has settled. This is slow, so only one round does it. */
  readonly settles: boolean;
  /** The pairs per second of the ceiling in the scenario "flood", measured in this run. */
  readonly ceilingPairsPerSecond: number;
}

/** A measurement. */
export interface Scenario {
  readonly name: string;
  /** One line of description. */
  readonly about: string;
  /** Which contestants take part; by default all. A peer does not support every scenario, and the ceiling decides nothing. */
  readonly takesPart?: Readonly<Record<'ceiling' | 'peer', boolean>>;
  /** Runs the scenario on a new control plane, on which the contestant is prepared. */
  run(plane: Plane, contestant: Contestant, settings: Settings): Promise<Outcome>;
}
