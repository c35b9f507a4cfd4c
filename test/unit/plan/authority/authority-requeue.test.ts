import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planAuthorityStatus, planRoot, type RootPlan } from '../../../../src/plan/index.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { days, earlier, hours, later, minutes, now } from '../../../support/fixtures/times.ts';
import * as fc from '../../../support/properties.ts';
import { distributing, draining, overwritten, quiet, retiring, switching } from '../rotation/rotation-phases.ts';
import { old } from '../rotation/rotation-roots.ts';
import { knows, observedIn, type Situation, secretsOf } from '../rotation/rotation-situation.ts';
import { making, rotating } from '../rotation/rotation-specs.ts';

/** Generated roots of an age at which they are soon due, and one that is not valid yet. */
const ageing = [days(89), days(90) - minutes(10), days(90) - 1, days(99)].map((ageMs) =>
  root({ name: 'Ageing', at: earlier(ageMs), durationMs: days(100) }),
);
const young = root({ name: 'Young', at: later(hours(1)) });
/** A former root that is still trusted, and expires without an event. */
const ending = root({ name: 'Ending', at: earlier(days(99)), durationMs: days(100) });
const trustingEnding: Situation = {
  ...quiet,
  trusted: [old, ending],
  status: knows([old, ending]),
  secrets: secretsOf(old, old, ending),
};
const quietWith = (signs: typeof young): Situation => ({
  ...quiet,
  signs,
  trusted: [signs],
  status: knows([signs]),
  secrets: secretsOf(signs, signs),
  spec: making({}),
});

const situations = fc.constantFrom<Situation>(
  ...[quiet, distributing, switching, draining, retiring, overwritten].flatMap((situation) => [
    situation,
    { ...situation, spec: rotating({ approval: 'Manual' }) },
  ]),
  ...[...ageing, young].map(quietWith),
  trustingEnding,
);

// If this fails, a root is not renewed or a rotation does not continue until an unrelated event.
test('no step is due for an authority before its requeue time', () => {
  const ages = fc.array(fc.integer({ min: 0, max: minutes(4) }), { minLength: 2, maxLength: 2 });
  const shares = fc.nat({ max: 1_000_000 }).map((part) => part / 1_000_000);
  let kept = 0;
  fc.assert(
    fc.property(situations, ages, shares, (base, agesMs, share) => {
      const startMs = minutes(4);
      const secrets = base.secrets.map((secret, i) => ({ ...secret, changedAtMs: startMs - (agesMs[i] ?? 0) }));
      const at = (ms: number) => {
        const moment = later(ms);
        const observed = observedIn({ ...base, secrets, monotonicMs: startMs + ms }, moment);
        const plan = planRoot(observed, moment);
        return { plan, requeueAt: planAuthorityStatus(observed, plan, moment).requeueAt };
      };
      const first = at(0);
      if (first.plan.step.step !== 'keep') return;
      kept += 1;
      // A gate is checked again a millisecond after it opens, because its clock has fractions of a millisecond.
      const waitMs = (first.requeueAt?.getTime() ?? now.getTime() + days(4000)) - 2 - now.getTime();
      for (const ms of [Math.floor(waitMs * share), waitMs]) {
        const { plan } = at(ms);
        assert.equal(plan.step.step, 'keep', `after ${ms} ms`);
        assert.deepEqual(verdictOf(plan), verdictOf(first.plan), `after ${ms} ms`);
      }
    }),
    { numRuns: 300 },
  );
  assert.ok(kept > 100, `only ${kept} situations waited: the property says little`);
});

/** The parts of a plan that certificates and peers depend on. */
const verdictOf = ({ verdict }: RootPlan) => [verdict.state, verdict.state === 'ready' ? verdict.bundle.digest : ''];
