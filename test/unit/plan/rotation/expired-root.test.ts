import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { subjectText } from '../../../../src/pki/index.ts';
import { planRoot, type RotationState, type RotationStep, unreadableNamespace } from '../../../../src/plan/index.ts';
import { root, rootIdOf } from '../../../support/fixtures/roots.ts';
import { days, hours, later } from '../../../support/fixtures/times.ts';
import { distributing, overwritten, quiet, retiring, switching } from './rotation-phases.ts';
import { anchorsOf, next, old } from './rotation-roots.ts';
import { initialRotation, knows, observedIn, rotationIn, type Situation, secretsOf } from './rotation-situation.ts';
import { brought, making, rotating } from './rotation-specs.ts';
import { type Case, check, planIn, rotationStep } from './rotation-table.ts';

const at = later(days(3650));
const asked = { rotateRootToken: 'a' };
const young = root({ name: 'Young', at: later(days(3600)) });
const verdict = {
  state: 'notReady',
  reason: 'RootExpired',
  message: `the root (${subjectText(old.certificate)}) expired at ${old.certificate.notAfter.toISOString()}; replace it`,
} as const;

/** A live certificate that another, valid root issued. */
const liveOf = (signer: typeof old) => [
  {
    namespace: 'shop',
    displayName: 'shop/a',
    leaf: { root: rootIdOf(signer), notAfter: later(days(3660)) },
    changedAtMs: 0,
  },
];
const stillLive = liveOf(young);

const times = {
  id: at.getTime().toString(36),
  startedAt: `${at.toISOString().slice(0, 19)}Z`,
  since: at.toISOString(),
};
const says = 'the root has expired; the operator generates a new root';
const takes = 'the root has expired; the root in next.crt replaces it';
/** The step that replaces the expired root and keeps its pair as `previous`. */
const replaces = (trusted: readonly (typeof old)[], more: Partial<RotationStep> = {}): RotationStep =>
  rotationStep(['RotationStarted', says], trusted, {
    generate: {
      slot: 'active',
      profile: { subject: { commonName: 'mTLS Root' }, durationMs: hours(87_600) },
      key: { algorithm: 'ECDSA', size: 256 },
    },
    move: { next: null, previous: 'active' },
    rotation: { ...initialRotation([old], undefined, 'Distributing'), ...times },
    ...more,
  });
/** The state of a rotation with live certificates of another root, which take their time to switch. */
const slowly = { rotation: { ...initialRotation([old], undefined, 'Distributing'), ...times, windowMs: 10 } };
const keeps = (given: Situation, more: string): Case => ({
  given,
  at,
  plan: { step: { step: 'keep' }, verdict: { ...verdict, message: `${verdict.message}${more}` } },
});
const command =
  'kubectl create secret tls mtls-root --cert=root.crt --key=root.key --dry-run=client -o yaml | ' +
  'kubectl apply --server-side --force-conflicts -f -';
const byHand = ` in tls.crt and tls.key of its Secret; no annotation is needed: ${command}`;

describe('a root that has expired', () => {
  check({
    'is replaced at once by a generated root, and kept as the previous one': {
      given: quiet,
      at,
      plan: { step: replaces([old]), verdict },
    },
    'is replaced at once on request, and the request is handled by that': {
      given: { ...quiet, tokens: asked },
      at,
      plan: { step: replaces([old], { handledToken: 'a' }), verdict },
    },
    'is replaced although the value was handled before': {
      given: { ...quiet, tokens: asked, handledToken: 'a' },
      at,
      plan: { step: replaces([old]), verdict },
    },
    'has a successor that is distributed first when a certificate of another root is live': {
      given: { ...quiet, trusted: [old, young], secrets: stillLive },
      at,
      plan: {
        step: replaces([old, young], slowly),
        verdict,
      },
    },
    'does not end the trust in a valid root that it has overwritten': {
      given: { ...quiet, trusted: [], status: knows([young]), secrets: stillLive },
      at,
      plan: {
        step: replaces([young], {
          rotation: { ...initialRotation([young], undefined, 'Distributing'), ...times, windowMs: 10 },
        }),
        verdict,
      },
    },
    'stays when no root can be generated, and the message says what to type': keeps(
      { ...quiet, tokens: asked, spec: brought },
      byHand,
    ),
    'stays when spec.root is not valid': keeps(
      { ...quiet, tokens: asked, spec: making({ duration: 'x' }) },
      ', or correct spec.root: its duration or key size is not valid',
    ),
    'is replaced by the root in next.crt, if there is one': {
      given: { ...quiet, spec: brought, next: young },
      at,
      plan: {
        step: rotationStep(['RotationStarted', takes], [old, young], {
          move: { active: 'next', next: null, previous: 'active' },
          rotation: { ...initialRotation([old], young, 'Distributing'), ...times },
        }),
        verdict,
      },
    },
    'is replaced by a generated root when the next root has expired too': {
      given: { ...quiet, next },
      at,
      plan: { step: replaces([old]), verdict },
    },
    'is replaced even if status was lost': {
      given: { ...quiet, status: {} },
      at,
      plan: {
        step: replaces([old], { rotation: { ...initialRotation([], undefined, 'Distributing'), ...times } }),
        verdict,
      },
    },
    'is not replaced by a previous root without a rotation': {
      given: { ...quiet, trusted: [old, young], previous: young, secrets: stillLive },
      at,
      plan: {
        step: replaces([old, young], slowly),
        verdict,
      },
    },
    'does not return to ca.crt after an administrator removed it': {
      given: { ...quiet, trusted: [next] },
      at,
      plan: {
        step: replaces([next], { rotation: { ...initialRotation([old], undefined, 'Distributing'), ...times } }),
        verdict,
      },
    },
  });
});

