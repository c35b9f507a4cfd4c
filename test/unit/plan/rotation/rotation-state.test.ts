import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  encodeRotationState,
  parseRotationState,
  type RotationState,
  rotationPhases,
} from '../../../../src/plan/index.ts';
import { root, rootIdOf } from '../../../support/fixtures/roots.ts';
import { earlier, minutes } from '../../../support/fixtures/times.ts';
import * as fc from '../../../support/properties.ts';

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

describe('the state of a rotation in its annotation', () => {
  test('decodes to the encoded value', () => {
    fc.assert(fc.property(notes, (any) => assert.deepEqual(parseRotationState(encodeRotationState(any)), any)));
  });

  test('of version 1 gets the identities of the roots that its fingerprints name; an unknown fingerprint stays', () => {
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

  test('is undefined without an annotation', () => assert.equal(parseRotationState(undefined), undefined));

  test('is undefined for a text that is not JSON or does not match the schema', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => assert.equal(parseRotationState(text), undefined)),
    );
  });

  test('is undefined for a truncated text', () => {
    const text = encodeRotationState(full);
    for (let length = 0; length < text.length; length += 1) {
      assert.equal(parseRotationState(text.slice(0, length)), undefined, text.slice(0, length));
    }
  });

  test('is undefined when a field is missing', () => {
    for (const key of Object.keys(rotation)) {
      assert.equal(parseRotationState(JSON.stringify({ ...rotation, [key]: undefined })), undefined, key);
    }
  });

  test('is undefined when a field has another type', () => {
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
    ['a time that is not in RFC 3339', JSON.stringify({ ...rotation, startedAt: '1' })],
    ['a date that does not exist', JSON.stringify({ ...rotation, startedAt: '2026-13-01T11:00:00Z' })],
    ['an infinite window', encodeRotationState(rotation).replace('"windowMs":20', '"windowMs":1e999')],
    ['a window that is too long', encodeRotationState(rotation).replace('"windowMs":20', '"windowMs":1e16')],
    ['a root that is not named by its identity', JSON.stringify({ ...rotation, old: ['CN=Old'] })],
    ['a new root that is not generated yet', JSON.stringify({ ...rotation, new: '' })],
    ['an id that is longer than status allows', JSON.stringify({ ...rotation, id: 'x'.repeat(65) })],
    ['an approval that is longer than any id', JSON.stringify({ ...rotation, approved: 'x'.repeat(1025) })],
    ['a skip of an unknown phase', JSON.stringify({ ...rotation, skipped: ['Waiting'] })],
    ['a skip of a name that is not a namespace', JSON.stringify({ ...rotation, skipped: ['Draining/Shop'] })],
    ['more skips than status allows', JSON.stringify({ ...rotation, skipped: Array(65).fill('Draining') })],
    [
      'the skip of an unknown phase in the former notation',
      JSON.stringify({ ...rotation, approved: 'r1', approves: 'All' }),
    ],
    ['a list of states', JSON.stringify([rotation])],
    ['a state encoded twice', JSON.stringify(JSON.stringify(rotation))],
  ];
  for (const [title, text] of unfit)
    test(`is undefined with ${title}`, () => assert.equal(parseRotationState(text), undefined));

  describe('in the form from before skip-gate existed', () => {
    test('is approved if certificates were allowed to switch', () => {
      const text = JSON.stringify({ ...rotation, approved: 'mm7w3c00', approves: 'Switch' });
      assert.deepEqual(parseRotationState(text), { ...rotation, approved: 'mm7w3c00' });
    });

    for (const phase of rotationPhases) {
      test(`skips ${phase} if that phase was waived`, () => {
        const text = JSON.stringify({ ...rotation, approved: 'mm7w3c00/2', approves: phase });
        assert.deepEqual(parseRotationState(text), { ...rotation, approved: 'mm7w3c00/2', skipped: [phase] });
      });
    }
  });

  test('is decoded even if another client added fields', () => {
    assert.notEqual(parseRotationState(JSON.stringify({ ...rotation, more: 'x' })), undefined);
  });
});
