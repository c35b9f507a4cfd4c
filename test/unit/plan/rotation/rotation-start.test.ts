import { describe } from 'node:test';
import { subjectText } from '../../../../src/pki/index.ts';
import type { RotationStep } from '../../../../src/plan/index.ts';
import { encodedRoot, intermediate, root } from '../../../support/fixtures/roots.ts';
import { days, hours, later } from '../../../support/fixtures/times.ts';
import { quiet } from './rotation-phases.ts';
import { bundleOf, next, old, other, renewedRoot } from './rotation-roots.ts';
import { initialRotation, knows, type Situation } from './rotation-situation.ts';
import { brought, making } from './rotation-specs.ts';
import { type Case, check, ready, rotationStep } from './rotation-table.ts';

const keep = { step: 'keep' } as const;
const verdict = ready([old]);
const asked = { rotateRootToken: 'a' };

const make = {
  slot: 'next',
  profile: { subject: { commonName: 'mTLS Root' }, durationMs: hours(87_600) },
  key: { algorithm: 'ECDSA', size: 256 },
} as const;
const makesNext = (why: string, more: Partial<RotationStep> = {}) =>
  rotationStep(['RotationStarted', `the operator distributes a new root next to the active root: ${why}`], [old], {
    generate: make,
    rotation: initialRotation([old], undefined),
    ...more,
  });

describe('a root in ca.crt', () => {
  const ending = (ms: number) => root({ name: 'Ending', at: later(-days(100)), durationMs: days(100) + ms });
  const [past, last] = [ending(0), ending(1000)];
  check({
    'leaves every bundle at the moment of its expiry': {
      given: { ...quiet, trusted: [old, past] },
      plan: { step: keep, verdict },
    },
    'is in every bundle until then': {
      given: { ...quiet, trusted: [old, last] },
      plan: { step: keep, verdict: ready([old, last]) },
    },
  });
});

describe('a root that was renewed', () => {
  const renewed = renewedRoot(old, 'Old');
  const given: Situation = { ...quiet, signs: renewed, trusted: [renewed], status: knows([old, other]) };
  check({
    'causes a write of the other trusted roots to ca.crt, before status drops them': {
      given,
      plan: {
        step: { step: 'remember', resourceVersion: '7', bundle: bundleOf(renewed, other) },
        verdict: ready([renewed, other]),
      },
    },
    'causes no write once ca.crt holds them': {
      given: { ...given, trusted: [renewed, other] },
      plan: { step: keep, verdict: ready([renewed, other]) },
    },
    'does not restore roots that an administrator removes from ca.crt afterwards': {
      given: { ...given, status: knows([renewed, other]) },
      plan: { step: keep, verdict: ready([renewed]) },
    },
  });
});

describe('a rotation that is requested by annotation', () => {
  const begins = (given: Situation, more?: Partial<RotationStep>): Case => ({
    given,
    plan: { step: makesNext('a rotation was requested', { handledToken: 'a', ...more }), verdict },
  });
  const rsa = making({ commonName: 'Org', organizations: ['A'], privateKey: { algorithm: 'RSA' }, duration: '1h' });
  check({
    'starts with the generation of the next root': begins({ ...quiet, tokens: asked }),
    'starts with a value that was not handled yet': begins({ ...quiet, tokens: asked, handledToken: 'z' }),
    'generates a root from the current spec': begins(
      { ...quiet, tokens: asked, spec: rsa },
      {
        generate: {
          slot: 'next',
          profile: { subject: { commonName: 'Org', organizations: ['A'] }, durationMs: hours(1) },
          key: { algorithm: 'RSA', size: 3072 },
        },
      },
    ),
    'is handled once the Secret records its value': {
      given: { ...quiet, tokens: asked, handledToken: 'a' },
      plan: { step: keep, verdict },
    },
    'is handled when only status has its value': {
      given: { ...quiet, tokens: asked, status: { ...quiet.status, lastHandledRotateRoot: 'a' } },
      plan: { step: keep, verdict },
    },
    'keeps earlier roots trusted': {
      given: { ...quiet, trusted: [old, other], tokens: asked },
      plan: {
        step: rotationStep(
          ['RotationStarted', 'the operator distributes a new root next to the active root: a rotation was requested'],
          [old, other],
          { generate: make, rotation: initialRotation([old], undefined), handledToken: 'a' },
        ),
        verdict: ready([old, other]),
      },
    },
    'cannot start when no root can be generated, and the message says what to do': {
      given: { ...quiet, tokens: asked, spec: brought },
      plan: {
        step: keep,
        verdict,
        problem: {
          reason: 'NextRootMissing',
          message:
            'spec.root is not set, so the operator cannot generate a root; put the next root into Secret mtls-root as next.crt and next.key',
        },
      },
    },
  });
});

