import { join } from 'node:path';

import { compiled } from '../peers/compiled.ts';
import type { Command } from '../peers/process.ts';

/** How the programs around the judges are made. Each is made once for its sources. */

const here = import.meta.dirname;

/** Builds a Go program of ours, with the modules that its go.sum names. */
export async function goProgram(name: string, ...files: readonly string[]): Promise<Command> {
  const cwd = join(here, name);
  const command = (output: string): Command => ['go', 'build', '-o', `${output}judge`, '.'];
  return [join(await made(name, files, command, cwd), 'judge')];
}

/** Makes something of the files in a folder of ours; the result is in the folder that this gives. */
export async function made(
  name: string,
  files: readonly string[],
  command: (output: string, source: string) => Command,
  cwd = here,
): Promise<string> {
  const sources = files.map((file) => join(here, name, file));
  return compiled(`judge-${name}`, sources, (output) => ({ command: command(output, sources[0] ?? ''), cwd }));
}
