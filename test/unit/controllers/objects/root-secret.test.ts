import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { annotations } from '../../../../src/api/constants.ts';
import { type NewRoot, rootSecret, rotationPatch } from '../../../../src/controllers/objects/root-secret.ts';
import { encodeCertificates, inspectIssuer } from '../../../../src/pki/index.ts';
import { parseRotationState, type RotationStep } from '../../../../src/plan/index.ts';
import { encodedRoot, rootIdOf } from '../../../support/fixtures/roots.ts';
import { hours, later, now } from '../../../support/fixtures/times.ts';
import {
  distributing,
  draining,
  overwritten,
  quiet,
  retiring,
  switching,
} from '../../plan/rotation/rotation-phases.ts';
import { anchorsOf, next, old, other } from '../../plan/rotation/rotation-roots.ts';
import { rotationIn, type Situation, secretOf } from '../../plan/rotation/rotation-situation.ts';
import { planIn } from '../../plan/rotation/rotation-table.ts';

/** The data that a step writes to the Secret, as text. Null removes a key. */
function written(situation: Situation, step: RotationStep, made?: NewRoot) {
  const { metadata, data } = rotationPatch(secretOf(situation), step, made);
  const texts = Object.entries(data ?? {}).map(([key, value]) => [
    key,
    typeof value === 'string' ? Buffer.from(value, 'base64').toString() : value,
  ]);
  return { metadata, data: Object.fromEntries(texts) as Record<string, string | null> };
}
const stepOf = (situation: Situation, at = now): RotationStep => {
  const { step } = planIn(situation, at);
  assert.ok(step.step === 'rotate');
  return step;
};
const bundle = (...roots: readonly (typeof old)[]) => encodeCertificates(anchorsOf(...roots));
const made: NewRoot = { certificate: other.certificate, key: other.key };
const [ofOld, ofNext, ofOther] = [old, next, other].map(encodedRoot) as [
  ReturnType<typeof encodedRoot>,
  ReturnType<typeof encodedRoot>,
  ReturnType<typeof encodedRoot>,
];
const stateIn = (metadata: ReturnType<typeof written>['metadata']) =>
  parseRotationState(metadata?.annotations?.[annotations.rotation] ?? undefined);

