import { describe } from 'node:test';
import { encoded } from '../../../../src/pki/asn1/der.ts';
import { parseCertificate } from '../../../../src/pki/x509/certificate.ts';
import { type RotationPhase, type RotationStep, unreadableNamespace } from '../../../../src/plan/index.ts';
import { intermediate } from '../../../support/fixtures/roots.ts';
import { days, earlier, later, minutes } from '../../../support/fixtures/times.ts';
import { makeCa } from '../../../support/roots/make.ts';
import { distributing, draining, overwritten, quiet, retiring, switching } from './rotation-phases.ts';
import { anchorsOf, bundleOf, next, old, other, renewedRoot } from './rotation-roots.ts';
import { initialRotation, knows, leafOf, type Situation, secretsOf } from './rotation-situation.ts';
import {
  type Case,
  check,
  nextRootQueued,
  planIn,
  ready,
  reissueOf,
  rotationStep,
  verdicts,
  waiting,
} from './rotation-table.ts';

const replaced = {
  reason: 'RootReplaced',
  message: 'another root has overwritten the active root; both are trusted',
};
type Roots = readonly [typeof old, ...(typeof old)[]];

interface Taking {
  readonly phase?: RotationPhase;
  readonly move?: RotationStep['move'];
}

/** The step that adopts a root that overwrote another one, with the trusted roots and the outgoing ones. */
const takesIn = (
  trusted: Roots,
  outgoing: readonly (typeof old)[],
  { phase = 'Distributing', move = { previous: null } }: Taking = {},
): RotationStep =>
  rotationStep([replaced.reason, replaced.message], trusted, {
    move,
    rotation: initialRotation(outgoing, trusted[0], phase),
  });
/** The operator issues no certificate until the step is written. */
const adopts = (given: Situation, trusted: Roots, ...rest: [readonly (typeof old)[], Taking?]): Case => ({
  given,
  plan: { step: takesIn(trusted, ...rest), verdict: ready(trusted, { issuancePaused: replaced }) },
});
const forgetsNext: Taking = { move: { previous: null, next: null } };
const atOnce: Taking = { phase: 'Switching' };

describe('a root that overwrote another one', () => {
  const over: Situation = { ...quiet, signs: other };
  const gone = quiet.secrets.map((secret) => ({ ...secret, leaf: { ...leafOf(old), notAfter: earlier(0) } }));
  const { root: _, ...unknown } = leafOf(old);
  const below = intermediate(other);
  check({
    'is distributed first, and the old root stays trusted': adopts(over, [other, old], [old]),
    'is distributed first when ca.crt was overwritten too, because status remembers the old root': adopts(
      { ...over, trusted: [other] },
      [other, old],
      [old],
    ),
    'signs at once when every certificate is from an unknown root: no peer accepts them, and any client can create one':
      adopts(
        { ...over, secrets: quiet.secrets.map((secret) => ({ ...secret, leaf: unknown })) },
        [other, old],
        [old],
        atOnce,
      ),
    'may sign by an intermediate': adopts({ ...over, signs: below }, [below, old], [old]),
    'is distributed first when every certificate in Secrets has expired and pods may hold others': adopts(
      { ...over, secrets: gone, inPods: [[old, later(1)]] },
      [other, old],
      [old],
    ),
    'signs at once when the certificates of pods have expired too': adopts(
      { ...over, secrets: gone, inPods: [[old, later(0)]] },
      [other, old],
      [old],
      atOnce,
    ),
    'signs at once when every certificate has expired': adopts({ ...over, secrets: gone }, [other, old], [old], atOnce),
    'signs at once when it has issued every certificate': adopts(
      { ...over, secrets: secretsOf(other, other) },
      [other, old],
      [old],
      atOnce,
    ),
    'is distributed first while the operator may not read a namespace, whose peers may not trust it yet': adopts(
      { ...over, secrets: [...secretsOf(other).slice(1), unreadableNamespace('web', ['secrets'], 0)] },
      [other, old],
      [old],
    ),
    'does not change a root that an administrator staged at the same time': adopts(
      { ...over, next },
      [other, old],
      [old],
    ),
    'does not retire a root that was trusted for another reason': adopts(
      { ...over, trusted: [old, next], status: knows([old, next]) },
      [other, old, next],
      [old],
    ),
    'is simply the root when status names none': {
      given: { ...over, trusted: [other], status: {} },
      plan: { step: { step: 'keep' }, verdict: ready([other]) },
    },
  });
});

