import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { describe, test } from 'node:test';

import { Shell } from '../support/docs/shell.ts';
import { outputPattern, stepSections } from '../support/docs/steps.ts';

const page = `# A page
Text.

\`\`\`yaml
# one.yaml
kind: One
\`\`\`

## First

\`\`\`console
$ kubectl apply -f one.yaml
one created
$ cat <<EOF | \\
    sort
b
EOF
b

$ echo 'two
lines'
\`\`\`

1. In a list:

   \`\`\`console
   $ true
   \`\`\`

\`\`\`yaml
spec: {}
\`\`\`
`;

describe('the steps of a page', () => {
  const sections = stepSections(page);

  test('are grouped by heading', () => {
    assert.deepEqual(
      sections.map(({ heading, steps }) => [heading, steps.length]),
      [
        ['A page', 1],
        ['First', 4],
      ],
    );
  });

  test('hold a file for a block that begins with its name', () => {
    assert.deepEqual(sections[0]?.steps, [
      { kind: 'file', line: 4, name: 'one.yaml', content: '# one.yaml\nkind: One\n' },
    ]);
  });

  test('tell commands of several lines from their output', () => {
    assert.deepEqual(
      sections[1]?.steps.map((step) => step.kind === 'command' && [step.line, step.command, step.output]),
      [
        [12, 'kubectl apply -f one.yaml', ['one created']],
        [14, 'cat <<EOF | \\\n    sort\nb\nEOF', ['b']],
        [20, "echo 'two\nlines'", []],
        [27, 'true', []],
      ],
    );
  });

  test('need a command before output, and an end of each block', () => {
    assert.throws(() => stepSections('```console\noutput\n```\n'), /line 2: output without a command/);
    assert.throws(() => stepSections('```console\n$ true\n'), /line 1: the code block has no end/);
  });
});

describe('the output that a page shows', () => {
  const cases: readonly (readonly [shown: string, printed: string, fits: boolean])[] = [
    ['a  b', 'a b', true],
    ['a b', 'a c', false],
    ['expires 2027-02-21T11:25:47Z', 'expires 2031-01-01T00:00:00Z', true],
    ['expires 2027-02-21T11:25:47Z', 'expires soon', false],
    ['payments 3s', 'payments 2m11s', true],
    ['payments 3s', 'payments -', false],
    ['id 0123456789abcdef0123', 'id ffff', true],
    ['first … last', 'first of many last', true],
    ['a (b) [c]', 'a (b) [c]', true],
    ['a\n…\nb', 'a\n1\n2\nb', true],
    ['a\nb', 'a\nb\nc', false],
  ];
  for (const [shown, printed, fits] of cases) {
    test(`${JSON.stringify(shown)} ${fits ? 'fits' : 'does not fit'} ${JSON.stringify(printed)}`, () => {
      assert.equal(outputPattern(shown.split('\n')).test(printed), fits);
    });
  }
});

describe('the shell of a reader', () => {
  test('keeps variables, merges errors into the output, and reports exit codes', async (t) => {
    const shell = new Shell(tmpdir(), process.env);
    t.after(() => shell.end());
    assert.deepEqual(await shell.run('x=1; echo "$x"; echo two >&2'), { code: 0, output: '1\ntwo\n' });
    assert.deepEqual(await shell.run('cat; echo "x is $x"; false'), { code: 1, output: 'x is 1\n' });
  });

  test('ends a command that does not end', async (t) => {
    const shell = new Shell(tmpdir(), process.env);
    t.after(() => shell.end());
    await assert.rejects(shell.run('sleep 100', 200), /the shell has ended/);
  });
});
