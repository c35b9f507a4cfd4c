import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { LabelRequirement, LabelSelector } from '../../../../src/api/types.ts';
import { selectorText, selects, selectsAll } from '../../../../src/plan/policy/label-selector.ts';

type Labels = Readonly<Record<string, string>>;
const where = (...matchExpressions: LabelRequirement[]): LabelSelector => ({ matchExpressions });

describe('a selector', () => {
  const rows: [selector: LabelSelector | undefined, labels: Labels, selected: boolean][] = [
    [undefined, {}, true],
    [{}, {}, true],
    [{}, { a: 'b' }, true],
    [{ matchLabels: {}, matchExpressions: [] }, {}, true],
    [{ matchLabels: { a: 'b' } }, { a: 'b', c: 'd' }, true],
    [{ matchLabels: { a: 'b' } }, { a: 'B' }, false],
    [{ matchLabels: { a: 'b' } }, {}, false],
    [{ matchLabels: { a: '' } }, { a: '' }, true],
    [{ matchLabels: { a: '' } }, {}, false],
    [{ matchLabels: { a: 'b', c: 'd' } }, { a: 'b' }, false],
    [{ matchLabels: { toString: 'a' } }, {}, false],
    [where({ key: 'a', operator: 'In', values: ['b', 'c'] }), { a: 'c' }, true],
    [where({ key: 'a', operator: 'In', values: ['b', 'c'] }), { a: 'd' }, false],
    [where({ key: 'a', operator: 'In', values: ['b', 'c'] }), {}, false],
    [where({ key: 'a', operator: 'In', values: [] }), { a: 'b' }, false],
    [where({ key: 'a', operator: 'In' }), {}, false],
    [where({ key: 'a', operator: 'NotIn', values: ['b'] }), { a: 'c' }, true],
    [where({ key: 'a', operator: 'NotIn', values: ['b'] }), { a: 'b' }, false],
    [where({ key: 'a', operator: 'NotIn', values: ['b'] }), {}, true],
    [where({ key: 'a', operator: 'NotIn', values: [] }), {}, false],
    [where({ key: 'a', operator: 'NotIn' }), { a: 'b' }, false],
    [where({ key: 'a', operator: 'Exists' }), { a: '' }, true],
    [where({ key: 'a', operator: 'Exists' }), {}, false],
    [where({ key: 'constructor', operator: 'Exists' }), {}, false],
    [where({ key: 'a', operator: 'DoesNotExist' }), {}, true],
    [where({ key: 'a', operator: 'DoesNotExist' }), { a: '' }, false],
    [where({ key: 'constructor', operator: 'DoesNotExist' }), {}, true],
    [where({ key: 'a', operator: 'Gt' } as unknown as LabelRequirement), { a: '1' }, false],
    [where({ key: 'a', operator: 'Exists' }, { key: 'b', operator: 'Exists' }), { a: '1' }, false],
    [{ matchLabels: { a: 'b' }, ...where({ key: 'c', operator: 'Exists' }) }, { a: 'b' }, false],
    [{ matchLabels: { a: 'b' }, ...where({ key: 'c', operator: 'Exists' }) }, { a: 'b', c: '' }, true],
  ];
  for (const [selector, labels, selected] of rows) {
    test(`${JSON.stringify(selector)} ${selected ? 'selects' : 'does not select'} ${JSON.stringify(labels)}`, () => {
      assert.equal(selects(selector, labels), selected);
    });
  }

  test('selects every object only when it requires nothing', () => {
    assert.ok(selectsAll({}) && selectsAll({ matchLabels: {}, matchExpressions: [] }));
    assert.ok(!selectsAll({ matchLabels: { a: '' } }));
    assert.ok(!selectsAll(where({ key: 'a', operator: 'DoesNotExist' })));
  });
});

describe('the text of a selector', () => {
  const rows: [selector: LabelSelector, text: string][] = [
    [{}, ''],
    [{ matchLabels: { a: 'b', c: '' } }, 'a=b,c='],
    [where({ key: 'a', operator: 'In', values: ['b', 'c'] }), 'a in (b,c)'],
    [where({ key: 'a', operator: 'NotIn', values: ['b'] }, { key: 'd', operator: 'Exists' }), 'a notin (b),d'],
    [where({ key: 'a', operator: 'DoesNotExist' }), '!a'],
    [where({ key: 'a', operator: 'In', values: ['1', '2', '3', '4', '5', '6', '7'] }), 'a in (1,2,3,4,5 and 2 more)'],
  ];
  for (const [selector, text] of rows) {
    test(`is ${text === '' ? 'empty' : text}`, () => assert.equal(selectorText(selector), text));
  }
});
