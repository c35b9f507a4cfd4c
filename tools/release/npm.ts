import { existsSync } from 'node:fs';
import { basename } from 'node:path';

import { output } from '../controlplane/command.ts';
import type { Sbom } from './sbom.ts';

/** The command of npm: the one that runs this script, otherwise the first on PATH. */
export function npmCommand(): readonly [command: string, ...args: string[]] {
  const cli = process.env['npm_execpath'];
  return cli !== undefined && basename(cli) === 'npm-cli.js' && existsSync(cli) ? [process.execPath, cli] : ['npm'];
}

/** npm's bill of materials of the production packages, from the lock file alone. Throws if npm fails. */
export async function npmSbom(folder: string): Promise<Sbom> {
  const [command, ...args] = npmCommand();
  const flags = ['sbom', '--sbom-format=cyclonedx', '--sbom-type=application', '--omit=dev', '--package-lock-only'];
  const { code, stdout, stderr } = await output(command, [...args, ...flags], { cwd: folder, env: process.env });
  if (code !== 0) throw new Error(`npm sbom failed with exit code ${code}:\n${stderr}`);
  return JSON.parse(stdout) as Sbom;
}
