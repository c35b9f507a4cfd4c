import type { Pair } from '../contestant.ts';
import { createAll, pairs, workedOff } from '../measure.ts';
import { Progress } from '../progress.ts';
import type { Scenario } from '../scenario.ts';

/** All resources exist when the contestant starts. */
export const burst = burstOf('burst', 'all resources exist when the operator starts', {});

/** A burst of resources with the given options. */
export function burstOf(name: string, about: string, options: Omit<Pair, 'namespace' | 'name'>, share = 1): Scenario {
  return {
    name,
    about,
    async run(plane, contestant, { count, settles }) {
      const requested = pairs(plane, Math.ceil(count * share), options);
      const objects = await createAll(plane, contestant, requested);
      const progress = await Progress.begin(plane.client, contestant);
      return workedOff(plane, contestant, 'issue', progress, { objects, settles });
    },
  };
}
