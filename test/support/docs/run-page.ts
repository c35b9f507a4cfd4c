import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { goTool } from '../../../tools/go-tools/go-tools.ts';
import { helmHome } from '../chart/helm.ts';
import { eventually } from '../eventually.ts';
import type { Installation } from '../installation.ts';
import { scratchFolder } from '../scratch.ts';
import { Shell, type ShellResult } from './shell.ts';
import { type CommandStep, outputPattern, type Step, stepSections } from './steps.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** A page that is being followed. */
export interface Reader {
  /** The reader's working folder, with the repository's `deploy` and `crds`. */
  readonly folder: string;
  readonly world: Installation;
  /** Runs a command in the reader's shell; throws unless it succeeds. */
  readonly run: (command: string) => Promise<string>;
}

export interface PageOptions {
  /** Runs before the first command of the page. */
  readonly before?: (reader: Reader) => Promise<unknown>;
  /** Runs after the commands below a heading: for what the page promises and does not show. */
  readonly after?: Readonly<Record<string, (reader: Reader) => Promise<unknown>>>;
  /** Why the commands below a heading take longer than 20 s, by the heading: "31 s: the operator checks every 30 s". */
  readonly slow?: Readonly<Record<string, string>>;
  /** Commands that a test cannot run, by a part of each, and why. */
  readonly notRun?: Readonly<Record<string, string>>;
  /** Runs instead of a command, by a part of it: for what needs a kubelet, or a value that the reader fills in. */
  readonly instead?: Readonly<Record<string, (reader: Reader, command: string) => Promise<unknown>>>;
}

/**
 * Follows a page of the documentation as a reader does: writes its files and types its commands, from top to bottom, in one
 * shell and one folder. Every command has to succeed (or to fail, where the page shows an error), and to print what the page
 * shows. Each heading is a test.
 */
export function runPage(page: string, world: Installation, options: PageOptions = {}): void {
  describe(`${page}, as it is written`, () => {
    const sections = stepSections(readFileSync(join(ROOT, page), 'utf8'));
    const unused = new Set(
      [options.after, options.slow, options.notRun, options.instead].flatMap((table) => Object.keys(table ?? {})),
    );
    let folder: string;
    let shell: Shell;
    let reader: Reader;

    before(async () => {
      folder = await scratchFolder('docs');
      for (const name of ['deploy', 'crds']) symlinkSync(join(ROOT, name), join(folder, name));
      const programs = [world.cluster.binaries.kubectl, await goTool('helm')].map((program) => dirname(program));
      shell = new Shell(folder, {
        ...process.env,
        KUBECONFIG: world.cluster.kubeconfig,
        PATH: [...programs, process.env['PATH']].join(':'),
        ...helmHome(join(folder, '.helm')),
      });
      const run = async (command: string): Promise<string> => {
        const { code, output } = await shell.run(command);
        assert.equal(code, 0, `${command}\n${output}`);
        return output;
      };
      reader = { folder, world, run };
      await options.before?.(reader);
    });
    after(() => shell?.end());

    for (const { heading, steps } of sections) {
      const reason = options.slow?.[heading];
      test(reason === undefined ? heading : `${heading} (${reason})`, async () => {
        for (const step of steps) await follow(step);
        unused.delete(heading);
        await options.after?.[heading]?.(reader);
      });
    }

    test('has every command and heading that its test names', () => assert.deepEqual([...unused], []));

    async function follow(step: Step): Promise<void> {
      if (step.kind === 'file') {
        mkdirSync(dirname(join(folder, step.name)), { recursive: true });
        writeFileSync(join(folder, step.name), step.content);
        return;
      }
      const isPart = (part: string): boolean => step.command.includes(part);
      const skipped = Object.keys(options.notRun ?? {}).find(isPart);
      const replaced = Object.entries(options.instead ?? {}).find(([part]) => isPart(part));
      unused.delete(skipped ?? replaced?.[0] ?? '');
      if (skipped !== undefined) return;
      if (replaced !== undefined) await replaced[1](reader, step.command);
      else await typeCommand(step);
      // A reader types the next command later. The API server serves a kind a moment after its CRD is Established.
      if (step.command.includes('condition=Established'))
        await eventually(() => reader.run('kubectl get mtlsauthorities,mtlscertificates --all-namespaces'), {
          timeoutMs: 90_000,
        });
    }

    async function typeCommand({ command, output, line }: CommandStep): Promise<void> {
      const attempt = async (): Promise<void> => {
        const result = await shell.run(isWatch(command) ? `timeout 3 ${command}` : command);
        assertShown(result, command, output, `${page}:${line}: $ ${command}`);
      };
      // What the operator writes appears within seconds, so a reader looks again.
      await (isReading(command) && output.length > 0 ? eventually(attempt, { timeoutMs: 60_000 }) : attempt());
    }
  });
}

const isReading = (command: string): boolean =>
  /^kubectl (?:-n \S+ |--namespace=\S+ )?(?:get|describe|events) /.test(command);

const isWatch = (command: string): boolean => / (?:--watch|-w)\b/.test(command);

/** The exit code of `timeout` when it ended the program. */
const TIMED_OUT = 124;

function assertShown({ code, output }: ShellResult, command: string, shown: readonly string[], place: string): void {
  const printed = `${place}\nprinted (exit code ${code}):\n${output}`;
  if (isWatch(command)) {
    assert.equal(code, TIMED_OUT, printed);
    // Later lines of a watch show how a resource changes with time.
    const header = shown.slice(0, 1);
    if (header.length > 0) assert.match(output.split('\n')[0] ?? '', outputPattern(header), printed);
    return;
  }
  const showsError = /^error:|^Error from server|^The \w+ "[^"]*" is invalid/im.test(shown.join('\n'));
  if (showsError) assert.notEqual(code, 0, printed);
  else assert.equal(code, 0, printed);
  if (shown.length > 0) assert.match(output.trim(), outputPattern(shown), printed);
}
