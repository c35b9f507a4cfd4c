import { join } from 'node:path';

import { compiled } from '../peers/compiled.ts';
import type { Command } from '../peers/process.ts';

/** Builds the programs of the judges. Each is built once for its sources. */

const here = import.meta.dirname;

/** Builds a Go program in this folder, with the modules of its go.sum. */
export async function goProgram(name: string, ...files: readonly string[]): Promise<Command> {
  const cwd = join(here, name);
  const command = (output: string): Command => ['go', 'build', '-o', `${output}judge`, '.'];
  return [join(await built(name, files, command, cwd), 'judge')];
}

/** Builds something from files in this folder. Returns the output folder. */
export async function built(
  name: string,
  files: readonly string[],
  command: (output: string, source: string) => Command,
  cwd = here,
): Promise<string> {
  const sources = files.map((file) => join(here, name, file));
  return compiled(`judge-${name}`, sources, (output) => ({ command: command(output, sources[0] ?? ''), cwd }));
}
