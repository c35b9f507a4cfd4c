import type { Contestant } from './contestant.ts';
import type { Outcome } from './measure.ts';
import type { Plane } from './plane.ts';

/** What the person has asked for, and what is known already. */
export interface Settings {
  /** How many client+server pairs. */
  readonly count: number;
  /** Whether to wait until memory has settled; that takes a while, and once is enough. */
  readonly settles: boolean;
  /** Pairs per second that the ceiling follows in a flood, measured in this run. */
  readonly ceilingPairsPerSecond: number;
}

/** One thing to be measured. */
export interface Scenario {
  readonly name: string;
  /** What happens in it, in a line. */
  readonly about: string;
  /** Who can take part: a peer has no verb for all of it, and the ceiling decides nothing. By default all do. */
  readonly takesPart?: Readonly<Record<'ceiling' | 'peer', boolean>>;
  /** Runs it on a control plane of its own, on which the contestant is prepared. */
  run(plane: Plane, contestant: Contestant, settings: Settings): Promise<Outcome>;
}
