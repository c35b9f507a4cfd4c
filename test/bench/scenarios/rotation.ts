import { annotations } from '../../../src/api/constants.ts';
import { authorities } from '../../../src/controllers/objects/resources.ts';
import { countersOf, createAll, metered, type Outcome, pairs } from '../measure.ts';
import type { Plane } from '../plane.ts';
import { Progress } from '../progress.ts';
import type { Scenario } from '../scenario.ts';

const authority = 'default';
/** Shorter than pods need to load new files. A rotation waits for it twice. */
const propagationSeconds = 2;

/** A root rotation for all certificates, as fast as its gates allow. */
export const rotation: Scenario = {
  name: 'rotation',
  about: `a root rotation: three writes per Secret; the rate excludes the two waits of ${propagationSeconds} s for pods`,
  takesPart: { ceiling: true, peer: false },
  async run(plane, contestant, { count, settles }) {
    const isCeiling = contestant.name === 'ceiling';
    const issuing = await Progress.begin(plane.client, contestant);
    const objects = await createAll(plane, contestant, pairs(plane, count));
    const issuer = await contestant.start(plane, isCeiling ? 'issue' : 'follow');
    await issuing.reached(objects);
    await issuing.stop();
    if (isCeiling) await issuer.stop();
    const certificates = objects * contestant.certificatesPerObject;
    const since = await countersOf(plane);
    const progress = await Progress.begin(plane.client, contestant, 2);
    const running = isCeiling ? await contestant.start(plane, 'rotate') : issuer;
    try {
      return await metered(plane, contestant, running, { certificates, settles, since }, async (): Promise<Outcome> => {
        const { seconds, phases } = isCeiling
          ? await rewritten(progress, objects, () => running.beganAt?.() ?? Number.NaN)
          : await rotated(plane);
        const figures = { 'seconds without the waits': seconds, ...phases };
        return { certificatesPerSecond: certificates / seconds, figures };
      });
    } finally {
      await running.stop();
      await progress.stop();
    }
  },
};

interface Took {
  readonly seconds: number;
  readonly phases: Readonly<Record<string, number>>;
}

async function rewritten(progress: Progress, objects: number, beganAt: () => number): Promise<Took> {
  await progress.reached(objects);
  return { seconds: (Date.now() - beganAt()) / 1000, phases: {} };
}

async function rotated({ client }: Plane): Promise<Took> {
  const rotation = {
    approval: 'Automatic',
    propagationDelay: `${propagationSeconds}s`,
    reissuesPerSecond: 10_000,
  } as const;
  await client.mergePatch(authorities, { name: authority }, { spec: { rotation } });
  const { resourceVersion } = await client.list(authorities, { limit: 1 });
  const started = performance.now();
  const token = `bench-${Date.now()}`;
  const asked = { metadata: { annotations: { [annotations.rotateRoot]: token } } };
  await client.mergePatch(authorities, { name: authority }, asked);
  const elapsed = () => (performance.now() - started) / 1000;
  const phases: Record<string, number> = {};
  for await (const event of client.watch(authorities, { resourceVersion, timeoutSeconds: 3600 })) {
    if (event.type !== 'MODIFIED' || event.object.metadata.name !== authority) continue;
    const { status } = event.object;
    const phase = status?.rotation?.phase;
    if (phase !== undefined) phases[`${phase} after, s`] ??= elapsed();
    else if (Object.keys(phases).length > 0 && status?.lastHandledRotateRoot === token) {
      return { seconds: elapsed() - 2 * propagationSeconds, phases };
    }
  }
  throw new Error('the watch ended before the rotation did');
}
