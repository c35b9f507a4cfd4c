import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { output } from '../controlplane/command.ts';
import { type VersionedFiles, versionOf } from './versions.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A program and its arguments. */
export type Command = readonly [program: string, ...args: string[]];

/** One release, and how its steps act. */
export interface Release {
  readonly version: string;
  /** The tag of the commit; undefined in a dry run. */
  readonly tag: string | undefined;
  readonly commit: string;
  /** The date of the commit. */
  readonly date: Date;
  /** The repository of the image, without tag. */
  readonly image: string;
  /** The OCI repository of charts, without `oci://` and without the name of the chart. */
  readonly charts: string;
  /** The URL of the sources; empty when it is not known. */
  readonly source: string;
  readonly isDryRun: boolean;
  readonly files: VersionedFiles;
  readonly say: (line: string) => void;
  /** Runs a program that reads and writes on this machine only. Returns its output. Throws if it fails. */
  readonly local: (command: Command, env?: NodeJS.ProcessEnv) => Promise<string>;
  /** Runs a program that asks or changes another machine. A dry run prints it instead, and returns undefined. */
  readonly remote: (command: Command, env?: NodeJS.ProcessEnv) => Promise<string | undefined>;
  /** The path of a file of the release. */
  readonly path: (name: string) => string;
  /** What an earlier step wrote. Throws if there is nothing. */
  readonly read: (name: string) => string;
  readonly write: (name: string, text: string) => void;
}

/** Reads what the steps need. Throws when a variable is missing that only a dry run may lack. */
export async function openRelease(isDryRun: boolean, env: NodeJS.ProcessEnv, say: Release['say']): Promise<Release> {
  const text = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
  const files: VersionedFiles = {
    packageJson: text('package.json'),
    packageLock: text('package-lock.json'),
    chart: text('deploy/helm/mtls-operator/Chart.yaml'),
    dockerfile: text('Dockerfile'),
    changelog: text('CHANGELOG.md'),
  };
  const setting = (name: string, inDryRun: string): string => {
    const value = env[name] || (isDryRun ? inDryRun : undefined);
    if (value === undefined) throw new Error(`${name} is not set; npm run release -- --dry-run needs no settings`);
    return value;
  };
  const execute = async ([program, ...args]: Command, more: NodeJS.ProcessEnv = {}): Promise<string> => {
    const { code, stdout, stderr } = await output(program, args, { cwd: ROOT, env: { ...env, ...more } });
    if (code !== 0) throw new Error(`${program} ${args[0]} failed with exit code ${code}:\n${stdout}${stderr}`);
    // Some programs report what they have done on the standard error only.
    return stdout.trim() || stderr.trim();
  };
  const [commit = '', date = ''] = (await execute(['git', 'log', '-1', '--format=%H %cI'])).split(' ');
  const folder = env['RELEASE_FOLDER'] ?? join(ROOT, 'release');
  mkdirSync(folder, { recursive: true });
  const path = (name: string): string => join(folder, name);
  return {
    version: versionOf(files),
    tag: isDryRun ? undefined : setting('RELEASE_TAG', ''),
    commit,
    date: new Date(date),
    image: setting('RELEASE_IMAGE', 'registry.example.com/mtls-operator').toLowerCase(),
    charts: setting('RELEASE_CHARTS', 'registry.example.com/charts').toLowerCase(),
    source: env['RELEASE_SOURCE'] ?? '',
    isDryRun,
    files,
    say,
    local: execute,
    async remote(command, more) {
      if (!isDryRun) return execute(command, more);
      say(`would run: ${command.map(quoted).join(' ').replaceAll(ROOT, '')}`);
      return undefined;
    },
    path,
    read(name) {
      if (!existsSync(path(name))) throw new Error(`release/${name} is missing: run the steps before this one first`);
      return readFileSync(path(name), 'utf8');
    },
    write: (name, text) => writeFileSync(path(name), text),
  };
}

/** A word as a shell reads it. */
const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
