// npm test: runs the suites one after another on a real control plane and prints the totals at the end.

import { globSync } from 'node:fs';
import { relative } from 'node:path';
import { run } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';

import { buildOperator } from './build.ts';
import { findBinaries, findNodeBinaries } from './controlplane/binaries.ts';
import { BinariesError } from './controlplane/programs.ts';
import { GO_MODULES, goModule } from './go-tools/go-modules.ts';
import { GO_TOOLS, goTool } from './go-tools/go-tools.ts';
import { isLongRun } from './long-run.ts';
import { nodeUnavailable } from './node/unavailable.ts';
import { MAIN_VARIABLE } from './operator.ts';
import { EXAMPLE, saysWhySlow } from './slow-titles.ts';

const USAGE = `usage: npm test [-- [unit|integration|e2e]... [PATTERN]]

Runs all suites by default. PATTERN is part of a file's path; if no path contains it, it is a regular expression for test titles.
`;

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Ends a test process that hangs. */
const GUARD = new URL('test-guard.ts', import.meta.url).href;

/** In the order of execution. */
const SUITES = ['unit', 'integration', 'e2e'] as const;

/**
 * How many files run at a time. Most files start a control plane, which keeps a core busy at first. After that, the files of
 * `integration` mostly wait: for delays, polls and time-outs.
 */
const CONCURRENCY: Readonly<Record<Suite, number>> = { unit: 2, integration: 4, e2e: 2 };

/** The longest files, by the end of their path. They start first, so that they do not run alone at the end. */
const LONGEST = [
  'root-rotation',
  'trust',
  'crash',
  'network',
  'keys',
  'failure',
  'value-sets',
  'bench',
  'memory',
  'rotation-safety',
  'event-world',
  'convergence',
].map((name) => `/${name}.test.ts`);

/** Files that almost only wait for time-outs and pauses of the operator. They run one after another, next to the others. */
const WAITING: ReadonlySet<string> = new Set(
  [
    'integration/behaviours/contested',
    'integration/behaviours/ownership',
    'integration/tenants/ownership',
    'integration/faults/quiet',
    'integration/faults/silence',
    'e2e/node/bundle-by-name',
  ].map((name) => `test/${name}.test.ts`),
);

const isLong = (file: string): boolean => LONGEST.some((end) => file.endsWith(end));

/** Files that run alone, because they load the machine: forty programs connect to each other all the time. */
const isAlone = (file: string): boolean => file.endsWith('/mesh.test.ts');

/**
 * The default time-out of a test or a hook. Only a hanging test reaches it, because every wait in a test has a shorter limit
 * with its own message. In `e2e` a peer may have to be compiled first.
 */
const TIMEOUT_MS: Readonly<Record<Suite, number>> = { unit: 600_000, integration: 20 * 60_000, e2e: 20 * 60_000 };

/** The title of a longer test, or of its suite, must say why. */
const SLOW_S = 20;

type Suite = (typeof SUITES)[number];

interface Selection {
  readonly suite: Suite;
  readonly files: readonly string[];
  readonly titles: RegExp | undefined;
}

/** Files that run at the same time, at most `concurrency` of them. */
interface Lane extends Selection {
  readonly concurrency: number;
}

interface Problem {
  readonly file: string;
  readonly title: string;
  readonly detail: string;
}

interface Totals {
  passed: number;
  skipped: number;
  readonly failures: Problem[];
  /** Slow tests whose titles do not say why, with their seconds. */
  readonly slow: (readonly [what: string, seconds: number])[];
}

const isSuite = (word: string): word is Suite => (SUITES as readonly string[]).includes(word);

function select(suite: Suite, pattern: string | undefined, byTitle: boolean): Selection {
  const all = globSync(`test/${suite}/**/*.test.ts`, { cwd: ROOT }).toSorted();
  const files = [...all.filter(isLong), ...all.filter((file) => !isLong(file))];
  if (pattern === undefined) return { suite, files, titles: undefined };
  if (byTitle) return { suite, files, titles: new RegExp(pattern) };
  return { suite, files: files.filter((file) => file.includes(pattern)), titles: undefined };
}

/** Batches run one after another. The lanes of a batch run at the same time. */
const batchesOf = (selection: Selection): Lane[][] => {
  const rest = selection.files.filter((file) => !isAlone(file));
  const others = rest.filter((file) => !WAITING.has(file));
  const batches = [
    [
      { files: others, concurrency: CONCURRENCY[selection.suite] },
      { files: rest.filter((file) => WAITING.has(file)), concurrency: 1 },
    ],
    [{ files: selection.files.filter(isAlone), concurrency: 1 }],
  ];
  return batches.map((lanes) =>
    lanes.filter(({ files }) => files.length > 0).map((lane) => ({ ...selection, ...lane })),
  );
};

/** The file of the last line that was printed. The lines of several lanes may alternate. */
let shownFile = '';

