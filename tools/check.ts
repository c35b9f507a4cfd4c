// npm run check: everything that can be said about the sources without running them. npm run format: the same with --fix.

import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { output } from './controlplane/command.ts';
import { layerProblems } from './layers.ts';
import { proseProblems } from './prose.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** The problems that a step found, as text; undefined for none. */
type Finding = string | undefined;

interface Step {
  readonly name: string;
  readonly run: () => Promise<Finding>;
}

const STEPS: readonly Step[] = [
  { name: 'types (tsc)', run: () => program(bin('tsc'), []) },
  { name: 'lint (oxlint)', run: () => program(bin('oxlint'), ['--type-aware', '--deny-warnings']) },
  { name: 'layers (tools/layers.ts)', run: checkLayers },
  { name: 'prose (tools/prose.ts)', run: checkProse },
  { name: 'format and import order (biome)', run: () => program(bin('biome'), ['check', '.']) },
  { name: 'format of Go (gofmt)', run: () => checkFormat(GOFMT) },
  { name: 'format of Rust (rustfmt)', run: () => checkFormat(RUSTFMT) },
  { name: 'generated files are up to date', run: () => program(process.execPath, ['tools/generate.ts', '--check']) },
  { name: 'lock file names no registry', run: checkLockFile },
];

/** In an order in which no step undoes the fix of an earlier one. */
const FIXES: readonly Step[] = [
  { name: 'generate', run: () => program(process.execPath, ['tools/generate.ts']) },
  { name: 'lint (oxlint --fix)', run: () => program(bin('oxlint'), ['--type-aware', '--fix']) },
  { name: 'format and import order (biome)', run: () => program(bin('biome'), ['check', '--write', '.']) },
  { name: 'format of Go (gofmt)', run: () => fixFormat(GOFMT) },
  { name: 'format of Rust (rustfmt)', run: () => fixFormat(RUSTFMT) },
];

function bin(name: string): string {
  return join(ROOT, 'node_modules', '.bin', name);
}

/** Runs a program with this Node.js on PATH. A non-zero exit code is a finding. */
async function program(command: string, args: readonly string[]): Promise<Finding> {
  const env = { ...process.env, PATH: `${join(ROOT, 'node_modules', '.bin')}:${process.env['PATH'] ?? ''}` };
  const { code, stdout, stderr } = await output(command, args, { cwd: ROOT, env });
  return code === 0 ? undefined : `${stdout}${stderr}`.trim() || `exit code ${code}`;
}

/** A formatter for another language: the flag that lists unformatted files, and the flag that formats them. */
interface Formatter {
  readonly files: string;
  readonly command: readonly string[];
  readonly check: string;
  readonly write?: string;
}

const GOFMT: Formatter = { files: '*.go', command: ['gofmt'], check: '-l', write: '-w' };
const RUSTFMT: Formatter = { files: '*.rs', command: ['rustfmt', '--edition=2024'], check: '--check' };

async function filesOf({ files }: Formatter): Promise<string[]> {
  const { stdout } = await output('git', ['ls-files', '--cached', '--others', '--exclude-standard', files], {
    cwd: ROOT,
  });
  return stdout.split('\n').filter((file) => file !== '' && existsSync(join(ROOT, file)));
}

async function checkFormat(formatter: Formatter): Promise<Finding> {
  const { stdout, stderr } = await format(formatter, formatter.check);
  return `${stdout}${stderr}`.trim() || undefined;
}

async function fixFormat(formatter: Formatter): Promise<Finding> {
  return (await format(formatter, formatter.write)).stderr.trim() || undefined;
}

async function format(formatter: Formatter, flag?: string): Promise<{ stdout: string; stderr: string }> {
  const [program = '', ...args] = formatter.command;
  const flags = flag === undefined ? [] : [flag];
  try {
    return await output(program, [...args, ...flags, ...(await filesOf(formatter))], { cwd: ROOT });
  } catch (error) {
    // A developer without the toolchain of a language does not change its files. CI has every toolchain.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && process.env['CI'] !== 'true')
      return { stdout: '', stderr: '' };
    throw error;
  }
}

/** ARCHITECTURE.md describes the layers. */
async function checkProse(): Promise<Finding> {
  return proseProblems().join('\n') || undefined;
}

async function checkLayers(): Promise<Finding> {
  const src = join(ROOT, 'src');
  const sources = globSync('**/*.ts', { cwd: src }).map((path) => ({
    path,
    text: readFileSync(join(src, path), 'utf8'),
  }));
  return layerProblems(sources).join('\n') || undefined;
}

/** With "resolved" addresses, every user of the lock file depends on the registry of its last author. */
async function checkLockFile(): Promise<Finding> {
  const lines = readFileSync(join(ROOT, 'package-lock.json'), 'utf8').split('\n');
  const count = lines.filter((line) => line.includes('"resolved"')).length;
  return count === 0
    ? undefined
    : `package-lock.json has ${count} "resolved" addresses: run npm install with this .npmrc`;
}

async function runAll(steps: readonly Step[]): Promise<boolean> {
  let allWell = true;
  for (const { name, run } of steps) {
    const started = performance.now();
    const finding = await run().catch((error: unknown) => String(error));
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`${finding === undefined ? '✓' : '✗'} ${name} (${seconds} s)`);
    if (finding !== undefined) console.log(`${finding.replaceAll(/^/gm, '    ')}\n`);
    allWell &&= finding === undefined;
  }
  return allWell;
}

const [flag, ...surplus] = process.argv.slice(2);
if ((flag !== undefined && flag !== '--fix') || surplus.length > 0) {
  console.error('usage: npm run check [-- --fix]');
  process.exitCode = 2;
} else {
  const fixed = flag === undefined || (await runAll(FIXES));
  const clean = fixed && (flag !== undefined || (await runAll(STEPS)));
  process.exitCode = clean ? 0 : 1;
}
