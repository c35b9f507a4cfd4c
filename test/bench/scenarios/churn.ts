import { keyOf, secrets } from '../../../src/kube/index.ts';
import { eventually } from '../../support/eventually.ts';
import { metered, type Outcome, pairs } from '../measure.ts';
import { inParallel } from '../parallel.ts';
import { Progress } from '../progress.ts';
import type { Scenario } from '../scenario.ts';

/** How many resources live at a time. */
const alive = 32;

/** Resources come and go: each is deleted as soon as it is Ready. */
export const churn: Scenario = {
  name: 'churn',
  about: `resources are deleted as soon as they are Ready, ${alive} at a time`,
  takesPart: { ceiling: true, peer: true },
  async run(plane, contestant, { count, settles }) {
    const { client } = plane;
    const running = await contestant.start(plane, 'follow');
    const progress = await Progress.begin(plane.client, contestant);
    const objects = pairs(plane, count).flatMap((pair) => contestant.requestsFor(pair));
    const certificates = objects.length * contestant.certificatesPerObject;
    try {
      const outcome = await metered(
        plane,
        contestant,
        running,
        { certificates, settles },
        async (): Promise<Outcome> => {
          const started = performance.now();
          await inParallel(alive, objects.length, async (i) => {
            const object = objects[i];
            if (object === undefined) return;
            await client.create(contestant.resource, object);
            await progress.seen(keyOf(object.metadata));
            await client.delete(contestant.resource, object.metadata);
          });
          return { certificatesPerSecond: certificates / ((performance.now() - started) / 1000) };
        },
      );
      return { ...outcome, figures: { 'Secrets left': await secretsLeft() } };
    } finally {
      await running.stop();
      await progress.stop();
    }

    async function secretsLeft(): Promise<number> {
      return eventually(
        async () => {
          let left = 0;
          for (const namespace of plane.namespaces) left += (await client.list(secrets, { namespace })).items.length;
          if (left > 0) throw new Error(`${left} Secrets are left`);
          return left;
        },
        { timeoutMs: 120_000 },
      ).catch(() => Number.NaN);
    }
  },
};
