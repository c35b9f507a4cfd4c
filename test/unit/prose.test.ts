import assert from 'node:assert/strict';
import { test } from 'node:test';

import { turnsIn } from '../../tools/prose.ts';

const found: Record<string, string> = {
  'The certificate is issued anew.': 'anew',
  'Nobody can read it.': 'Nobody',
  'a Secret that is nobody’s': 'nobody’s',
  'Somebody changed it': 'Somebody',
  'until no certificate is of it': 'is of it',
  'the leaves are of the old root': 'are of the old',
  'The operator looks at it again': 'looks at',
  'what was looked at': 'looked at',
  'It is told when it ends': 'is told',
  'The rotation goes on': 'goes on',
  'a key in the making': 'in the making',
  'Renewals are held back': 'held back',
  'a root that was written over': 'written over',
  'names beside its own': 'beside',
  'there is no such thing': 'no such thing',
  'until it is mended': 'mended',
  'it belongs into ca.crt': 'belongs into',
  'another type than it is to be': 'than it is to be',
  'the root that signs in the end': 'in the end',
  'it is asked all the same': 'all the same',
};

for (const [sentence, words] of Object.entries(found)) {
  test(`finds "${words}" in "${sentence}"`, () => {
    const [finding = '', ...others] = turnsIn(`plain words\n${sentence}`);
    assert.ok(finding.startsWith(`2: "${words}": `), finding);
    assert.deepEqual(others, []);
  });
}

for (const [kind, text] of Object.entries({
  'a doc comment': '/**\n * The leaves are\n * told.\n */',
  'a line comment': '// The leaves are\n// told.',
  'a YAML comment': '  # The leaves are\n  # told.',
  'a paragraph': 'The leaves are\ntold.',
})) {
  test(`finds a turn that continues on the next line of ${kind}`, () => {
    assert.match(turnsIn(text).join(), /are (?:[*#]|\/\/)? ?told/);
  });
}

for (const sentence of [
  'The operator issues the certificate again.',
  'Besides the root it holds an intermediate.',
  'The amended file recommends a list of them.',
  'The key of the other certificate',
  'telling the two apart',
]) {
  test(`finds nothing in "${sentence}"`, () => assert.deepEqual(turnsIn(sentence), []));
}
