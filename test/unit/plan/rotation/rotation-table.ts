import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Issuer, inspectIssuer } from '../../../../src/pki/index.ts';
import {
  planRoot,
  type RootPlan,
  type RootVerdict,
  type RotationNotice,
  type RotationReport,
  type RotationStep,
} from '../../../../src/plan/index.ts';
import { encodedRoot } from '../../../support/fixtures/roots.ts';
import { earlier, minutes, now } from '../../../support/fixtures/times.ts';
import type { TestIssuer } from '../../../support/sign.ts';
import { draining, retiring, switching } from './rotation-phases.ts';
import { anchorsOf, bundleOf, next, old } from './rotation-roots.ts';
import { observedIn, type Situation } from './rotation-situation.ts';

/** Returns the plan. Throws when a second run returns another plan, or when the JSON of the plan holds a private key. */
export function planIn(situation: Situation, at = now): RootPlan {
  const plan = planRoot(observedIn(situation, at), at);
  assert.deepEqual(planRoot(observedIn(situation, at), at), plan, 'the same observation gives the same plan');
  assertHoldsNoKey(plan, situation);
  return plan;
}

/** Throws when a value that may be logged holds a private key of the situation. */
export function assertHoldsNoKey(value: unknown, { signs, next: incoming, previous, issuerInMemory }: Situation): void {
  const text = JSON.stringify(value);
  assert.ok(!text.includes('PRIVATE KEY'), 'a PEM of a private key');
  for (const pair of [signs, incoming, previous, issuerInMemory]) {
    if (pair === undefined) continue;
    const secret = 'anchor' in pair ? (pair.key.export({ format: 'jwk' }).d ?? '') : '';
    if (secret === '') continue;
    const bytes = Buffer.from(secret, 'base64url');
    for (const form of ['base64url', 'base64', 'hex'] as const) assert.ok(!text.includes(bytes.toString(form)), form);
  }
}

/** A root as it is read from its Secret. */
export function asRead(signer: TestIssuer): Issuer {
  const { crt, key } = encodedRoot(signer);
  const inspection = inspectIssuer(crt, key, now);
  assert.ok('issuer' in inspection);
  return inspection.issuer;
}

/** The verdict of an authority that signs with the first of these roots and trusts all of them, in this order. */
export const ready = (
  [first, ...rest]: readonly [TestIssuer, ...Issuer[]],
  more: Partial<RootVerdict & { state: 'ready' }> = {},
): RootVerdict => ({
  state: 'ready',
  issuer: asRead(first),
  bundle: bundleOf(first, ...rest),
  acceptedBundleDigests: [],
  ...more,
});

/** The schedule of a switch: the start of the phase, and the start of this leader. */
export const reissueOf = ({ rotation, leadingSince = earlier(minutes(30)) }: Situation) => ({
  id: rotation?.id ?? '',
  since: new Date(rotation?.since ?? ''),
  windowMs: rotation?.windowMs ?? 0,
  resumedAt: leadingSince,
});

/** The verdict in each phase. */
export const verdicts = {
  Distributing: ready([old, next]),
  Switching: ready([next, old], { acceptedBundleDigests: [bundleOf(old, next).digest], reissue: reissueOf(switching) }),
  Draining: ready([next, old], { acceptedBundleDigests: [bundleOf(old, next).digest], reissue: reissueOf(draining) }),
  Retiring: ready([next], { reissue: reissueOf(retiring) }),
  overwritten: ready([next], {
    bundle: bundleOf(old, next),
    issuancePaused: {
      reason: 'RootDistributing',
      message:
        'another root has overwritten the active root, and signs as soon as every bundle holds it; ' +
        'to skip the wait: kubectl annotate mtlsauthority default --overwrite mtls-operator.io/skip-gate=r1/Distributing',
    },
  }),
} as const;

/** A step of a rotation. By default, no pair moves. */
export const rotationStep = (
  [reason, message]: readonly [reason: string, message: string],
  trusted: readonly Issuer[],
  more: Partial<RotationStep> = {},
): RotationStep => ({
  step: 'rotate',
  resourceVersion: '7',
  event: { reason, message },
  move: {},
  trusted: anchorsOf(...trusted),
  ...more,
});

/** The end of a blocker that names missing objects: the command that skips the first one's namespace. */
export const toSkip = (value: string, scope = `namespace ${value.split('/')[2]}`): string =>
  ` (to skip ${scope}: kubectl annotate mtlsauthority default --overwrite mtls-operator.io/skip-gate=${value})`;

/** The blocker until an administrator approves. */
export const unapproved =
  'approval: kubectl annotate mtlsauthority default --overwrite mtls-operator.io/approve-rotation=r1';

/** The notice about a root that is staged during a rotation. */
export const nextRootQueued: RotationNotice = {
  reason: 'NextRootWaits',
  message: 'the root in next.crt and next.key waits until this rotation ends',
  isExpected: true,
};

/** The notice about an annotation that does nothing. */
export const ignored = (annotation: string, why: string, isExpected?: true): RotationNotice => ({
  reason: 'AnnotationIgnored',
  message: `mtls-operator.io/${annotation} does nothing: ${why}`,
  ...(isExpected === true ? { isExpected } : {}),
});

/** The report of a rotation that waits. A blocker that names objects gets the command that skips them. */
export const waiting = (
  situation: Situation,
  [done, total]: readonly [done: number, total: number],
  blockers: readonly string[],
  more: Partial<RotationReport> = {},
): Pick<RootPlan, 'step' | 'rotation'> => {
  assert.ok(situation.rotation !== undefined);
  const progress = { done, total };
  const { rotation } = situation;
  const withSkips = blockers.map((wait) => {
    const [, namespace] = /^\d+ of \d+ [^:]*: (?:ConfigMap )?([^/]+)\//.exec(wait) ?? [];
    return namespace === undefined || wait.includes('(to skip')
      ? wait
      : `${wait}${toSkip(`${rotation.id}/${rotation.phase}/${namespace}`)}`;
  });
  return {
    step: { step: 'keep' },
    rotation: { state: rotation, blockers: withSkips, notices: [], ...progress, ...more },
  };
};

/** An observation, its time, and the whole plan. */
export interface Case {
  readonly given: Situation;
  readonly at?: Date;
  readonly plan: RootPlan;
}

/** Runs a test for every title. */
export function check(cases: Readonly<Record<string, Case>>): void {
  for (const [title, { given, at, plan }] of Object.entries(cases)) {
    test(title, () => assert.deepEqual(planIn(given, at), plan));
  }
}
