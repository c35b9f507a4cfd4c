// Runs a TypeScript source of this project: node tools/run.mjs SCRIPT [argument...]
//
// A fresh clone has no dependencies and the machine's Node.js may be too old to run TypeScript. So this file is plain
// JavaScript for Node.js 18 and later: it installs what package-lock.json says when node_modules differs from it, then
// runs SCRIPT on the Node.js that is among the dependencies.

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [script, ...args] = process.argv.slice(2);

if (script === undefined) fail('usage: node tools/run.mjs SCRIPT [argument...]', 2);

const outdated = installationDiffers();
if (outdated !== undefined) await install(outdated);
await handOver(nodeBinary(), [resolve(root, script), ...args]);

function fail(message, code = 1) {
  console.error(message);
  process.exit(code);
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Why node_modules is not what package-lock.json asks for, or undefined when it is. */
function installationDiffers() {
  const wanted = readJson(join(root, 'package-lock.json'))?.packages;
  if (wanted === undefined) fail('package-lock.json is missing or is not JSON: restore it from version control.');
  // npm keeps a lock file of what it has really installed.
  const installed = readJson(join(root, 'node_modules', '.package-lock.json'))?.packages;
  if (installed === undefined) return 'dependencies are not installed yet';
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '') continue;
    const present = installed[path];
    // Optional packages for other platforms are in the lock file and rightly not on the disk.
    if (present === undefined ? !entry.optional : differs(present, entry)) return `${path} has changed`;
  }
  return undefined;
}

function differs(present, wanted) {
  // npm adds the integrity it has seen where the lock file has none.
  const otherContent = wanted.integrity !== undefined && present.integrity !== wanted.integrity;
  return present.version !== wanted.version || otherContent;
}

async function install(reason) {
  console.error(`Installing dependencies with npm ci (${reason})...`);
  const started = Date.now();
  const flags = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  // Inside `npm run` this is the npm that runs us, which need not be the first on PATH.
  const cli = process.env.npm_execpath;
  const viaCli = cli !== undefined && /npm-cli\.c?js$/.test(cli) && existsSync(cli);
  const [command, argv] = viaCli ? [process.execPath, [cli, ...flags]] : ['npm', flags];
  const { code, error } = await run(command, argv, { cwd: root, stdio: ['ignore', 2, 2] });
  if (error?.code === 'ENOENT')
    fail('npm is missing: install Node.js with npm (https://nodejs.org), then run this again.');
  if (error) fail(`npm could not be started: ${error.message}`);
  if (code !== 0) {
    fail(
      `npm ci failed with exit code ${code}; its message is above. Without network access to an npm registry the dependencies cannot be installed.`,
    );
  }
  console.error(`Installed in ${((Date.now() - started) / 1000).toFixed(0)} s.`);
}

/** The Node.js to run on: the dependency's binary, else this one when it is new enough. */
function nodeBinary() {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  const folder = `node-${platform}-${process.arch}`;
  const candidates = [
    join(root, 'node_modules', 'node', 'bin', name),
    // Where the package's install script takes it from; all there is when scripts are switched off.
    join(root, 'node_modules', 'node', 'node_modules', folder, 'bin', name),
    join(root, 'node_modules', folder, 'bin', name),
  ];
  const found = candidates.find((path) => existsSync(path));
  if (found !== undefined) return found;
  const least = Number(readJson(join(root, 'package.json'))?.engines.node.match(/\d+/)?.[0]);
  if (Number(process.versions.node.split('.')[0]) >= least) return process.execPath;
  return fail(
    `Node.js ${least} or newer is needed, this is ${process.version}, and the npm package "node" brought no binary ` +
      `(its install script did not run). Install Node.js ${least}, or run: npm rebuild node`,
  );
}

/** Becomes, as far as a parent can, the given process: same streams, signals, exit code. */
async function handOver(command, argv) {
  const { code, signal, error } = await run(command, argv, { stdio: 'inherit' });
  if (error) fail(`${command} could not be started: ${error.message}`);
  if (signal === null) process.exit(code);
  process.kill(process.pid, signal);
  // A signal that does not end this process still has to end in the exit code of a shell.
  setTimeout(() => process.exit(128 + constants.signals[signal]), 1000);
}

function run(command, argv, options) {
  return new Promise((done) => {
    const child = spawn(command, argv, options);
    const forward = (signal) => child.kill(signal);
    // A terminal sends Ctrl-C to the whole process group; a second SIGINT would look like a person in a hurry.
    const handlers = [
      ['SIGINT', process.stdin.isTTY ? () => {} : forward],
      ['SIGTERM', forward],
      ['SIGHUP', forward],
    ];
    for (const [signal, handler] of handlers) process.on(signal, handler);
    // npm runs scripts through a shell, which dies of a signal without passing it on; being orphaned is the signal then.
    const parent = process.ppid;
    const orphaned = setInterval(() => process.ppid !== parent && forward('SIGTERM'), 500);
    const finish = (result) => {
      clearInterval(orphaned);
      for (const [signal, handler] of handlers) process.off(signal, handler);
      done(result);
    };
    child.on('error', (error) => finish({ error }));
    child.on('exit', (code, signal) => finish({ code, signal }));
  });
}