describe('the one write of a step of a rotation', () => {
  test('applies only to the Secret that it was planned for', () => {
    const { metadata } = written(distributing, stepOf(distributing));
    assert.equal(metadata?.resourceVersion, '7');
  });

  test('creates the next root, and leaves the signing root unchanged', () => {
    const requested = { ...quiet, tokens: { rotateRootToken: 'a' } };
    const { metadata, data } = written(requested, stepOf(requested), made);
    assert.deepEqual(data, { 'next.crt': ofOther.crt, 'next.key': ofOther.key, 'ca.crt': bundle(old, other) });
    assert.equal(metadata?.annotations?.[annotations.rotateRoot], 'a');
    assert.equal(stateIn(metadata)?.new, rootIdOf(other));
  });

  test('trusts a staged root, and moves no key', () => {
    const staged = { ...quiet, next };
    const { metadata, data } = written(staged, stepOf(staged));
    assert.deepEqual(data, { 'ca.crt': bundle(old, next) });
    assert.deepEqual(Object.keys(metadata?.annotations ?? {}), [annotations.rotation]);
    assert.equal(stateIn(metadata)?.new, rootIdOf(next));
  });

  test('moves both pairs at the switch', () => {
    const { metadata, data } = written(distributing, stepOf(distributing));
    assert.deepEqual(data, {
      'tls.crt': ofNext.crt,
      'tls.key': ofNext.key,
      'next.crt': null,
      'next.key': null,
      'previous.crt': ofOld.crt,
      'previous.key': ofOld.key,
      'ca.crt': bundle(old, next),
    });
    assert.deepEqual(stateIn(metadata), { ...rotationIn('Switching'), since: now.toISOString() });
  });

  test('moves no key if the new root is already active', () => {
    assert.deepEqual(written(overwritten, stepOf(overwritten)).data, { 'ca.crt': bundle(next, old) });
  });

  test('swaps the two roots when the rotation is aborted after the switch', () => {
    const aborted = { ...switching, tokens: { abortToken: 'r1' } };
    assert.deepEqual(written(aborted, stepOf(aborted)).data, {
      'tls.crt': ofOld.crt,
      'tls.key': ofOld.key,
      'previous.crt': ofNext.crt,
      'previous.key': ofNext.key,
      'ca.crt': bundle(next, old),
    });
  });

  test('deletes the key of the next root when the rotation is aborted before the switch, and records the end', () => {
    const aborted = { ...distributing, tokens: { abortToken: 'r1' } };
    const { metadata, data } = written(aborted, stepOf(aborted));
    assert.deepEqual(data, { 'next.crt': null, 'next.key': null, 'ca.crt': bundle(old) });
    assert.deepEqual(metadata?.annotations, { [annotations.rotation]: null, [annotations.endedRotation]: 'r1' });
  });

  test('removes the old root from ca.crt first, and deletes its key last', () => {
    assert.deepEqual(written(draining, stepOf(draining)).data, { 'ca.crt': bundle(next) });
    const { metadata, data } = written(retiring, stepOf(retiring));
    assert.deepEqual(data, { 'previous.crt': null, 'previous.key': null, 'ca.crt': bundle(next) });
    assert.deepEqual(metadata?.annotations, { [annotations.rotation]: null, [annotations.endedRotation]: 'r1' });
  });

  test('deletes the keys of a rotation that an overwrite has interrupted', () => {
    const over = { ...distributing, signs: other };
    const { data } = written(over, stepOf(over));
    assert.deepEqual(data, {
      'next.crt': null,
      'next.key': null,
      'previous.crt': null,
      'previous.key': null,
      'ca.crt': bundle(other, old),
    });
  });

  test('keeps an expired root as the previous one', () => {
    const at = later(hours(24 * 3650));
    const expired = { ...quiet, tokens: { rotateRootToken: 'a' } };
    const { metadata, data } = written(expired, stepOf(expired, at), made);
    assert.deepEqual(data, {
      'tls.crt': ofOther.crt,
      'tls.key': ofOther.key,
      'next.crt': null,
      'next.key': null,
      'previous.crt': ofOld.crt,
      'previous.key': ofOld.key,
      'ca.crt': bundle(old, other),
    });
    assert.equal(stateIn(metadata)?.new, rootIdOf(other));
  });
});

describe('the parsed root Secret', () => {
  test('has no slots or annotations that the Secret does not have', () => {
    const { inspection, anchors, ...rest } = rootSecret(secretOf(quiet), now);
    assert.ok('issuer' in inspection);
    assert.deepEqual(anchors, anchorsOf(old));
    assert.deepEqual(rest, { resourceVersion: '7' });
  });

  test('has both pairs, the rotation, the id of the last rotation, and the handled token', () => {
    const situation = { ...switching, next: other, endedRotation: 'r0', handledToken: 'a' };
    const {
      inspection,
      next: incoming,
      previous,
      rotation,
      endedRotation,
      handledToken,
    } = rootSecret(secretOf(situation), now);
    const anchors = anchorsOf(next, old);
    assert.deepEqual(
      [inspection, incoming, previous],
      [ofNext, ofOther, ofOld].map(({ crt, key }) => inspectIssuer(crt, key, now, anchors)),
    );
    assert.deepEqual([rotation, endedRotation, handledToken], [switching.rotation, 'r0', 'a']);
  });

  test('validates a pair of which only one half exists', () => {
    for (const half of [
      { ...ofNext, key: '' },
      { ...ofNext, crt: '' },
    ]) {
      assert.ok('reason' in (rootSecret(secretOf({ ...quiet, next: half }), now).next ?? {}));
    }
  });

  test('has no rotation if another client has damaged the annotation', () => {
    const { metadata, ...secret } = secretOf(switching);
    const spoilt = { ...secret, metadata: { ...metadata, annotations: { [annotations.rotation]: '{"id":"r1"}' } } };
    assert.equal('rotation' in rootSecret(spoilt, now), false);
  });

  test('shows no key when it is serialised', () => {
    const text = JSON.stringify(rootSecret(secretOf({ ...switching, next: other }), now));
    for (const { key } of [ofOld, ofNext, ofOther]) assert.ok(!text.includes(key.split('\n')[1] ?? 'PRIVATE KEY'));
  });
});