test('a root that has expired is not replaced while its authority is being deleted', () => {
  const observed = observedIn(quiet, at);
  const { step, verdict: is } = planRoot({ ...observed, authority: { ...observed.authority, deleting: true } }, at);
  assert.deepEqual([step, is.state], [{ step: 'keep' }, 'notReady']);
  assert.equal(planRoot(observed, at).step.step, 'rotate');
});

test('a root that has expired is replaced at once by a known root, and not while a namespace or a pod may hold a certificate', () => {
  const third = root({ name: 'Third', at: later(days(3500)) });
  const trusted = [old, young, third];
  const given: Situation = { ...quiet, trusted, next: young, status: knows(trusted), secrets: [] };
  const phaseWith = (secrets: Situation['secrets'], inPods: Situation['inPods'] = []) => {
    const { step } = planIn({ ...given, secrets, inPods }, at);
    assert.ok(step.step === 'rotate');
    return step.rotation?.phase;
  };
  assert.equal(phaseWith([]), 'Switching');
  assert.equal(phaseWith([unreadableNamespace('web', ['secrets'], 0)]), 'Distributing');
  assert.equal(phaseWith([], [[third, new Date(at.getTime() + 1)]]), 'Distributing');
  assert.equal(phaseWith([], [[third, at]]), 'Switching');
  const longest = new Date(at.getTime() + days(1));
  assert.equal(phaseWith([], [[old, longest]]), 'Switching', 'no certificate of an expired root works');
  assert.equal(phaseWith([], [[young, longest]]), 'Switching', 'peers trust this root');
});

describe('a root that expires during a rotation', () => {
  const coming: Situation = {
    ...distributing,
    trusted: [old, young],
    next: young,
    status: knows([old, young]),
    rotation: rotationIn('Distributing', { new: rootIdOf(young) }),
    secrets: secretsOf(old, old),
  };
  const elder = root({ name: 'Elder', at: later(days(3500)) });
  const since = at.toISOString();
  const switches: Case['plan'] = {
    step: rotationStep(
      ['RotationSwitching', 'the old root has expired, so the rotation does not wait; the new root signs'],
      [old, young],
      {
        move: { active: 'next', next: null, previous: 'active' },
        rotation: rotationIn('Switching', { new: rootIdOf(young), since }),
      },
    ),
    verdict,
  };
  check({
    'is replaced by the next root at once in Distributing': { given: coming, at, plan: switches },
    'is replaced in Distributing without approval and despite an abort': {
      given: { ...coming, spec: rotating({ approval: 'Manual' }), tokens: { abortToken: 'r1' } },
      at,
      plan: switches,
    },
    'is replaced in Distributing without spec.root': { given: { ...coming, spec: brought }, at, plan: switches },
    'is replaced in Distributing by the next root, not by a previous one': {
      given: { ...coming, trusted: [old, young, elder], previous: elder },
      at,
      plan: {
        ...switches,
        step: { ...switches.step, trusted: anchorsOf(old, young, elder) } as typeof switches.step,
      },
    },
    'waits for bundles in Distributing when a certificate of another root is live': {
      given: { ...coming, trusted: [old, young, elder], secrets: liveOf(elder) },
      at,
      plan: {
        ...switches,
        step: {
          ...switches.step,
          trusted: anchorsOf(old, young, elder),
          rotation: rotationIn('Distributing', { new: rootIdOf(young), since, windowMs: 10 }),
        } as typeof switches.step,
      },
    },
    'is reported in Distributing with what to type when the next root has expired too': keeps(
      { ...coming, spec: brought, next, rotation: rotationIn('Distributing') },
      `${byHand}; until then approve-rotation, skip-gate and abort-rotation do nothing`,
    ),
  });

  const brief = root({ name: 'Brief', durationMs: days(30) });
  const afterBrief = later(days(31));
  const expired = {
    state: 'notReady',
    reason: 'RootExpired',
    message: `the root (${subjectText(brief.certificate)}) expired at ${brief.certificate.notAfter.toISOString()}; replace it`,
  } as const;
  const other: Situation = {
    ...switching,
    signs: brief,
    trusted: [brief, old],
    rotation: rotationIn('Draining', { new: rootIdOf(brief), skipped: ['Draining'], approved: 'r1' }),
    spec: brought,
    status: knows([brief, old]),
  };
  /** The expired root is replaced by the old root, which signs again. */
  const givesWay = (reason: string, changes: Partial<RotationState> = {}): RotationStep =>
    rotationStep([reason, 'the signing root has expired; the other root of the rotation signs'], [brief, old], {
      move: { active: 'previous', previous: 'active' },
      rotation: rotationIn('Switching', {
        since: afterBrief.toISOString(),
        old: [rootIdOf(brief)],
        new: rootIdOf(old),
        ...changes,
      }),
    });
  check({
    'is replaced in Draining by the old root, which peers still trust': {
      given: other,
      at: afterBrief,
      plan: {
        step: givesWay('RotationAborting', { aborting: true }),
        verdict: expired,
      },
    },
    'is not replaced in Draining by a root that an administrator removed from ca.crt': {
      given: { ...other, trusted: [brief], status: knows([brief]) },
      at: afterBrief,
      plan: {
        step: { step: 'keep' },
        verdict: {
          ...expired,
          message: `${expired.message}${byHand}; until then approve-rotation, skip-gate and abort-rotation do nothing`,
        },
      },
    },
    'is replaced during an abort by the root that the abort leads to': {
      given: {
        ...other,
        rotation: rotationIn('Switching', { new: rootIdOf(brief), old: [rootIdOf(old)], aborting: true }),
      },
      at: afterBrief,
      plan: {
        step: givesWay('RotationSwitching'),
        verdict: expired,
      },
    },
  });
});

