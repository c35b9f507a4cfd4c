import { annotations } from '../../../src/api/constants.ts';
import type { Contestant } from '../contestant.ts';
import { createAll, following, metered, type Outcome, pairs } from '../measure.ts';
import type { Plane } from '../plane.ts';
import type { Scenario } from '../scenario.ts';
import { percentile } from '../statistics.ts';
import { createAtRate } from './stream.ts';

/** The resources of the noisy namespace, and its concurrent requests. */
const noisyPairs = 300;
const noisyWidth = 8;
/** Pairs per second that the other namespaces request. */
const rate = 10;

/** One namespace changes annotations all the time, while the others request certificates. */
export const noisy: Scenario = {
  name: 'noisy',
  about: 'one namespace requests rotations as fast as it can; the others create resources',
  takesPart: { ceiling: false, peer: false },
  async run(plane, contestant, { count, settles }) {
    const [loud = '', ...others] = plane.namespaces;
    const quiet = { ...plane, namespaces: others };
    const noisyOnes = { ...plane, namespaces: [loud] };
    return following(plane, contestant, async (running, progress) => {
      await progress.reached(await createAll(noisyOnes, contestant, pairs(noisyOnes, noisyPairs, { prefix: 'loud' })));
      const latencies = async (prefix: string) =>
        createAtRate(quiet, contestant, progress, pairs(quiet, Math.min(count, 300), { prefix }), rate);
      await latencies('warm');
      const alone = await latencies('calm');
      // The same load for the API server, but none for the operator: the difference is the wait in the operator's queue.
      const harmless = await flooding(plane, contestant, loud, 'example.com/note', () => latencies('note'));
      return metered(plane, contestant, running, { settles }, async (): Promise<Outcome> => {
        const flooded = await flooding(plane, contestant, loud, annotations.rotate, () => latencies('loud'));
        return {
          latenciesMs: flooded.result,
          figures: {
            'p99 alone, ms': percentile(alone, 99),
            'p99 with harmless annotations, ms': percentile(harmless.result, 99),
            'p99 with rotations, ms': percentile(flooded.result, 99),
            'rotations requested per second': flooded.perSecond,
          },
        };
      });
    });
  },
};

/** Runs `work` while the resources of a namespace continuously get new values of an annotation. */
async function flooding<T>(
  { client }: Plane,
  { resource }: Contestant,
  namespace: string,
  annotation: string,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly perSecond: number }> {
  const { items } = await client.list(resource, { namespace, metadataOnly: true });
  const stop = new AbortController();
  let count = 0;
  const started = performance.now();
  const flood = async (first: number) => {
    for (let i = first; !stop.signal.aborted; i += noisyWidth) {
      const { name = '' } = items[i % items.length]?.metadata ?? {};
      await client.mergePatch(resource, { namespace, name }, { metadata: { annotations: { [annotation]: `${i}` } } });
      count += 1;
    }
  };
  const floods = Promise.all(Array.from({ length: noisyWidth }, (_, i) => flood(i)));
  try {
    const result = await work();
    return { result, perSecond: count / ((performance.now() - started) / 1000) };
  } finally {
    stop.abort();
    await floods;
  }
}