async function runLane(lane: Lane, totals: Totals): Promise<void> {
  const events = run({
    cwd: ROOT,
    files: lane.files.map((file) => `${ROOT}${file}`),
    concurrency: lane.concurrency,
    execArgv: ['--import', GUARD],
    ...(isLongRun ? {} : { timeout: TIMEOUT_MS[lane.suite] }),
    ...(lane.titles === undefined ? {} : { testNamePatterns: lane.titles }),
  });
  // The titles that lead to the current test, and how many of them are already printed as headings.
  let path: string[] = [];
  let headings = 0;
  const showFile = (file: string): void => {
    if (file === shownFile) return;
    console.log(`\n${file}`);
    shownFile = file;
    headings = 0;
  };
  for await (const { type, data } of events) {
    if (type === 'test:stdout' || type === 'test:stderr') process.stdout.write(data.message);
    // Diagnostics of the runner itself concern the whole run and have no file.
    if (type === 'test:diagnostic' && data.file !== undefined) {
      showFile(relative(ROOT, data.file));
      console.log(`    ${data.message}`);
    }
    if (type === 'test:start') {
      path = [...path.slice(0, data.nesting), data.name];
      headings = Math.min(headings, data.nesting);
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue;

    const file = relative(ROOT, data.file ?? '');
    // The runner reports a file itself when it has no test or its process fails.
    const isFile = data.name === data.file;
    const title = isFile ? 'the whole file' : [...path.slice(0, data.nesting), data.name].join(': ');
    const show = (mark: string, remark: string): void => {
      showFile(file);
      for (; headings < data.nesting; headings++) console.log(`${'  '.repeat(headings + 1)}${path[headings]}`);
      console.log(`${'  '.repeat(data.nesting + 1)}${mark} ${isFile ? title : data.name} (${remark})`);
    };
    const took = `${(data.details.duration_ms / 1000).toFixed(2)} s`;

    if (data.skip !== undefined || data.todo !== undefined) {
      const reason = `skipped: ${reasonOf(data.skip ?? data.todo)}`;
      show('-', reason);
      if (process.env['CI'] !== 'true') totals.skipped++;
      else totals.failures.push({ file, title, detail: `${reason}; with CI=true no test may be skipped` });
    } else if (type === 'test:fail') {
      const { error } = data.details;
      const failureType = 'failureType' in error ? error.failureType : undefined;
      // The failed subtests are reported instead.
      if (failureType === 'subtestsFailed') continue;
      if (failureType === 'cancelledByParent' && data.details.type === 'suite') continue;
      show('✗', took);
      totals.failures.push({ file, title, detail: isFile ? endOfFile(error) : describe(error) });
    } else if (data.details.type !== 'suite' && !isFile) {
      show('✓', took);
      totals.passed++;
      const seconds = data.details.duration_ms / 1000;
      if (seconds > SLOW_S && !saysWhySlow(title)) totals.slow.push([`${file}: ${title}`, seconds]);
    }
  }
}

function describe(error: Error): string {
  const reason = error.cause ?? error;
  return typeof reason === 'string' ? reason : inspect(reason);
}

function endOfFile(error: Error): string {
  const { exitCode, signal } = error as { exitCode?: number | null; signal?: string | null };
  return `the test process ended with ${signal ?? `exit code ${exitCode}`}; see its output above`;
}

function reasonOf(mark: string | boolean | undefined): string {
  return typeof mark === 'string' && mark !== '' ? mark : 'no reason given';
}

function report({ passed, skipped, failures, slow }: Totals): number {
  if (slow.length > 0) console.log(`\nTests over ${SLOW_S} s need a reason in the title, for example ${EXAMPLE}:`);
  for (const [what, seconds] of slow) console.log(`  ${seconds.toFixed(0)} s  ${what}`);
  if (failures.length > 0) console.log('\nFailures');
  for (const { file, title, detail } of failures) {
    console.log(`\n${file}: ${title}\n${detail.replaceAll(/^/gm, '  ')}`);
  }
  if (passed + failures.length + skipped === 0) console.log('\nNo tests found.');
  console.log(`\n${passed} passed, ${failures.length} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  return failures.length > 0 || passed === 0 ? 1 : 0;
}

async function main(words: readonly string[]): Promise<number> {
  const named = words.filter(isSuite);
  const suites = named.length > 0 ? SUITES.filter((suite) => named.includes(suite)) : SUITES;
  const [pattern, ...surplus] = words.filter((word) => !isSuite(word));
  if (surplus.length > 0 || pattern?.startsWith('-')) {
    process.stderr.write(USAGE);
    return 2;
  }
  const byTitle = suites.every((suite) => select(suite, pattern, false).files.length === 0);
  const chosen = suites.map((suite) => select(suite, pattern, byTitle)).filter(({ files }) => files.length > 0);
  if (chosen.some(({ suite }) => suite !== 'unit')) {
    const log = (line: string): void => console.log(line);
    const node = nodeUnavailable() === undefined;
    const binaries = await findBinaries(log, { node });
    if (node) await findNodeBinaries(binaries, log);
    // Now, because a build takes longer than a test may.
    for (const tool of GO_TOOLS) await goTool(tool, log);
    // A test would fail when the network is slow.
    for (const module of GO_MODULES) await goModule(module);
    // Tests run the compiled operator, as in the image.
    process.env[MAIN_VARIABLE] = await buildOperator();
    // A control plane of a test runs for minutes. With a larger heap it needs a fifth less CPU time.
    process.env['GOGC'] ??= '400';
    process.env['GOMEMLIMIT'] ??= '1500MiB';
  }

  const totals: Totals = { passed: 0, skipped: 0, failures: [], slow: [] };
  for (const batch of chosen.flatMap(batchesOf)) await Promise.all(batch.map((lane) => runLane(lane, totals)));
  return report(totals);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof BinariesError ? error.message : error);
  process.exitCode = 1;
}
