import { describe } from 'node:test';
import type { IssuedSecret, RotationState } from '../../../../src/plan/index.ts';
import { minutes } from '../../../support/fixtures/times.ts';
import { distributing, overwritten } from './rotation-phases.ts';
import { bundleOf, old } from './rotation-roots.ts';
import { rotationIn, type Situation, secretsOf } from './rotation-situation.ts';
import { rotating } from './rotation-specs.ts';
import { type Case, check, ignored, rotationStep, toSkip, verdicts, waiting } from './rotation-table.ts';
import { blockers, endOf, type Phase, phases, rootsOf, unmet } from './rotation-unmet.ts';

/** A skip does not skip the wait for status, because only status remembers the roots. */
const holdsOf = (phase: Phase): readonly string[] => blockers[phase].slice(1);

const skips = (
  given: Situation,
  phase: Phase,
  [skip, message]: readonly [skip: string, message: string],
  before: Partial<RotationState> = {},
): Case => {
  const now = given.rotation?.phase ?? phase;
  return {
    given,
    plan: {
      step: rotationStep(
        ['RotationGateSkipped', `the phase ${phase} ${message}, as mtls-operator.io/skip-gate requests`],
        rootsOf[now],
        { rotation: rotationIn(now, { ...before, skipped: [...(before.skipped ?? []), skip] }) },
      ),
      verdict: verdicts[now],
    },
  };
};
const all = 'no longer waits for Secrets and bundles';
const inShop = 'no longer waits for Secrets and bundles in namespace shop';

for (const phase of phases) {
  const given = unmet[phase];
  const verdict = verdicts[phase];
  const asking = (skipToken: string, rotation: Partial<RotationState> = {}): Situation => ({
    ...given,
    tokens: { skipToken },
    rotation: rotationIn(phase, rotation),
  });
  const stays = (situation: Situation, ...notices: ReturnType<typeof ignored>[]): Case => ({
    given: situation,
    plan: { ...waiting(situation, [0, 2], blockers[phase], { notices }), verdict },
  });
  const ignores = (skipToken: string, why: string, isExpected?: true): Case =>
    stays(asking(skipToken), ignored(`skip-gate=${skipToken}`, why, isExpected));
  const known = { ...given, status: (phase === 'Distributing' ? distributing : given).status };
  const skipped = rotationIn(phase, { skipped: [phase] });
  const form = `use r1/<phase> or r1/<phase>/<namespace>, for example r1/${phase}`;

  describe(`the gate of the phase ${phase}, when it is not met,`, () => {
    check({
      'is waited for': stays(given),
      'is skipped by its name': skips(asking(`r1/${phase}`), phase, [phase, all]),
      'is skipped by its name in lower case': skips(asking(`r1/${phase.toLowerCase()}`), phase, [phase, all]),
      'is skipped by its name in upper case': skips(asking(`r1/${phase.toUpperCase()}`), phase, [phase, all]),
      'is skipped for one namespace': skips(asking(`r1/${phase}/shop`), phase, [`${phase}/shop`, inShop]),
      'is skipped as a whole after one namespace was': skips(
        asking(`r1/${phase}`, { skipped: [`${phase}/shop`] }),
        phase,
        [phase, all],
        { skipped: [`${phase}/shop`] },
      ),
      'is not skipped by the name of another phase that was skipped': stays({
        ...given,
        rotation: rotationIn(phase, { skipped: phases.filter((one) => one !== phase) }),
      }),
      'is not skipped by another namespace that was skipped': stays({
        ...given,
        rotation: rotationIn(phase, { skipped: [`${phase}/web`] }),
      }),
      'is not skipped by another rotation': ignores(`r0/${phase}`, 'it does not name this rotation, r1', true),
      'is not skipped by an id with the same prefix': ignores(
        `r12/${phase}`,
        'it does not name this rotation, r1',
        true,
      ),
      'is not skipped by the id alone': ignores('r1', form),
      'is not skipped without a phase': ignores('r1/', form),
      'is not skipped by an unknown phase': ignores(
        'r1/Waiting',
        'the phases are Distributing, Switching, Draining, Retiring',
      ),
      'is not skipped for a name that is not a namespace': ignores(`r1/${phase}/Shop`, form),
      'is not skipped for an empty namespace': ignores(`r1/${phase}/`, form),
      'is not skipped for an object': ignores(`r1/${phase}/shop/a`, form),
      'is not skipped by an approval': stays({ ...given, tokens: { approveToken: 'r1' } }),
      'is not skipped by a request for another rotation': stays({ ...given, tokens: { rotateRootToken: 'r1' } }),
      'is not skipped for the 65th namespace': stays(
        asking(`r1/${phase}/shop`, { skipped: Array(64).fill(`${phase}/web`) }),
        ignored(`skip-gate=r1/${phase}/shop`, '64 skips are recorded, which is the limit; skip the whole phase'),
      ),
    });
  });

  const afterwards = { ...known, rotation: skipped, tokens: { skipToken: `r1/${phase}` } };
  describe(`the phase ${phase}, once its gate is skipped,`, () => {
    const holds = holdsOf(phase);
    check({
      'still waits for status to name the new root': {
        given: { ...given, rotation: skipped, tokens: { skipToken: `r1/${phase}` } },
        plan:
          holds.length === 0
            ? { step: endOf(phase, skipped), verdict }
            : { ...waiting({ ...given, rotation: skipped }, [0, 2], holds), verdict },
      },
    });
    if (phase === 'Draining') return;
    check({
      'ends without a live read': { given: afterwards, plan: { step: endOf(phase, skipped), verdict } },
      'ends even if the annotation was removed': {
        given: { ...known, rotation: skipped },
        plan: { step: endOf(phase, skipped), verdict },
      },
    });
  });
}

