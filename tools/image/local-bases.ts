import { chmodSync, cpSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { output } from '../controlplane/command.ts';
import type { ImageStore } from './buildah.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface LocalBases {
  readonly BUILD_IMAGE: string;
  readonly BASE_IMAGE: string;
}

/**
 * Builds stand-ins for the base images of the Dockerfile from files of this machine, for where no registry can be reached.
 * The base has what distroless has at the same places: Node.js (this one), its shared libraries, CA certificates and the
 * user nonroot. The build image has a shell, find, npm, and the packages of the lock file instead of a registry.
 */
export async function buildLocalBases(store: ImageStore, folder: string): Promise<LocalBases> {
  const bases = { BUILD_IMAGE: 'localhost/build:local', BASE_IMAGE: 'localhost/base:local' };
  const base = join(folder, 'base');
  await addProgram(base, process.execPath, 'nodejs/bin/node');
  addFile(base, '/etc/ssl/certs/ca-certificates.crt', 'etc/ssl/certs/ca-certificates.crt');
  addText(
    base,
    'etc/passwd',
    'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n',
  );
  addText(base, 'etc/group', 'root:x:0:\nnonroot:x:65532:\n');
  await buildFromFiles(store, bases.BASE_IMAGE, base);

  const build = join(folder, 'build');
  await addProgram(build, process.execPath, 'usr/bin/node');
  for (const path of ['/bin/sh', '/bin/rm', '/usr/bin/find', '/usr/bin/env'])
    await addProgram(build, path, path.slice(1));
  cpSync(await npmFolder(), join(build, 'usr/lib/node_modules/npm'), { recursive: true });
  addFile(build, join(import.meta.dirname, 'npm-offline.mjs'), 'usr/bin/npm', 0o755);
  mkdirSync(join(build, 'tmp'));
  for (const path of ['node_modules/.bin', ...packagesOfTheBuild()]) {
    cpSync(join(ROOT, path), join(build, 'app', path), { recursive: true, verbatimSymlinks: true });
  }
  await buildFromFiles(store, bases.BUILD_IMAGE, build);
  return bases;
}

async function buildFromFiles(store: ImageStore, tag: string, context: string): Promise<void> {
  const dockerfile = `${context}.Dockerfile`;
  writeFileSync(dockerfile, 'FROM scratch\nCOPY . /\n');
  await store.build({ tag, dockerfile, context });
}

interface LockFile {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>;
}

/** The top-level paths of the production packages that are installed here. */
export const productionPackages = (): string[] => installedPackages((_path, isForDevelopment) => !isForDevelopment);

/** The same, and those of the compiler. */
const packagesOfTheBuild = (): string[] =>
  installedPackages(
    (path, isForDevelopment) => !isForDevelopment || /^node_modules\/(@?typescript(\/|$)|@types\/)/.test(path),
  );

function installedPackages(isNeeded: (path: string, isForDevelopment: boolean) => boolean): string[] {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'node_modules/.package-lock.json'), 'utf8')) as LockFile;
  const isTopLevel = (path: string): boolean => path.lastIndexOf('node_modules/') === 0;
  return Object.entries(packages)
    .filter(([path, { dev }]) => isTopLevel(path) && isNeeded(path, dev === true))
    .map(([path]) => path);
}

async function npmFolder(): Promise<string> {
  const cli = process.env['npm_execpath'];
  if (cli !== undefined && basename(cli) === 'npm-cli.js') return dirname(dirname(realpathSync(cli)));
  const { stdout } = await output('npm', ['root', '--global']);
  return join(stdout.trim(), 'npm');
}

function addText(root: string, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

function addFile(root: string, from: string, path: string, mode?: number): void {
  const target = join(root, path);
  mkdirSync(dirname(target), { recursive: true });
  cpSync(realpathSync(from), target);
  if (mode !== undefined) chmodSync(target, mode);
}

/** Adds a program with the shared libraries that it loads. */
async function addProgram(root: string, from: string, path: string): Promise<void> {
  addFile(root, from, path);
  const { stdout } = await output('ldd', [from]);
  for (const [library] of stdout.matchAll(/\/\S+/g)) addFile(root, library, library.slice(1));
}
