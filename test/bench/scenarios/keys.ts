import { describeKeySpec, type KeySpec } from '../../../src/pki/index.ts';
import { createAll, pairs, workedOff } from '../measure.ts';
import { Progress } from '../progress.ts';
import type { Scenario } from '../scenario.ts';
import { burstOf } from './burst.ts';

/** Kinds of key, and the share of the resources in the scenario of each: RSA keys are slow to generate. */
const kinds: ReadonlyArray<{ readonly key: KeySpec; readonly share: number }> = [
  { key: { algorithm: 'ECDSA', size: 384 }, share: 1 },
  { key: { algorithm: 'ECDSA', size: 521 }, share: 1 },
  { key: { algorithm: 'Ed25519' }, share: 1 },
  { key: { algorithm: 'RSA', size: 2048 }, share: 0.1 },
];

export const defaultKey: KeySpec = { algorithm: 'ECDSA', size: 256 };
export const keyKinds: readonly KeySpec[] = [defaultKey, ...kinds.map(({ key }) => key)];

/** The burst for each kind of key, signed by the default root. */
export const keys: readonly Scenario[] = kinds.map(({ key, share }) =>
  burstOf(
    `keys/${describeKeySpec(key)}`,
    `the burst with ${describeKeySpec(key)} keys, for ${share * 100} % of the resources`,
    { key },
    share,
  ),
);

/** RSA keys are slow to generate, and other certificates must not wait for them. */
export const besideRsa: Scenario = {
  name: 'keys/beside-rsa',
  about: 'the burst while 32 pairs with RSA-4096 keys are requested, too; only the others are counted',
  takesPart: { ceiling: false, peer: false },
  async run(plane, contestant, { count, settles }) {
    const slow = pairs(plane, 32, { prefix: 'slow', key: { algorithm: 'RSA', size: 4096 } });
    await createAll(plane, contestant, slow);
    const objects = await createAll(plane, contestant, pairs(plane, count));
    const progress = await Progress.begin(plane.client, contestant);
    progress.ignore((key) => key.includes('/slow-'));
    return workedOff(plane, contestant, 'issue', progress, { objects, settles });
  },
};