describe('a root that is renewed with the same key and name', () => {
  const renewed = renewedRoot(old, 'Old');
  const renamed = renewedRoot(old, 'Older');
  // A SHA-1 identifier, as OpenSSL computes it.
  const { der } = makeCa({
    subject: encoded(old.certificate.subject),
    key: old.key,
    notBefore: earlier(days(1)),
    notAfter: later(days(3650)),
  });
  const certificate = parseCertificate(der);
  const reidentified = { ...old, certificate, anchor: certificate };
  check({
    'replaces the earlier certificate in every bundle without a write to its Secret': {
      given: { ...quiet, signs: renewed },
      plan: { step: { step: 'keep' }, verdict: ready([renewed]) },
    },
    'replaces it also when ca.crt holds the new certificate, or both': {
      given: { ...quiet, signs: renewed, trusted: [old, renewed] },
      plan: { step: { step: 'keep' }, verdict: ready([renewed]) },
    },
    'stays the signing root once status names the new certificate': {
      given: { ...quiet, signs: renewed, status: knows([renewed]) },
      plan: { step: { step: 'keep' }, verdict: ready([renewed]) },
    },
    'is another root when its key identifier differs: OpenSSL would reject the other root’s certificates': adopts(
      { ...quiet, signs: reidentified },
      [reidentified, old],
      [old],
    ),
    'is another root when its name differs': adopts({ ...quiet, signs: renamed }, [renamed, old], [old]),
  });
});

describe('a root that is overwritten during a rotation', () => {
  const { next: _n, rotation: _d, ...wholeDistributing } = distributing;
  const { previous: _p, rotation: _s, ...wholeSwitching } = switching;
  check({
    'in Distributing drops the next root and its key': adopts(
      { ...distributing, signs: other },
      [other, old],
      [old],
      forgetsNext,
    ),
    'in Switching keeps every root that has signed trusted': adopts(
      { ...switching, signs: other, secrets: secretsOf(old, old, next) },
      [other, next, old],
      [next, old],
    ),
    'in Retiring does not make the outgoing root trusted again': adopts(
      { ...retiring, signs: other, secrets: secretsOf(next, next) },
      [other, next],
      [next],
    ),
    'twice drops the root in between, which has issued no certificate': adopts(
      { ...overwritten, signs: other },
      [other, old],
      [old],
    ),
    'in Switching by the old root goes back through every phase': adopts(
      { ...switching, signs: old },
      [old, next],
      [next],
    ),
    'in Draining by the old root alone is recognised from status': adopts(
      { ...wholeSwitching, status: draining.status, signs: old, trusted: [] },
      [old, next],
      [next],
    ),
    'in Distributing by the new root continues the rotation': {
      given: { ...distributing, signs: next, secrets: secretsOf(old, old) },
      plan: {
        ...waiting(distributing, [0, 2], ['2 of 2 Secrets to hold the new root: shop/a, shop/b'], {
          notices: [nextRootQueued],
        }),
        verdict: verdicts.overwritten,
      },
    },
    'in Switching by a renewed certificate of the new root continues the rotation': (() => {
      const renewed = renewedRoot(next, 'New');
      const plan = planIn(switching);
      const more = { acceptedBundleDigests: [bundleOf(old, renewed).digest], reissue: reissueOf(switching) };
      const step = { ...plan.step, trusted: anchorsOf(renewed, old) } as RotationStep;
      return { given: { ...switching, signs: renewed }, plan: { ...plan, step, verdict: ready([renewed, old], more) } };
    })(),
    'in Distributing by a backup of the Secret retires the next root through every phase': adopts(
      { ...wholeDistributing, trusted: [old] },
      [old, next],
      [next],
      atOnce,
    ),
    'in Switching by a backup of the Secret keeps every root that has signed trusted': adopts(
      { ...wholeSwitching, signs: old, trusted: [old] },
      [old, next],
      [next],
    ),
    'in Switching by the Secret of another root starts a rotation to it': adopts(
      { ...wholeSwitching, signs: other, trusted: [other] },
      [other, next, old],
      [next, old],
    ),
    'by a Secret without the annotation starts the rotation again with the same signing root': adopts(
      { ...wholeSwitching, secrets: secretsOf(old, old, next) },
      [next, old],
      [old],
    ),
  });
});

