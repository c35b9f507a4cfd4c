import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import {
  encodeRotationState,
  parseRotationState,
  type RotationState,
  rotationPhases,
} from '../../../../src/plan/index.ts';
import { root, rootIdOf } from '../../../support/fixtures/roots.ts';
import { earlier, minutes } from '../../../support/fixtures/times.ts';

const fingerprint = 'ab'.repeat(32);
const rotation: RotationState = {
  id: 'mm7w3c00',
  phase: 'Draining',
  startedAt: '2026-03-01T11:00:00Z',
  since: earlier(minutes(10)).toISOString(),
  old: [fingerprint],
  new: 'cd'.repeat(32),
  windowMs: 20,
  aborting: false,
};
const full: RotationState = {
  ...rotation,
  approved: 'mm7w3c00',
  skipped: ['Draining', 'Retiring/shop'],
  spentSkip: 'mm7w3c00/draining',
};

const fingerprints = fc.stringMatching(/^[0-9a-f]{64}$/);
const moments = fc
  .date({ min: new Date(0), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true })
  .map((date) => date.toISOString());
const notes: fc.Arbitrary<RotationState> = fc.record(
  {
    id: fc.string({ minLength: 1, maxLength: 64 }),
    phase: fc.constantFrom(...rotationPhases),
    startedAt: moments.map((text) => `${text.slice(0, 19)}Z`),
    since: moments,
    old: fc.array(fingerprints, { maxLength: 5 }),
    new: fingerprints,
    windowMs: fc.nat(),
    aborting: fc.boolean(),
    approved: fc.string({ minLength: 1, maxLength: 1024 }),
    skipped: fc.array(fc.constantFrom(...rotationPhases, 'Switching/shop'), { maxLength: 64 }),
    spentSkip: fc.string({ minLength: 1, maxLength: 1024 }),
  },
  { noNullPrototype: true, requiredKeys: ['id', 'phase', 'startedAt', 'since', 'old', 'new', 'windowMs', 'aborting'] },
);

describe('the note of a rotation', () => {
  test('is read as it was written', () => {
    fc.assert(fc.property(notes, (any) => assert.deepEqual(parseRotationState(encodeRotationState(any)), any)));
  });

  test('of version 1 has the identities of the roots that its fingerprints name; an unknown one stays as it is', () => {
    const roots = ['Old', 'New'].map((name) => root({ name }));
    const [old = '', next = ''] = roots.map(({ anchor }) => anchor.fingerprint);
    const unknown = 'f'.repeat(64);
    const rotation = { ...full, old: [old, unknown], new: next };
    const { version: _, ...version1 } = JSON.parse(encodeRotationState(rotation)) as Record<string, unknown>;
    const anchors = roots.map(({ anchor }) => anchor);
    const [first, second] = roots.map(rootIdOf);
    assert.deepEqual(parseRotationState(JSON.stringify(version1), anchors), {
      ...rotation,
      old: [first, unknown],
      new: second,
    });
    assert.equal(parseRotationState(JSON.stringify({ ...version1, version: 3 }), anchors), undefined);
  });

  test('is none where there is no annotation', () => assert.equal(parseRotationState(undefined), undefined));

  test('is none in whatever is not JSON, or not of its form', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => assert.equal(parseRotationState(text), undefined)),
    );
  });

  test('is none with a piece of it cut off', () => {
    const text = encodeRotationState(full);
    for (let length = 0; length < text.length; length += 1) {
      assert.equal(parseRotationState(text.slice(0, length)), undefined, text.slice(0, length));
    }
  });

  test('is none when a field is missing', () => {
    for (const key of Object.keys(rotation)) {
      assert.equal(parseRotationState(JSON.stringify({ ...rotation, [key]: undefined })), undefined, key);
    }
  });

  test('is none when a field is of another type', () => {
    const others = [null, 0, -1, '', 'x', true, [], {}, [0], [''], [null]];
    const allowed: Partial<Record<keyof RotationState, readonly unknown[]>> = {
      id: ['x'],
      old: [[]],
      windowMs: [0],
      aborting: [true],
      approved: ['x'],
      skipped: [[]],
      spentSkip: ['x'],
    };
    for (const key of Object.keys(full) as (keyof RotationState)[]) {
      for (const value of others) {
        const isAllowed = allowed[key]?.some((one) => JSON.stringify(one) === JSON.stringify(value)) === true;
        const read = parseRotationState(JSON.stringify({ ...full, [key]: value }));
        assert.equal(read !== undefined, isAllowed, `${key}: ${JSON.stringify(value)}`);
      }
    }
  });

  const unfit: [title: string, text: string][] = [
    ['a time without a time zone', JSON.stringify({ ...rotation, since: '2026-03-01T11:00:00' })],
    ['a time that only a program could guess', JSON.stringify({ ...rotation, startedAt: '1' })],
    ['a day that there is not', JSON.stringify({ ...rotation, startedAt: '2026-13-01T11:00:00Z' })],
    ['a time without end', encodeRotationState(rotation).replace('"windowMs":20', '"windowMs":1e999')],
    ['more time than there is', encodeRotationState(rotation).replace('"windowMs":20', '"windowMs":1e16')],
    ['a root by another name', JSON.stringify({ ...rotation, old: ['CN=Old'] })],
    ['a new root that is yet to be made', JSON.stringify({ ...rotation, new: '' })],
    ['an id that is longer than status takes', JSON.stringify({ ...rotation, id: 'x'.repeat(65) })],
    ['a value that is longer than any that is acted on', JSON.stringify({ ...rotation, approved: 'x'.repeat(1025) })],
    ['a skip of what is no phase', JSON.stringify({ ...rotation, skipped: ['Waiting'] })],
    ['a skip of what is no namespace', JSON.stringify({ ...rotation, skipped: ['Draining/Shop'] })],
    ['more skips than status takes', JSON.stringify({ ...rotation, skipped: Array(65).fill('Draining') })],
    ['the skip of no phase, in the form of before', JSON.stringify({ ...rotation, approved: 'r1', approves: 'All' })],
    ['a list of notes', JSON.stringify([rotation])],
    ['a note within a note', JSON.stringify(JSON.stringify(rotation))],
  ];
  for (const [title, text] of unfit)
    test(`is none with ${title}`, () => assert.equal(parseRotationState(text), undefined));

  describe('as it was written before there was skip-gate', () => {
    test('is approved where certificates were let switch', () => {
      const text = JSON.stringify({ ...rotation, approved: 'mm7w3c00', approves: 'Switch' });
      assert.deepEqual(parseRotationState(text), { ...rotation, approved: 'mm7w3c00' });
    });

    for (const phase of rotationPhases) {
      test(`skips ${phase} where that was waived`, () => {
        const text = JSON.stringify({ ...rotation, approved: 'mm7w3c00/2', approves: phase });
        assert.deepEqual(parseRotationState(text), { ...rotation, approved: 'mm7w3c00/2', skipped: [phase] });
      });
    }
  });

  test('is read whatever else somebody has written into it', () => {
    assert.notEqual(parseRotationState(JSON.stringify({ ...rotation, more: 'x' })), undefined);
  });
});
