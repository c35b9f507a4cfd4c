import { setTimeout as sleep } from 'node:timers/promises';
import { createAll, pairs, workedOff } from '../measure.ts';
import { Progress } from '../progress.ts';
import type { Scenario } from '../scenario.ts';

/** The certificates last half an hour and are due this many seconds after their issue. */
const dueSeconds = (count: number): number => Math.ceil(10 + count / 100);
const durationSeconds = 1800;

/** All certificates become due while no operator is running. */
export const renewal: Scenario = {
  name: 'renewal',
  about: 'all certificates are due when the operator starts',
  takesPart: { ceiling: true, peer: false },
  async run(plane, contestant, { count, settles }) {
    const due = dueSeconds(count);
    const lifetime = { duration: `${durationSeconds}s`, renewBefore: `${durationSeconds - due}s` };
    const objects = await createAll(plane, contestant, pairs(plane, count, { lifetime }));
    const issuing = await Progress.begin(plane.client, contestant);
    const first = await contestant.start(plane, 'issue');
    await issuing.reached(objects);
    await first.stop();
    await issuing.stop();
    // The ceiling ignores due times, but waits as well, so that the conditions are equal.
    await sleep(due * 1000);
    const progress = await Progress.begin(plane.client, contestant, 2);
    return workedOff(plane, contestant, 'renew', progress, { objects, settles });
  },
};
