import type { Pair } from '../contestant.ts';
import { createAll, pairs, workedOff } from '../measure.ts';
import { Progress } from '../progress.ts';
import type { Scenario } from '../scenario.ts';

/** All resources are there when the contestant starts. */
export const burst = burstOf('burst', 'all resources are there when the operator starts', {});

/** The same for resources that ask for something else than the default. */
export function burstOf(name: string, about: string, options: Omit<Pair, 'namespace' | 'name'>, share = 1): Scenario {
  return {
    name,
    about,
    async run(plane, contestant, { count, settles }) {
      const wanted = pairs(plane, Math.ceil(count * share), options);
      const objects = await createAll(plane, contestant, wanted);
      const progress = await Progress.begin(plane.client, contestant);
      return workedOff(plane, contestant, 'issue', progress, { objects, settles });
    },
  };
}
