import { describe } from 'node:test';
import { encoded } from '../../../../src/pki/asn1/der.ts';
import { parseCertificate } from '../../../../src/pki/x509/certificate.ts';
import type { RotationPhase, RotationStep } from '../../../../src/plan/index.ts';
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

/** The step that takes a root in that was written over another one: these are trusted, and those will not be. */
const takesIn = (
  trusted: Roots,
  outgoing: readonly (typeof old)[],
  { phase = 'Distributing', move = { previous: null } }: Taking = {},
): RotationStep =>
  rotationStep([replaced.reason, replaced.message], trusted, {
    move,
    rotation: initialRotation(outgoing, trusted[0], phase),
  });
/** Nothing is issued until that is written. */
const adopts = (given: Situation, trusted: Roots, ...rest: [readonly (typeof old)[], Taking?]): Case => ({
  given,
  plan: { step: takesIn(trusted, ...rest), verdict: ready(trusted, { issuancePaused: replaced }) },
});
const forgetsNext: Taking = { move: { previous: null, next: null } };
const atOnce: Taking = { phase: 'Switching' };

describe('a root that is written over another one', () => {
  const over: Situation = { ...quiet, signs: other };
  const gone = quiet.secrets.map((secret) => ({ ...secret, leaf: { ...leafOf(old), notAfter: earlier(0) } }));
  const { root: _, ...unknown } = leafOf(old);
  const below = intermediate(other);
  check({
    'is distributed first, and the old one goes on being trusted': adopts(over, [other, old], [old]),
    'is distributed first when ca.crt was written over, too: status remembers': adopts(
      { ...over, trusted: [other] },
      [other, old],
      [old],
    ),
    'signs at once where all certificates are of a root that nobody knows: no peer lets them in, and anybody can make one':
      adopts(
        { ...over, secrets: quiet.secrets.map((secret) => ({ ...secret, leaf: unknown })) },
        [other, old],
        [old],
        atOnce,
      ),
    'may sign by an intermediate': adopts({ ...over, signs: below }, [below, old], [old]),
    'signs at once where every certificate has expired': adopts(
      { ...over, secrets: gone },
      [other, old],
      [old],
      atOnce,
    ),
    'signs at once where every certificate is of it': adopts(
      { ...over, secrets: secretsOf(other, other) },
      [other, old],
      [old],
      atOnce,
    ),
    'leaves alone a root that a person has staged beside it': adopts({ ...over, next }, [other, old], [old]),
    'leaves alone a root that was trusted for other reasons': adopts(
      { ...over, trusted: [old, next], status: knows([old, next]) },
      [other, old, next],
      [old],
    ),
    'is just the root where status knows of none': {
      given: { ...over, trusted: [other], status: {} },
      plan: { step: { step: 'keep' }, verdict: ready([other]) },
    },
  });
});

describe('a root that is renewed with the same key and name', () => {
  const renewed = renewedRoot(old, 'Old');
  const renamed = renewedRoot(old, 'Older');
  // By SHA-1, as OpenSSL makes it.
  const { der } = makeCa({
    subject: encoded(old.certificate.subject),
    key: old.key,
    notBefore: earlier(days(1)),
    notAfter: later(days(3650)),
  });
  const certificate = parseCertificate(der);
  const reidentified = { ...old, certificate, anchor: certificate };
  check({
    'replaces the certificate before in every bundle, and nothing is written to its Secret': {
      given: { ...quiet, signs: renewed },
      plan: { step: { step: 'keep' }, verdict: ready([renewed]) },
    },
    'also where ca.crt holds the new certificate, or both of them': {
      given: { ...quiet, signs: renewed, trusted: [old, renewed] },
      plan: { step: { step: 'keep' }, verdict: ready([renewed]) },
    },
    'stays the root that signs once status names the new certificate': {
      given: { ...quiet, signs: renewed, status: knows([renewed]) },
      plan: { step: { step: 'keep' }, verdict: ready([renewed]) },
    },
    'is another one when its key has another identifier: OpenSSL would refuse the certificates of the other': adopts(
      { ...quiet, signs: reidentified },
      [reidentified, old],
      [old],
    ),
    'is another one when its name differs': adopts({ ...quiet, signs: renamed }, [renamed, old], [old]),
  });
});