describe('an automatic rotation', () => {
  const { notBefore, notAfter } = old.certificate;
  const lifetimeMs = notAfter.getTime() - notBefore.getTime();
  const before = (ms: number): Date => new Date(notAfter.getTime() - ms);
  const at = (moment: Date, spec = making({})): Case => ({
    given: { ...quiet, spec },
    at: moment,
    plan: { step: keep, verdict },
  });
  const due = (moment: Date, spec = making({})): Case => {
    const startedAt = `${moment.toISOString().slice(0, 19)}Z`;
    const times = { id: moment.getTime().toString(36), startedAt, since: moment.toISOString() };
    const rotation = { ...initialRotation([old], undefined), ...times };
    return {
      given: { ...quiet, spec },
      at: moment,
      plan: { step: makesNext(`the active root expires at ${notAfter.toISOString()}`, { rotation }), verdict },
    };
  };
  const tenth = before(lifetimeMs / 10);
  const longest = before(lifetimeMs * 0.9);
  check({
    'does not come before the last tenth of the root’s life': at(new Date(tenth.getTime() - 1)),
    'comes with the last tenth of the root’s life': due(tenth),
    'does not come before renewBefore': at(before(hours(8760) + 1), making({ renewBefore: '8760h' })),
    'comes with renewBefore': due(before(hours(8760)), making({ renewBefore: '8760h' })),
    'uses a tenth when renewBefore is not valid': due(tenth, making({ renewBefore: 'x' })),
    'does not come in the first tenth of the root’s life': at(
      new Date(longest.getTime() - 1),
      making({ renewBefore: '99999h' }),
    ),
    'comes after the first tenth when renewBefore is longer than the root’s lifetime': due(
      longest,
      making({ renewBefore: '99999h' }),
    ),
    'does not come for a root that only an administrator can replace': at(before(1), brought),
  });
});

describe('a root that an administrator put into next.crt and next.key', () => {
  const started = (incoming: typeof next, more: Partial<RotationStep> = {}) =>
    rotationStep(
      ['RotationStarted', 'the operator distributes the root in next.crt next to the active root'],
      [old, incoming],
      {
        rotation: initialRotation([old], incoming),
        ...more,
      },
    );
  const below = intermediate(old, { durationMs: days(60) });
  const belowNext = intermediate(next);
  const signsAtOnce = (given: Situation, more: Partial<RotationStep> = {}): Case => ({
    given,
    plan: {
      step: rotationStep(
        ['IssuerReplaced', 'the certificate in next.crt chains to the same root, and signs from now on'],
        [old],
        {
          move: { active: 'next', next: null, previous: 'active' },
          ...more,
        },
      ),
      verdict,
    },
  });
  const unusable = (reason: string, why: string, staged: { crt: string; key: string }): Case => ({
    given: { ...quiet, next: staged },
    plan: {
      step: keep,
      verdict,
      problem: { reason, message: `the next root cannot be used: ${why.replaceAll('tls.', 'next.')}` },
    },
  });
  const { crt, key } = encodedRoot(next);
  const past = root({ name: 'Past', durationMs: days(30) });
  check({
    'is distributed': { given: { ...quiet, next }, plan: { step: started(next), verdict } },
    'is distributed when no root can be generated': {
      given: { ...quiet, next, spec: brought },
      plan: { step: started(next), verdict },
    },
    'handles a value of rotate-root': {
      given: { ...quiet, next, tokens: asked },
      plan: { step: started(next, { handledToken: 'a' }), verdict },
    },
    'may come with an intermediate; only the root is distributed': {
      given: { ...quiet, next: belowNext },
      plan: { step: started(next), verdict },
    },
    'signs at once when it is the active root, whose old key is not kept': signsAtOnce(
      { ...quiet, next: old },
      { move: { active: 'next', next: null } },
    ),
    'signs at once when it is the active root, renewed with the same key': signsAtOnce(
      { ...quiet, next: renewedRoot(old, 'Old') },
      { move: { active: 'next', next: null } },
    ),
    'signs at once when it is an intermediate of the active root': signsAtOnce({ ...quiet, next: below }),
    'signs at once when it replaces its own intermediate': {
      ...signsAtOnce({ ...quiet, signs: below, next: old }),
      plan: { step: signsAtOnce(quiet).plan.step, verdict: ready([below]) },
    },
    'signs at once on a value of rotate-root, which is handled': signsAtOnce(
      { ...quiet, next: below, tokens: asked },
      { handledToken: 'a' },
    ),
    'cannot be used without its key': unusable(
      'NextRootKeyMalformed',
      'tls.key of the root Secret: expected one private key, found 0 PEM blocks',
      { crt, key: '' },
    ),
    'cannot be used with the key of another root': unusable(
      'NextRootKeyMismatch',
      'tls.key of the root Secret does not belong to its tls.crt',
      { crt, key: encodedRoot(old).key },
    ),
    'cannot be used without its certificate': unusable(
      'NextRootMalformed',
      'tls.crt of the root Secret holds no certificate',
      { crt: '', key },
    ),
    'cannot be used once it has expired': unusable(
      'NextRootExpired',
      `the root (${subjectText(past.certificate)}) expired at ${past.certificate.notAfter.toISOString()}; replace it`,
      encodedRoot(past),
    ),
  });
});
