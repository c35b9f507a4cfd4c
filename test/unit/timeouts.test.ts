import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { longRunVariables } from '../../tools/long-run.ts';
import { EXAMPLE, saysWhySlow } from '../../tools/slow-titles.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Matches a test with options, with its title and the source of the options. */
const withOptions = /\b(?:test|it)\(\s*(['"`])((?:(?!\1)[^\\]|\\.)*)\1,\s*\{([^{}]*)\}/g;

/** A test with a longer timeout waits on purpose. A shorter timeout only ends a test that hangs. */
const longMs = 60_000;

/** The titles of tests with a timeout of more than a minute that do not say why. */
function unexplained(source: string): string[] {
  return [...source.matchAll(withOptions)].flatMap(([, , title = '', options = '']) => {
    const written = /\btimeout: ([^,\n]+)/.exec(options)?.[1]?.trim();
    if (written === undefined) return [];
    const isShort = /^[\d_]+$/.test(written) && Number(written.replaceAll('_', '')) <= longMs;
    return isShort || saysWhySlow(title) ? [] : [title];
  });
}

describe('a test with a timeout of more than a minute', () => {
  for (const file of globSync('test/**/*.test.ts', { cwd: root }).toSorted()) {
    const source = readFileSync(`${root}${file}`, 'utf8');
    if (!/\btimeout:/.test(source)) continue;
    test(`says in its title how long it takes and why, like ${EXAMPLE}: ${file}`, () => {
      assert.deepEqual(unexplained(source), []);
    });
  }

  test('is found with any other options', () => {
    const tests = [
      ["'it\\'s slow'", '{ timeout: 90_000 }'],
      ['`takes ${n}`', '{\n  skip,\n  timeout: 20 * 60_000,\n}'],
      ["'waits (2 min: the watch falls silent)'", '{ timeout: 300_000 }'],
      ["'is quick'", '{ timeout: 5000 }'],
      ["'has no limit of its own'", '{ skip }'],
    ];
    const source = tests.map(([title, options]) => `test(${title}, ${options}, () => {});`).join('\n');
    assert.deepEqual(unexplained(source), ["it\\'s slow", 'takes ${n}']);
  });
});

test('every variable for more cases also lifts the timeouts', () => {
  const variables = globSync('test/**/*.ts', { cwd: root }).flatMap((file) =>
    [
      ...readFileSync(`${root}${file}`, 'utf8').matchAll(
        /(?:process\.env\[|historyRuns\()'(\w+_(?:RUNS|CASES|EVERY))'/g,
      ),
    ].map(([, name]) => name ?? ''),
  );
  assert.ok(variables.length > 0);
  assert.deepEqual(
    variables.filter((name) => !longRunVariables.includes(name)),
    [],
  );
});
