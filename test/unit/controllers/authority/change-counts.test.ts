import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ChangeCounts } from '../../../../src/controllers/authority/change-counts.ts';

type Look = readonly [changedAtMs: number, bundle?: string];

/** The changes that are counted of an object that was seen like this, one look after the other; the phase began at 100. */
function changesAfter(looks: readonly Look[]): number | undefined {
  const counts = new ChangeCounts('r1/Draining', 100);
  let changeCount: number | undefined;
  for (const [changedAtMs, bundle] of looks) {
    const one = { namespace: 'shop', displayName: 'shop/a', changedAtMs, ...(bundle === undefined ? {} : { bundle }) };
    ({ changeCount } = counts.counted<typeof one & { changeCount?: number }>(one));
  }
  return changeCount;
}

describe('the changes of an object in a phase of a rotation', () => {
  const table: [title: string, looks: Look[], changeCount: number | undefined][] = [
    [
      'are none while it stays as it was before the phase',
      [
        [50, 'old'],
        [50, 'old'],
      ],
      undefined,
    ],
    [
      'do not count one, which is the operator’s',
      [
        [50, 'old'],
        [110, 'new'],
      ],
      undefined,
    ],
    ['do not count one that came before the first look', [[110, 'new']], undefined],
    [
      'count the second',
      [
        [50, 'old'],
        [110, 'new'],
        [120, 'theirs'],
      ],
      2,
    ],
    [
      'count two where it was changed and changed back between two looks',
      [
        [110, 'new'],
        [120, 'new'],
      ],
      3,
    ],
    [
      'count them also where the operator had written it before the phase',
      [
        [50, 'new'],
        [120, 'new'],
      ],
      2,
    ],
    ['stay while it is not there', [[50, 'new'], [120, 'new'], [Infinity]], 2],
    ['are none where it is there again, with other content', [[50, 'old'], [Infinity], [120, 'new']], undefined],
  ];
  for (const [title, looks, changes] of table) test(title, () => assert.equal(changesAfter(looks), changes));
});