describe('the skip of a later phase', () => {
  check({
    'is recorded at once, while the current phase waits': skips(
      { ...unmet.Distributing, tokens: { skipToken: 'r1/Draining' } },
      'Draining',
      ['Draining', 'will not wait for Secrets and bundles'],
    ),
    'does not open the current gate': {
      given: { ...unmet.Switching, rotation: rotationIn('Switching', { skipped: ['Draining'] }) },
      plan: {
        ...waiting(
          { ...unmet.Switching, rotation: rotationIn('Switching', { skipped: ['Draining'] }) },
          [0, 2],
          blockers.Switching,
        ),
        verdict: verdicts.Switching,
      },
    },
  });
});

describe('the skip of a phase that is over', () => {
  const given = { ...unmet.Switching, tokens: { skipToken: 'r1/distributing' } };
  const rotation = rotationIn('Switching', { skipped: ['Distributing'] });
  check({
    'does nothing': {
      given,
      plan: {
        ...waiting(given, [0, 2], blockers.Switching, {
          notices: [ignored('skip-gate=r1/distributing', 'the phase Distributing is over')],
        }),
        verdict: verdicts.Switching,
      },
    },
    'is not reported when it had an effect at that time': {
      given: { ...given, rotation },
      plan: { ...waiting({ ...given, rotation }, [0, 2], blockers.Switching), verdict: verdicts.Switching },
    },
  });
});

describe('a namespace that is skipped', () => {
  const [a, b] = secretsOf(old, old) as [IssuedSecret, IssuedSecret];
  const rotation = rotationIn('Distributing', { skipped: ['Distributing/shop'] });
  const elsewhere: IssuedSecret = { ...b, namespace: 'web', displayName: 'web/b' };
  const next = bundleOf(old, ...rootsOf.Distributing);
  const published = { namespace: 'shop', displayName: 'ConfigMap shop/mtls-trust', bundle: 'other', changedAtMs: 0 };
  const given: Situation = { ...distributing, rotation, secrets: [a, elsewhere], publications: [published] };
  check({
    'does not count, while the others do': {
      given,
      plan: {
        ...waiting(given, [0, 1], ['1 of 1 Secrets to hold the new root: web/b']),
        verdict: verdicts.Distributing,
      },
    },
    'does not prevent the live read for the others': {
      given: { ...given, secrets: [a, { ...elsewhere, bundle: next.digest }] },
      plan: { step: { ...endOf('Distributing', rotation), requiresLiveRead: true }, verdict: verdicts.Distributing },
    },
    'does not shorten the delay of the others': {
      given: { ...given, secrets: [a, { ...elsewhere, bundle: next.digest, changedAtMs: minutes(1) }] },
      plan: {
        ...waiting(given, [0, 1], ['pods to load the last change: until 2026-03-01T12:01:00Z (propagationDelay 3m)'], {
          opensInMs: minutes(1),
        }),
        verdict: verdicts.Distributing,
      },
    },
    'does not apply to a cluster-scoped object: its hint names the phase': {
      given: {
        ...given,
        secrets: [],
        publications: [{ ...published, namespace: '', displayName: 'ClusterTrustBundle x' }],
      },
      plan: {
        ...waiting(
          given,
          [0, 1],
          [
            `1 of 1 Secrets and bundles to hold the new root: ClusterTrustBundle x${toSkip('r1/Distributing', 'the phase Distributing')}`,
          ],
        ),
        verdict: verdicts.Distributing,
      },
    },
  });
});

describe('a root that overwrote another one and waits', () => {
  const rotation = rotationIn('Distributing', { skipped: ['Distributing'] });
  check({
    'signs without waiting once its gate is skipped': {
      given: { ...overwritten, secrets: secretsOf(old, old), rotation },
      plan: {
        step: { ...endOf('Distributing', rotation), trusted: [...endOf('Switching', rotation).trusted], move: {} },
        verdict: verdicts.overwritten,
      },
    },
    'still waits for approval': {
      given: { ...overwritten, spec: rotating({ approval: 'Manual' }), rotation },
      plan: {
        ...waiting(
          { ...overwritten, rotation },
          [2, 2],
          ['approval: kubectl annotate mtlsauthority default --overwrite mtls-operator.io/approve-rotation=r1'],
        ),
        verdict: verdicts.overwritten,
      },
    },
  });
});