describe('the phase Distributing', () => {
  const given: Situation = {
    ...overwritten,
    signs: young,
    trusted: [young, old],
    rotation: rotationIn('Distributing', { new: rootIdOf(young) }),
    spec: rotating({ approval: 'Manual' }),
    status: knows([old, young]),
    secrets: secretsOf(old, old),
    publications: [{ namespace: 'shop', displayName: 'ConfigMap shop/trust', changedAtMs: 0 }],
  };
  test('does not wait once no other root verifies a certificate', () => {
    const { step } = planIn(given, at);
    assert.ok(step.step === 'rotate');
    assert.deepEqual([step.event.reason, step.rotation?.phase], ['RotationSwitching', 'Switching']);
  });

  test('still waits for status to name the new root, because only status remembers it', () => {
    const plan = planIn({ ...given, status: knows([old]) }, at);
    assert.deepEqual(plan.rotation?.blockers, ['status to name the new root']);
  });

  const stepWith = (leaf: { root?: string; issuer?: string }) => {
    const secrets = [{ ...stillLive[0], leaf: { ...leaf, notAfter: later(days(3660)) } }] as typeof stillLive;
    return planIn({ ...given, secrets }, at).step.step;
  };
  test('waits when a certificate of another root is live', () =>
    assert.equal(stepWith({ root: rootIdOf(old), issuer: rootIdOf(old) }), 'keep'));

  test('does not wait for a certificate of an unknown root, because any client can create one', () =>
    assert.equal(stepWith({}), 'rotate'));

  test('waits when another root is valid', () => {
    const valid = root({ name: 'Valid', at: later(days(3600)) });
    const rotation = rotationIn('Distributing', { new: rootIdOf(young), old: [rootIdOf(valid)] });
    assert.equal(planIn({ ...given, trusted: [young, valid], rotation }, at).step.step, 'keep');
  });
});

describe('a rotation that ends', () => {
  const given: Situation = { ...retiring, previous: next };
  test('destroys the key of a root that is valid', () => {
    const { step } = planIn(given);
    assert.ok(step.step === 'rotate');
    assert.deepEqual(step.move, { previous: null });
  });

  test('keeps the key of an expired root, because the clock may be wrong', () => {
    const { step } = planIn(
      { ...given, signs: young, trusted: [young], rotation: rotationIn('Retiring', { new: rootIdOf(young) }) },
      at,
    );
    assert.ok(step.step === 'rotate');
    assert.deepEqual([step.event.reason, step.move], ['RotationCompleted', {}]);
    assert.equal(
      step.event.message,
      'only the new root is trusted; the operator keeps the key of the old root, which has expired, in previous.key',
    );
  });
});
