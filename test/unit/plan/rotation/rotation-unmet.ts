import type { RotationState, RotationStep } from '../../../../src/plan/index.ts';
import { now } from '../../../support/fixtures/times.ts';
import { distributing, draining, retiring, switching } from './rotation-phases.ts';
import { next, old } from './rotation-roots.ts';
import { type Situation, secretsOf } from './rotation-situation.ts';
import { rotationStep } from './rotation-table.ts';

export type Phase = RotationState['phase'];
export const since = now.toISOString();

/** Each phase with a gate that is not met. */
export const unmet: Record<Phase, Situation> = {
  Distributing: { ...distributing, status: {}, secrets: secretsOf(old, old) },
  Switching: { ...switching, secrets: secretsOf(old, old, next) },
  Draining: { ...draining, status: {}, secrets: secretsOf(old, old, next) },
  Retiring: { ...retiring, secrets: secretsOf(next, next, old) },
};
export const blockers: Record<Phase, readonly [displayName: string, ...holds: string[]]> = {
  Distributing: ['2 of 2 Secrets to hold the new root: shop/a, shop/b', 'status to name the new root'],
  Switching: ['2 of 2 Secrets to hold a certificate issued by the new root: shop/a, shop/b'],
  Draining: [
    '2 of 2 Secrets to hold a certificate issued by the new root: shop/a, shop/b',
    'status to name the new root',
  ],
  Retiring: ['2 of 2 Secrets to drop the old root: shop/a, shop/b'],
};
export const phases = ['Distributing', 'Switching', 'Draining', 'Retiring'] as const;
export const rootsOf = { Distributing: [old, next], Switching: [next, old], Draining: [next, old], Retiring: [next] };

/** The step that each phase ends with. */
export const endOf = (phase: Phase, rotation: RotationState): RotationStep => {
  switch (phase) {
    case 'Distributing':
      return rotationStep(
        ['RotationSwitching', 'the new root signs; the operator issues every certificate again'],
        [old, next],
        {
          move: { active: 'next', next: null, previous: 'active' },
          rotation: { ...rotation, since, phase: 'Switching' },
        },
      );
    case 'Switching':
      return rotationStep(
        ['RotationDraining', 'every certificate is issued by the new root; pods load the new certificates'],
        [next, old],
        {
          rotation: { ...rotation, since, phase: 'Draining' },
        },
      );
    case 'Draining':
      return rotationStep(['RotationRetiring', 'the operator removes the old root from every bundle'], [next], {
        rotation: { ...rotation, since, phase: 'Retiring' },
      });
    case 'Retiring':
      return rotationStep(
        ['RotationCompleted', 'only the new root is trusted; the operator destroys the key of the old root'],
        [next],
        {
          move: { previous: null },
          endedRotation: rotation.id,
        },
      );
  }
};
