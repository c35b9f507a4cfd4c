import { type KubeObject, keyOf, secrets } from '../../../src/kube/index.ts';
import { eventually } from '../../support/eventually.ts';
import { inParallel } from '../../support/parallel.ts';
import { following, metered, type Outcome, pairs } from '../measure.ts';
import type { Scenario } from '../scenario.ts';

/** How many resources exist at a time. */
const alive = 32;

/** Each resource is deleted as soon as it is Ready. */
export const churn: Scenario = {
  name: 'churn',
  about: `resources are deleted as soon as they are Ready, ${alive} at a time`,
  async run(plane, contestant, { count, settles }) {
    const { client } = plane;
    const objects = pairs(plane, count).flatMap((pair) => contestant.requestsFor(pair));
    const certificates = objects.length * contestant.certificatesPerObject;
    return following(plane, contestant, async (running, progress) => {
      const comeAndGo = async (object: KubeObject): Promise<void> => {
        await client.create(contestant.resource, object);
        await progress.seen(keyOf(object.metadata));
        await client.delete(contestant.resource, object.metadata);
      };
      const outcome = await metered(
        plane,
        contestant,
        running,
        { certificates, settles },
        async (): Promise<Outcome> => {
          const started = performance.now();
          await inParallel(objects, comeAndGo, alive);
          return { certificatesPerSecond: certificates / ((performance.now() - started) / 1000) };
        },
      );
      return { ...outcome, figures: { 'Secrets left': await secretsLeft() } };
    });

    async function secretsLeft(): Promise<number> {
      return eventually(
        async () => {
          let left = 0;
          for (const namespace of plane.namespaces) left += (await client.list(secrets, { namespace })).items.length;
          if (left > 0) throw new Error(`${left} Secrets still exist`);
          return left;
        },
        { timeoutMs: 120_000 },
      ).catch(() => Number.NaN);
    }
  },
};
