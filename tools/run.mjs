// Runs a TypeScript source of this project: node tools/run.mjs SCRIPT [argument...]
//
// A fresh clone has no dependencies, and the machine's Node.js may be too old for TypeScript. So this file is plain
// JavaScript for Node.js 18 and later. It runs npm ci when node_modules differs from package-lock.json, and then runs SCRIPT
// on the Node.js from the dependencies.

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
// Node.js keeps compiled modules here, for all processes that the script starts.
process.env.NODE_COMPILE_CACHE ??= join(root, 'node_modules', '.cache', 'compiled');
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

/** Why node_modules does not match package-lock.json; undefined when it does. */
function installationDiffers() {
  const required = readJson(join(root, 'package-lock.json'))?.packages;
  if (required === undefined)
    fail('package-lock.json is missing or is not valid JSON: restore it with git checkout package-lock.json');
  // npm records here the packages that it has installed.
  const installed = readJson(join(root, 'node_modules', '.package-lock.json'))?.packages;
  if (installed === undefined) return 'dependencies are not installed yet';
  for (const [path, entry] of Object.entries(required)) {
    if (path === '') continue;
    const present = installed[path];
    // The lock file lists optional packages of other platforms, which npm does not install.
    if (present === undefined ? !entry.optional : differs(present, entry)) return `${path} has changed`;
  }
  return undefined;
}

function differs(present, required) {
  // npm adds the integrity if the lock file has none.
  const otherContent = required.integrity !== undefined && present.integrity !== required.integrity;
  return present.version !== required.version || otherContent;
}

async function install(reason) {
  console.error(`Installing dependencies with npm ci (${reason})...`);
  const started = Date.now();
  const flags = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  // In `npm run`, this is the npm that is running. Another npm may come first on PATH.
  const cli = process.env.npm_execpath;
  const viaCli = cli !== undefined && /npm-cli\.c?js$/.test(cli) && existsSync(cli);
  const [command, argv] = viaCli ? [process.execPath, [cli, ...flags]] : ['npm', flags];
  const { code, error } = await run(command, argv, { cwd: root, stdio: ['ignore', 2, 2] });
  if (error?.code === 'ENOENT')
    fail('npm is not installed: install Node.js with npm (https://nodejs.org) and repeat the command.');
  if (error) fail(`cannot start npm: ${error.message}`);
  if (code !== 0) {
    fail(`npm ci failed with exit code ${code}; see its output above. It needs network access to an npm registry.`);
  }
  console.error(`Installed in ${((Date.now() - started) / 1000).toFixed(0)} s.`);
}

/** The Node.js to use: the one from the dependencies, otherwise the current one if it is new enough. */
function nodeBinary() {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  const folder = `node-${platform}-${process.arch}`;
  const candidates = [
    join(root, 'node_modules', 'node', 'bin', name),
    // The source from which the package's install script copies the binary. The only copy when scripts are disabled.
    join(root, 'node_modules', 'node', 'node_modules', folder, 'bin', name),
    join(root, 'node_modules', folder, 'bin', name),
  ];
  const found = candidates.find((path) => existsSync(path));
  if (found !== undefined) return found;
  const least = Number(readJson(join(root, 'package.json'))?.engines.node.match(/\d+/)?.[0]);
  if (Number(process.versions.node.split('.')[0]) >= least) return process.execPath;
  return fail(
    `Node.js ${least} or newer is required; this is ${process.version}, and the npm package "node" has no binary ` +
      `because its install script did not run. Install Node.js ${least}, or run: npm rebuild node`,
  );
}

/** Runs a process in place of this one: with the same streams, signals and exit code. */
async function handOver(command, argv) {
  const { code, signal, error } = await run(command, argv, { stdio: 'inherit' });
  if (error) fail(`cannot start ${command}: ${error.message}`);
  if (signal === null) process.exit(code);
  process.kill(process.pid, signal);
  // If the signal does not end this process, exit with the code that a shell would report.
  setTimeout(() => process.exit(128 + constants.signals[signal]), 1000);
}

function run(command, argv, options) {
  return new Promise((done) => {
    const child = spawn(command, argv, options);
    const forward = (signal) => child.kill(signal);
    // A terminal sends Ctrl-C to the whole process group. A forwarded second SIGINT would force an immediate exit.
    const handlers = [
      ['SIGINT', process.stdin.isTTY ? () => {} : forward],
      ['SIGTERM', forward],
      ['SIGHUP', forward],
    ];
    for (const [signal, handler] of handlers) process.on(signal, handler);
    // npm runs scripts in a shell, which does not forward signals. When the shell ends, stop the child.
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
