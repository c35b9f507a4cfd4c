import { describe } from 'node:test';
import type { RotationState } from '../../../../src/plan/index.ts';
import { encodedRoot, root, rootIdOf } from '../../../support/fixtures/roots.ts';
import { days, now } from '../../../support/fixtures/times.ts';
import { distributing, draining, overwritten, retiring, switching } from './rotation-phases.ts';
import { bundleOf, next, old, other } from './rotation-roots.ts';
import { rotationIn, type Situation, secretsOf } from './rotation-situation.ts';
import { rotating } from './rotation-specs.ts';
import {
  type Case,
  check,
  ignored,
  nextRootQueued,
  ready,
  reissueOf,
  rotationStep,
  toSkip,
  verdicts,
  waiting,
} from './rotation-table.ts';

const since = now.toISOString();
const asked = { abortToken: 'r1' };
const aborting = (given: Situation): Situation => ({ ...given, tokens: asked });

describe('a rotation that is aborted before certificates switch', () => {
  const dropped = {
    step: rotationStep(['RotationAborted', 'the operator drops the new root, which issued no certificate'], [old], {
      move: { next: null },
      endedRotation: 'r1',
    }),
    verdict: verdicts.Distributing,
  };
  check({
    'ends at once, and the new key is destroyed': { given: aborting(distributing), plan: dropped },
    'ends while bundles are still missing': {
      given: aborting({ ...distributing, secrets: secretsOf(old, old) }),
      plan: dropped,
    },
    'ends even if it is approved at the same time': {
      given: { ...distributing, spec: rotating({ approval: 'Manual' }), tokens: { ...asked, approveToken: 'r1' } },
      plan: dropped,
    },
    'keeps unrelated roots trusted': {
      given: aborting({ ...distributing, trusted: [old, next, other] }),
      plan: {
        step: { ...dropped.step, trusted: [old.anchor, other.anchor] },
        verdict: ready([old, next, other]),
      },
    },
    'continues when the id names a former rotation': {
      given: { ...distributing, tokens: { abortToken: 'r0' }, secrets: secretsOf(old, old) },
      plan: {
        ...waiting(distributing, [0, 2], ['2 of 2 Secrets to hold the new root: shop/a, shop/b'], {
          notices: [ignored('abort-rotation=r0', 'it does not name this rotation, r1', true)],
        }),
        verdict: verdicts.Distributing,
      },
    },
    'continues when the id has a suffix': {
      given: { ...distributing, tokens: { abortToken: 'r1/2' }, secrets: secretsOf(old, old) },
      plan: {
        ...waiting(distributing, [0, 2], ['2 of 2 Secrets to hold the new root: shop/a, shop/b'], {
          notices: [
            ignored(
              'abort-rotation=r1/2',
              'use the id alone, r1; to skip the gate of a phase, use mtls-operator.io/skip-gate',
            ),
          ],
        }),
        verdict: verdicts.Distributing,
      },
    },
  });
});

describe('a rotation that is aborted while certificates switch, or after', () => {
  const back = { old: [rootIdOf(next)], new: rootIdOf(old), aborting: true } as const;
  const goesBack = (given: Situation, rotation: Partial<RotationState> = {}): Case => ({
    given: aborting(given),
    plan: {
      step: rotationStep(
        ['RotationAborting', 'the old root signs again; the operator issues every certificate again'],
        [next, old],
        {
          move: { active: 'previous', previous: 'active' },
          rotation: rotationIn('Switching', { since, ...back, ...rotation }),
        },
      ),
      verdict: given.rotation?.phase === 'Draining' ? verdicts.Draining : verdicts.Switching,
    },
  });
  const skipped = { approved: 'r1', skipped: ['Switching', 'Draining/shop'] } as const;
  check({
    'goes back through the same phases from Switching': goesBack({ ...switching, secrets: secretsOf(old, old, next) }),
    'goes back even if the gate is met': goesBack(switching),
    'goes back from Draining': goesBack(draining),
    'goes back in a window for the current number of certificates': goesBack(
      { ...switching, secrets: [...secretsOf(next, next, old), ...secretsOf(old, next, old)] },
      { windowMs: 40 },
    ),
    'goes back without changing a staged next root': goesBack({ ...draining, next: other }),
    'drops approvals and skips from before the abort': goesBack({
      ...draining,
      rotation: rotationIn('Draining', skipped),
    }),
    'records the value of skip-gate from before the abort': {
      ...goesBack({ ...draining, rotation: rotationIn('Draining', skipped) }, { spentSkip: 'r1/draining/shop' }),
      given: {
        ...draining,
        rotation: rotationIn('Draining', skipped),
        tokens: { ...asked, skipToken: 'r1/draining/shop' },
      },
    },
    'does not record a skip of another rotation': {
      ...goesBack(draining),
      given: { ...draining, tokens: { ...asked, skipToken: 'r0/draining' } },
    },
  });

  const backwards: Situation = {
    ...switching,
    signs: old,
    trusted: [old, next],
    previous: next,
    rotation: rotationIn('Switching', back),
    secrets: secretsOf(next, next, old),
  };
  const verdict = ready([old, next], {
    acceptedBundleDigests: [bundleOf(next, old).digest],
    reissue: reissueOf(backwards),
  });
  const missing = ['2 of 2 Secrets to hold a certificate issued by the old root: shop/a, shop/b'];
  check({
    'waits until the old root has issued every certificate again': {
      given: backwards,
      plan: { ...waiting(backwards, [0, 2], missing), verdict },
    },
    'does not turn around for the same value again': {
      given: aborting(backwards),
      plan: { ...waiting(backwards, [0, 2], missing), verdict },
    },
    'ignores a skip from before the abort': {
      given: {
        ...backwards,
        tokens: { skipToken: 'r1/Switching/shop' },
        rotation: rotationIn('Switching', { ...back, spentSkip: 'r1/Switching/shop' }),
      },
      plan: {
        step: { step: 'keep' },
        rotation: {
          state: rotationIn('Switching', { ...back, spentSkip: 'r1/Switching/shop' }),
          // Repeating the current value would not be a new request.
          blockers: [`${missing.join()}${toSkip('r1/switching/shop')}`],
          notices: [
            ignored(
              'skip-gate=r1/Switching/shop',
              'it was set before the rotation was aborted and does not apply to the abort',
            ),
          ],
          done: 0,
          total: 2,
        },
        verdict,
      },
    },
    'accepts the same skip in another case': {
      given: {
        ...backwards,
        tokens: { skipToken: 'r1/switching/shop' },
        rotation: rotationIn('Switching', { ...back, spentSkip: 'r1/Switching/shop' }),
      },
      plan: {
        step: rotationStep(
          [
            'RotationGateSkipped',
            'the phase Switching no longer waits for Secrets and bundles in namespace shop, as mtls-operator.io/skip-gate requests',
          ],
          [old, next],
          {
            rotation: rotationIn('Switching', { ...back, spentSkip: 'r1/Switching/shop', skipped: ['Switching/shop'] }),
          },
        ),
        verdict,
      },
    },
    'drains once the old root has issued every certificate': {
      given: aborting({ ...backwards, secrets: secretsOf(old, old, next) }),
      plan: {
        step: rotationStep(
          ['RotationDraining', 'every certificate is issued by the old root; pods load the new certificates'],
          [old, next],
          {
            rotation: rotationIn('Draining', { ...back, since }),
            requiresLiveRead: true,
          },
        ),
        verdict,
      },
    },
  });
});

