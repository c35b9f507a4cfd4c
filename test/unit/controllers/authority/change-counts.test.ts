import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ChangeCounts } from '../../../../src/controllers/authority/change-counts.ts';

type Observation = readonly [changedAtMs: number, bundle?: string];

/** The change count of an object after these observations. The phase began at 100. */
function changesAfter(observations: readonly Observation[]): number | undefined {
  const counts = new ChangeCounts('r1/Draining', 100);
  let changeCount: number | undefined;
  for (const [changedAtMs, bundle] of observations) {
    const one = { namespace: 'shop', displayName: 'shop/a', changedAtMs, ...(bundle === undefined ? {} : { bundle }) };
    const [counted] = counts.counted<typeof one & { changeCount?: number }>('secrets', [one]);
    changeCount = counted?.changeCount;
  }
  return changeCount;
}

describe('the changes of an object in a phase of a rotation', () => {
  const table: [title: string, observations: Observation[], changeCount: number | undefined][] = [
    [
      'are none while it stays as it was before the phase',
      [
        [50, 'old'],
        [50, 'old'],
      ],
      undefined,
    ],
    [
      'do not include the first one, which is the operator’s',
      [
        [50, 'old'],
        [110, 'new'],
      ],
      undefined,
    ],
    ['do not include one before the first observation', [[110, 'new']], undefined],
    [
      'include the second one',
      [
        [50, 'old'],
        [110, 'new'],
        [120, 'theirs'],
      ],
      2,
    ],
    [
      'are two more when it was changed and changed back between two observations',
      [
        [110, 'new'],
        [120, 'new'],
      ],
      3,
    ],
    [
      'include changes to what the operator wrote before the phase',
      [
        [50, 'new'],
        [120, 'new'],
      ],
      2,
    ],
    ['stay while it is missing', [[50, 'new'], [120, 'new'], [Infinity]], 2],
    ['are none when it exists again, with other content', [[50, 'old'], [Infinity], [120, 'new']], undefined],
  ];
  for (const [title, observations, changes] of table)
    test(title, () => assert.equal(changesAfter(observations), changes));

  test('are forgotten when it is gone: a user can create and delete objects for ever', () => {
    const counts = new ChangeCounts('r1/Draining', 100);
    const one = (name: string, changedAtMs: number) => ({
      namespace: 'shop',
      displayName: `shop/${name}`,
      changedAtMs,
    });
    const changesOf = (name: string, changedAtMs: number): number | undefined =>
      counts.counted<ReturnType<typeof one> & { changeCount?: number }>('secrets', [one(name, changedAtMs)])[0]
        ?.changeCount;
    for (const [ms, changes] of [
      [110, undefined],
      [120, 2],
      [130, 3],
    ] as const)
      assert.equal(changesOf('a', ms), changes);
    counts.counted('publications', [one('roots', 110)]);
    assert.equal(changesOf('a', 140), 4, 'another list does not matter');
    changesOf('b', 150);
    assert.equal(changesOf('a', 160), undefined);
  });
});