describe('the root in next.crt, while it is being distributed,', () => {
  const { next: _, ...withdrawn } = distributing;
  const { next: _o, ...withoutNext } = quiet;
  const drop = rotationStep(['RotationWithdrawn', 'the next root is not in the root Secret any more'], [old], {
    endedRotation: 'r1',
  });
  check({
    'is withdrawn when it is removed from the Secret': {
      given: withdrawn,
      plan: { step: drop, verdict: ready([old]) },
    },
    'is withdrawn when its key does not belong to it': {
      given: { ...distributing, next: { crt: 'x', key: 'y' } },
      plan: {
        step: {
          ...drop,
          event: {
            reason: 'RotationWithdrawn',
            message: 'the next root cannot be used any more: next.crt of the root Secret holds no certificate',
          },
        },
        verdict: ready([old]),
        problem: {
          reason: 'NextRootMalformed',
          message: 'the next root cannot be used: next.crt of the root Secret holds no certificate',
        },
      },
    },
    'is replaced by another root, whose rotation starts from the beginning': {
      given: { ...distributing, next: other },
      plan: {
        step: rotationStep(
          ['RotationStarted', 'the operator distributes the root in next.crt next to the active root'],
          [old, other],
          {
            rotation: initialRotation([old], other),
          },
        ),
        verdict: ready([old]),
      },
    },
    'does not come back after the withdrawal was recorded': {
      given: { ...withoutNext, endedRotation: 'r1', status: distributing.status },
      plan: { step: { step: 'keep' }, verdict: ready([old]) },
    },
  });
});

describe('the key of an overwritten root', () => {
  const issuerInMemory = old;
  const unmet: Situation = { ...overwritten, secrets: secretsOf(old, old) };
  const wait = waiting(unmet, [0, 2], ['2 of 2 Secrets to hold the new root: shop/a, shop/b']);
  check({
    'still signs while this process holds it': {
      given: { ...unmet, issuerInMemory },
      plan: { ...wait, verdict: ready([old, next]) },
    },
    'is lost after a restart: no certificate is issued unless the gate is skipped': {
      given: unmet,
      plan: { ...wait, verdict: verdicts.overwritten },
    },
    'does not sign when it belongs to another root': {
      given: { ...unmet, issuerInMemory: other },
      plan: { ...wait, verdict: verdicts.overwritten },
    },
    'does not sign when it belongs to the new root': {
      given: { ...unmet, issuerInMemory: next },
      plan: { ...wait, verdict: verdicts.overwritten },
    },
    'does not sign after the switch': {
      given: { ...switching, issuerInMemory, secrets: secretsOf(old, old, next) },
      plan: {
        ...waiting(switching, [0, 2], ['2 of 2 Secrets to hold a certificate issued by the new root: shop/a, shop/b']),
        verdict: verdicts.Switching,
      },
    },
  });
});

describe('the old root, removed from ca.crt while certificates switch,', () => {
  const secrets = secretsOf(old, old, next);
  check({
    'is not trusted any more, even if its certificates are still in use': {
      given: { ...switching, trusted: [next], secrets },
      plan: {
        ...waiting(switching, [0, 2], ['2 of 2 Secrets to hold a certificate issued by the new root: shop/a, shop/b']),
        verdict: ready([next], 'reissue' in verdicts.Switching ? { reissue: verdicts.Switching.reissue } : {}),
      },
    },
  });
});

describe('a rotation whose annotation is not valid', () => {
  const { rotation: _, ...noteless } = draining;
  check({
    'counts as interrupted': adopts({ ...noteless, monotonicMs: minutes(3) }, [next, old], [old], atOnce),
    'is dropped when status does not have it either': {
      given: { ...noteless, status: knows([next, old]) },
      plan: { step: { step: 'keep' }, verdict: ready([next, old]) },
    },
    'is not confused with the rotation that has ended': adopts(
      { ...noteless, endedRotation: 'r0' },
      [next, old],
      [old],
      atOnce,
    ),
  });
});