describe('a root that is written over while a rotation is under way', () => {
  const { next: _n, rotation: _d, ...wholeDistributing } = distributing;
  const { previous: _p, rotation: _s, ...wholeSwitching } = switching;
  check({
    'in Distributing: the root that was to follow is forgotten, with its key': adopts(
      { ...distributing, signs: other },
      [other, old],
      [old],
      forgetsNext,
    ),
    'in Switching: all that have signed are trusted': adopts(
      { ...switching, signs: other, secrets: secretsOf(old, old, next) },
      [other, next, old],
      [next, old],
    ),
    'in Retiring: the one that was on its way out is not trusted again': adopts(
      { ...retiring, signs: other, secrets: secretsOf(next, next) },
      [other, next],
      [next],
    ),
    'twice: the one in between has signed nothing': adopts({ ...overwritten, signs: other }, [other, old], [old]),
    'in Switching by the old one: it goes back by all stages': adopts(
      { ...switching, signs: old },
      [old, next],
      [next],
    ),
    'in Draining by the old one with nothing else in the Secret: status remembers': adopts(
      { ...wholeSwitching, status: draining.status, signs: old, trusted: [] },
      [old, next],
      [next],
    ),
    'in Distributing by the new one: the note holds, and it is in its place': {
      given: { ...distributing, signs: next, secrets: secretsOf(old, old) },
      plan: {
        ...waiting(distributing, [0, 2], ['2 of 2 Secrets to hold the new root: shop/a, shop/b'], {
          notices: [nextRootQueued],
        }),
        verdict: verdicts.overwritten,
      },
    },
    'in Switching by a renewed certificate of the new one: the rotation goes on': (() => {
      const renewed = renewedRoot(next, 'New');
      const plan = planIn(switching);
      const more = { acceptedBundleDigests: [bundleOf(old, renewed).digest], reissue: reissueOf(switching) };
      const step = { ...plan.step, trusted: anchorsOf(renewed, old) } as RotationStep;
      return { given: { ...switching, signs: renewed }, plan: { ...plan, step, verdict: ready([renewed, old], more) } };
    })(),
    'by a whole Secret of before, in Distributing: what was to follow goes, by all stages': adopts(
      { ...wholeDistributing, trusted: [old] },
      [old, next],
      [next],
      atOnce,
    ),
    'by a whole Secret of before, in Switching: what has signed goes on being trusted': adopts(
      { ...wholeSwitching, signs: old, trusted: [old] },
      [old, next],
      [next],
    ),
    'by a whole Secret of another root, in Switching': adopts(
      { ...wholeSwitching, signs: other, trusted: [other] },
      [other, next, old],
      [next, old],
    ),
    'by a note that was taken away: the same root signs, and the rotation begins once more': adopts(
      { ...wholeSwitching, secrets: secretsOf(old, old, next) },
      [next, old],
      [old],
    ),
  });
});

describe('the root in next.crt, while it is distributed', () => {
  const { next: _, ...withdrawn } = distributing;
  const { next: _o, ...withoutNext } = quiet;
  const drop = rotationStep(['RotationWithdrawn', 'the next root is not in the root Secret any more'], [old], {
    endedRotation: 'r1',
  });
  check({
    'is withdrawn by taking it out of the Secret': { given: withdrawn, plan: { step: drop, verdict: ready([old]) } },
    'is not what follows any more once its key does not fit': {
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
    'is replaced by another one, which begins anew': {
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
    'is gone for good once that was noted': {
      given: { ...withoutNext, endedRotation: 'r1', status: distributing.status },
      plan: { step: { step: 'keep' }, verdict: ready([old]) },
    },
  });
});

describe('the key of the root that was written over', () => {
  const issuerInMemory = old;
  const unmet: Situation = { ...overwritten, secrets: secretsOf(old, old) };
  const wait = waiting(unmet, [0, 2], ['2 of 2 Secrets to hold the new root: shop/a, shop/b']);
  check({
    'goes on signing while this process still holds it': {
      given: { ...unmet, issuerInMemory },
      plan: { ...wait, verdict: ready([old, next]) },
    },
    'is not there after a restart: nothing is issued, unless that is asked for': {
      given: unmet,
      plan: { ...wait, verdict: verdicts.overwritten },
    },
    'does not sign when it is that of another root': {
      given: { ...unmet, issuerInMemory: other },
      plan: { ...wait, verdict: verdicts.overwritten },
    },
    'does not sign when it is that of the new root': {
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

describe('the old root, taken out of ca.crt by a person while certificates switch', () => {
  const secrets = secretsOf(old, old, next);
  check({
    'is not trusted any more, whatever is still of it': {
      given: { ...switching, trusted: [next], secrets },
      plan: {
        ...waiting(switching, [0, 2], ['2 of 2 Secrets to hold a certificate issued by the new root: shop/a, shop/b']),
        verdict: ready([next], 'reissue' in verdicts.Switching ? { reissue: verdicts.Switching.reissue } : {}),
      },
    },
  });
});

describe('a rotation whose note cannot be read', () => {
  const { rotation: _, ...noteless } = draining;
  check({
    'is one that was interrupted': adopts({ ...noteless, monotonicMs: minutes(3) }, [next, old], [old], atOnce),
    'is forgotten where status does not know of it either': {
      given: { ...noteless, status: knows([next, old]) },
      plan: { step: { step: 'keep' }, verdict: ready([next, old]) },
    },
    'is another one than the one that has ended': adopts(
      { ...noteless, endedRotation: 'r0' },
      [next, old],
      [old],
      atOnce,
    ),
  });
});