describe('a rotation that cannot be aborted', () => {
  const { secrets } = { secrets: secretsOf(old, old, next) };
  const refuses = (given: Situation, remark: string, wait: string, verdict: Case['plan']['verdict']): Case => ({
    given: aborting(given),
    plan: { ...waiting(given, [0, 2], [wait], { notices: [{ reason: 'AbortRefused', message: remark }] }), verdict },
  });
  const noKey =
    'the rotation cannot be aborted: the root Secret has no key of the old root; put that root back into tls.crt and tls.key';
  const tooLate = 'the rotation cannot be aborted any more: bundles without the old root are already published';
  const { previous: _, ...withoutKey } = switching;
  const leaves = '2 of 2 Secrets to hold a certificate issued by the new root: shop/a, shop/b';
  const past = root({ name: 'Past', durationMs: days(30) });
  check({
    'says so in Retiring and continues': refuses(
      { ...retiring, secrets: secretsOf(next, next, old) },
      tooLate,
      '2 of 2 Secrets to drop the old root: shop/a, shop/b',
      verdicts.Retiring,
    ),
    'ends in Retiring once the gate is met': {
      given: aborting(retiring),
      plan: {
        step: rotationStep(
          ['RotationCompleted', 'only the new root is trusted; the operator destroys the key of the old root'],
          [next],
          { move: { previous: null }, endedRotation: 'r1', requiresLiveRead: true },
        ),
        verdict: verdicts.Retiring,
      },
    },
    'says so in Retiring even if an administrator restored the old root in ca.crt, because bundles without it are published':
      refuses(
        { ...retiring, trusted: [next, old] },
        tooLate,
        '2 of 2 Secrets to drop the old root: shop/a, shop/b',
        ready([next, old], { reissue: reissueOf(retiring) }),
      ),
    'says so when the key of the old root is gone': refuses(
      { ...withoutKey, secrets },
      noKey,
      leaves,
      verdicts.Switching,
    ),
    'says so when the old root has expired': refuses(
      { ...switching, secrets, previous: past },
      'the rotation cannot be aborted: the old root may not sign (RootExpired)',
      leaves,
      verdicts.Switching,
    ),
    'says so when the key does not belong to the old root': refuses(
      { ...switching, secrets, previous: { ...encodedRoot(old), key: encodedRoot(other).key } },
      'the rotation cannot be aborted: the old root may not sign (RootKeyMismatch)',
      leaves,
      verdicts.Switching,
    ),
    'says so when an administrator removed the old root from ca.crt, because pods no longer trust it': refuses(
      { ...switching, secrets, trusted: [next] },
      tooLate,
      leaves,
      ready([next], { reissue: reissueOf(switching) }),
    ),
    'says so when another root has replaced the old one in the Secret': refuses(
      { ...switching, secrets, previous: other },
      tooLate,
      leaves,
      verdicts.Switching,
    ),
    'says so when the old root was overwritten': refuses(
      { ...overwritten, secrets: secretsOf(old, old) },
      noKey,
      '2 of 2 Secrets to hold the new root: shop/a, shop/b',
      verdicts.overwritten,
    ),
    'says so together with the notice about a staged root': {
      given: aborting({ ...retiring, next: other, secrets: secretsOf(next, next, old) }),
      plan: {
        ...waiting(retiring, [0, 2], ['2 of 2 Secrets to drop the old root: shop/a, shop/b'], {
          notices: [{ reason: 'AbortRefused', message: tooLate }, nextRootQueued],
        }),
        verdict: verdicts.Retiring,
      },
    },
  });
});
